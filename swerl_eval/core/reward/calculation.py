"""Computes the SWE-RL reward: how alike a predicted change and the oracle's change are (arXiv 2502.18449, section 2.2).

The reward of an answer is -1.0 when its format is wrong. Otherwise it is the mean, over all files that either side
changes, of the similarity of the two unified diffs, from 0 to 1.

Two differences from facebookresearch/swe-rl are on purpose. The closing fence of the last block may be missing, unless
`strict=True`. Files are summed in sorted order; the original's order changes from process to process, by one unit in
the last place of the reward.
"""

from __future__ import annotations

import warnings
from typing import Any, TypedDict

from unidiff import PatchedFile, PatchSet
from unidiff.errors import UnidiffParseError

from swerl_eval.core.answers.marks import SOLUTION_END, SOLUTION_START, THINK_END, THINK_START
from swerl_eval.core.apply_edits import longest_text
from swerl_eval.core.edits import DIVIDER, FENCE, REPLACE, REWARD, SEARCH, STRICT, find_blocks
from swerl_eval.core.reward.linediff import unified_hunks
from swerl_eval.core.reward.similarity import ratio

ANSWER_START = SOLUTION_START
ANSWER_END = SOLUTION_END

SEARCH_REPLACE_REGEX = rf"{FENCE}.*?\n### (.*)\n{SEARCH}\n([\s\S]*?)\n{DIVIDER}\n([\s\S]*?)\n{REPLACE}\n{FENCE}"
"""The strict format, for readers. The code uses `edits.find_blocks`, which finds the same blocks in linear time."""


class FormatError(Exception):
    """No change can be read from an answer, or its change does not fit the files."""


class ChangeSimilarity(TypedDict):
    """One file's part of a reward."""

    path: str
    pred_change: str
    oracle_change: str
    similarity: float


def extract_thought_solution(output: str) -> tuple[str, str]:
    """Return the text within `<think>` and the text within `<solution>`, without surrounding blanks.

    The order of the tags does not matter, as in the original.

    Raises:
        FormatError: One of the four tags does not occur exactly once, or the thought is empty.
    """
    for tag in (THINK_START, THINK_END, ANSWER_START, ANSWER_END):
        if (count := output.count(tag)) != 1:
            message = f"{tag} occurs {count} times instead of once"
            raise FormatError(message)
    thought = _between(output, THINK_START, THINK_END)
    if not thought:
        message = f"nothing between {THINK_START} and {THINK_END}"
        raise FormatError(message)
    return thought, _between(output, ANSWER_START, ANSWER_END)


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].partition(end)[0].strip()


def parse_search_replace(text: str, *, strict: bool = False) -> dict[str, list[tuple[str, str]]]:
    """Return the SEARCH/REPLACE blocks of a text: path -> pairs of search and replacement, both in order."""
    edits: dict[str, list[tuple[str, str]]] = {}
    for edit in find_blocks(text, STRICT if strict else REWARD):
        edits.setdefault(edit.path, []).append(("\n".join(edit.search), "\n".join(edit.replace)))
    return edits


def generate_unified_diff(old_code: str, new_code: str, n_context: int = 3) -> str:
    """Return the unified diff of two texts from its first `@@` line on, with `n_context` lines around each change."""
    return "\n".join(unified_hunks(old_code.splitlines(), new_code.splitlines(), n_context))


def apply_code_change(
    code_context: dict[str, str],
    search_replace_dict: dict[str, list[tuple[str, str]]],
    silent: bool = False,
) -> dict[str, str]:
    """Return the new texts of the files that the edits name.

    A search text matches everywhere it occurs at the start of a line.

    Args:
        code_context: Path -> text; a file that is missing here is empty.
        search_replace_dict: Path -> pairs of search and replacement, applied in order.
        silent: Skip an edit whose search is not found or equals its replacement, instead of raising.

    Raises:
        FormatError: A search text is not found, an edit changes nothing, or a file grows without bound (the last also
            if `silent`).
    """
    return {
        path: _edited(path, code_context.get(path, ""), edits, silent) for path, edits in search_replace_dict.items()
    }


def _edited(path: str, code: str, edits: list[tuple[str, str]], silent: bool) -> str:
    # an edit that matches nearly everywhere multiplies a file: the original would take days
    limit = longest_text(code)
    text = "\n" + code  # so that the first line starts after a newline like every other
    for search, replace in edits:
        if not silent and search == replace:
            message = f"an edit of {path} replaces a text by itself"
            raise FormatError(message)
        matches = text.count("\n" + search)
        if not silent and not matches:
            message = f"this search text is not in {path}: {search}"
            raise FormatError(message)
        if len(text) + matches * (len(replace) - len(search)) > limit:
            message = f"the edits of {path} make it longer than {limit} characters"
            raise FormatError(message)
        text = text.replace("\n" + search, "\n" + replace)
    return text[1:]


