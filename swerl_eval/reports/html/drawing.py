"""Draws charts: Vega-Lite specifications to SVG, in a process of its own.

The drawing library is native code that ends its whole process on some input. So the specifications go to a child
process by files. It draws one after the other; the one at which it ends is left out, and another child draws the rest.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SECONDS = 120.0
"""A child that takes longer is ended."""


def draw(specifications: Sequence[dict[str, Any]]) -> list[bytes]:
    """Return the SVG of each Vega-Lite specification; empty for one that cannot be drawn."""
    with tempfile.TemporaryDirectory(prefix="swerl-eval-charts-") as name:
        folder = Path(name)
        for number, specification in enumerate(specifications):
            (folder / f"{number}.json").write_text(json.dumps(specification), encoding="utf-8")
        number = 0
        while number < len(specifications):
            _run_child(folder, number)
            while (folder / f"{number}.svg").exists():
                number += 1
            number += 1  # the one at which the child ended
        files = [folder / f"{number}.svg" for number in range(len(specifications))]
        return [file.read_bytes() if file.exists() else b"" for file in files]


def _run_child(folder: Path, first: int) -> None:
    # by its path: no module of the folder that the user stands in can take the place of another
    command = [sys.executable, __file__, str(folder), str(first)]
    quiet = subprocess.DEVNULL
    try:
        subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=SECONDS, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return


def _draw_all(folder: Path, first: int) -> None:
    """Draw the specifications of a folder from a number on, each into a file that is there as a whole or not at all."""
    import vl_convert

    number = first
    while (specification := folder / f"{number}.json").exists():
        # no specification needs the network
        svg = vl_convert.vegalite_to_svg(json.loads(specification.read_text(encoding="utf-8")), allowed_base_urls=[])
        unfinished = folder / "unfinished"
        unfinished.write_text(_rounded(svg), encoding="utf-8")
        unfinished.replace(folder / f"{number}.svg")
        number += 1


def _rounded(svg: str) -> str:
    """Cut the numbers within tags after two decimals: a tenth of the size."""
    return re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), svg)


if __name__ == "__main__":
    _draw_all(Path(sys.argv[1]), int(sys.argv[2]))
