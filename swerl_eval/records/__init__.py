"""The run folder and what is stored in it: journals, manifest, locks, and writes that are whole or not there."""
