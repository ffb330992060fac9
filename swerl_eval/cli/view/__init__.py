"""`swerl-eval view`: the runs of a folder as pages of a local web server."""
