"""Reads answers to repair prompts: from the text of an answer to a candidate patch, or the reason why there is none.

An answer can make reading slow (Python's parser on a file of megabytes), so it is done off the event loop, and where
it can be slow in a process that can be killed.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

import anyio.from_thread
import anyio.to_process
import anyio.to_thread

from swerl_eval.core.answers.solution import solution_of
from swerl_eval.core.apply_edits import MAX_FILE_CHARACTERS, apply_edits
from swerl_eval.core.codings import legible, stored
from swerl_eval.core.diffs import differs_in_blanks_only, normal_form_key, unified_diff
from swerl_eval.core.edits import EditError, parse_answer
from swerl_eval.core.pysource import breaks_syntax
from swerl_eval.core.types import Candidate, Completion, Rejection, Sample

FEW = 16
"""Up to so many answers are read in a thread: starting a process costs more."""
LIGHT = 2**18
"""Up to so many characters of files, before and after an edit, are read in a thread. Python's parser cannot be
interrupted, and holds up everything else meanwhile: 0.4 s for 400,000 characters, 7 s for ten times as many."""


async def read_in_background(
    batch: list[Sample], texts: Mapping[str, str], existing: Collection[str], *, thinking: bool = False
) -> list[Candidate]:
    """Read answers off the event loop, in a way that a cancellation does not wait for.

    A few light answers are read in a thread. The program cannot end before its threads, so all others are read in a
    process, which is killed.

    Args:
        batch: The samples to read.
        texts: The files that prompts showed, by path.
        existing: All paths of the repository.
        thinking: Whether the run asks for thinking.

    Returns:
        A candidate for each sample.
    """
    if len(batch) <= FEW and sum(map(len, texts.values())) <= LIGHT:
        lightly = partial(read_lightly, thinking=thinking)
        with contextlib.suppress(HeavyAnswerError):
            return await anyio.to_thread.run_sync(lightly, batch, texts, existing, abandon_on_cancel=True)
    read = partial(read_answers, thinking=thinking)
    return await anyio.to_process.run_sync(read, batch, texts, existing, cancellable=True)


class HeavyAnswerError(Exception):
    """An answer takes too long for a thread."""


def read_lightly(
    samples: Sequence[Sample], texts: Mapping[str, str], existing: Collection[str], *, thinking: bool
) -> list[Candidate]:
    """Read answers in a worker thread until it is cancelled. Raises `HeavyAnswerError` at a heavy one."""
    candidates = []
    for candidate in _candidates(samples, texts, existing, LIGHT, thinking=thinking):
        if candidate.rejection is Rejection.TOO_LONG:
            raise HeavyAnswerError
        candidates.append(candidate)
        anyio.from_thread.check_cancelled()
    return candidates


def read_answers(
    samples: Sequence[Sample], texts: Mapping[str, str], existing: Collection[str] = (), *, thinking: bool = False
) -> list[Candidate]:
    """Return the candidates of samples. Equal answers are read once. Pure, so that it can run in another process."""
    return list(_candidates(samples, texts, existing, MAX_FILE_CHARACTERS, thinking=thinking))


def _candidates(
    samples: Sequence[Sample], texts: Mapping[str, str], existing: Collection[str], limit: int, *, thinking: bool
) -> Iterator[Candidate]:
    candidates: dict[tuple[object, ...], Candidate] = {}
    for sample in samples:
        completion = sample.completion
        key = (
            completion.text,
            completion.finish_reason,
            bool(completion.reasoning),
            completion.error,
            tuple(sorted(sample.files)),
        )
        if key not in candidates:
            shown = {path: texts[path] for path in sample.files}
            candidates[key] = read_answer(sample, shown, existing, limit, thinking=thinking)
        yield dataclasses.replace(candidates[key], index=sample.index)


def read_answer(
    sample: Sample,
    shown: Mapping[str, str],
    existing: Collection[str] = (),
    limit: int = MAX_FILE_CHARACTERS,
    *,
    thinking: bool = False,
) -> Candidate:
    """Return the candidate of one answer.

    Files are edited as the model saw them, and compared as they are stored.

    Args:
        sample: The answer.
        shown: The files that its prompt showed, as the snapshot gives them, by path.
        existing: All paths of the repository.
        limit: Characters that a file may have after the edits.
        thinking: Whether the run asks for thinking.
    """

    def rejected(rejection: Rejection, detail: str) -> Candidate:
        return Candidate(sample.instance_id, sample.index, rejection=rejection, detail=detail)

    completion = sample.completion
    if completion.error:
        return rejected(Rejection.SAMPLE_FAILED, completion.error)
    try:
        before = {path: legible(text) for path, text in shown.items()}
        after = apply_edits(before, parse_answer(_solution(completion, thinking=thinking)), limit)
        after = {path: _stored(path, text, shown.get(path)) for path, text in after.items()}
    except EditError as error:
        cut = " (the answer was cut at max_tokens)" if completion.finish_reason == "length" else ""
        return rejected(error.rejection, f"{error}{cut}")
    unseen = [path for path in sorted(after) if path not in shown and path in existing]
    if unseen:
        # git refuses to create a file that exists
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
    if not _fits_predictions_file(patch):
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


def _fits_predictions_file(patch: str) -> bool:
    """Return whether a predictions file can hold this diff."""
    try:
        patch.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return bool(patch) and "\0" not in patch and "\nBinary files " not in patch
