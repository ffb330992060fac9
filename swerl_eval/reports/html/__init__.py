"""The HTML pages of a run and of a comparison: self-contained files that need no network."""
