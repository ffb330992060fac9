"""How long it takes to choose among stored candidates by stored evidence, and the memory it takes.

    python benchmarks/selection.py [--instances 500] [--samples 500] [--tests 30] [--run RUN] [--output FILE]

Candidates and evidence are made up, from a seed, and written as the journals of a run. Then a fresh process reads them
and chooses a patch for each instance; another one does so with the rules written down plainly, sample by sample, and
has to choose the same; a third makes the ablation table. No model, no container. With `--run`, what the containers of
a finished run took beside its tests is added.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from _machine import machine, peak_memory, versions

from swerl_eval.core.selection.ranking import choose
from swerl_eval.core.selection.scaling import JudgedInstance, scaling
from swerl_eval.core.types import Candidate, Evidence, Outcome, Rejection, Selection
from swerl_eval.records.journal import Journal
from swerl_eval.records.run_folder import Run

SEED = 7
UNIQUE = (20, 60)
"""Normal forms of an instance, from and to; their shares fall as 1 / rank."""
REJECTED = 0.05
"""Share of samples that give no candidate."""
SAMPLES = (20, 40, 80, 160, 320, 500)
TESTS = (0, 1, 5, 10, 20, 30)
SUBSETS = 100


@dataclass(frozen=True)
class Size:
    """What is made up."""

    instances: int
    samples: int
    tests: int


def journals(folder: Path) -> tuple[Journal[Candidate], Journal[Evidence]]:
    """As `store.Run` opens them."""
    return (
        Journal(folder / "candidates.jsonl", Candidate, lambda record: (record.instance_id, record.index)),
        Journal(folder / "evidence.jsonl", Evidence, lambda record: (record.instance_id, record.normal_form)),
    )


def write(folder: Path, size: Size) -> None:
    """The journals of a run, instance by instance."""
    rng = random.Random(SEED)
    candidates, evidence = journals(folder)
    candidates.open_for_writing()
    evidence.open_for_writing()
    for number in range(size.instances):
        instance_id = f"owner{number % 12}__project-{10000 + number}"
        forms = [hashlib.sha256(f"{number} {form}".encode()).hexdigest() for form in range(rng.randint(*UNIQUE))]
        texts = [patch(rng) for _ in forms]
        drawn = rng.choices(range(len(forms)), [1 / (rank + 1) for rank in range(len(forms))], k=size.samples)
        candidates.append(
            *(sample(instance_id, index, texts[form], forms[form], rng) for index, form in enumerate(drawn))
        )
        evidence.append(*(tested(instance_id, forms[form], size.tests, rng) for form in sorted(set(drawn))))
    candidates.close()
    evidence.close()


def patch(rng: random.Random) -> str:
    """A diff in looks and length: 1.2 KB in the middle, 1.6 KB on average, as gold patches are."""
    size = int(rng.lognormvariate(7.1, 0.75))
    head = "diff --git a/package/module.py b/package/module.py\n--- a/package/module.py\n+++ b/package/module.py\n"
    lines: list[str] = []
    while sum(map(len, lines)) + len(head) < size:
        lines.append(f'{rng.choice(" +-")}        value_{rng.randrange(10**6)} = self.lookup("{rng.random()}")\n')
    return head + f"@@ -10,{len(lines)} +10,{len(lines)} @@ class Model:\n" + "".join(lines)


def sample(instance_id: str, index: int, text: str, form: str, rng: random.Random) -> Candidate:
    """A candidate with a comment of its own, which its normal form leaves out, or a rejected one."""
    if rng.random() < REJECTED:
        return Candidate(instance_id, index, rejection=Rejection.NO_MATCH, detail="package/module.py: no such lines")
    return Candidate(instance_id, index, f"{text}+        # note {rng.randrange(3)}\n", form)


def tested(instance_id: str, form: str, tests: int, rng: random.Random) -> Evidence:
    """Forms are right, half right or wrong, and break none, a few or very many regression tests."""
    if rng.random() < 0.02:
        return Evidence(instance_id, form, error="the container was killed")
    chance = rng.choice([0.95, 0.5, 0.0, 0.0])
    # tests of one instance agree more often than not, so that groups form
    agreed = [(place % 4 + 0.5) / 4 < chance for place in range(tests)]
    outcomes = tuple(
        Outcome.RESOLVED if resolves != (rng.random() < 0.02) else Outcome.REPRODUCED for resolves in agreed
    )
    count = rng.choices([0, rng.randint(1, 4), rng.randint(50, 300)], [0.6, 0.33, 0.07])[0]
    broken = tuple(f"tests/test_models.py::TestModel::test_of_{place}[{place % 7}]" for place in range(count))
    return Evidence(instance_id, form, outcomes, broken, 31.4, 28.2)


def records(folder: Path) -> Iterator[tuple[str, list[Candidate], dict[str, Evidence]]]:
    """Candidates and evidence, one instance after the other, as they lie in the journals."""
    candidates, evidence = journals(folder)
    each_evidence = groupby(evidence.values(), key=lambda record: record.instance_id)
    for instance_id, group in groupby(candidates.values(), key=lambda record: record.instance_id):
        other_id, found = next(each_evidence)
        assert instance_id == other_id
        yield instance_id, list(group), {record.normal_form: record for record in found}


def plain(instance_id: str, candidates: Sequence[Candidate], evidence: Mapping[str, Evidence]) -> Selection:
    """The rules as they are written, sample by sample: each is compared with all others."""
    valid = [candidate for candidate in candidates if candidate.rejection is None]
    if not valid:
        return Selection(instance_id, None, "", "plain")
    ran = {
        candidate.normal_form: evidence[candidate.normal_form]
        for candidate in valid
        if candidate.normal_form in evidence
        and (evidence[candidate.normal_form].outcomes or not evidence[candidate.normal_form].error)
    }
    worst = max((len(each.broken) for each in ran.values()), default=0) + 1
    broken = {each.index: len(ran[each.normal_form].broken) if each.normal_form in ran else worst for each in valid}
    nothing: frozenset[int] = frozenset()
    resolved = {each.index: ran[each.normal_form].resolved() if each.normal_form in ran else nothing for each in valid}

    def clean(pool: list[Candidate]) -> list[Candidate]:
        least = min(broken[each.index] for each in pool)
        return [each for each in pool if broken[each.index] == least]

    def agreeing(pool: list[Candidate]) -> list[Candidate]:
        scores = [
            sum(resolved[other.index] == resolved[each.index] for other in pool) * len(resolved[each.index]) ** 2
            for each in pool
        ]
        best = max(scores)
        return [each for each, score in zip(pool, scores, strict=True) if score == best]

    def votes(one: Candidate, pool: list[Candidate]) -> int:
        return sum(other.normal_form == one.normal_form for other in pool)

    orders = (agreeing(clean(valid)), clean(agreeing(valid)), agreeing(valid), clean(valid))
    kept = next((pool for pool in orders if pool and len(pool) < len(valid)), valid)
    chosen = max(kept, key=lambda each: (votes(each, kept), -first_of(each, kept)))
    chosen = next(each for each in kept if each.normal_form == chosen.normal_form)
    unique = len({each.normal_form for each in valid})
    return Selection(instance_id, chosen.index, chosen.patch, "plain", votes(chosen, valid), len(valid), unique)


def first_of(one: Candidate, pool: Sequence[Candidate]) -> int:
    """Number of the earliest sample of the same form."""
    return next(other.index for other in pool if other.normal_form == one.normal_form)


def child(folder: Path, work: str) -> dict[str, Any]:
    """What is measured, in a process that does nothing else."""
    start = time.perf_counter()
    working = 0.0
    answers = hashlib.sha256()
    instances: dict[str, JudgedInstance] = {}
    for instance_id, candidates, evidence in records(folder):
        began = time.perf_counter()
        if work == "ablation":
            bare = [
                Candidate(each.instance_id, each.index, "", each.normal_form, each.rejection) for each in candidates
            ]
            verdicts = {
                form: int(form[:2], 16) < 50 for form in {each.normal_form for each in bare if not each.rejection}
            }
            instances[instance_id] = JudgedInstance(bare, evidence, verdicts)
        else:
            chosen = (choose if work == "choose" else plain)(instance_id, candidates, evidence)
            answers.update(repr((instance_id, chosen.index, chosen.patch, chosen.votes, chosen.unique)).encode())
        working += time.perf_counter() - began
    read = time.perf_counter() - start - working
    if work == "ablation":
        began = time.perf_counter()
        scaling(instances, SAMPLES, TESTS, resamples=SUBSETS)
        working = time.perf_counter() - began
    return {
        "read": read,
        "work": working,
        "peak": peak_memory(),
        "answers": answers.hexdigest(),
    }


def measured(folder: Path, work: str) -> dict[str, Any]:
    """The child's figures, and the seconds of the whole process."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(folder), work], stdout=subprocess.PIPE, text=True, check=True
    )
    return {**json.loads(done.stdout), "whole": time.perf_counter() - start}


