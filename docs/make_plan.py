"""Writes the worked plan in `docs/scaling.md`: GPUs, containers, hours, bytes and cost of the published setting.

    .venv/bin/python -m docs.make_plan                                       # writes the page
    .venv/bin/python -m docs.make_plan --gpu-hour 2.50 --host-hour 1.10      # prints the plan with your prices

The figures that it is made from stand in `docs/plan_inputs.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from docs import plan_inputs as given
from docs.plan_inputs import CASES, LIKELY

PAGE = Path(__file__).parent / "scaling.md"
BEGIN, END = "<!-- plan: written by docs/make_plan.py -->\n", "<!-- end of the plan -->\n"


def read_share(files: int, samples: float) -> float:
    """The share of file tokens that an engine reads which keeps prefixes, for `samples` random orders of the files."""
    beginnings = [math.perm(files, length) for length in range(1, files + 1)]
    return math.fsum(n * (1 - (1 - 1 / n) ** samples) for n in beginnings) / (files * samples)


def gpu_ms(read: float, answers: float, answer: float, context: float) -> float:
    """Milliseconds of a GPU that reads so many prompt tokens and writes so many answers, each behind its context."""
    for_a_token = given.ANSWER_MS[LIKELY] + given.CONTEXT_MS[LIKELY] * (context + answer / 2) / 1000
    return given.PROMPT_MS[LIKELY] * read + for_a_token * answers * answer


def file_tokens(case: int) -> float:
    """Tokens of a file."""
    return given.FILE_KB[case] * 1000 / given.LETTERS[case]


def shown_tokens(case: int) -> float:
    """Tokens of the files in a repair prompt."""
    return min(given.FILES[case] * file_tokens(case), given.BUDGET[case])


def read_tokens(case: int, drawn: float, *, kept: bool) -> float:
    """Prompt tokens that GPUs read for an instance's repair, where `drawn` of its samples are drawn."""
    samples = given.SAMPLES[case] * drawn
    if not kept:
        return samples * (given.ISSUE[case] + shown_tokens(case))
    share = read_share(int(given.FILES[case]), samples / given.LISTS[case])
    return given.ISSUE[case] + samples * share * shown_tokens(case)


def answer_tokens(case: int) -> float:
    """Tokens of all answers: lists of files, the test file that guides, tests, repairs."""
    answers = given.LISTS[case] + 1 + given.WRITTEN[case] + given.SAMPLES[case]
    return given.INSTANCES[case] * answers * given.ANSWER[case]


def gpu_hours(case: int, drawn: float = 1, *, kept: bool = True) -> float:
    """GPU-hours of a run's sampling."""
    answer, trees, written = given.ANSWER[case], given.LISTS[case] + 1, given.WRITTEN[case]
    tree, guide, shown = given.TREE[case], file_tokens(case), shown_tokens(case)
    tree, guide, shown = (given.ISSUE[case] + tokens for tokens in (tree, guide, shown))
    total = gpu_ms(trees * tree, trees, answer, tree)
    total += gpu_ms(guide if kept else guide * written, written, answer, guide)
    total += gpu_ms(read_tokens(case, drawn, kept=kept), given.SAMPLES[case] * drawn, answer, shown)
    return given.INSTANCES[case] * total / 1000 / 3600 * given.SLOWER[case] / given.SAMPLER[case]


def hours_of_tests(case: int, candidates: float) -> float:
    """Container-hours of an instance's candidates in their tests, and of all tests on the original code."""
    original = 2 * given.OUTSIDE[case] + given.WRITTEN[case] * given.SCRIPT[case] + given.REGRESSION[case]
    each = given.OUTSIDE[case] + given.TESTS[case] * given.SCRIPT[case] + given.REGRESSION[case]
    return given.INSTANCES[case] * (original + candidates * each) / 3600


