"""Checks before a run: does the model fit in memory, and do the prompts fit in its context."""
