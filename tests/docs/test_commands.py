"""Every command line of the documentation is one that the program takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from swerl_eval.cli.app import app
from swerl_eval.config import RunConfig, load_config
from tests.docs.pages import PAGES, ROOT, blocks, command_lines, mentions, name_of, words_of

# the tables in results/ were made by the versions that they name
OF_NOW = [page for page in PAGES if page.parent.name != "results"]
LINES = [pytest.param(line, id=f"{name_of(page)}: {line}") for page in OF_NOW for line in command_lines(page)]
MENTIONS = [pytest.param(line, id=f"{name_of(page)}: {line}") for page in OF_NOW for line in mentions(page)]
PLACEHOLDERS = {"key=value", "name=value"}


def parsed(line: str) -> dict[str, Any]:
    """The values of a command's parameters. Fails for an unknown command or option; the command is not run."""
    command: Any = typer.main.get_command(app)
    words = words_of(line)
    while hasattr(command, "commands"):
        assert words, f"{line}: a command is missing"
        name = words.pop(0)
        assert name in command.commands, f"{line}: there is no command {name}"
        command = command.commands[name]
    values: dict[str, Any] = command.make_context(command.name, words).params
    return values


@pytest.mark.parametrize("line", LINES)
def test_the_command_and_its_options_exist(line: str) -> None:
    values = parsed(line)
    preset = values.get("config")
    load_config(Path(preset) if preset else None, values.get("overrides") or ())


@pytest.mark.parametrize("line", MENTIONS)
def test_what_the_text_mentions_exists(line: str) -> None:
    try:
        parsed(line)
    except Exception as error:
        # arguments may be missing in a sentence; typer brings its own copy of click, so the class is told by its name
        if type(error).__name__ != "MissingParameter":
            raise


def test_there_are_command_lines_on_every_page_that_should_have_some() -> None:
    for page in ("README.md", "docs/run.md", "docs/servers.md", "docs/nightly.md", "docs/reward.md"):
        assert command_lines(ROOT / page), page


def test_an_unknown_option_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parsed("swerl-eval run --no-such-option")
    with pytest.raises(AssertionError, match="there is no command"):
        parsed("swerl-eval walk")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_scripts_and_their_options_exist(page: Path) -> None:
    for script in ("scripts/demo", "scripts/test"):
        for line in [*command_lines(page, script), *mentions(page, script)]:
            options = [word for word in words_of(line) if word.startswith("--")]
            text = (ROOT / script).read_text("utf-8")
            assert all(option in text for option in options), line


# those of docs/python.md carry out runs: tests/api/test_running.py gives them their settings
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python") and page.name != "python.md"], ids=name_of
)
def test_python_examples_run(page: Path) -> None:
    for block in blocks(page, "python"):
        exec(compile(block, name_of(page), "exec"), {})  # our own pages


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_and_rooms_that_are_named_exist(page: Path) -> None:
    for path in re.findall(
        r"`((?:swerl_eval|tests|docs|scripts|benchmarks|prompts)/[\w/.]*)`", page.read_text("utf-8")
    ):
        assert (ROOT / path).exists(), path


def test_settings_that_are_named_with_c_exist() -> None:
    for page in PAGES:
        for setting, key in re.findall(r"-c '?((\w+)(?:\.\w+)*=[^ `]*)", page.read_text("utf-8")):
            assert key in RunConfig.model_fields or setting in PLACEHOLDERS, f"{name_of(page)}: -c {setting}"
