"""What an export may claim: which runs an export for the public refuses, and what it has to say of the others.

Two keys of the setting `submission` let a run through, and the export then says so:

- `partial = true`: some instances have no verdict; they count as not resolved;
- `trial = true`: an export that is tried out, and not meant for submission. It also lets a partial run through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from swerl_eval.core.errors import UsageError
from swerl_eval.core.types import GOLD, HANDED_IN, MADE, Verdict
from swerl_eval.records.manifest import RunManifest
from swerl_eval.records.run_folder import Run
from swerl_eval.reports.comparison.names import listed, printable
from swerl_eval.reports.exports.details import flag, text
from swerl_eval.reports.exports.splits import SPLITS, named_split, public_split

PARTIAL, TRIAL = "partial", "trial"
"""Keys of `submission` that let an unfit run through."""
TRIAL_REMARK = "a trial export, not for submission"
_SHOWN_NAMES = 3


def why_grading_only(manifest: RunManifest) -> str:
    """Return the reason to claim the grading alone; empty if this run sampled the answers and chose the patches."""
    if manifest.patch_origin == HANDED_IN:
        return "the patches were handed in: who made them, with what, and in how many attempts is not known here"
    if manifest.patch_origin == GOLD:
        return "the patches are the dataset's own answers (gold), and no model's"
    return "the answers were recorded, not sampled: this is no result of a model" if manifest.recorded else ""


def no_model(manifest: RunManifest) -> str:
    """Return what is shown in place of a model's name where the patches are no model's; empty where they are one's."""
    if manifest.patch_origin == GOLD:
        return "gold patches (no model)"
    return "recorded answers (no model)" if manifest.recorded else ""


def shown_model(manifest: RunManifest, details: Mapping[str, Any], key: str = "model_display") -> str:
    """Return the name that an export shows: the submitter's, else the model's; never a model's for what is none's.

    Args:
        manifest: The run's manifest.
        details: The setting `submission`.
        key: Where the submitter's name stands: `model_display`, or `name` for the entry.
    """
    return no_model(manifest) or text(details, key) or manifest.model_name


def entry_name(manifest: RunManifest, details: Mapping[str, Any], remarks: Sequence[str]) -> str:
    """Return the name of an entry, marked where it is a trial. `remarks` are those of `refuse_unfit`."""
    return f"{'[trial] ' if TRIAL_REMARK in remarks else ''}{shown_model(manifest, details, 'name')}"


def attempts(manifest: RunManifest, details: Mapping[str, Any]) -> int | str | None:
    """Return the number of attempts: 1, or `2+` for a choice among several samples (best@k).

    For patches that were handed in it is what the submitter says (`submission.attempts`), else None.

    Raises:
        UsageError: The submitter says something else than 1 or 2+.
    """
    if not why_grading_only(manifest):
        return 1 if manifest.config.get("samples") == 1 else "2+"
    stated = details.get("attempts") if manifest.patch_origin == HANDED_IN else None
    if stated not in (None, 1, "1", "2+") or isinstance(stated, bool):
        message = f"submission.attempts must be 1 or '2+', not {stated!r}"
        raise UsageError(message)
    return 1 if stated == "1" else stated


def submission_folder(manifest: RunManifest) -> str:
    """Return `<YYYYMMDD>_<model>`, as submissions are named."""
    last = manifest.model_name.rstrip("/").rsplit("/", 1)[-1]
    model = "".join(c if c.isalnum() or c in "-._" else "-" for c in last)
    return f"{manifest.created_at[:10].replace('-', '')}_{model or 'model'}"


@dataclass(frozen=True)
class Objection:
    """Why a run is not fit for an export."""

    what: str
    remedy: str
    accepted_by: str = TRIAL
    """The key of `submission` that lets it through."""


def objections(run: Run) -> list[Objection]:
    """Return what speaks against publishing a run as a model's result on a public split."""
    manifest = run.manifest
    return [*_no_models(manifest), *oracle_files(manifest), *_other_instances(manifest), *_unfinished(run)]


def refuse_unfit(
    run: Run, details: Mapping[str, Any], consumer: str, further: tuple[Objection, ...] = ()
) -> tuple[str, ...]:
    """Refuse a run that a consumer would reject, or that would mislead its readers.

    Args:
        run: The run that is exported.
        details: The setting `submission`.
        consumer: The format, for the message.
        further: What speaks against this format besides `objections`.

    Returns:
        What the export has to say of itself, most important first; empty for a run that is fit.

    Raises:
        UsageError: The run is not fit and `submission` does not let it through. The message names everything that
            speaks against it, with the remedy.
    """
    found = [*objections(run), *further]
    trial = flag(details, TRIAL)
    accepted = {PARTIAL} if flag(details, PARTIAL) else set()
    refused = [] if trial else [objection for objection in found if objection.accepted_by not in accepted]
    if refused:
        reasons = "; ".join(f"{objection.what} ({objection.remedy})" for objection in refused)
        keys = sorted({objection.accepted_by for objection in refused})
        needed = TRIAL if TRIAL in keys else PARTIAL
        effect = "marks it as a trial, not for submission" if needed == TRIAL else "says so in the export"
        message = (
            f"{printable(run.manifest.run_id)} is not exported to {consumer}: {reasons}; "
            f"-c submission.{needed}=true writes it nevertheless and {effect}"
        )
        raise UsageError(message)
    return (*([TRIAL_REMARK] if trial else []), *(objection.what for objection in found))


def _no_models(manifest: RunManifest) -> list[Objection]:
    if not no_model(manifest):
        return []
    return [Objection(why_grading_only(manifest), "export a run whose answers a model gave")]


def oracle_files(manifest: RunManifest) -> list[Objection]:
    """Object to a run that was told the files to change."""
    if manifest.patch_origin != MADE or manifest.config.get("localization") != "oracle":
        return []
    return [Objection("the files to change were taken from the gold patches", "run it with --localization model")]


def _other_instances(manifest: RunManifest) -> list[Objection]:
    if public_split(manifest):
        return []
    count = len(manifest.instances)
    named = named_split(manifest)
    if named:
        what = f"its {count} instances are not the {named.size} of {named.name}"
        return [Objection(what, "run the whole split, without --instances, --repo, --difficulty, --limit and --shard")]
    names = ", ".join(split.name for split in SPLITS)
    return [Objection(f"its {count} instances are none of the public splits {names}", "run one of these")]


def _unfinished(run: Run) -> list[Objection]:
    """Object to instances without an official verdict; those that nobody gave a patch for are finished."""
    expected = [name for name in run.manifest.instance_ids if name not in set(run.manifest.without_prediction)]
    verdicts = {name: run.evaluation_of(name) for name in expected}
    open_ones = sorted(name for name, e in verdicts.items() if e is None or e.verdict is Verdict.INFRA_ERROR)
    if not open_ones:
        return []
    what = (
        f"a partial run: {len(open_ones)} of {len(run.manifest.instances)} instances have no verdict and count as not "
        f"resolved ({listed(open_ones, printable, _SHOWN_NAMES)})"
    )
    return [Objection(what, "the same command as before finishes it", PARTIAL)]
