"""Reads a model's answer: which part of it is the solution, and the lists, names and scripts in it."""
