"""Every candidate can be made again from its stored answer, whatever ended the run: a kill, or an early stop."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from swerl_eval.compose import open_source
from swerl_eval.config import RunConfig
from swerl_eval.core.types import Candidate
from swerl_eval.records.run_folder import Run
from swerl_eval.stages.read_candidates import read_answers
from tests.fake_server import FakeServer, serving

pytestmark = pytest.mark.slow

ONE, FILE = "demo__inkwell-1", "inkwell/slugs.py"
SAMPLES = 12
FORMS = ("count + 2", "count + 3", "1 + count")


def edit(seed: int) -> tuple[str, ...]:
    """An answer with one edit, of three forms by its seed; some answers have none."""
    if seed % 4 == 3:
        return ("no edit ", "at all")
    search, replace = '        return f"{slug}-{count}"', f'        return f"{{slug}}-{{{FORMS[seed % 4]}}}"'
    lines = ["```python", f"### {FILE}", "<<<<<<< SEARCH", search, "=======", replace, ">>>>>>> REPLACE", "```"]
    return tuple(f"{line}\n" for line in lines)


def config(mirrors: Path, folder: Path, server: FakeServer, **more: Any) -> RunConfig:
    from swerl_eval.demo.setup import SUITE

    return RunConfig(
        dataset=str(SUITE), instances=(ONE,), repositories=str(mirrors), results=str(folder), run_id="run",
        sampler="openai", model="m", base_url=(server.base_url,), localization="oracle", samples=SAMPLES,
        thinking=False, **more,
    )  # fmt: skip


def made_again(run: Run, settings: RunConfig) -> Iterator[tuple[Candidate, Candidate]]:
    """Each stored candidate, beside the one that its stored answer gives."""
    source = open_source(settings)
    instance = next(each for each in source.instances() if each.instance_id == ONE)
    snapshot = anyio.run(source.snapshot, instance)
    for candidate in run.candidates.values():
        sample = run.samples.get((ONE, "repair", candidate.index))
        assert sample is not None, f"candidate {candidate.index} was stored before its answer"
        texts = {path: snapshot.read(path) or "" for path in sample.files}
        yield candidate, read_answers([sample], texts, frozenset(snapshot.paths()))[0]


def texts(run: Run) -> list[str]:
    return [each.completion.text for each in sorted(run.samples.values(), key=lambda each: each.index)]


def command(settings: RunConfig, *options: str) -> list[str]:
    words = ["-m", "swerl_eval.cli.app", "repair", "--dataset", settings.dataset, "-i", ONE, "--model", "m"]
    words += ["--base-url", settings.base_url[0], "--repositories", settings.repositories, "--run-id", "run"]
    words += ["--results", settings.results, "--localization", "oracle", "--samples", str(SAMPLES)]
    return [sys.executable, *words, "-c", "thinking=false", *options]


def test_a_kill_at_any_moment_leaves_no_candidate_without_its_answer(mirrors: Path, tmp_path: Path) -> None:
    rng = random.Random(5)
    streamed = threading.Event()

    def slowly(seed: int) -> tuple[str, ...]:
        class Slow(tuple):  # each piece of an answer takes a moment
            def __iter__(self) -> Iterator[str]:
                for piece in tuple.__iter__(self):
                    streamed.set()
                    time.sleep(0.01)
                    yield piece

        return Slow(edit(seed))

    with serving() as server:
        server.pieces = slowly
        settings = config(mirrors, tmp_path, server)
        candidates = []
        for _ in range(10):
            streamed.clear()
            process = subprocess.Popen(command(settings), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while not streamed.wait(0.05) and process.poll() is None:
                pass  # a run that has all its answers asks for none
            time.sleep(rng.uniform(0.0, 0.3))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            if (settings.run_folder / "run.json").exists():
                run = Run(settings.run_folder)
                assert all(stored == again for stored, again in made_again(run, settings))
                candidates.append(len(run.candidates))
        assert candidates == sorted(candidates)
        assert subprocess.run(command(settings), stdout=subprocess.DEVNULL, check=False).returncode == 0
    run = Run(settings.run_folder)
    assert len(run.candidates) == len(run.samples) == SAMPLES
    assert all(stored == again for stored, again in made_again(run, settings))
    # a seed decides its answer, so the run drew what one that was never killed would have drawn
    with serving() as server:
        server.pieces = edit
        whole = config(mirrors, tmp_path / "whole", server)
        assert subprocess.run(command(whole), stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert texts(Run(whole.run_folder)) == texts(run)


@pytest.mark.parametrize("samples_before_the_end", [7, 10])
def test_an_early_stop_leaves_no_candidate_without_its_answer(
    mirrors: Path, tmp_path: Path, samples_before_the_end: int
) -> None:
    held = threading.Event()
    told = itertools.count()
    with serving() as server:

        def same(_: int) -> tuple[str, ...]:
            """One form for all: some answers come in one piece, the others wait before their last one."""
            whole = "".join(edit(4))

            class Late(tuple):
                def __iter__(self) -> Iterator[str]:
                    yield from (whole[:-1], "")
                    held.wait(300)
                    yield whole[-1]

            return (whole,) if next(told) < samples_before_the_end else Late()

        server.pieces = same
        settings = config(mirrors, tmp_path, server)
        options = ["--stop-when-decided", "-c", "sandbox=scripted"]
        words = command(settings, *options)
        words[words.index("repair")] = "select"
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        held.set()
    assert done.returncode == 0, done.stderr
    run = Run(settings.run_folder)
    selection = run.selections.get(ONE)
    assert selection is not None
    assert selection.index is not None
    assert samples_before_the_end <= len(run.candidates) < SAMPLES
    assert all(stored == again for stored, again in made_again(run, settings))
