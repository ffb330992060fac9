"""Samples with vLLM's own engine in a process of its own."""
