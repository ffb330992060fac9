"""A comparison as text and as Markdown, from its plain data. Every name goes through `names`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from swerl_eval.core.comparison import FEWEST_DISCORDANT
from swerl_eval.reports.comparison.build import Comparison
from swerl_eval.reports.comparison.differences import Difference
from swerl_eval.reports.comparison.names import Mark, code, listed, printable

MOST_NAMES = 10
"""Instances named in one line, at most, of those that both or neither of the sides resolve."""
SIGNIFICANT = 0.05
MANY_REPOSITORIES = 30
"""With fewer clusters the clustered figures tend to be too small."""
VERDICTS = {"official": "Official verdict", "strict": "Strict verdict"}


@dataclass
class Group:
    """Instances of which two sides say the same."""

    words: str
    names: list[str]
    most: int | None = None
    """How many of them a line names, at most."""

    def line(self, mark: Mark) -> str:
        """Return the group in one line."""
        count = f"{len(self.names)}: " if self.names else "0"
        return f"{self.words}: {count}{listed(self.names, mark, self.most)}"


@dataclass
class Section:
    """A heading, a table, and lines below it."""

    title: str
    table: list[list[str]] = field(default_factory=list)
    """The first row is its head."""
    lines: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    """The instances, where there are two sides."""
    verdict: str = ""
    """The verdict that it is about: a key of `VERDICTS`."""


def as_text(comparison: Comparison) -> str:
    """Return the comparison for a terminal or a log."""
    blocks = []
    for section in sections(comparison, printable):
        blocks.append("\n".join([section.title, *_columns(section.table), *_lines(section, printable)]))
    return "\n\n".join(blocks) + "\n"


def as_markdown(comparison: Comparison) -> str:
    """Return the comparison for a job's summary or a comment."""
    blocks = []
    for section in sections(comparison, code):
        blocks.append(f"### {section.title}")
        if section.table:
            head, *rows = section.table
            blocks.append("\n".join(_row(row) for row in (head, ["---"] * len(head), *rows)))
        if lines := _lines(section, code):
            blocks.append("\n".join(f"- {line}" for line in lines))
    return "\n\n".join(blocks) + "\n"


