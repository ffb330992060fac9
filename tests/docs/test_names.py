"""docs/python.md and docs/reward.md list the public names, and no others."""

from __future__ import annotations

import importlib
import re

import swerl_eval
from swerl_eval.core import reward
from swerl_eval.core.types import Rejection, Verdict
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/reward.md").read_text("utf-8")
SECTION = PAGE.partition("## Public names")[2].partition("\n## ")[0]


def test_the_names_of_the_reward_are_listed() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", SECTION, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == set(reward.__all__)


def test_the_names_of_the_package_are_listed() -> None:
    section = (ROOT / "docs/python.md").read_text("utf-8").partition("## Public names")[2]
    listed = {
        name for row in re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    assert listed == {*swerl_eval.__all__, "core"}
    assert all(getattr(swerl_eval, name) for name in listed)
    assert listed <= set(dir(swerl_eval))


def test_the_names_of_the_integrations_exist() -> None:
    listed = re.findall(r"`(rows|trl|verl|batch|execution)\.(\w+)`", SECTION)
    assert {module for module, _ in listed} == {"rows", "trl", "verl", "batch", "execution"}
    for module, name in listed:
        assert getattr(importlib.import_module(f"swerl_eval.integrations.{module}"), name)


def test_every_rejection_and_verdict_is_explained() -> None:
    selection = (ROOT / "docs/tests-and-selection.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", selection, re.MULTILINE)
    assert sorted(rows) == sorted(rejection.value for rejection in Rejection)
    results = (ROOT / "docs/results.md").read_text("utf-8")
    assert [verdict.value for verdict in Verdict if f"`{verdict.value}`" not in results] == []
