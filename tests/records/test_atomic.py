"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from swerl_eval.records.atomic import remove_unfinished, replacing_folder, write_bytes, write_pieces


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_permissions_that_the_umask_gives(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_file_of_the_longest_name_is_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("n" * 255), b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 255]


def test_pieces_are_written_in_order_and_none_if_one_cannot_be_made(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"third"
        raise ValueError

    write_pieces(tmp_path / "file", iter([b"first, ", b"second"]))
    with pytest.raises(ValueError):
        write_pieces(tmp_path / "file", pieces())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"first, second"}


def test_a_reader_sees_one_version_or_the_other_and_never_half_of_one(tmp_path: Path) -> None:
    versions = [bytes([letter]) * 300_000 for letter in b"ab"]
    write_bytes(tmp_path / "file", versions[0])
    done = threading.Event()

    def write() -> None:
        for number in range(60):
            write_bytes(tmp_path / "file", versions[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert (tmp_path / "file").read_bytes() in versions
    writer.join()


def test_what_cannot_be_put_in_place_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_bytes(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_a_kill_leaves_is_removed_and_the_old_version_stands(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"old")
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nimport swerl_eval.records.atomic as atomic\n"
        "atomic.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write_bytes(Path(sys.argv[1]), b'new')\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "file")], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for content in ("first", "second"):
        with replacing_folder(tmp_path / "folder") as new:
            assert not new.exists()
            new.mkdir()
            (new / content).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_could_not_be_made_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(ValueError, match="no"), replacing_folder(tmp_path / "folder") as new:
        new.mkdir()
        raise ValueError("no")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_a_kill_leaves_of_a_folder_is_removed_when_that_folder_is_made(tmp_path: Path) -> None:
    for left in (".new-folder-x1", ".new-other-x2"):
        (tmp_path / left / "new").mkdir(parents=True)
    with replacing_folder(tmp_path / "folder") as new:
        new.mkdir()
    assert {path.name for path in tmp_path.iterdir()} == {"folder", ".new-other-x2"}
