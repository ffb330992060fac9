"""A judgement as Markdown for a job's summary: every instance is named, as far as a summary bears it."""

from __future__ import annotations

from collections.abc import Sequence

from swerl_eval.reports.comparison.names import code
from swerl_eval.reports.gate.judge import Judgement
from swerl_eval.reports.gate.words import clause, headline, named_groups, rate_words, remarks, short

MOST_BYTES = 30_000
"""Bytes of one list of instances, at most: all of them are then far below the 1 MiB that a job's summary may have."""

MARKS = {True: "met", False: "**not met**"}


def as_markdown(judgement: Judgement) -> str:
    """Return the judgement as Markdown, below 200 kB whatever the run."""
    first, _, rest = headline(judgement, code).partition(": ")
    decision = judgement.decision
    rows = [
        f"| {condition.kind.value} | {MARKS[condition.met]} | {clause(judgement, condition, code)} |"
        for condition in decision.conditions
    ]
    blocks = [
        f"### {first[0].upper()}{first[1:]}",
        rest,
        "\n".join(["| condition | | |", "| --- | --- | --- |", *rows]),
        f"Solve rate by the {judgement.verdict} verdict: {rate_words(decision)}.",
    ]
    notes = remarks(judgement, code)
    if notes:
        blocks.append("\n".join(f"- {note}" for note in notes))
    for heading, names in named_groups(judgement, code):
        blocks.append(f"**{heading}: {len(names)}**\n\n{_bounded(names)}")
    return "\n\n".join(blocks) + "\n"


def _bounded(names: Sequence[str]) -> str:
    """Return names, comma-separated, within `MOST_BYTES`; and how many more there are."""
    shown, size = [], 0
    for name in map(short(code), names):
        size += len(name.encode()) + 2
        if size > MOST_BYTES:
            break
        shown.append(name)
    more = f" and {len(names) - len(shown)} more" if len(shown) < len(names) else ""
    return ", ".join(shown) + more
