"""Runs jobs on the machines of a Ray cluster, and says which machine runs which job."""
