from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from swerl_eval.core.errors import UsageError
from swerl_eval.registry import GROUPS, load
from swerl_eval.reports import EXPORTERS
from swerl_eval.samplers import SAMPLERS
from swerl_eval.samplers.replay import ReplaySampler
from swerl_eval.sandboxes import SANDBOXES
from swerl_eval.sandboxes.scripted import ScriptedSandbox

ROOT = Path(__file__).parent.parent
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


Install = Callable[..., None]


@pytest.fixture
def install(modules: Path) -> Install:
    """Installs a distribution into the folder that modules are imported from, as an installer does."""

    def installed(name: str, entry_points: str, **sources: str) -> None:
        info = modules / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        for module, source in sources.items():
            (modules / f"{module}.py").write_text(source, encoding="utf-8")
        importlib.invalidate_caches()

    return installed


@pytest.mark.parametrize(
    ("kind", "group"), [("sampler", "samplers"), ("sandbox", "sandboxes"), ("exporter", "exporters")]
)
def test_a_plug_in_is_found_by_its_entry_point(install: Install, kind: str, group: str) -> None:
    install("my-parts", f"[swerl_eval.{group}]\nmine = my_parts:Mine\n", my_parts="class Mine:\n    here = 7\n")
    assert load(kind, "mine", TABLE).here == 7
    other = next(name for name in GROUPS if name != kind)
    with pytest.raises(UsageError, match=f"no {other} 'mine'"):
        load(other, "mine", TABLE)


def test_no_plug_in_is_imported_but_the_one_that_is_asked_for(install: Install) -> None:
    points = "[swerl_eval.samplers]\nmine = my_parts:Mine\nbroken = my_broken_parts:Broken\n"
    install("my-parts", points, my_parts="class Mine: ...\n", my_broken_parts="raise OSError('imported')\n")
    assert load("sampler", "replay", TABLE) is ReplaySampler
    with pytest.raises(UsageError, match="no sampler 'zzz'"):
        load("sampler", "zzz", TABLE)
    assert not {"my_parts", "my_broken_parts"} & set(sys.modules)
    assert load("sampler", "mine", TABLE).__name__ == "Mine"
    assert "my_broken_parts" not in sys.modules


def test_a_built_in_name_is_not_taken_by_a_plug_in(install: Install) -> None:
    install("my-parts", "[swerl_eval.samplers]\nreplay = my_parts:Mine\n", my_parts="class Mine: ...\n")
    assert load("sampler", "replay", TABLE) is ReplaySampler


def test_plug_ins_are_among_the_names_that_were_meant(install: Install) -> None:
    install("my-parts", "[swerl_eval.samplers]\nmy-server = my_parts:Mine\n")
    with pytest.raises(UsageError) as caught:
        load("sampler", "my-serve", TABLE)
    assert str(caught.value) == (
        "no sampler 'my-serve'; did you mean my-server? There are gold, my-server, replay, or package.module:Class"
    )


@pytest.mark.parametrize(
    ("target", "source", "reason"),
    [
        ("my_parts:Mine", "import not_installed_here\n", "ModuleNotFoundError: No module named 'not_installed_here'"),
        ("my_parts:Mine", "class Other: ...\n", "AttributeError: module 'my_parts' has no attribute 'Mine'"),
        ("my_parts:Mine", "raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
        ("no_such_parts:Mine", "", "ModuleNotFoundError: No module named 'no_such_parts'"),
    ],
)
def test_a_broken_plug_in_is_named_with_its_distribution(
    install: Install, target: str, source: str, reason: str
) -> None:
    install("my-parts", f"[swerl_eval.samplers]\nmine = {target}\n", my_parts=source)
    with pytest.raises(UsageError) as caught:
        load("sampler", "mine", TABLE)
    assert str(caught.value) == (
        f"sampler 'mine' ({target}) of the installed my-parts 1.2 cannot be loaded: {reason}; repair or uninstall it"
    )


def test_a_name_that_two_distributions_have_is_refused(install: Install) -> None:
    for name in ("my-parts", "your-parts"):
        install(name, "[swerl_eval.samplers]\nmine = my_parts:Mine\n", my_parts="class Mine: ...\n")
    with pytest.raises(UsageError, match=r"sampler 'mine': .*-parts 1\.2 and .*-parts 1\.2 both have one of this name"):
        load("sampler", "mine", TABLE)


@pytest.mark.slow
def test_a_plug_in_of_the_command_line_runs(install: Install, tmp_path: Path) -> None:
    """An exporter of an installed distribution, in a process of its own."""
    source = "class Mine:\n    def export(self, run, destination, details):\n        return [run / 'run.json']\n"
    install("my-parts", "[swerl_eval.exporters]\nmine = my_parts:Mine\n", my_parts=source)
    done = subprocess.run(
        [sys.executable, "-m", "swerl_eval.cli.app", "export", "results/x", "--to", "mine"],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "results/x/run.json\n"), done.stderr
