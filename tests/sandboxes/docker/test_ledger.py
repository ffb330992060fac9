"""The ledger of pulled images: what it stores, who holds an image, and what may be evicted. No engine is needed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from swerl_eval.core.errors import SandboxError
from swerl_eval.sandboxes.docker import ledger as ledger_module
from swerl_eval.sandboxes.docker.ledger import FOREIGN_MARK_TTL, Entry, Ledger
from swerl_eval.sandboxes.docker.leftovers import process_mark


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "ledger.json"


def evictable(ledger: Ledger) -> list[str]:
    """Images that nobody uses; none is removed."""
    names: list[str] = []

    def order(unused: Mapping[str, Entry]) -> Sequence[str]:
        names.extend(sorted(unused))
        return ()

    assert ledger.evict(order, lambda *_: True) is None
    return names


def rewrite(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@pytest.mark.parametrize("shared", [True, False])
def test_what_was_pulled_is_stored_until_it_is_dropped(file: Path, shared: bool) -> None:
    ledger = Ledger(file if shared else None)
    before = time.time()
    ledger.record("a:1", "sha256:a", 10)
    ledger.record("b:1", "sha256:b", 20)
    entries = ledger.entries()
    assert {name: (entry.digest, entry.size) for name, entry in entries.items()} == {
        "a:1": ("sha256:a", 10),
        "b:1": ("sha256:b", 20),
    }
    assert before <= entries["a:1"].pulled == entries["a:1"].used <= time.time()
    ledger.drop("a:1")
    ledger.drop("there-is-none:1")
    assert set(ledger.entries()) == {"b:1"}
    assert set(Ledger(file if shared else None).entries()) == ({"b:1"} if shared else set())


def test_an_image_in_use_is_not_evicted_by_any_process_with_the_same_file(file: Path) -> None:
    one, other = Ledger(file), Ledger(file)
    for name in ("a:1", "b:1"):
        one.record(name, "sha256:0", 1)
    with one.using("a:1"), other.using("a:1"):
        with one.using("a:1"):
            assert evictable(other) == ["b:1"]
        assert evictable(one) == ["b:1"]
    assert evictable(one) == ["a:1", "b:1"]
    assert json.loads(file.read_text(encoding="utf-8"))["users"] == {}


def test_a_use_ends_with_an_error_too_and_sets_the_time_of_the_last_use(file: Path) -> None:
    ledger = Ledger(file)
    ledger.record("a:1", "sha256:0", 1)
    pulled = ledger.entries()["a:1"].used
    time.sleep(0.01)
    with pytest.raises(ZeroDivisionError), ledger.using("a:1"):
        raise ZeroDivisionError
    assert ledger.entries()["a:1"].used > pulled
    assert evictable(ledger) == ["a:1"]


def test_an_image_may_be_marked_before_it_is_pulled(file: Path) -> None:
    ledger = Ledger(file)
    with ledger.using("a:1"):
        ledger.record("a:1", "sha256:0", 1)
        assert evictable(ledger) == []


def test_the_mark_of_a_killed_process_keeps_nothing(file: Path) -> None:
    Ledger(file).record("a:1", "sha256:0", 1)
    program = (
        "import sys, pathlib\n"
        "from swerl_eval.sandboxes.docker.ledger import Ledger\n"
        "with Ledger(pathlib.Path(sys.argv[1])).using('a:1'):\n"
        "    print('used', flush=True)\n"
        "    input()\n"
    )
    command = [sys.executable, "-c", program, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "used\n"
        assert evictable(Ledger(file)) == []
        process.kill()
        process.wait()
        assert evictable(Ledger(file)) == ["a:1"]


def test_the_mark_of_another_host_keeps_its_image_until_it_expires(file: Path) -> None:
    ledger = Ledger(file)
    ledger.record("a:1", "sha256:0", 1)
    elsewhere = f"0|another-{process_mark()}"
    entry = {"digest": "sha256:0", "size": 1, "pulled": 0.0}
    for age, expected in ((FOREIGN_MARK_TTL - 60, []), (FOREIGN_MARK_TTL + 60, ["a:1"])):
        rewrite(file, users={"a:1": [elsewhere]}, images={"a:1": {**entry, "used": time.time() - age}})
        assert evictable(ledger) == expected


def test_the_first_image_that_can_be_removed_is_evicted(file: Path) -> None:
    ledger = Ledger(file)
    for name in ("a:1", "b:1", "c:1"):
        ledger.record(name, f"sha256:{name}", 1)
    asked: list[tuple[str, str]] = []

    def remove(name: str, entry: Entry) -> bool:
        asked.append((name, entry.digest))
        return name != "c:1"

    assert ledger.evict(lambda unused: sorted(unused, reverse=True), remove) == "b:1"
    assert asked == [("c:1", "sha256:c:1"), ("b:1", "sha256:b:1")]
    assert set(ledger.entries()) == {"a:1", "c:1"}


@pytest.mark.parametrize("content", ["", '{"images": {"a:1"', "no JSON"])
def test_a_file_that_was_cut_short_is_started_over(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content, encoding="utf-8")
    ledger = Ledger(file)
    assert ledger.entries() == {}
    ledger.record("a:1", "sha256:0", 1)
    assert set(Ledger(file).entries()) == {"a:1"}


def test_a_file_that_cannot_be_used_is_an_error_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.json").mkdir()
    for unusable in (tmp_path / "file" / "ledger.json", tmp_path / "binary.json", tmp_path / "folder.json"):
        with pytest.raises(SandboxError, match=rf"{unusable} cannot be used .*-c cache=FOLDER"):
            Ledger(unusable).record("a:1", "sha256:0", 1)
    monkeypatch.setattr(ledger_module, "LOCK_TIMEOUT", 0.1)
    held = Ledger(tmp_path / "held.json")
    with held._state(), pytest.raises(SandboxError, match="cannot be used"):
        Ledger(tmp_path / "held.json").entries()


def test_reading_writes_nothing(file: Path) -> None:
    Ledger(file).record("a:1", "sha256:0", 1)
    before = file.stat().st_mtime_ns
    assert set(Ledger(file).entries()) == {"a:1"}
    assert file.stat().st_mtime_ns == before