def _lines(section: Section, mark: Mark) -> list[str]:
    return [*section.lines, *(group.line(mark) for group in section.groups)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _columns(table: Sequence[Sequence[str]]) -> list[str]:
    """Align a table's cells by spaces."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def sections(comparison: Comparison, mark: Mark) -> Iterator[Section]:
    """Yield what a comparison says, in order; names go through `mark`."""
    trend = len(comparison["sides"]) > 2
    names = (", " if trend else " and ").join(mark(side["name"]) for side in comparison["sides"])
    title = f"Comparison of {names} over {comparison['instances']} instances"
    yield Section(title, lines=[*_difference_lines(comparison, mark), *_remarks(comparison, mark)])
    for verdict, heading in VERDICTS.items():
        if comparison["sides"][0][verdict] is None:
            continue
        if verdict == "strict" and _alike(comparison):
            yield Section(heading, lines=["The same figures as by the official verdict."])
        elif trend:
            note = "p is McNemar's exact p, not corrected for the number of comparisons."
            title = f"{heading}, in the order given"
            yield Section(title, _trend(comparison, verdict, mark), [note], verdict=verdict)
        else:
            (only,) = comparison["comparisons"]
            lines = _pair_lines(only[verdict], comparison, mark)
            groups = groups_of(only[verdict], mark(only["first"]), mark(only["second"]))
            yield Section(heading, _rates(comparison, verdict, mark), lines, groups, verdict)


def _alike(comparison: Comparison) -> bool:
    """Whether both verdicts give the same figures, so that the second need not be printed."""
    return all(part["strict"] == part["official"] for part in (*comparison["sides"], *comparison["comparisons"]))


def _difference_lines(comparison: Comparison, mark: Mark) -> list[str]:
    """Say what keeps the sides from being compared, where they are compared anyway."""
    differences = [Difference(**difference) for difference in comparison["differences"]]
    head = ["NOT MEASURED ALIKE: the sides differ in more than their verdicts; only common instances are compared."]
    return [*(head if differences else []), *(f"DIFFERENT {difference.words(mark)}" for difference in differences)]


def _remarks(comparison: Comparison, mark: Mark) -> list[str]:
    lines = []
    for side in comparison["sides"]:
        name = mark(side["name"])
        if side["recorded"]:
            lines.append(f"{name}: the answers were RECORDED, not sampled from a model.")
        if side["unchecked"]:
            lines.append(f"{name} ({side['kind']}) does not record, so not checked: {', '.join(side['unchecked'])}.")
        if not side["complete"]:
            lines.append(f"{name} is INCOMPLETE: the same command as before finishes it.")
        lines += _counted_lines(side, name, mark)
    lacking = [mark(side["name"]) for side in comparison["sides"] if not side["has_strict"]]
    if 0 < len(lacking) < len(comparison["sides"]):
        lines.append(f"Strict verdicts are not compared: {', '.join(lacking)} has none.")
    return lines


def _counted_lines(side: dict[str, Any], name: str, mark: Mark) -> list[str]:
    """Say which instances count as not resolved although no verdict says so, and which are listed twice."""
    counts = {
        "prevented": "verdicts prevented by the machine (infra_error), counted as not resolved",
        "strictly_prevented": "strict verdicts prevented by the machine, counted as not resolved",
        "missing": "instances without a verdict, counted as not resolved",
        "errors": "instances without a report, by the patch's fault or the machine's, counted as not resolved",
        "repeated": "resolved instances that are listed more than once, counted once",
    }
    return [
        f"{name}: {words}: {len(side[key])} ({listed(side[key], mark, MOST_NAMES)})"
        for key, words in counts.items()
        if side[key]
    ]


def _rates(comparison: Comparison, verdict: str, mark: Mark) -> list[list[str]]:
    return [
        ["run", "resolved", "solve rate", "95 % interval"],
        *([mark(side["name"]), *_rate_cells(side[verdict])] for side in comparison["sides"]),
    ]


def _rate_cells(rate: dict[str, Any]) -> list[str]:
    low, high = rate["interval_95"]
    share = f"{100 * rate['solve_rate']:.1f} %"
    return [f"{rate['resolved']}/{rate['total']}", share, f"{100 * low:.1f} to {100 * high:.1f}"]


def _trend(comparison: Comparison, verdict: str, mark: Mark) -> list[list[str]]:
    """The rows of more than two sides: rate, difference from the first one and from the one before."""
    head = ["run", "resolved", "solve rate", "95 % interval", "from the first", "p", "from the one before", "p"]
    sides = comparison["sides"]
    by_names = {(pair["first"], pair["second"]): pair[verdict] for pair in comparison["comparisons"]}
    rows = [head]
    for number, side in enumerate(sides):
        earlier = (sides[0], sides[number - 1]) if number else ()
        changes = [by_names[other["name"], side["name"]] for other in earlier]
        cells = [cell for change in changes for cell in (_change(change), _p(change["p"]))] or [""] * 4
        rows.append([mark(side["name"]), *_rate_cells(side[verdict]), *cells])
    return rows


def _change(figures: dict[str, Any]) -> str:
    return f"{_points(figures['difference'])} (+{len(figures['gained'])} -{len(figures['lost'])})"


def _points(fraction: float) -> str:
    """A difference of rates in percentage points, with its sign."""
    return f"{100 * fraction:+.1f}" if round(100 * fraction, 1) else "0.0"


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _pair_lines(figures: dict[str, Any], comparison: Comparison, mark: Mark) -> list[str]:
    first, second = (mark(side["name"]) for side in comparison["sides"])
    low, high = figures["interval_95"]
    return [
        f"Difference: {_points(figures['difference'])} points "
        f"(95 % interval {_points(low)} to {_points(high)}, paired bootstrap over instances)",
        _clustered_line(figures),
        f"McNemar's exact p: {_p(figures['p'])} ({len(figures['gained'])} gained, {len(figures['lost'])} lost)",
        _verdict_line(figures, first, second),
        _power_line(figures, comparison["instances"]),
    ]


def groups_of(figures: dict[str, Any], first: str, second: str) -> list[Group]:
    """Return the instances of two sides by what became of them.

    Args:
        figures: What a comparison says of the two by one verdict.
        first: What is printed of the first side's name.
        second: The same of the second.
    """
    return [
        Group(f"Gained, by {second} alone", figures["gained"]),
        Group(f"Lost, by {first} alone", figures["lost"]),
        Group("Both resolved", figures["both"], MOST_NAMES),
        Group("Neither", figures["neither"], MOST_NAMES),
    ]


def _clustered_line(figures: dict[str, Any]) -> str:
    if figures["clustered_error"] is None:
        return "Clustered by repository: no figure, since all instances are of one repository"
    low, high = figures["clustered_interval_95"]
    rough = "; rough, with so few repositories" if figures["repositories"] < MANY_REPOSITORIES else ""
    return (
        f"Clustered by repository ({figures['repositories']} of them): standard error "
        f"{100 * figures['clustered_error']:.1f} points, bootstrap interval {_points(low)} to {_points(high)}{rough}"
    )


def _verdict_line(figures: dict[str, Any], first: str, second: str) -> str:
    if not figures["discordant"]:
        return f"{first} and {second} resolve the same instances."
    if figures["p"] >= SIGNIFICANT:
        return f"These instances cannot tell {first} and {second} apart (p is not below {SIGNIFICANT})."
    better, worse = (second, first) if figures["difference"] > 0 else (first, second)
    return f"{better} resolves more than {worse}; chance alone rarely gives such a difference (p below {SIGNIFICANT})."


def _power_line(figures: dict[str, Any], instances: int) -> str:
    """Say what difference this many instances could have shown."""
    discordant, detectable = figures["discordant"], figures["detectable_difference"]
    counted = f"Instances that tell the sides apart: {discordant} of {instances}."
    if detectable is None:
        return (
            f"{counted} With so few no difference could have been shown (power 80 %, two-sided 5 %; fewer than "
            f"{FEWEST_DISCORDANT} never give a p below {SIGNIFICANT})."
        )
    return (
        f"{counted} With so many a difference of about {100 * detectable:.1f} points or more could have been shown "
        "(power 80 %, two-sided 5 %); a smaller one may well be missed."
    )
