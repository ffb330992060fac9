"""The gate: whether a run is good enough, by itself and beside a baseline, with the reasons."""
