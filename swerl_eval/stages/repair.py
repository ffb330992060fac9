"""Stage 2: prompts with whole files, answers to candidate patches (SWE-RL, section 2.2)."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain

import anyio
import anyio.from_thread
import anyio.to_process
import anyio.to_thread
from anyio.streams.memory import MemoryObjectReceiveStream

from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.apply_edits import MAX_FILE_CHARACTERS, apply_edits
from swerl_eval.core.codings import legible, sendable, stored
from swerl_eval.core.context import Shown, join_files, within_budget
from swerl_eval.core.diffs import differs_in_blanks_only, normal_form_key, unified_diff
from swerl_eval.core.edits import EditError, parse_answer
from swerl_eval.core.pysource import breaks_syntax
from swerl_eval.core.types import Candidate, Completion, Instance, Localization, Rejection, Sample
from swerl_eval.ports import Snapshot
from swerl_eval.prompts import REPAIR, Prompts
from swerl_eval.stages.localize import chat
from swerl_eval.stages.sampling import Prompt, SamplingContext, draw, seed_for

STAGE = "repair"
FEW = 16
"""Up to so many answers are read in a thread: starting a process costs more."""
LIGHT = 2**18
"""Up to so many characters of files, before and after an edit, are read in a thread. Python's parser cannot be
interrupted, and holds up everything else meanwhile: 0.4 s for 400,000 characters, 7 s for ten times as many."""


@dataclass(frozen=True)
class RepairSettings:
    """How patches are asked for."""

    samples: int
    max_input_tokens: int
    thinking: bool


@dataclass(frozen=True)
class Issue:
    """What is to be repaired."""

    instance: Instance
    snapshot: Snapshot
    localization: Localization


Deliver = Callable[[list[Candidate]], None]
"""Takes some candidates as soon as their answers are there and read."""


async def repair(
    issue: Issue, drawing: SamplingContext, prompts: Prompts, settings: RepairSettings, deliver: Deliver
) -> None:
    """One candidate, or the reason why there is none, for each sample. None at all when localization found no file.

    A listed file that does not exist is passed over: lists that were handed in may name some, and a gold patch may add
    one.
    """
    instance, snapshot, localization = issue.instance, issue.snapshot, issue.localization
    read = {path: snapshot.read(path) for path in dict.fromkeys(chain.from_iterable(localization.file_lists))}
    texts = {path: text for path, text in read.items() if text is not None}
    shown = _shown(localization, texts, drawing.sampler.count_tokens, settings.max_input_tokens)
    if not shown:
        return
    # One object per order of files: 500 prompts of 60,000 tokens are 100 MB, their different orders far less.
    legibly = {path: legible(text) for path, text in texts.items()}
    prompt_for = lru_cache(maxsize=None)(lambda files: _prompt(instance, legibly, files, prompts, settings))
    orders = [_order(shown, index, drawing.seed, instance.instance_id, settings) for index in range(settings.samples)]
    asked = [prompt_for(files) for files in orders]
    existing = frozenset(snapshot.paths())
    send, samples = anyio.create_memory_object_stream[Sample](math.inf)
    async with anyio.create_task_group() as group:
        group.start_soon(_read, samples, texts, existing, deliver, settings.thinking)
        with send:
            await draw(drawing, instance.instance_id, STAGE, asked, send.send_nowait)


async def _read(
    samples: MemoryObjectReceiveStream[Sample],
    texts: Mapping[str, str],
    existing: Collection[str],
    deliver: Deliver,
    thinking: bool,
) -> None:
    """Read answers as they come: all that have come while the last ones were read, together."""
    with samples:
        async for sample in samples:
            batch = [sample]
            with contextlib.suppress(anyio.WouldBlock, anyio.EndOfStream):
                while True:
                    batch.append(samples.receive_nowait())
            deliver(await read_in_background(batch, texts, existing, thinking=thinking))


async def read_in_background(
    batch: list[Sample], texts: Mapping[str, str], existing: Collection[str], *, thinking: bool = False
) -> list[Candidate]:
    """`read_answers`, off the event loop, and where a cancellation does not wait for it.

    A thread can only be left to itself, and the program ends no sooner than it does, so it takes nothing that lasts. A
    process is killed.
    """
    if len(batch) <= FEW and sum(map(len, texts.values())) <= LIGHT:
        lightly = partial(read_lightly, thinking=thinking)
        with contextlib.suppress(HeavyAnswerError):
            return await anyio.to_thread.run_sync(lightly, batch, texts, existing, abandon_on_cancel=True)
    read = partial(read_answers, thinking=thinking)
    return await anyio.to_process.run_sync(read, batch, texts, existing, cancellable=True)


def _shown(
    localization: Localization, texts: Mapping[str, str], count: Callable[[str], int], budget: int
) -> list[Shown]:
    sizes = {path: count(text) for path, text in texts.items()}
    lists = dict.fromkeys(tuple(path for path in files if path in texts) for files in localization.file_lists)
    return [within_budget(files, sizes.__getitem__, budget) for files in lists if files]


def _order(shown: list[Shown], index: int, seed: int, instance_id: str, settings: RepairSettings) -> tuple[str, ...]:
    """Samples cycle over the unique file lists; with several samples the files' order varies, from the seed."""
    files = list(shown[index % len(shown)].files)
    if settings.samples > 1:
        random.Random(seed_for(seed, instance_id, f"{STAGE}/{index}")).shuffle(files)
    return tuple(files)


