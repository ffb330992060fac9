"""Pure functions and nouns: no files, clock, environment, network or logging; randomness only from a given seed."""
