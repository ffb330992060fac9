"""Where untrusted code runs: the table of sandboxes. Add one by adding a file here and a line to the table."""

SANDBOXES = {
    "docker": "swerl_eval.sandboxes.docker.sandbox:DockerSandbox",
    "scripted": "swerl_eval.sandboxes.scripted:ScriptedSandbox",
}
"""Name to `module:Class`, imported on first use."""
