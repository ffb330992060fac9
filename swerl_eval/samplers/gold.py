"""Answer with the gold patch, which checks everything after the sampler, from parsing to the verdict."""

from __future__ import annotations

from collections.abc import Callable

from unidiff import PatchSet

from swerl_eval.core.diffs import files_touched
from swerl_eval.core.edits import DIVIDER, FENCE, REPAIR, REPLACE, SEARCH, find_blocks
from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import Completion, Edit, Oracle, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens, SamplerSettings, ignore
from swerl_eval.samplers import estimated_tokens


class GoldSampler:
    """Answers every prompt with the gold patch (a `ports.Sampler`). Not a model: reports say so.

    `sample` raises what `oracle` raises. A patch that blocks cannot express is a completion with `error` set.

    Args:
        oracle: Returns the answer of an instance, by its id.
    """

    recorded = True

    def __init__(self, oracle: Callable[[str], Oracle]) -> None:
        self._oracle = oracle

    @classmethod
    def open(cls, settings: SamplerSettings) -> GoldSampler:
        """Take `oracle`. Raises `UsageError` without one."""
        if settings.oracle is None:
            message = "the gold sampler needs a dataset with answers"
            raise UsageError(message)
        return cls(settings.oracle)

    async def sample(
        self, request: SampleRequest, on_tokens: OnTokens, on_answer: OnAnswer = ignore
    ) -> list[Completion]:
        """Return the files of the gold patch for localization, else its edits; the same answer n times."""
        patch = self._oracle(request.instance_id).patch
        if request.stage == "localize":
            answer = Completion("\n".join([FENCE, *files_touched(patch), FENCE]))
        else:
            answer = gold_answer(patch)
        on_tokens(0)
        return [answer] * request.n

    def count_tokens(self, text: str) -> int:
        """Estimate the number of tokens from the number of bytes."""
        return estimated_tokens(text)

    async def aclose(self) -> None:
        """Do nothing."""


def gold_answer(patch: str) -> Completion:
    """Return a unified diff as SEARCH/REPLACE blocks, one for each hunk; `error` is set if blocks cannot express it."""
    blocks: list[str] = []
    edits: list[Edit] = []
    for file in PatchSet(patch):
        if file.is_removed_file or file.is_rename or file.is_binary_file:
            return Completion(
                "", "error", error=f"{file.path}: SEARCH/REPLACE cannot remove, rename or carry binary files"
            )
        if not len(file):
            return Completion("", "error", error=f"{file.path}: SEARCH/REPLACE cannot make empty files or change modes")
        for hunk in file:
            search = [line.value.rstrip("\r\n") for line in hunk if line.is_context or line.is_removed]
            replace = [line.value.rstrip("\r\n") for line in hunk if line.is_context or line.is_added]
            if search == replace:
                return Completion("", "error", error=f"{file.path}: SEARCH/REPLACE cannot change line ends")
            lines = [f"{FENCE}python", f"### {file.path}", SEARCH, *search, DIVIDER, *replace, REPLACE, FENCE]
            blocks.append("\n".join(lines))
            edits.append(Edit(file.path, tuple(search), tuple(replace)))
    answer = "\n\n".join(blocks)
    if find_blocks(answer, REPAIR) != edits:
        return Completion("", "error", error="SEARCH/REPLACE cannot carry lines that look like its markers")
    return Completion(answer)
