"""Removes the records that follow from refused prompts, so that a resume asks these prompts again."""

from __future__ import annotations

from collections import defaultdict

from swerl_eval.records.run_folder import Run

_DERIVED = {
    "localize": ("localizations",),
    "repair": (),
    "guide": ("reproductions", "regressions", "evidence"),
    "reproduce": ("reproductions", "evidence"),
    "regress": ("regressions", "evidence"),
}
"""By stage: the kinds of records of an instance that follow from its answers, beside the selection."""
_NEXT_PROMPTS = {"localize": "repair", "guide": "reproduce"}
"""By stage: the stage whose prompts are made from its answers."""


def remove_refused(run: Run) -> int:
    """Remove the records that follow from refused prompts.

    Answers and verdicts stay. So do the answers of a stage where answered prompts were made from them. The records are
    removed before anything is asked, so a kill in between leaves nothing that looks finished.

    Args:
        run: The run, open for writing.

    Returns:
        The number of answers that a resume asks for again.
    """
    refused: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for instance_id, stage, index in run.samples.marked:
        refused[instance_id][stage].append(index)
    if not refused:
        return 0
    answered = {(instance_id, stage) for instance_id, stage, _ in set(run.samples.keys()) - run.samples.marked}
    count = 0
    unwanted: dict[str, set[str]] = defaultdict(set)
    candidates: set[tuple[str, int]] = set()
    for instance_id, stages in refused.items():
        for stage, indices in stages.items():
            if (instance_id, _NEXT_PROMPTS.get(stage)) in answered:
                continue
            count += len(indices)
            for kind in (*_DERIVED[stage], "selections"):
                unwanted[kind].add(instance_id)
            if stage == "repair":
                candidates |= {(instance_id, index) for index in indices}
    for kind, ids in unwanted.items():
        getattr(run, kind).remove_if(lambda key, ids=ids: (key[0] if isinstance(key, tuple) else key) in ids)
    run.candidates.remove_if(candidates.__contains__)
    return count
