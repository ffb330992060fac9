"""What a run comes to, in words: the same facts on a terminal and at the top of the page.

A name in a value comes from a file or a user, so it is data: whoever shows it must not read it as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

MOST_NAMES = 10
"""Instances named in one fact, at most."""
GOOD, WARN, BAD = "good", "warn", "bad"
_DIGEST = 12
"""Characters of a digest that are shown."""
_GIBIBYTE = 2**30


@dataclass(frozen=True)
class Fact:
    """One fact: what it is about, and what was measured."""

    label: str
    value: str
    note: str = ""
    """What the value means or rests on."""
    tone: str = ""
    """`GOOD`, `WARN`, `BAD`, or nothing."""

    def __str__(self) -> str:
        """The fact as one line."""
        return f"{self.label}: {self.value}" + (f" ({self.note})" if self.note else "")


_RECORDED = Fact(
    "The answers were RECORDED", "not sampled from a model; this shows the pipeline, not a model's skill", tone=WARN
)
RECORDED = str(_RECORDED)
"""What is said wherever a run with recorded answers is shown."""


@dataclass(frozen=True)
class Section:
    """Facts of one subject."""

    title: str
    facts: tuple[Fact, ...]


def first_screen(report: dict[str, Any], costs: dict[str, Any] | None) -> list[Section]:
    """Return the sections, the result first; those with nothing to say are left out.

    Args:
        report: The content of report.json.
        costs: What `reports.costs.costs` returns; None leaves out the section on costs.
    """
    sections = {
        "Result": _result(report),
        "Missing or failed": _missing(report),
        "Measured with": _pins(report),
        "Sampling": _sampling(report),
        "Localization": _localization(report),
        "Tests": _tests(report),
        "Rewards": _rewards(report),
        "Cost": _costs(costs) if costs is not None else (),
    }
    listed = ((title, tuple(facts)) for title, facts in sections.items())
    return [Section(title, facts) for title, facts in listed if facts]


def _result(report: dict[str, Any]) -> Iterator[Fact]:
    if report["recorded"]:
        yield _RECORDED
    yield Fact("Solve rate", rate(report), interval(report))
    if report["strict"] is not None:
        unconfirmed = report["resolved"] - report["strict"]["resolved"]
        note = f"the control run does not confirm {unconfirmed} of the resolved" if unconfirmed else ""
        tone = WARN if unconfirmed else GOOD
        yield Fact("Strict solve rate", rate({**report, **report["strict"]}), note, tone)
    clustered = report["clustered"]
    if clustered is not None:
        label, repositories = "Clustered by repository", f"{clustered['repositories']} repositories"
        if clustered["error"] > 1e-9:  # equal rates such as 1/3 may differ in their last bit
            note = f"standard error {100 * clustered['error']:.1f} points, {repositories}"
            yield Fact(label, interval(clustered), note)
        else:
            yield Fact(label, "no interval", f"all {repositories} have the same rate")
    if report["suspicious"]:
        yield Fact("Suspicious", f"{report['suspicious']} of the evaluated patches", "remarks say why", WARN)
    without = report["without_quarantined"]
    if without is not None:
        strict = f", strict {rate({**without, **without['strict']})}" if without["strict"] is not None else ""
        label = f"Without {len(without['quarantined'])} in quarantine ({without['file']})"
        yield Fact(label, f"{rate(without)}{strict}", interval(without))
    yield Fact("Verdicts", ", ".join(f"{count} {verdict}" for verdict, count in report["verdicts"].items() if count))


def _missing(report: dict[str, Any]) -> Iterator[Fact]:
    total, rows = report["total"], report["instances"]
    without = report["without_prediction"]
    if without:
        value = f"{len(without)} of {total} instances have no prediction and count as not solved"
        yield Fact("Missing", value, names(without), BAD)
    unfinished = [
        row["instance_id"] for row in rows if row["verdict"] == "missing" and row["instance_id"] not in set(without)
    ]
    if unfinished:
        yield Fact("Unfinished", f"{len(unfinished)} of {total} instances have no verdict yet", names(unfinished), BAD)
    prevented = [row["instance_id"] for row in rows if row["verdict"] == "infra_error"]
    if prevented:
        value = f"{len(prevented)} of {total} verdicts were prevented by the machine and count as not solved"
        yield Fact("Failed by the machine", value, names(prevented), BAD)
    unchecked = [
        row["instance_id"] for row in rows if row["verdict"] != "infra_error" and row.get("strict") == "infra_error"
    ]
    if unchecked:
        yield Fact("Control run failed", f"{len(unchecked)} strict verdicts are missing", names(unchecked), BAD)
    failed = failed_answers(report)
    if failed is not None:
        yield failed


def failed_answers(report: dict[str, Any]) -> Fact | None:
    """The answers that never came, with the most frequent reason; None where all came."""
    failed = report["failed_answers"]
    if failed is None:
        return None
    refused = f", {failed['refused']} of them refused (the same command asks for these again)"
    reason, count = next(iter(failed["reasons"].items()))
    value = f"{failed['count']} answers never came{refused if failed['refused'] else ''}"
    return Fact("FAILED", value, f"{count} times: {reason}", BAD)


def _pins(report: dict[str, Any]) -> Iterator[Fact]:
    yield Fact("Model", report["model"])
    fingerprint, versions = report["dataset_fingerprint"], dict(report["versions"])
    regraded = report["regraded"]
    if regraded is not None:
        fingerprint, versions["swebench"] = regraded["dataset_fingerprint"], regraded["swebench"]
    yield Fact("Dataset", str(report["dataset"]), f"fingerprint {fingerprint[:_DIGEST]}")
    yield Fact("Versions", ", ".join(f"{name} {version}" for name, version in versions.items()))
    images = sorted({row["image_id"] for row in report["instances"] if row.get("image_id")})
    if images:
        digests = "1 digest" if len(images) == 1 else f"{len(images)} digests"
        yield Fact("Images", digests, images[0][: len("sha256:") + _DIGEST] if len(images) == 1 else "report.json")
    for machine in report["machines"]:
        size = f"{machine['cpus']:g} CPUs, {machine['memory'] / _GIBIBYTE:.1f} GiB"
        yield Fact("Machine", f"{machine['engine']}, {machine['architecture']}, {size}")
    limits = ", ".join(f"{name} {value}" for name, value in report["limits"].items())
    if limits:
        yield Fact("Limits", limits)
    if regraded is not None:
        value = f"{regraded['graded']} verdicts from saved logs, {regraded['changed']} changed"
        yield Fact("Graded again", value, "dataset and swebench above are those of this grading")


def _sampling(report: dict[str, Any]) -> Iterator[Fact]:
    sampling = report["sampling"]
    if sampling is None:
        return
    instances = f"{sampling['instances_with_candidate']} of {report['total']} instances"
    value = f"{sampling['samples']}, of these {sampling['valid']} valid ({sampling['unique']} unique) for {instances}"
    yield Fact("Samples", value)
    if sampling["rejections"]:
        yield Fact("Rejected", ", ".join(f"{count} {kind}" for kind, count in sampling["rejections"].items()))
    if sampling["format_accuracy"] is not None:
        yield Fact("Right format", f"{percent(sampling['format_accuracy'])} of the answers")
    if sampling["cut_at_max_tokens"]:
        yield Fact("Cut at max_tokens", f"{sampling['cut_at_max_tokens']:,} answers", "of all stages", WARN)


def _localization(report: dict[str, Any]) -> Iterator[Fact]:
    recall = report["localization"]
    if recall is None:
        return
    yield Fact(
        "Gold files",
        f"all found in {recall['all_found']} of {recall['instances']}, some in {recall['any_found']}, "
        f"none in {recall['none_found']}",
        f"lists from: {recall['origin']}",
    )
    yield Fact("Coverage", f"mean {percent(recall['mean_coverage'])}, best {percent(recall['best_coverage'])}")


def _tests(report: dict[str, Any]) -> Iterator[Fact]:
    tests = report["testing"]
    if tests is None:
        return
    yield Fact("Reproduction tests", f"{tests['scripts_used']} of {tests['scripts']} used")
    yield Fact("Regression tests", f"{tests['regression_tests']}")
    runs = f"{tests['runs']} on {tests['candidates_run']} unique candidates, {tests['runs_saved']} saved"
    yield Fact("Test runs", runs)


def _rewards(report: dict[str, Any]) -> Iterator[Fact]:
    rewards = report["rewards"]
    if rewards is None:
        return
    errors = f"{rewards['format_errors']} of {rewards['count']} with a format error"
    yield Fact("SWE-RL reward", f"mean {rewards['mean']:.3f}", errors)
    if rewards["resolved_auc"] is not None:
        yield Fact("AUC", f"{rewards['resolved_auc']:.2f}", "how well the reward tells resolved from unresolved")


def _costs(costs: dict[str, Any]) -> Iterator[Fact]:
    if costs["answers"]:
        computed = costs["prompt_tokens_computed"]
        reused = None if computed is None else max(0, costs["prompt_tokens"] - computed)
        note = "" if computed is None else f"{computed:,} computed, {reused:,} reused"
        yield Fact("Prompt tokens", f"{costs['prompt_tokens']:,} asked", note)
        speed = costs["completion_tokens"] / max(costs["sampling_seconds"], 1e-9)
        yield Fact(
            "Output tokens", f"{costs['completion_tokens']:,} of {costs['answers']:,} answers", f"{speed:,.0f}/s"
        )
    if costs["gpu_seconds"] is not None:
        yield Fact("GPU-seconds", f"{costs['gpu_seconds']:,.0f}", per_resolved(costs["gpu_seconds"], costs["resolved"]))
    if costs["money"] is not None:
        money = costs["money"]
        parts = ", ".join(f"{name} {amount:,.2f}" for name, amount in money["parts"].items())
        each = f"{money['per_resolved']:,.2f} for each resolved issue; " if money["per_resolved"] is not None else ""
        yield Fact("Money", f"{money['total']:,.2f}", f"{each}{parts}")
    if costs["container_seconds"]:
        value = f"{costs['container_seconds']:,.0f} s, without control runs"
        yield Fact("Containers", value, _test_seconds(costs["test_containers"]))


def _test_seconds(tests: dict[str, float] | None) -> str:
    """What the tests of a candidate take; empty where no candidate was tested."""
    if tests is None:
        return ""
    return f"{tests['seconds']:.2f} s a candidate's tests, {tests['outside_of_tests']:.2f} s of it outside of them"


def rate(rates: dict[str, Any]) -> str:
    """A solve rate with its denominator."""
    return f"{rates['resolved']}/{rates['total']} = {percent(rates['solve_rate'])}"


def interval(rates: dict[str, Any]) -> str:
    """A 95 % interval in words."""
    low, high = rates["interval_95"]
    return f"95 % interval {100 * low:.1f} to {100 * high:.1f}"


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.1f} %"


def per_resolved(amount: float, resolved: int) -> str:
    """An amount for each resolved issue; empty where none is resolved."""
    return f"{amount / resolved:,.0f} for each resolved issue" if resolved else ""


def names(instances: Iterable[str]) -> str:
    """The first instances by name, and how many more there are."""
    ordered = list(instances)
    more = f" and {len(ordered) - MOST_NAMES} more (report.json)" if len(ordered) > MOST_NAMES else ""
    return f"{', '.join(ordered[:MOST_NAMES])}{more}"
