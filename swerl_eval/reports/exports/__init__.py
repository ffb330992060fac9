"""Exports a run in the formats of others, one file for each."""