def table(size: Size, output: Path | None, run: Path | None) -> Iterator[str]:
    """The lines of the report, each as soon as it is measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, size)
        candidates, evidence = ((folder / f"{each}.jsonl").stat().st_size / 1e6 for each in ("candidates", "evidence"))
        unique = sum(1 for _ in (folder / "evidence.jsonl").open("rb"))
        yield "# Selection from stored evidence"
        yield ""
        yield f"Made by `{command(size, output, run)}`;"
        yield f"{versions('swerl-eval', 'pydantic', 'orjson')}; {machine()}; seed {SEED}."
        yield f"{size.instances} instances x {size.samples} samples, {unique:,} unique candidates with {size.tests}"
        yield f"reproduction tests each; journals of {candidates:,.0f} MB and {evidence:,.0f} MB, made up."
        yield ""
        yield "A fresh process for each line. It opens and reads both journals, which the system has in its cache, and"
        yield "works on one instance after the other. The plain rules choose the same patches, sample by sample."
        yield "Goal: choosing in under 10 s and under 1 GB, the whole process."
        yield ""
        yield "| work | reading | the work itself | whole process | peak memory |"
        yield "|---|---|---|---|---|"
        ours = measured(folder, "choose")
        yield row("choose a patch for each instance", ours)
        slow = measured(folder, "plain")
        assert slow["answers"] == ours["answers"], "the plain rules choose otherwise"
        yield row("the same, plain", slow)
        cells = f"{len(SAMPLES)} numbers of samples x {len(TESTS)} of tests, {SUBSETS} subsets each"
        yield row(f"the ablation: {cells}", measured(folder, "ablation"))
        yield ""
        yield f"Written plainly, choosing takes {slow['work'] / ours['work']:,.0f} times as long."


def containers(run: Path) -> Iterator[str]:
    """What the container of a candidate costs beside its tests, from a stored run."""
    opened = Run(run)
    outside = sorted(evidence.seconds - evidence.test_seconds for evidence in opened.evidence.values())
    inside = sorted(evidence.test_seconds for evidence in opened.evidence.values())
    yield ""
    yield "## Containers"
    yield ""
    yield f"One container for each of the {len(outside)} unique candidates of a run of `swerl-eval demo`: seconds from"
    yield "its start to its end, and what of it is not spent in a test. Goal: under 0.6 s outside of the tests."
    yield ""
    yield "| | median | highest |"
    yield "|---|---|---|"
    for name, values in (("in tests", inside), ("outside of the tests", outside)):
        yield f"| {name} | {values[len(values) // 2]:.2f} s | {values[-1]:.2f} s |"


def row(name: str, figures: Mapping[str, float]) -> str:
    """One line of the table."""
    seconds = " | ".join(f"{figures[key]:.3g} s" for key in ("read", "work", "whole"))
    return f"| {name} | {seconds} | {figures['peak'] / 1e6:,.0f} MB |"


def command(size: Size, output: Path | None, run: Path | None) -> str:
    """What makes this table again, without any folder of this machine."""
    options = "".join(f" --{name} {value}" for name, value in vars(size).items() if value != getattr(FULL, name))
    options += f" --run results/{run.name}" if run else ""
    return f"python benchmarks/selection.py{options}" + (f" --output results/{output.name}" if output else "")


FULL = Size(instances=500, samples=500, tests=30)


def main() -> None:
    """Print the table as it grows; write it when it is whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    for name, value in vars(FULL).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--output", type=Path, help="file to write the table to")
    parser.add_argument("--run", type=Path, help="a finished run by tests, such as that of `swerl-eval demo`")
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "WORK"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        folder, work = arguments.child
        print(json.dumps(child(Path(folder), work)))
        return
    lines = []
    size = Size(arguments.instances, arguments.samples, arguments.tests)
    stored = containers(arguments.run) if arguments.run else ()
    for line in chain(table(size, arguments.output, arguments.run), stored):
        print(line, flush=True)
        lines.append(line.rstrip())
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
