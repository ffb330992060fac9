"""Where untrusted code runs: the table of sandboxes. A new one is a file in this folder and a line in the table."""

SANDBOXES = {
    "docker": "swerl_eval.sandboxes.docker.sandbox:DockerSandbox",
    "ray": "swerl_eval.sandboxes.ray.sandbox:RaySandbox",
    "scripted": "swerl_eval.sandboxes.scripted:ScriptedSandbox",
}
"""Name to `module:Class`, imported on first use."""
