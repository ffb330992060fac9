"""The scripts that run inside containers, as text built from data, and the reading of their output."""
