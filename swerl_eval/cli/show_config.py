"""`swerl-eval config`: prints the resolved settings."""

from __future__ import annotations

import sys
import textwrap

import tomli_w

from swerl_eval.config import RunConfig

_WIDTH = 100
"""Characters of a comment's line, at most."""


def print_config(config: RunConfig) -> None:
    """Print each setting with its description, as TOML that `--config` reads back. Secrets are not printed."""
    values = config.recorded()
    # tables come last, because keys below a table's heading belong to the table
    for name in sorted(values, key=lambda name: isinstance(values[name], dict)):
        for line in textwrap.wrap(RunConfig.model_fields[name].description or "", _WIDTH, break_on_hyphens=False):
            sys.stdout.write(f"# {line}\n")
        unset = values[name] is None
        sys.stdout.write(f"# {name} is not set\n\n" if unset else tomli_w.dumps({name: values[name]}) + "\n")
    sys.stdout.write(f"# the run's folder: {config.run_folder}\n")