def get_normalized_patch(code_context: dict[str, str], new_content_dict: dict[str, str]) -> dict[str, str]:
    """Return the unified diff (from its first `@@` line on) of each file whose lines change, by path."""
    patches = {
        path: generate_unified_diff(code_context.get(path, ""), new_content)
        for path, new_content in new_content_dict.items()
    }
    return {path: patch for path, patch in patches.items() if patch}


def compute_change_similarities(pred_patch: dict[str, str], oracle_patch: dict[str, str]) -> list[ChangeSimilarity]:
    """Return the similarity of each file that either side changes, sorted by path; 0.0 if only one side changes it."""
    similarities = []
    for path in sorted({*pred_patch, *oracle_patch}):
        predicted, oracle = pred_patch.get(path, ""), oracle_patch.get(path, "")
        # Two empty changes are not alike either: predicting nothing must not pay.
        similarity = ratio(predicted, oracle) if predicted and oracle else 0.0
        similarities.append(
            ChangeSimilarity(path=path, pred_change=predicted, oracle_change=oracle, similarity=similarity)
        )
    return similarities


def _mean(similarities: list[ChangeSimilarity]) -> tuple[float, dict[str, Any]]:
    """Return the reward and its metadata; where neither side changes anything, the changes are the same."""
    if not similarities:
        return 1.0, {"similarities": []}
    reward = sum(file["similarity"] for file in similarities) / len(similarities)
    return reward, {"similarities": similarities}


def calculate_reward(
    code_context: dict[str, str], oracle_new_content: dict[str, str], pred_new_content: dict[str, str]
) -> tuple[float, dict[str, Any]]:
    """Compute the reward of a change from the files' texts before and after it.

    Args:
        code_context: Path -> original text, at least of the files that change.
        oracle_new_content: Path -> text after the oracle's change.
        pred_new_content: Path -> text after the predicted change.

    Returns:
        The reward, from 0 to 1, and metadata: `similarities` holds one `ChangeSimilarity` for each file.
    """
    oracle_patch = get_normalized_patch(code_context, oracle_new_content)
    pred_patch = get_normalized_patch(code_context, pred_new_content)
    return _mean(compute_change_similarities(pred_patch, oracle_patch))


def calculate_search_replace_reward(
    code_context: dict[str, str],
    oracle_new_content: dict[str, str],
    output: str,
    *,
    strict: bool = False,
) -> tuple[float, dict[str, Any]]:
    """Compute the reward of a model's whole answer: thinking, then a solution made of SEARCH/REPLACE blocks.

    No answer makes it raise; one that is not text is a format error.

    Args:
        code_context: Path -> text before the oracle's change.
        oracle_new_content: Path -> text after it.
        output: The answer.
        strict: Demand the closing fence of the last block.

    Returns:
        The reward, from 0 to 1, and metadata with `similarities`, `thought` and `answer`; or -1.0 and metadata with
        `error` when the format is wrong.
    """
    try:
        if not isinstance(output, str):
            message = f"the answer is not text but {type(output).__name__}"
            raise FormatError(message)
        thought, answer = extract_thought_solution(output)
        edits = parse_search_replace(answer, strict=strict)
        if not edits:
            message = "the solution holds no whole SEARCH/REPLACE block"
            raise FormatError(message)
        pred_new_content = apply_code_change(code_context, edits)
    except FormatError as error:
        return -1.0, {"error": str(error)}
    reward, metadata = calculate_reward(code_context, oracle_new_content, pred_new_content)
    return reward, {**metadata, "thought": thought, "answer": answer}


def get_filelevel_diff(patch_text: str) -> dict[str, str]:
    """Split a unified diff by file: path -> its hunks. The hunks of a renamed file follow a line with both paths.

    Binary files are left out. A text that is not a unified diff gives an empty dictionary, with a warning when the
    parser fails with an error that it does not document.
    """
    try:
        patch = PatchSet(patch_text)
    except UnidiffParseError:
        return {}
    except Exception as error:  # noqa: BLE001 (some malformed diffs break code of unidiff)
        warnings.warn(f"unidiff failed on a malformed diff: {error!r}", stacklevel=2)
        return {}
    return dict(_file_diff(file) for file in patch if not file.is_binary_file)


def _file_diff(file: PatchedFile) -> tuple[str, str]:
    hunks = "\n".join(str(hunk).strip() for hunk in file)
    if not file.is_rename:
        return file.path, hunks.strip()
    source, target = file.source_file.removeprefix("a/"), file.target_file.removeprefix("b/")
    return source, f"rename from {source} to {target}\n{hunks}".strip()


def calculate_reward_unidiff(oracle_patches: list[str], pred_patches: list[str]) -> tuple[float, dict[str, Any]]:
    """Compute the reward of unified diffs. Of several diffs of one file, a side's last one counts.

    Returns:
        The reward, from 0 to 1, and metadata: `similarities` holds one `ChangeSimilarity` for each file.
    """
    return _mean(compute_change_similarities(_merged_diffs(pred_patches), _merged_diffs(oracle_patches)))


def _merged_diffs(patches: list[str]) -> dict[str, str]:
    return {path: hunks for patch_text in patches for path, hunks in get_filelevel_diff(patch_text).items()}
