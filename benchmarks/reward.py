"""How fast the reward is against plain difflib, in one process, with the same values.

    python benchmarks/reward.py SWE-bench_Verified.parquet [--full] [--output results/reward.md]

Three sets: the dataset's gold patches against mutated ones; diffs of 20, 100 and 400 KB; pairs that are made to be
slow. difflib runs on the first, on the diffs of 20 KB and, with `--full`, on those of 100 KB (some ten minutes);
where it did not run, the table says so. Every value that both computed is compared. No text of the dataset enters the
output.
"""

from __future__ import annotations

import argparse
import difflib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet
from _machine import machine, versions

from swerl_eval.core.reward import calculate_reward_unidiff, get_filelevel_diff
from swerl_eval.core.reward.linediff import unified_hunks
from swerl_eval.core.reward.similarity import ratio

SEED = 7
HEAVY = 490_000
"""Letters of each text of a pathological pair: the two are just under 1 MB."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    size: str
    seconds: float
    difflib_seconds: float | None

    def __str__(self) -> str:
        if self.difflib_seconds is None:
            return f"| {self.name} | {self.size} | not run | {self.seconds:.3g} s | |"
        gain = self.difflib_seconds / self.seconds
        return f"| {self.name} | {self.size} | {self.difflib_seconds:.3g} s | {self.seconds:.3g} s | {gain:,.0f} |"


def by_difflib(a: str, b: str) -> float:
    """What `similarity.ratio` must equal."""
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Seconds and result of one call."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def compared(name: str, a: str, b: str, *, with_difflib: bool) -> Row:
    """The similarity of one pair; the same value is demanded of difflib where it runs."""
    seconds, value = timed(lambda: ratio(a, b))
    reference = None
    if with_difflib:
        reference, expected = timed(lambda: by_difflib(a, b))
        assert value == expected, name
    return Row(name, f"{len(a):,} + {len(b):,}", seconds, reference)


def mutated(patch: str, rng: random.Random) -> str:
    """A patch as a model might have written it: some added lines changed, emptied or doubled, with right counts."""
    lines = []
    for line in patch.split("\n"):
        roll = rng.random() if line.startswith("+") and not line.startswith("+++") else 1.0
        if roll < 0.2:
            line = line.replace("self", "cls").replace("=", "==", 1)
        elif roll < 0.35:
            line = f"{line}  # {rng.randrange(100)}"
        elif roll < 0.42:
            line = "+"
        elif roll < 0.5:
            line = f"{line}; {line[1:].strip()}"
        lines.append(line)
    return "\n".join(lines)


def gold_rewards(gold: list[str], predicted: list[str]) -> Iterator[Row]:
    """The first set: whole rewards, parsing of both diffs included, and their similarities alone."""
    size = f"{len(gold)} pairs"

    def ours() -> list[float]:
        return [calculate_reward_unidiff([a], [b])[0] for a, b in zip(gold, predicted, strict=True)]

    def plain() -> list[float]:
        return [plain_reward(a, b) for a, b in zip(gold, predicted, strict=True)]

    seconds, values = timed(ours)
    reference, expected = timed(plain)
    assert values == expected
    yield Row("gold patches against mutated ones, whole reward", size, seconds, reference)
    files = [(get_filelevel_diff(b), get_filelevel_diff(a)) for a, b in zip(gold, predicted, strict=True)]
    pairs = [(p[path], o[path]) for p, o in files for path in sorted(p.keys() & o.keys())]
    seconds, values = timed(lambda: [ratio(*pair) for pair in pairs])
    reference, expected = timed(lambda: [by_difflib(*pair) for pair in pairs])
    assert values == expected
    yield Row("the same, similarity alone", f"{len(pairs)} files", seconds, reference)


def plain_reward(oracle: str, predicted: str) -> float:
    """The reward of two diffs as it is without this package's search."""
    a, b = get_filelevel_diff(predicted), get_filelevel_diff(oracle)
    paths = sorted({*a, *b})
    values = [by_difflib(a[path], b[path]) if path in a and path in b else 0.0 for path in paths]
    return sum(values) / len(paths) if paths else 1.0


def large_diffs(gold: list[str], predicted: list[str], *, full: bool) -> Iterator[Row]:
    """The second set: many gold patches as one diff, against the mutated ones, and against others."""
    order = random.Random(SEED).sample(range(len(gold)), len(gold))
    joined = ["\n".join(texts[index] for index in order) for texts in (predicted, gold)]
    others = "\n".join(gold[index] for index in reversed(order))
    for kilobytes in (20, 100, 400):
        size = kilobytes * 1000
        a, b, other = (cut(text, size) for text in (*joined, others))
        with_difflib = size <= 20_000 or (full and size <= 100_000)
        yield compared(f"diffs of {kilobytes} KB, mutated", a, b, with_difflib=with_difflib)
        yield compared(f"diffs of {kilobytes} KB, of other files", a, other, with_difflib=with_difflib)


