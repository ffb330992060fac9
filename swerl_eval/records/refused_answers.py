"""Takes back what rests on prompts that a server refused, so that a resume asks them again."""

from __future__ import annotations

from collections import defaultdict

from swerl_eval.records.run_folder import Run

_FOLLOWS = {
    "localize": ("localizations",),
    "repair": (),
    "guide": ("reproductions", "regressions", "evidence"),
    "reproduce": ("reproductions", "evidence"),
    "regress": ("regressions", "evidence"),
}
"""By stage: the kinds of records of a whole instance that follow from its answers, beside the selection."""
_PROMPTS_OF = {"localize": "repair", "guide": "reproduce"}
"""By stage: the stage whose prompts are made from its answers."""


def take_back_refused(run: Run) -> int:
    """Remove the records that refused answers led to; returns how many answers are asked for again.

    The run must be open for writing. Answers that a server gave and verdicts stay, and so do files and guides that
    other prompts were made from: these were answered. The records are removed before anything is asked, so a kill in
    between leaves nothing that looks finished.
    """
    refused: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for name, stage, index in run.samples.marked:
        refused[name][stage].append(index)
    answered = {(name, stage) for name, stage, _ in set(run.samples.keys()) - run.samples.marked} if refused else set()
    count = 0
    unwanted: dict[str, set[str]] = defaultdict(set)
    candidates: set[tuple[str, int]] = set()
    for name, stages in refused.items():
        for stage, indices in stages.items():
            if (name, _PROMPTS_OF.get(stage)) in answered:
                continue
            count += len(indices)
            for kind in (*_FOLLOWS[stage], "selections"):
                unwanted[kind].add(name)
            if stage == "repair":
                candidates |= {(name, index) for index in indices}
    for kind, names in unwanted.items():
        getattr(run, kind).remove_if(lambda key, names=names: (key[0] if isinstance(key, tuple) else key) in names)
    run.candidates.remove_if(candidates.__contains__)
    return count
