"""Samples from servers with the OpenAI interface, given or launched, one or several."""
