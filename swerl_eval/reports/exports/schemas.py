"""The files that exports write, as schemas. Each is checked before it is written (`checking.check`).

Types are strict: a text "false" is no boolean. Fields that a schema does not name are refused, and so are instances
that are listed twice, or that count as resolved without being among the instances.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from swerl_eval.reports.exports.checking import Digest, FolderName, InstanceId, InstanceIds, Name, Strict, unique

ROUNDING = 0.005
"""The leaderboard's percentages have two decimals."""
Attempts = Literal[1, "2+"] | None


class Pins(Strict):
    """What a score was measured with."""

    dataset: Name
    dataset_sha256: Name
    split: str | None
    harness: str | None
    denominator: Annotated[int, Field(ge=0)]
    limits: dict[str, Any]
    image_count: Annotated[int, Field(ge=0)]
    images_sha256: Digest | None


# -- a row of the public leaderboard


class RowPins(Pins):
    """The pins of one row, with those that only a single run's export has room for."""

    strictly_resolved: int | None
    machines: list[dict[str, Any]]
    versions: dict[str, str]
    prompts_sha256: dict[str, str]
    images: dict[InstanceId, str]


class InstanceDetails(Strict):
    """What a row says of one instance."""

    resolved: bool
    cost: float | None
    api_calls: int | None


class LeaderboardRow(Strict):
    """A row of `leaderboards.json`, and the pins."""

    name: Name
    folder: FolderName
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
    resolved: Annotated[float, Field(ge=0, le=100)]
    agent: str | None
    agent_org: str | None
    model_display: Name
    model_org: str | None
    reasoning_effort: str | None
    model_release_date: str | None
    tags: Annotated[list[str], AfterValidator(unique)]
    logo: list[str]
    os_model: bool
    os_system: bool
    checked: Literal[False]
    cost: float | None
    instance_cost: float | None
    instance_calls: float | None
    per_instance_details: dict[InstanceId, InstanceDetails]
    logs: str | None
    trajs: str | None
    site: str | None
    warning: str | None
    pins: RowPins

    @model_validator(mode="after")
    def _check_score(self) -> LeaderboardRow:
        """Each instance counts once, and the score is theirs."""
        details = self.per_instance_details.values()
        if len(details) != self.pins.denominator:
            raise ValueError(f"{len(details)} instances are listed, and the denominator is {self.pins.denominator}")
        share = 100 * sum(entry.resolved for entry in details) / len(details) if details else 0.0
        if abs(share - self.resolved) > ROUNDING:
            raise ValueError(f"the instances give {share:.2f} %, not {self.resolved} %")
        return self


# -- a submission to SWE-bench/experiments


class Prediction(Strict):
    """A line of `all_preds.jsonl`."""

    instance_id: InstanceId
    model_name_or_path: Name
    model_patch: str


class RunReport(Strict):
    """swebench's run report (schema 2): counts, lists of ids, reasons."""

    total_instances: int
    submitted_instances: int
    completed_instances: int
    resolved_instances: int
    unresolved_instances: int
    infra_failure_instances: int
    ambiguous_failure_instances: int
    empty_patch_instances: int
    error_instances: int
    completed_ids: InstanceIds
    incomplete_ids: InstanceIds
    empty_patch_ids: InstanceIds
    submitted_ids: InstanceIds
    resolved_ids: InstanceIds
    unresolved_ids: InstanceIds
    infra_failure_ids: InstanceIds
    ambiguous_failure_ids: InstanceIds
    error_ids: InstanceIds
    failure_reasons: dict[InstanceId, str]
    schema_version: Literal[2]

    @model_validator(mode="after")
    def _check_lists(self) -> RunReport:
        """Every instance ends in one way, and the counts are those of the lists."""
        ends = (self.resolved_ids, self.unresolved_ids, self.empty_patch_ids, self.error_ids, self.incomplete_ids)
        names = unique([name for ids in ends for name in ids])
        if len(names) != self.total_instances or self.resolved_instances != len(self.resolved_ids):
            raise ValueError(f"{len(names)} instances are listed, and there are {self.total_instances}")
        return self


class Info(Strict):
    """`info` of metadata.yaml."""

    name: Name
    site: str | None
    report: str | None
    authors: str | None
    logo: list[str]