def _prompt(
    instance: Instance,
    texts: Mapping[str, str],
    files: tuple[str, ...],
    prompts: Prompts,
    settings: RepairSettings,
) -> Prompt:
    joined = _printable(join_files(files, texts.__getitem__))
    question = prompts.render(REPAIR, problem_statement=instance.problem_statement, files=joined)
    return Prompt(chat(question, prompts, thinking=settings.thinking), files)


def _printable(text: str) -> str:
    """Bytes that are in no coding that the file declares cannot be sent; line ends are sent as a model writes them."""
    return sendable(text).replace("\r\n", "\n")


class HeavyAnswerError(Exception):
    """An answer that takes too long for a thread."""


def read_lightly(
    samples: Sequence[Sample], texts: Mapping[str, str], existing: Collection[str], *, thinking: bool
) -> list[Candidate]:
    """`read_answers` in a worker thread, which stops after a cancellation. Raises `HeavyAnswerError`."""
    candidates = []
    for candidate in _each_candidate(samples, texts, existing, LIGHT, thinking=thinking):
        if candidate.rejection is Rejection.TOO_LONG:
            raise HeavyAnswerError
        candidates.append(candidate)
        anyio.from_thread.check_cancelled()
    return candidates


def read_answers(
    samples: Sequence[Sample], texts: Mapping[str, str], existing: Collection[str] = (), *, thinking: bool = False
) -> list[Candidate]:
    """The candidates of some samples. Pure, so that it can run in another process; equal answers are read once.

    `thinking` says whether the run asked for thinking.
    """
    return list(_each_candidate(samples, texts, existing, MAX_FILE_CHARACTERS, thinking=thinking))


def _each_candidate(
    samples: Sequence[Sample], texts: Mapping[str, str], existing: Collection[str], limit: int, *, thinking: bool
) -> Iterator[Candidate]:
    known: dict[tuple[str, tuple[str, bool, str], tuple[str, ...]], Candidate] = {}
    for sample in samples:
        answer = sample.completion
        kind = (answer.finish_reason, bool(answer.reasoning), answer.error)
        key = (answer.text, kind, tuple(sorted(sample.files)))
        if key not in known:
            shown = {path: texts[path] for path in sample.files}
            known[key] = read_answer(sample, shown, existing, limit, thinking=thinking)
        like = known[key]
        yield Candidate(like.instance_id, sample.index, like.patch, like.normal_form, like.rejection, like.detail)


def read_answer(
    sample: Sample,
    shown: Mapping[str, str],
    existing: Collection[str] = (),
    limit: int = MAX_FILE_CHARACTERS,
    *,
    thinking: bool = False,
) -> Candidate:
    """What one answer comes to, given the files that its prompt showed and all that the repository has.

    The files are as the snapshot gives them. They are edited as the model saw them, and compared as they are stored.
    """

    def rejected(rejection: Rejection, detail: str) -> Candidate:
        return Candidate(sample.instance_id, sample.index, rejection=rejection, detail=detail)

    completion = sample.completion
    if completion.error:
        return rejected(Rejection.SAMPLE_FAILED, completion.error)
    try:
        legibly = {path: legible(text) for path, text in shown.items()}
        after = apply_edits(legibly, parse_answer(_solution(completion, thinking=thinking)), limit)
        after = {path: _stored(path, text, shown.get(path)) for path, text in after.items()}
    except EditError as error:
        cut = " (the answer was cut at max_tokens)" if completion.finish_reason == "length" else ""
        return rejected(error.rejection, f"{error}{cut}")
    unseen = [path for path in sorted(after) if path not in shown and path in existing]
    if unseen:
        # git refuses to make a file that is there
        return rejected(Rejection.UNKNOWN_PATH, f"{unseen[0]} exists and was not shown to the model")
    after = {path: text for path, text in after.items() if shown.get(path) != text}
    if not after:
        return rejected(Rejection.NO_CHANGE, "the edits cancel each other out")
    if differs_in_blanks_only(shown, after):
        return rejected(Rejection.BLANK_LINES_ONLY, f"in {', '.join(sorted(after))}")
    broken = [
        path for path in sorted(after) if path.endswith(".py") and breaks_syntax(shown.get(path, ""), after[path])
    ]
    if broken:
        return rejected(Rejection.SYNTAX_ERROR, f"{', '.join(broken)} does not parse after the edit")
    patch = unified_diff(shown, after)
    if not _carried(patch):
        return rejected(Rejection.NOT_TEXT, "the diff would hold bytes that are not UTF-8 text")
    return Candidate(sample.instance_id, sample.index, patch, normal_form_key(shown, after))


def _stored(path: str, text: str, original: str | None) -> str:
    try:
        return stored(text, original)
    except UnicodeEncodeError as error:
        coding, character = error.encoding, error.object[error.start]
        detail = f"{path} is in {coding}, which has no character {character!a}"
        raise EditError(Rejection.NOT_TEXT, detail) from error


def _solution(completion: Completion, *, thinking: bool) -> str:
    solution = solution_of(completion, thinking=thinking)
    if solution is None:
        raise EditError(Rejection.NO_EDIT, "the answer ends within its thinking")
    return solution


def _carried(patch: str) -> bool:
    """Whether a predictions file can carry this diff."""
    try:
        patch.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return bool(patch) and "\0" not in patch and "\nBinary files " not in patch
