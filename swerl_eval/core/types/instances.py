"""Issues to solve, their answers, and the files chosen for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Instance:
    """What a model may know of one issue. This object gives no access to the answer."""

    instance_id: str
    """Such as `sympy__sympy-13480`."""
    repo: str
    """Owner and name, such as `sympy/sympy`."""
    base_commit: str
    problem_statement: str
    """The issue's text."""
    image: str
    """Docker image with the repository at the base commit in /testbed, its environment ready."""
    version: str = ""
    created_at: str = ""
    difficulty: str = ""


@dataclass(frozen=True)
class Oracle:
    """The answer to one instance. Only `evaluate`, `validate` and gold runs get one."""

    instance_id: str
    patch: str
    """The gold patch, a unified diff."""
    test_patch: str
    row: dict[str, Any] = field(repr=False)
    """The dataset's row, unchanged, for swebench's own specification and grading."""


@dataclass(frozen=True)
class TestPlan:
    """How an instance's repository runs tests. It does not say which tests decide: no answer is in it."""

    __test__ = False  # keeps pytest from collecting the class

    instance_id: str
    repo: str
    version: str
    setup: tuple[str, ...]
    """Shell lines that prepare the environment."""
    command: str
    """The test command; the tests to run are appended."""
    log_parser: str
    """swebench's name of the parser for the command's output."""


@dataclass(frozen=True)
class Localization:
    """The files chosen for one instance (`localizations.jsonl`)."""

    instance_id: str
    file_lists: tuple[tuple[str, ...], ...]
    """The unique lists, in the order in which they were first answered."""
    origin: str
    """`model`, `oracle`, or the file that the lists come from."""
    ignored: tuple[str, ...] = ()
    """Paths of the answers that do not exist."""


@dataclass(frozen=True)
class IssueText:
    """The text of a chosen instance's issue (`issues.jsonl`), so that a report needs no dataset."""

    instance_id: str
    text: str


@dataclass(frozen=True)
class GoldPatch:
    """The gold patch of an evaluated instance (`gold_patches.jsonl`). Only `evaluation` stores it."""

    instance_id: str
    patch: str
    """A unified diff."""


@dataclass(frozen=True)
class Failure:
    """Why an instance could not be carried to the end (`failures.jsonl`). A resume that finishes it removes this."""

    instance_id: str
    reason: str
