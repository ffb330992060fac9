"""`swerl-eval config`: the resolved settings."""

from __future__ import annotations

import sys
import textwrap

import tomli_w

from swerl_eval.config import RunConfig

_WIDTH = 100
"""Of the comments."""


def print_config(config: RunConfig) -> None:
    """Print each setting with its description, as TOML that `--config` reads back."""
    values = config.model_dump(mode="json")
    # a table goes on to the next table's head, so that these stand last
    for name in sorted(values, key=lambda name: isinstance(values[name], dict)):
        for line in textwrap.wrap(RunConfig.model_fields[name].description or "", _WIDTH, break_on_hyphens=False):
            sys.stdout.write(f"# {line}\n")
        unset = values[name] is None
        sys.stdout.write(f"# {name} is not set\n\n" if unset else tomli_w.dumps({name: values[name]}) + "\n")
    sys.stdout.write(f"# the run's folder: {config.run_folder}\n")
