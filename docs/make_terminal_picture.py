"""Makes docs/images/terminal.svg: the output of `scripts/demo` as a terminal shows it.

    python docs/make_terminal_picture.py

Runs the demo with every container (its answers are recorded, no model is run) and draws what it prints. Needs Docker.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
COLUMNS = 80
TITLE = "scripts/demo (recorded answers)"
# rich's own template loads a font from another site, which pictures on a page may not
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Run the demo and write the picture."""
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, "-m", "swerl_eval.cli.app", "demo", "--no-cache", "--results", results]
        environment = {**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8", env=environment, cwd=ROOT)
        output = done.stdout.replace(f"{results}/", "results/").replace(f"{ROOT}/", "")
    PICTURE.parent.mkdir(exist_ok=True)
    draw("$ scripts/demo\n" + output, PICTURE)


def draw(output: str, picture: Path) -> None:
    """Draw what a program printed, colours included."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere)
        console.print(Text.from_ansi(output.rstrip("\n")))
    console.save_svg(str(picture), title=TITLE, code_format=SVG)


if __name__ == "__main__":
    main()
