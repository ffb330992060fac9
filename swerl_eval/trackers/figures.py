"""The figures of a run that trackers show while it goes on."""

from __future__ import annotations

from swerl_eval.core.metrics import wilson
from swerl_eval.progress import Progress


def figures_of(progress: Progress) -> dict[str, float]:
    """The figures of now.

    `stage/…` counts instances, `verdict/…` verdicts, both over the whole run; samples, tokens and their rate are of
    this process. The solve rate is that of the verdicts so far, with Wilson's 95 % interval: instances that are quick
    to judge come first, so it is no estimate of the last one.
    """
    figures: dict[str, float] = {
        "samples": progress.samples,
        "tokens": progress.tokens,
        "tokens_per_second": progress.tokens / max(progress.seconds, 1e-9),
        "requests": progress.requests,
        "containers": progress.containers,
        "seconds": progress.seconds,
    }
    figures |= {f"stage/{stage}": count for stage, count in progress.done.copy().items()}
    verdicts = progress.verdicts.copy()
    figures |= {f"verdict/{verdict}": count for verdict, count in verdicts.items()}
    total = sum(verdicts.values())
    if total:
        low, high = wilson(verdicts["resolved"], total)
        figures |= {"solve_rate": verdicts["resolved"] / total, "solve_rate_low": low, "solve_rate_high": high}
    return {name: float(value) for name, value in figures.items()}
