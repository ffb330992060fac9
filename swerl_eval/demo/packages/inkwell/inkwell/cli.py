"""The `inkwell` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from inkwell.page import render_page


def build_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="inkwell", description="Render notes to HTML.")
    parser.add_argument("source", type=Path, help="the text to render")
    parser.add_argument("-o", "--output", type=Path, help="where to write the page")
    parser.add_argument("--title", help="the page title; default: the first heading")
    parser.add_argument("--toc", action="store_true", help="add a table of contents")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = build_parser().parse_args(argv)
    try:
        source = options.source.read_text(encoding="utf-8")
    except OSError as error:
        print(f"inkwell: {error}", file=sys.stderr)
        return 1
    page = render_page(source, title=options.title, with_toc=options.toc)
    if options.output is None:
        sys.stdout.write(page)
    else:
        options.output.write_text(page, encoding="utf-8")
    return 0
