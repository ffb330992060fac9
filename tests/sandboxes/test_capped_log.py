"""A log of bounded size."""

from __future__ import annotations

from pathlib import Path

import pytest

from swerl_eval.core.jobs.sections import LINE_WEIGHT
from swerl_eval.sandboxes.capped_log import PIECE_BYTES, TAIL_BYTES, CappedLog

CAP = TAIL_BYTES + 100_000


def logged(tmp_path: Path, *chunks: bytes) -> tuple[bytes, bool]:
    with CappedLog(tmp_path / "log", CAP) as log:
        for chunk in chunks:
            log.write(chunk)
    return (tmp_path / "log").read_bytes(), log.truncated


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_000, 100_001, CAP - 1, CAP])
def test_what_fits_is_kept_whole(tmp_path: Path, size: int) -> None:
    assert logged(tmp_path, b"x" * size) == (b"x" * size, False)


def test_the_middle_is_left_out_and_its_size_said(tmp_path: Path) -> None:
    content, truncated = logged(tmp_path, b"a" * 100_000, *[b"b" * 50_000] * 100, b"c" * TAIL_BYTES)
    note = b"\n[swerl-eval: 5000000 bytes of output left out here]\n"
    assert content == b"a" * 100_000 + note + b"c" * TAIL_BYTES
    assert truncated


def test_lines_count_more_than_their_bytes(tmp_path: Path) -> None:
    """Short ones cost their reader many times their size."""
    content, truncated = logged(tmp_path, *[b"x\n" * 100] * 10_000)
    assert truncated
    begin = content.partition(b"\n[swerl-eval")[0]
    assert begin.count(b"\n") == pytest.approx(100_000 / (2 + LINE_WEIGHT), rel=0.05)
    assert content.endswith(b"x\n" * (TAIL_BYTES // 2))


def test_of_one_overlong_chunk_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    content, truncated = logged(tmp_path, b"first" + b"x" * 10 * CAP + b"last")
    assert truncated
    assert content.startswith(b"first")
    assert content.endswith(b"last")
    assert CAP - PIECE_BYTES < len(content) < CAP + 100


def test_an_ordinary_log_is_kept_whole(tmp_path: Path) -> None:
    """Lines of 99 characters, with room for what they count."""
    lines = b"".join(b"%099d\n" % number for number in range(CAP // (100 + LINE_WEIGHT)))
    assert logged(tmp_path, lines) == (lines, False)