class System(Strict):
    """`tags.system` of metadata.yaml."""

    attempts: Attempts


class Tags(Strict):
    """`tags` of metadata.yaml."""

    checked: Literal[False]
    model: Annotated[list[Name], Field(min_length=1)]
    org: str | None
    os_model: bool
    os_system: bool
    system: System


class Assets(Strict):
    """`assets` of metadata.yaml: where predictions, logs and trajectories are published."""

    repo: str | None
    logs: str | None
    trajs: str | None


class Metadata(Strict):
    """`metadata.yaml`."""

    info: Info
    tags: Tags
    assets: Assets


class Results(Strict):
    """`results.json`: no instance is in two lists."""

    no_generation: InstanceIds
    no_logs: InstanceIds
    resolved: InstanceIds

    @model_validator(mode="after")
    def _check_lists(self) -> Results:
        unique([*self.no_generation, *self.no_logs, *self.resolved])
        return self


class Count(Strict):
    """Resolved instances of a repository or a year."""

    resolved: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _check_count(self) -> Count:
        if self.resolved > self.total:
            raise ValueError(f"{self.resolved} resolved of {self.total}")
        return self


class Rollout(Strict):
    """One answer of the model, with what was made of it."""

    stage: Name
    sample: int
    prompt_sha256: Digest
    files_shown: list[str]
    answer: str
    reasoning: str
    finish_reason: str
    error: str
    patch: str | None
    normal_form: str | None
    rejected: str | None


class Trajectory(Strict):
    """`trajs/<instance_id>.json`: every rollout, the evidence of the tests, and the choice."""

    instance_id: InstanceId
    recorded: bool
    rollouts: list[Rollout]
    reproduction_tests: list[dict[str, Any]]
    regression_tests: dict[str, Any] | None
    evidence: list[dict[str, Any]]
    selection: dict[str, Any] | None

    @model_validator(mode="after")
    def _check_rollouts(self) -> Trajectory:
        places = [(rollout.stage, rollout.sample) for rollout in self.rollouts]
        if len(set(places)) < len(places):
            raise ValueError("a rollout is listed more than once")
        return self


class HubDataset(Strict):
    """The benchmark that a result is of."""

    id: Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]
    task_id: Name
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] | None = None


class HubSource(Strict):
    """Where a result is described."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://")]
    name: Name | None = None
    user: Name | None = None


class HubResult(Strict):
    """An entry of `.eval_results/*.yaml` in a model's repository."""

    dataset: HubDataset
    value: Annotated[float, Field(ge=0, le=100)]
    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
    source: HubSource | None = None
    notes: Name


class SubmissionFile(Strict):
    """`submission.json` of a submission with a repository of its own."""

    schema_version: Literal[1]
    submission_id: FolderName
    split: Name
    model: Name
    run_dir: Name


# -- the runs of a folder, side by side


class RunRow(Strict):
    """One run of `leaderboard.json`."""

    name: Name
    folders: Annotated[list[str], Field(min_length=1), AfterValidator(unique)]
    model: str
    patches: Literal["made", "handed in", "gold"]
    recorded: bool
    complete: bool
    resolved: Annotated[int, Field(ge=0)]
    total: Annotated[int, Field(ge=0)]
    solve_rate: Annotated[float, Field(ge=0, le=1)]
    interval_95: Annotated[list[float], Field(min_length=2, max_length=2)]
    strictly_resolved: int | None
    strict_solve_rate: float | None
    prevented: Annotated[int, Field(ge=0)]
    missing: Annotated[int, Field(ge=0)]
    samples: int | None
    created_at: str
    identity_sha256: Digest
    records_sha256: Digest
    pins: Pins

    @model_validator(mode="after")
    def _check_rate(self) -> RunRow:
        if self.resolved > self.total or self.pins.denominator != self.total:
            raise ValueError(f"{self.resolved} of {self.total}, denominator {self.pins.denominator}")
        return self


class RunLeaderboard(Strict):
    """`leaderboard.json` of `swerl-eval leaderboard`."""

    schema_version: Literal[1]
    rows: list[RunRow]
    skipped: list[dict[Literal["folder", "reason"], str]]