def hours_of_verdicts(case: int, patches: float) -> float:
    """Container-hours of the verdicts of an instance's patches."""
    containers = patches * (1 + given.RESOLVED[case])
    return given.INSTANCES[case] * containers * (given.OUTSIDE[case] + given.VERDICT[case]) / 3600


def run_hours(case: int, gpus: int, hosts: int) -> float:
    """Hours of a run: prefixes kept, unique candidates, verdicts of the chosen patches."""
    containers = hours_of_tests(case, given.UNIQUE[case]) + hours_of_verdicts(case, 1)
    return max(gpu_hours(case) / gpus, containers / given.PLACES[case] / hosts) * given.OVERLAP[case]


def number(value: float) -> str:
    """A value with two figures."""
    if 0 < value < 0.1:
        return "< 0.1"
    places = 1 - math.floor(math.log10(value)) if value else 0
    return f"{round(value, places):,.{max(0, places)}f}"


def spread(values: Sequence[float]) -> str:
    """The likely value, and both ends where they differ."""
    low, likely, high = map(number, values)
    return likely if low == high else f"{likely} ({low} to {high})"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _table(*titles: str) -> list[str]:
    return [_row(*titles), "|---" * len(titles) + "|"]


def _sampling(gpu_hour: float) -> Iterator[str]:
    yield from _table("sampling", "million prompt tokens read", "GPU-hours", "hours on 1, 8, 64 GPUs", "$")
    for name, kept, drawn in (
        ("each sample reads its prompt", False, (1, 1, 1)),
        ("prefixes are kept (vLLM's default)", True, (1, 1, 1)),
        ("and `--stop-when-decided`", True, given.STOP),
    ):
        read = [given.INSTANCES[case] * read_tokens(case, drawn[case], kept=kept) / 1e6 for case in CASES]
        hours = [gpu_hours(case, drawn[case], kept=kept) for case in CASES]
        clock = ", ".join(number(hours[LIKELY] / gpus) for gpus in (1, 8, 64))
        yield _row(name, spread(read), spread(hours), clock, spread([each * gpu_hour for each in hours]))


def _containers(host_hour: float) -> Iterator[str]:
    yield from _table("containers", "thousand containers", "container-hours", "hours on 1, 4, 20 hosts", "$")
    controls = 1 + given.RESOLVED[LIKELY]
    for name, count, hours in (
        (
            "tests, every sample",
            [2 + given.SAMPLES[c] for c in CASES],
            [hours_of_tests(c, given.SAMPLES[c]) for c in CASES],
        ),
        (
            "tests, unique candidates (ours)",
            [2 + given.UNIQUE[c] for c in CASES],
            [hours_of_tests(c, given.UNIQUE[c]) for c in CASES],
        ),
        ("verdicts, chosen patches", [controls] * 3, [hours_of_verdicts(c, 1) for c in CASES]),
        (
            "verdicts, `--evaluate all`",
            [controls * given.UNIQUE[c] for c in CASES],
            [hours_of_verdicts(c, given.UNIQUE[c]) for c in CASES],
        ),
        ("verdicts that the cache has", [0.0] * 3, [0.0] * 3),
    ):
        thousands = [given.INSTANCES[LIKELY] * each / 1000 for each in count]
        clock = ", ".join(number(hours[LIKELY] / given.PLACES[LIKELY] / hosts) for hosts in (1, 4, 20))
        cost = [each / given.PLACES[LIKELY] * host_hour for each in hours]
        yield _row(name, spread(thousands), spread(hours), clock, spread(cost))


def _whole() -> Iterator[str]:
    yield from _table("hours of the run", "1 host", "4 hosts", "20 hosts")
    for gpus in (1, 8, 64):
        cells = [spread([run_hours(case, gpus, hosts) for case in CASES]) for hosts in (1, 4, 20)]
        yield _row(f"{gpus} GPU{'s' * (gpus > 1)}", *cells)


