"""What `swerl-eval config` prints."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.cli.show_config import print_config
from swerl_eval.config import RunConfig, load_config
from tests.config.configs import OTHER_VALUES, written


def printed(config: RunConfig) -> str:
    with redirect_stdout(io.StringIO()) as output:
        print_config(config)
    return output.getvalue()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {**OTHER_VALUES, "launch": ""},
        {**OTHER_VALUES, "base_url": ()},
        {"model": 'a "quoted"\\name\twith\nlines and é, 漢, 🙂', "temperature": 1e-07, "timeout": 1e17},
        {"submission": {"name": "x", "os_model": True, "logo": ["a", "b"]}, "engine": {"seed": 1, "ratio": 0.5}},
    ],
)
def test_what_config_prints_is_read_back_to_the_same_settings(settings: dict[str, Any], tmp_path: Path) -> None:
    config = RunConfig(**settings)
    text = printed(config)
    assert load_config(written(tmp_path, text)) == config
    assert text.endswith(f"# the run's folder: {config.run_folder}\n")


@pytest.mark.parametrize("table", [{"hf_overrides": {"a": 1}}, {"odd key": 1}])
def test_tables_within_tables_and_odd_keys_are_read_back_too(table: dict[str, Any], tmp_path: Path) -> None:
    config = RunConfig(engine=table)
    assert load_config(written(tmp_path, printed(config))) == config


def test_every_setting_is_printed_below_its_description() -> None:
    lines = printed(RunConfig()).splitlines()
    for name in RunConfig.model_fields:
        (place,) = (
            n for n, line in enumerate(lines) if line.startswith((f"{name} = ", f"[{name}]", f"# {name} is not"))
        )
        assert lines[place - 1].startswith("# "), name
    assert lines[lines.index("strict = true") - 1] == (
        "# Run resolved patches once more, as a control run, for the strict verdict."
    )


def test_no_secret_is_printed() -> None:
    text = printed(RunConfig(base_url=("http://me:hush@h/v1",), request={"api_key": "hush"}, launch=""))
    assert 'base_url = [\n    "http://<redacted>@h/v1",\n]' in text
    assert 'api_key = "<redacted>"' in text
    assert "hush" not in text
