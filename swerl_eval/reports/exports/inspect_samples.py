"""Makes inspect_ai's samples of a run's instances: the chosen answer, the scores, and what led to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from swerl_eval.core.answers.thinking import split_thinking
from swerl_eval.core.diffs import files_touched
from swerl_eval.core.types import Candidate, Completion, Evaluation, Sample, Verdict
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.exports.claims import why_grading_only
from swerl_eval.reports.exports.inspect_spec import stable_id

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageAssistant, ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

OFFICIAL, STRICT = "official", "strict"
"""Names of the scores."""
MOST_TESTS = 50
"""Failing tests that an explanation names, at most, of each kind."""
_SHOWN = (
    "repo", "year", "difficulty", "verdict", "reason", "strict", "strict_reason", "quarantined", "suspicious", "sample",
    "selection", "votes", "valid", "unique", "plain_vote", "tests", "reward", "files", "gold_files", "files_hit",
    "image_id",
)  # fmt: skip
"""What a sample's metadata takes over from the instance's row of the report, in this order."""
_PATCHING_STAGES = ("localize", "repair")
"""Stages that ask the run's model; the others ask the model that writes tests, if that is another one."""
_STOP_REASONS = {"stop": "stop", "length": "max_tokens"}


def without_verdict(run: Run, row: dict[str, Any]) -> str:
    """Why an instance has no official verdict though one was due; empty where it has one, or where none was due."""
    name, reason = row["instance_id"], row.get("reason", "")
    if row["verdict"] == Verdict.INFRA_ERROR.value:
        return f"infra_error: {reason or 'the machine failed, and did not say how'}"
    if row["verdict"] == Verdict.MISSING.value and name not in run.manifest.without_prediction:
        return f"no verdict: {reason or 'the run has not come so far'}"
    return ""


def sample_of(run: Run, row: dict[str, Any], candidates: Iterable[Candidate], answers: Iterable[Sample]) -> EvalSample:
    """The sample of an instance.

    Args:
        run: The run.
        row: The instance's row of the run's report.
        candidates: The instance's candidates.
        answers: All of the instance's answers, of any stage; they are read once, one at a time.
    """
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageUser

    name, model = row["instance_id"], run.manifest.model_name
    error = without_verdict(run, row)
    issue = run.issues.get(name)
    text = issue.text if issue else f"{name} (this run folder does not hold the issue's text)"
    chosen, usage = _read(answers, row.get("sample"), model, run.manifest.config.get("test_model") or model)
    message = _message(chosen, name, model, thinking=bool(run.manifest.config.get("thinking"))) if chosen else None
    gold = run.gold_patches.get(name)
    return EvalSample(
        id=name,
        epoch=1,
        input=text,
        target=gold.patch if gold else "",
        messages=[ChatMessageUser(id=f"{name}-issue", content=text, source="input"), *([message] if message else [])],
        output=_output(chosen, message, model),
        scores=_scores(run, row),
        metadata=_metadata(run, row, candidates),
        model_usage=usage,
        uuid=stable_id(run, name),
        error=EvalError(message=error, traceback=error, traceback_ansi=error) if error else None,
    )


# -- the answer


def _read(
    answers: Iterable[Sample], index: int | None, model: str, test_model: str
) -> tuple[Completion | None, dict[str, ModelUsage]]:
    """The repair answer with a number, if it is there, and the tokens of all answers by model."""
    chosen: Completion | None = None
    total: dict[str, ModelUsage] = {}
    for answer in answers:
        asked = model if answer.stage in _PATCHING_STAGES else test_model
        if usage := _usage(answer.completion):
            total[asked] = total[asked] + usage if asked in total else usage
        if answer.stage == "repair" and answer.index == index:
            chosen = answer.completion
    return chosen, total


def _usage(completion: Completion) -> ModelUsage | None:
    """The tokens of an answer; None where nobody counted them."""
    from inspect_ai.model import ModelUsage

    if completion.prompt_tokens is None and completion.completion_tokens is None:
        return None
    prompt, written, cached = completion.prompt_tokens or 0, completion.completion_tokens or 0, completion.cached_tokens
    return ModelUsage(
        input_tokens=prompt - (cached or 0),
        output_tokens=written,
        total_tokens=prompt + written,
        input_tokens_cache_read=cached,
    )


def _message(completion: Completion, name: str, model: str, *, thinking: bool) -> ChatMessageAssistant:
    from inspect_ai.model import ChatMessageAssistant, Content, ContentReasoning, ContentText

    thought, text = split_thinking(completion, thinking=thinking)
    parts: list[Content] = [ContentReasoning(reasoning=thought)] if thought else []
    return ChatMessageAssistant(
        id=f"{name}-answer", content=[*parts, ContentText(text=text)], source="generate", model=model
    )


