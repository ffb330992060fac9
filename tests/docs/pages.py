"""The pages of the documentation, and what the tests read from them."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted(
    path
    for path in [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("results/*.md"),
        ROOT / "swerl_eval/demo/README.md",
    ]
    if not (
        path.parent.name == "results" and path.stem not in {"README", *(f.stem for f in ROOT.glob("benchmarks/*.py"))}
    )
)
"""Markdown files of the repository; in `results/`, where runs go too, only the tables of the benchmarks."""
TITLES = {"Result", "Missing or failed", "Measured with", "Sampling", "Localization", "Tests", "Rewards", "Cost"}
"""The sections of a printed run."""
PROGRAM = "swerl-eval"
SHELL = {"bash", "console", "sh"}
_FENCE = re.compile(r"^( *)(`{3,})(\w*)\n(.*?)^\1\2$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def name_of(page: Path) -> str:
    """The page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks in one of these languages."""
    found = _FENCE.findall(page.read_text("utf-8"))
    return [textwrap.dedent(body) for _, _, language, body in found if language in languages]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", page.read_text("utf-8"))


def command_lines(page: Path, program: str = PROGRAM) -> list[str]:
    """The calls of a program in shell blocks."""
    shell = re.sub(r"\\\n\s*", "", "\n".join(blocks(page, *SHELL)))
    lines = [line.removeprefix("$ ") for line in map(str.strip, shell.splitlines())]
    return [line for line in lines if line.startswith(f"{program} ")]


def mentions(page: Path, program: str = PROGRAM) -> list[str]:
    """The calls of a program in the text, which may leave arguments out."""
    spans = [" ".join(span.split()) for span in _SPAN.findall(prose(page).replace("\n", " "))]
    return [span for span in spans if span.startswith(f"{program} ")]


def words_of(line: str) -> list[str]:
    """The words of a command line as a shell reads them, up to an operator; without the program."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|;&"):
            break
        words.append(word)
    return words[1:]


def same_everywhere(output: Iterable[str]) -> list[str]:
    """The lines of a printed run that are the same on every machine: without its pins and its costs."""
    kept, section = [], ""
    for line in output:
        section = line.strip() if line.strip() in TITLES else section
        if section not in {"Measured with", "Cost"}:
            kept.append(line)
    return kept


def anchors(page: Path) -> Iterator[str]:
    """The names by which links reach the page's headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        yield re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