def _inputs(prices: Mapping[str, float]) -> Iterator[str]:
    yield from _table("figure", "value", "source")
    for each in given.INPUTS:
        yours = each.what in prices
        low, likely, high = (f"{value:,.10g}" for value in ((prices[each.what],) * 3 if yours else each.values))
        value = likely if low == high else f"{likely} ({low} to {high})"
        yield _row(each.what, value, "yours" if yours else each.source)


TEXT = """\
Nothing of this was run: it is arithmetic on the figures of the last table. A GPU is an H200 with the model in FP8, a
host has 32 processors. In brackets all figures are at their favourable or their unfavourable end at once.
`python -m docs.make_plan --gpu-hour 2.50 --host-hour 1.10` prints the plan with your prices.

{sampling}

{answers} million tokens are answered. At MLPerf's rates, which are those of short prompts, they alone take {mlperf}
GPU-hours on H200 and H100. Behind long prompts each token takes longer, since it attends to all before it. Where
prompts are shared, more answers fit into memory than the fit knows; how much that saves was not measured. On H100s the
second row is {h100} GPU-hours. That row has an instance's prompts on one server; over several, each reads
its own. A model in BF16 needs two GPUs.

{containers}

Tests of every sample would run {scripts} million scripts. Samples that are not drawn save containers too; that is not
counted. The cache has the verdicts of all runs on a machine, so that the same patches in another run cost nothing; what
tests say of candidates stays in its run.

{whole}

Together they cost ${cost}, where each machine is given back when its side is done.
Images take {images} GiB, divided over shards; records take {records} GB.

{inputs}
"""


def plan(gpu_hour: float = given.GPU_HOUR[LIKELY], host_hour: float = given.HOST_HOUR[LIKELY]) -> str:
    """Return the section, without its markers."""
    containers = [hours_of_tests(case, given.UNIQUE[case]) + hours_of_verdicts(case, 1) for case in CASES]
    rates = [rate[LIKELY] / 8 for rate in (given.MLPERF_H200, given.MLPERF_H100)]
    asked = {given.GPU_HOUR: gpu_hour, given.HOST_HOUR: host_hour}
    return TEXT.format(
        sampling="\n".join(_sampling(gpu_hour)),
        answers=number(answer_tokens(LIKELY) / 1e6),
        mlperf=" and ".join(number(answer_tokens(LIKELY) / rate / 3600) for rate in rates),
        h100=spread([gpu_hours(case) * given.H100[case] for case in CASES]),
        containers="\n".join(_containers(host_hour)),
        scripts=number(given.INSTANCES[LIKELY] * given.SAMPLES[LIKELY] * given.TESTS[LIKELY] / 1e6),
        whole="\n".join(_whole()),
        cost=spread([gpu_hours(c) * gpu_hour + containers[c] / given.PLACES[c] * host_hour for c in CASES]),
        images=spread(given.IMAGES.values),
        records=number(given.RECORDS[LIKELY]),
        inputs="\n".join(_inputs({each.what: price for each, price in asked.items() if price != each[LIKELY]})),
    )


def replaced(page: str, section: str) -> str:
    """The page with another section between the markers. Raises `ValueError` for a page without them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        message = f"the page has no markers, {BEGIN.strip()} and {END.strip()}: write them where the plan should stand"
        raise ValueError(message)
    return before + begin + section + end + after


def main(
    gpu_hour: Annotated[float, typer.Option(min=0)] = given.GPU_HOUR[LIKELY],
    host_hour: Annotated[float, typer.Option(min=0)] = given.HOST_HOUR[LIKELY],
) -> None:
    """Write the plan to docs/scaling.md; with other prices, print it."""
    section = plan(gpu_hour, host_hour)
    if (gpu_hour, host_hour) == (given.GPU_HOUR[LIKELY], given.HOST_HOUR[LIKELY]):
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), section), encoding="utf-8")
    else:
        typer.echo(section, nl=False)


if __name__ == "__main__":
    typer.run(main)
