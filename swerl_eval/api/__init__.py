"""The evaluator as a library: carries out runs and evaluations from Python, and reads run folders. Prints nothing."""