def _output(completion: Completion | None, message: ChatMessageAssistant | None, model: str) -> ModelOutput:
    from inspect_ai.model import ChatCompletionChoice, ModelOutput

    if completion is None or message is None:
        return ModelOutput(model=model)
    stop: Any = _STOP_REASONS.get(completion.finish_reason, "unknown")
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=message, stop_reason=stop)],
        usage=_usage(completion),
        error=completion.error or None,
    )


# -- the scores


def _scores(run: Run, row: dict[str, Any]) -> dict[str, Score] | None:
    """The official score and the strict one, where there is a verdict to score; None where there is none."""
    from inspect_ai.scorer import CORRECT, INCORRECT, Score

    selection, evaluation = run.selections.get(row["instance_id"]), run.evaluation_of(row["instance_id"])
    if selection is None or evaluation is None or evaluation.verdict in {Verdict.INFRA_ERROR, Verdict.MISSING}:
        return None
    scores = {
        OFFICIAL: Score(
            value=CORRECT if evaluation.resolved else INCORRECT,
            answer=", ".join(files_touched(selection.patch)),
            explanation=explanation(evaluation, row.get("reason", "")),
        )
    }
    strict = evaluation.strict
    if strict is not None and strict is not Verdict.INFRA_ERROR:
        scores[STRICT] = Score(
            value=CORRECT if strict is Verdict.RESOLVED else INCORRECT,
            explanation=_headline(strict, evaluation.strict_reason),
        )
    return scores


def explanation(evaluation: Evaluation, reason: str) -> str:
    """The verdict in words: what is said about it, how many tests pass, and which ones fail."""
    lines = [_headline(evaluation.verdict, reason)]
    tests = (evaluation.report or {}).get("tests_status") or {}
    for kind in ("FAIL_TO_PASS", "PASS_TO_PASS"):
        passed, failed = (list(tests.get(kind, {}).get(key, ())) for key in ("success", "failure"))
        if passed or failed:
            lines += [
                "",
                f"{kind}: {len(passed)} of {len(passed) + len(failed)} pass{'; these do not:' * bool(failed)}",
            ]
            lines += ["", *(f"- {_code(test)}" for test in failed[:MOST_TESTS])] if failed else []
            lines += [f"- and {len(failed) - MOST_TESTS} more"] if len(failed) > MOST_TESTS else []
    return "\n".join(lines)


def _headline(verdict: Verdict, reason: str) -> str:
    return f"**{verdict.value}**" + (f": {_code(reason)}" if reason else "")


def _code(text: str) -> str:
    """A text as Markdown's code, so that no character of it is read as markup."""
    return "`" + " ".join(text.replace("`", "'").split()) + "`"


# -- the metadata


def _metadata(run: Run, row: dict[str, Any], candidates: Iterable[Candidate]) -> dict[str, Any]:
    name = row["instance_id"]
    selection, evaluation = run.selections.get(name), run.evaluation_of(name)
    metadata = {key: row[key] for key in _SHOWN if row.get(key) not in (None, "")}
    unknown = why_grading_only(run.manifest)
    if unknown:
        metadata["warning"] = unknown
    if "files" in metadata:
        metadata["files"] = [", ".join(files) for files in metadata["files"]]
    groups, rejected = _grouped(candidates)
    if groups:
        metadata["candidates"] = [
            f"{len(samples)} votes: {_numbers(samples)}{' (chosen)' * (row.get('sample') in samples)}"
            for samples in groups
        ]
    if rejected:
        metadata["rejected"] = {reason: _numbers(samples) for reason, samples in rejected.items()}
    if evaluation is not None:
        metadata["seconds"] = {"container": evaluation.seconds, "tests": evaluation.test_seconds}
    if selection is not None:
        metadata["patch"] = selection.patch
    return metadata


def _numbers(samples: Iterable[int]) -> str:
    return ", ".join(map(str, samples))


def _grouped(candidates: Iterable[Candidate]) -> tuple[list[list[int]], dict[str, list[int]]]:
    """The numbers of the samples with equal patches, most votes first; and those of the rejected ones by reason."""
    equal: dict[str, list[int]] = {}
    rejected: dict[str, list[int]] = {}
    for candidate in candidates:
        if candidate.rejection is None:
            equal.setdefault(candidate.normal_form, []).append(candidate.index)
        else:
            rejected.setdefault(candidate.rejection.value, []).append(candidate.index)
    groups = sorted(map(sorted, equal.values()), key=lambda samples: (-len(samples), samples))
    return groups, {reason: sorted(rejected[reason]) for reason in sorted(rejected)}
