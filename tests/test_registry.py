from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from swerl_eval.core.errors import UsageError
from swerl_eval.registry import load
from swerl_eval.reports import EXPORTERS
from swerl_eval.samplers import SAMPLERS
from swerl_eval.samplers.replay import ReplaySampler
from swerl_eval.sandboxes import SANDBOXES
from swerl_eval.sandboxes.scripted import ScriptedSandbox

TABLE = {"replay": "swerl_eval.samplers.replay:ReplaySampler", "gold": "swerl_eval.samplers.gold:GoldSampler"}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from; what is imported is forgotten again."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_name_of_the_table_gives_its_class() -> None:
    assert load("sampler", "replay", TABLE) is ReplaySampler


def test_a_module_and_class_need_no_entry() -> None:
    assert load("sandbox", "swerl_eval.sandboxes.scripted:ScriptedSandbox", {}) is ScriptedSandbox


def test_a_class_of_the_users_own_is_found_on_the_path(modules: Path) -> None:
    (modules / "my_own_parts.py").write_text("class Mine:\n    here = 7\n", encoding="utf-8")
    assert load("sampler", "my_own_parts:Mine", TABLE).here == 7


def test_an_entry_is_imported_only_when_it_is_asked_for(modules: Path) -> None:
    (modules / "my_own_parts.py").write_text("class Mine: ...\n", encoding="utf-8")
    table = {"mine": "my_own_parts:Mine", "broken": "no_such_module_at_all:X"}
    assert "my_own_parts" not in sys.modules
    assert load("sampler", "mine", table).__name__ == "Mine"
    assert "my_own_parts" in sys.modules


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("repaly", "no sampler 'repaly'; did you mean replay? There are gold, replay, or package.module:Class"),
        ("zzz", "no sampler 'zzz'. There are gold, replay, or package.module:Class"),
        ("", "no sampler ''. There are gold, replay, or package.module:Class"),
        (":Class", "no sampler ':Class'. There are gold, replay, or package.module:Class"),
        ("json:", "no sampler 'json:'. There are gold, replay, or package.module:Class"),
        (".gold:GoldSampler", "no sampler '.gold:GoldSampler'. There are gold, replay, or package.module:Class"),
        ("no_such_package.x:Y", "sampler 'no_such_package.x:Y': no module 'no_such_package'"),
        ("json:Nothing", "sampler 'json:Nothing': json has no Nothing"),
    ],
)
def test_what_cannot_be_loaded_is_named_with_what_there_is(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load("sampler", name, TABLE)
    assert str(caught.value) == message


def test_a_module_that_lacks_one_of_its_own_imports_says_which(modules: Path) -> None:
    (modules / "my_own_parts.py").write_text("import not_installed_here\nclass Mine: ...\n", encoding="utf-8")
    with pytest.raises(UsageError, match="sampler 'my_own_parts:Mine': no module 'not_installed_here'"):
        load("sampler", "my_own_parts:Mine", TABLE)


def test_a_mistake_within_a_users_module_is_not_taken_for_a_missing_class(modules: Path) -> None:
    (modules / "my_own_parts.py").write_text("import json\njson.no_such_function()\n", encoding="utf-8")
    with pytest.raises(AttributeError, match="no_such_function"):
        load("sampler", "my_own_parts:Mine", TABLE)


@pytest.mark.parametrize(("kind", "table"), [("sampler", SAMPLERS), ("sandbox", SANDBOXES), ("exporter", EXPORTERS)])
def test_every_table_of_a_seam_can_be_loaded_whole(kind: str, table: dict[str, str]) -> None:
    for name, target in table.items():
        loaded = load(kind, name, table)
        assert f"{loaded.__module__}:{loaded.__qualname__}" == target