def cut(text: str, size: int) -> str:
    """The text, repeated as often as needed, cut to a size."""
    return (text * (size // len(text) + 1))[:size]


def pathological(gold: list[str]) -> Iterator[Row]:
    """The third set: what makes a search for matches slow, each pair just under 1 MB."""
    rng = random.Random(SEED)
    words = ["".join(rng.choices("abcdefgh", k=11)) for _ in range(HEAVY // 12)]
    falling = ["".join(rng.choices("abcdefgh", k=size)) for size in range(980, 0, -1)]
    diff = cut("\n".join(gold), HEAVY)
    yield compared("one letter", "x" * HEAVY, "x" * (HEAVY - 7), with_difflib=False)
    halves = "x" * (HEAVY // 2)
    yield compared(
        "one letter, another in the middle",
        f"{halves}y{halves}",
        f"{halves[9:]}z{halves}",
        with_difflib=False,
    )
    for letters in ("ab", "abcd", "".join(map(chr, range(33, 97)))):
        a, b = ("".join(rng.choices(letters, k=HEAVY)) for _ in range(2))
        yield compared(f"random, of {len(letters)} letters", a, b, with_difflib=False)
    yield compared("no letter in common", "a" * HEAVY, "b" * HEAVY, with_difflib=False)
    lines = (cut(f"+    return {name}.value\n", HEAVY) for name in ("self", "cls"))
    yield compared("one line repeated, changed", *lines, with_difflib=False)
    numbered = (numbered_lines("+    row {:06} " + end + "\n") for end in "ab")
    yield compared("numbered lines, each changed", *numbered, with_difflib=False)
    yield compared("equally long pieces between other letters", "X".join(words), "Y".join(words), with_difflib=False)
    yield compared(
        "ever shorter pieces between other letters", "X".join(falling), "Y".join(falling), with_difflib=False
    )
    runs = ("".join(rng.choice("ab") * rng.randrange(1, 200) for _ in range(HEAVY // 90)) for _ in range(2))
    yield compared("runs of two letters", *(text[:HEAVY] for text in runs), with_difflib=False)
    indents = ("".join(" " * rng.randrange(40) + end for _ in range(HEAVY // 21)) for end in ("x\n", "y\n"))
    yield compared("lines of blanks", *(text[:HEAVY] for text in indents), with_difflib=False)
    huge = (" ".join(f"v{rng.randrange(1000)}" for _ in range(HEAVY // 5))[:HEAVY] for _ in range(2))
    yield compared("one huge line", *huge, with_difflib=False)
    yield compared("a Fibonacci word, reversed", fibonacci_word(), fibonacci_word()[::-1][1:], with_difflib=False)
    yield compared("a diff against itself reversed", diff, diff[::-1], with_difflib=False)
    yield compared("a long text against a short one", diff, diff[HEAVY // 2 :][:1000][::-1], with_difflib=False)


def numbered_lines(line: str) -> str:
    """As many numbered lines as fit."""
    return "".join(line.format(number) for number in range(HEAVY // len(line.format(0))))


def fibonacci_word() -> str:
    """A text in which every piece comes back, though it has no period."""
    shorter, word = "a", "ab"
    while len(word) < HEAVY:
        shorter, word = word, word + shorter
    return word[:HEAVY]


def line_diffs() -> Iterator[Row]:
    """An edit that matches at every line: what the reward's line diff costs."""
    old = [f"line {number}" for number in range(4000)]
    new = [line for each in old for line in (each, f"# {each}")]
    seconds, lines = timed(lambda: unified_hunks(old, new))
    reference, expected = timed(lambda: list(difflib.unified_diff(old, new, lineterm=""))[2:])
    assert lines == expected
    yield Row("line diff, a line added after each", "4,000 + 8,000 lines", seconds, reference)


def table(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the report, each as soon as it is measured."""
    gold = sorted(pyarrow.parquet.read_table(arguments.dataset, columns=["patch"]).column("patch").to_pylist())
    rng = random.Random(SEED)
    predicted = [mutated(patch, rng) for patch in gold]
    options = " --full" if arguments.full else ""
    yield "# The reward against plain difflib"
    yield ""
    yield f"Made by `python benchmarks/reward.py {arguments.dataset.name}{options} --output results/reward.md`,"
    yield f"in one process; {versions('swerl-eval', 'numpy', 'unidiff')};"
    yield f"{machine()}; seed {SEED}."
    yield "Wherever difflib ran, the values are equal in every bit. A whole reward includes the parsing of both diffs."
    yield ""
    yield "| pair | letters | difflib | swerl-eval | times faster |"
    yield "|---|---|---|---|---|"
    ratio("ab" * 5000, "ba" * 4000 + "c" * 999)  # the first pair that needs numpy would pay for its import
    for rows in (
        gold_rewards(gold, predicted),
        line_diffs(),
        pathological(gold),
        large_diffs(gold, predicted, full=arguments.full),
    ):
        for row in rows:
            yield str(row)


def main() -> None:
    """Print the table as it grows; write it when it is whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("dataset", type=Path, help="parquet file with a column `patch`")
    parser.add_argument("--full", action="store_true", help="run difflib on 100 KB as well")
    parser.add_argument("--output", type=Path, help="file to write the table to")
    arguments = parser.parse_args()
    lines = []
    for line in table(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
