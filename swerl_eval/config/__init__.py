"""The configuration of a run, from a TOML file, `-c key=value`, the command line and the environment.

`run_config` has the settings, `identity` what a result depends on, `loading` reads files and `-c`, and `environment` is
the only module that reads environment variables.
"""

from swerl_eval.config.environment import openai_credentials, writes_page
from swerl_eval.config.identity import BOUND_BY, SPEED_ONLY
from swerl_eval.config.loading import load_config, merge_settings
from swerl_eval.config.run_config import RunConfig
from swerl_eval.config.sizes import parse_size

__all__ = [
    "BOUND_BY",
    "SPEED_ONLY",
    "RunConfig",
    "load_config",
    "merge_settings",
    "openai_credentials",
    "parse_size",
    "writes_page",
]
