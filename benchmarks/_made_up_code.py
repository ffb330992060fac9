"""Makes up what the code of an issue looks like, for `_made_up_run`: sources, patches, prose."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SEED = 11
REPOSITORIES = ("repo", "parser", "server", "plots", "forms", "tables", "units", "docs", "lint", "graph", "mail", "web")
WORDS = (
    "value", "index", "field", "query", "model", "result", "buffer", "parser", "token", "column", "frame", "axis",
    "label", "handler", "request", "session", "config", "option", "default", "context", "cache", "path", "node",
    "parent", "child", "left", "right", "total", "count", "offset", "width", "height", "name", "key", "item",
    "group", "order", "limit", "state", "event", "signal", "source", "target", "matrix", "symbol", "factor",
    "degree", "table", "row", "cell", "header", "footer", "body", "encoding", "charset", "locale", "zone", "delta",
    "period", "unit", "scale", "origin", "mask", "shape", "dtype", "kind", "flag", "level", "depth", "stack",
    "queue",
)  # fmt: skip
SENTENCES = (
    "The issue says that {a} is lost once {b} is set, so I look at where {b} is read.",
    "In `{a}_{b}` the {c} is taken before the {d} is known, which explains what the report shows.",
    "One way is to keep the {a} until `{c}()` returns; another is to compute the {b} again.",
    "The existing tests of {d} call `{a}` without {b}, so the default has to stay as it is.",
    "I must not change the signature of `{c}_{d}`, since callers pass {a} by position.",
    "If {a} is None, the {b} falls back to the {c}, and the old behaviour is kept.",
)
Names = Sequence[str]


@dataclass
class Issue:
    """What the records of one instance are made from."""

    instance_id: str
    rng: random.Random
    names: Names
    """Identifiers of its repository."""
    paths: Names
    sources: dict[str, list[str]]
    tests: Names
    ease: float
    """Chance that a patch is right."""
    pool: list[str] = field(default_factory=list)
    """Lines that several patches add."""


def make_issue(number: int) -> Issue:
    """Make up the issue with a number; the same number always gives the same issue."""
    rng = random.Random(SEED * 1_000_003 + number)
    names = [
        f"{first}_{second}" for first, second in zip(rng.choices(WORDS, k=90), rng.choices(WORDS, k=90), strict=True)
    ]
    paths = [f"package/{rng.choice(WORDS)}/{rng.choice(WORDS)}_{place}.py" for place in range(5)]
    tests = [
        f"tests/test_{rng.choice(WORDS)}.py::test_{rng.choice(names)}_{place}" for place in range(rng.randint(30, 90))
    ]
    issue = Issue(f"made-up__{REPOSITORIES[number % 12]}-{10_000 + number}", rng, names, paths, {}, tests, 0.0)
    issue.sources.update({path: list(_source(issue, 300)) for path in paths[:2]})
    issue.pool += [statement(issue) for _ in range(60)]
    issue.ease = rng.choice([0.0, 0.0, 0.05, 0.2, 0.5, 0.8])
    return issue


def _source(issue: Issue, lines: int) -> Iterator[str]:
    """Yield the lines of a Python file."""
    for number in range(lines):
        if number % 24 == 0:
            yield f"    def {issue.rng.choice(issue.names)}(self, {issue.rng.choice(WORDS)}=None):"
        elif number % 24 == 23:
            yield ""
        else:
            yield statement(issue)


def statement(issue: Issue) -> str:
    """Return a line of Python."""
    rng, (a, b, c) = issue.rng, issue.rng.choices(issue.names, k=3)
    kind = rng.randrange(7)
    if kind == 0:
        return f"        if {a} is not None and len({b}) > {rng.randrange(100)}:"
    if kind == 1:
        return f"            return self.{a}({b}, {c}={rng.choice(WORDS)})"
    if kind == 2:
        return f'        {a} = {b}.get("{rng.choice(WORDS)}", {c}) or []'
    if kind == 3:
        return f"        for {a} in sorted({b}, key=lambda item: item.{c}):"
    if kind == 4:
        return (
            f'            raise ValueError(f"{rng.choice(WORDS)} of {{{a}!r}} is not a {rng.choice(WORDS)}: {{{b}}}")'
        )
    if kind == 5:
        return f"        # the {rng.choice(WORDS)} of {a} must not depend on {b}"
    return f"        self._{a}[{b}] = {c}({rng.choice(WORDS)}, strict=False)"


def make_patch(issue: Issue, path: str) -> str:
    """Return a diff of about 30 lines, in one or two of a few places of a file."""
    rng, shift = issue.rng, 0
    lines, text = issue.sources[path], f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
    for place in sorted(rng.sample((40, 61, 118, 150, 203, 240), k=rng.choice([1, 2, 2]))):
        start, removed, added = place + rng.randrange(4), rng.randint(1, 6), rng.randint(2, 12)
        new = [rng.choice(issue.pool) if rng.random() < 0.5 else statement(issue) for _ in range(added)]
        text += f"@@ -{start - 2},{removed + 6} +{start - 2 + shift},{added + 6} @@ class {issue.names[0].title()}:\n"
        shift += added - removed
        text += "".join(f" {line}\n" for line in lines[start - 3 : start])
        text += "".join(f"-{line}\n" for line in lines[start : start + removed])
        text += "".join(f"+{line}\n" for line in new)
        text += "".join(f" {line}\n" for line in lines[start + removed : start + removed + 3])
    return text


def prose(issue: Issue, sentences: int) -> str:
    """Return sentences about the code."""
    names = iter(issue.rng.choices(issue.names, k=4 * sentences))
    chosen = issue.rng.choices(SENTENCES, k=sentences)
    return " ".join(each.format(a=next(names), b=next(names), c=next(names), d=next(names)) for each in chosen)
