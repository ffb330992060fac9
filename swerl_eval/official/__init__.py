"""The only room that knows the package swebench: from a row to its specification, from a log to the official report."""
