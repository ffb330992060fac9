"""The nouns of the method, as frozen dataclasses. Each stored record is one of these, one JSON line each."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Rejection(str, Enum):
    """Why a sample gives no candidate patch. Stored with every sample that gives none."""

    SAMPLE_FAILED = "sample_failed"
    """The model gave no answer at all: a refused prompt, an error of the server."""
    BAD_FORMAT = "bad_format"
    """Markers of an edit are there, but no whole edit can be read."""
    NO_EDIT = "no_edit"
    """The answer holds no edit."""
    UNKNOWN_PATH = "unknown_path"
    """An edit names a file that was not shown to the model, or a place outside the repository."""
    NO_MATCH = "no_match"
    """The search text is not in the file."""
    NO_CHANGE = "no_change"
    """Search and replacement are the same, or the edits together change nothing."""
    BLANK_LINES_ONLY = "blank_lines_only"
    """Only blank lines or trailing blanks change."""
    SYNTAX_ERROR = "syntax_error"
    """A Python file does not parse after the edit, and did before."""
    NOT_TEXT = "not_text"
    """The diff would hold bytes that no predictions file can carry, or the file a character that its coding cannot."""
    TOO_LONG = "too_long"
    """The edits make a file grow beyond the bound."""


class Outcome(str, Enum):
    """What a reproduction script said, by its own output."""

    REPRODUCED = "reproduced"
    """Printed `Issue reproduced` and neither of the other phrases."""
    RESOLVED = "resolved"
    """Printed `Issue resolved` and neither of the other phrases."""
    OTHER = "other"
    """Printed `Other issues` and neither of the other phrases."""
    UNCLEAR = "unclear"
    """Printed none of the phrases, or several."""
    TIMED_OUT = "timed_out"
    NOT_RUN = "not_run"
    """The container ended before its turn."""


class Verdict(str, Enum):
    """What the evaluation of one patch came to."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    EMPTY_PATCH = "empty_patch"
    """Nothing to run: no candidate, or the prediction was empty."""
    PATCH_FAILED = "patch_failed"
    """No command of the official ladder could apply the patch."""
    TIMED_OUT = "timed_out"
    INFRA_ERROR = "infra_error"
    """The machine failed, not the patch; a resume runs it again."""
    MISSING = "missing"
    """No prediction was made for this instance."""


@dataclass(frozen=True)
class Instance:
    """What a model may know of one issue. No answer is within reach of this object."""

    instance_id: str
    """Such as `sympy__sympy-13480`."""
    repo: str
    """Owner and name, such as `sympy/sympy`."""
    base_commit: str
    problem_statement: str
    """The issue's text."""
    image: str
    """Docker image with the repository at the base commit in /testbed, its environment ready."""
    version: str = ""
    created_at: str = ""
    difficulty: str = ""


@dataclass(frozen=True)
class Oracle:
    """The answer to one instance. Only `evaluate`, `validate` and gold runs are handed one."""

    instance_id: str
    patch: str
    """The gold patch, a unified diff."""
    test_patch: str
    row: dict[str, Any] = field(repr=False)
    """The dataset's row as it stands, for swebench's own specification and grading."""


@dataclass(frozen=True)
class TestPlan:
    """How an instance's repository runs tests, without a word on which ones: no answer can be read from it."""

    __test__ = False  # pytest takes classes named Test… for tests

    instance_id: str
    repo: str
    version: str
    setup: tuple[str, ...]
    """Shell lines that make the environment ready."""
    command: str
    """The test command without the tests; they are appended."""
    log_parser: str
    """swebench's name of the parser of its output."""


@dataclass(frozen=True)
class Message:
    """One chat message."""

    role: str
    content: str


@dataclass(frozen=True)
class SampleRequest:
    """A prompt and the answers to draw from it. Identical prompts are one request, so a prompt is prefilled once."""

    instance_id: str
    stage: str
    """`localize` or `repair` (later: `reproduce`, `regress`)."""
    messages: tuple[Message, ...]
    indices: tuple[int, ...]
    """The sample numbers that the answers are for, in order; n is their count."""
    seed: int
    """Answer k is drawn with seed + k; requests of a run never overlap."""
    temperature: float
    top_p: float
    max_tokens: int
    priority: int = 0
    """Lower ones first, where the engine has a queue that can tell; says nothing about the answers."""

    @property
    def n(self) -> int:
        """How many answers are asked for."""
        return len(self.indices)


@dataclass(frozen=True)
class Completion:
    """One answer of a model, or the recorded reason why there is none."""

    text: str
    finish_reason: str = "stop"
    """`stop`, `length`, or `error`."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning: str = ""
    """Thinking that a server sends apart from the text."""
    error: str = ""
    """Why there is no text; empty when there is one."""
    cached_tokens: int | None = None
    """Of the prompt's tokens, those that a server says it had computed before."""
    refused: bool = False
    """The server did not take the request, and `error` has its words; another server may take it, so a resume asks
    again."""


@dataclass(frozen=True)
class Sample:
    """One stored answer (`samples.jsonl`), keyed by instance, stage and index."""

    instance_id: str
    stage: str
    index: int
    completion: Completion
    files: tuple[str, ...]
    """Paths shown in the prompt, in order. Empty for localization."""
    prompt_sha256: str
    seed: int


@dataclass(frozen=True)
class Localization:
    """The files chosen for one instance (`localizations.jsonl`)."""

    instance_id: str
    file_lists: tuple[tuple[str, ...], ...]
    """The unique lists, in the order in which they were first answered."""
    origin: str
    """`model`, `oracle`, or the file that the lists were taken from."""
    ignored: tuple[str, ...] = ()
    """Answered paths that do not exist."""


@dataclass(frozen=True)
class Edit:
    """One SEARCH/REPLACE block, as whole lines. No search line at all means a new file."""

    path: str
    search: tuple[str, ...]
    replace: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """What one repair sample comes to (`candidates.jsonl`)."""

    instance_id: str
    index: int
    """Number of the sample."""
    patch: str = ""
    """Unified diff that git applies; empty when rejected."""
    normal_form: str = ""
    """SHA-256 of the form that votes are counted by; empty when rejected."""
    rejection: Rejection | None = None
    detail: str = ""
    """Where and why it was rejected."""


@dataclass(frozen=True)
class Reward:
    """The SWE-RL reward of one repair sample (`rewards.jsonl`); computed only where the oracle may be seen."""

    instance_id: str
    index: int
    """Number of the sample."""
    value: float
    """From 0 to 1, or -1 for a wrong format."""
    error: str = ""
    """What is wrong with the format."""


@dataclass(frozen=True)
class ReproductionTest:
    """A generated script and what it did on the original code (`reproductions.jsonl`), keyed by instance and index."""

    instance_id: str
    index: int
    """Number of the sample."""
    script: str
    """Python source; empty when the answer holds none."""
    normal_form: str
    """SHA-256 of the form that votes are counted by."""
    outcome: Outcome
    """On the original code."""
    votes: int = 0
    """Kept scripts of the same normal form, itself included; 0 when it is not kept."""
    rank: int | None = None
    """Place among the kept ones, by votes, ties to the earliest sample; None for one that is not run on candidates."""


@dataclass(frozen=True)
class RegressionTests:
    """The repository's own tests that pass on the original code (`regressions.jsonl`), found without any answer."""

    instance_id: str
    files: tuple[str, ...]
    """Test files that were run, in order; those beyond the time budget are left out."""
    passing: tuple[str, ...]
    """Tests that candidates have to keep."""
    excluded: tuple[str, ...] = ()
    """Passing tests left out since the model says that the fix should change their behaviour."""
    note: str = ""
    """Why there are none, or how the choice was cut."""


@dataclass(frozen=True)
class Evidence:
    """What the tests say of one unique candidate (`evidence.jsonl`), keyed by instance and normal form."""

    instance_id: str
    normal_form: str
    outcomes: tuple[Outcome, ...] = ()
    """Of the kept reproduction tests, by rank."""
    broken: tuple[str, ...] = ()
    """Regression tests that it breaks."""
    seconds: float = 0.0
    """From the container's start to its end."""
    test_seconds: float = 0.0
    """Of these, spent in the tests themselves."""
    error: str = ""
    """Why the tests could not be run, or not to their end (a candidate that breaks collection, time)."""

    def resolved(self, tests: int | None = None) -> frozenset[int]:
        """Ranks of the reproduction tests that it turns to `Issue resolved`, of the first `tests`."""
        return frozenset(rank for rank, outcome in enumerate(self.outcomes[:tests]) if outcome is Outcome.RESOLVED)


MADE, HANDED_IN, GOLD = "made", "handed in", "gold"
"""Where the patches of a run come from: its own stages, a file of predictions, or the dataset's answers."""


@dataclass(frozen=True)
class Selection:
    """The one patch that enters the solve rate (`selections.jsonl`)."""

    instance_id: str
    index: int | None
    """Sample number of the patch; None when there is no candidate or the patch was handed in."""
    patch: str
    reason: str
    votes: int = 0
    valid: int = 0
    """Samples that gave a candidate."""
    unique: int = 0
    """Different normal forms among them."""


@dataclass(frozen=True)
class Limits:
    """What one container may use."""

    memory: int | None = None
    """Bytes; None is no limit."""
    cpus: float | None = None
    pids: int | None = None
    network: str = "bridge"
    """Docker network mode: `bridge`, or `none`."""
    disk: int | None = None
    """Bytes that it may write."""


@dataclass(frozen=True)
class Job:
    """A script to run in a fresh container, as data: it can be shipped to another machine or hashed."""

    name: str
    """For the eyes of whoever lists containers."""
    image: str
    script: str
    """Bash. Built by `core.jobs.scripts`, never from a model's text. It must not end with exit code 137: that is how a
    container ends that somebody else has killed."""
    files: tuple[tuple[str, bytes], ...]
    """Absolute path and content, put in place before the start."""
    limits: Limits
    timeout: float
    """Seconds for the whole script; then the container is killed."""
    log: str
    """Path of the file that takes the output (both streams, in order)."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables, where the image does not set them itself."""
    max_log_bytes: int = 256 * 2**20
    """Beyond this the middle of the output is left out (a line counts more than its bytes); its end is always kept."""


@dataclass(frozen=True)
class JobResult:
    """How a job ended."""

    exit_code: int
    timed_out: bool
    out_of_memory: bool
    seconds: float
    """From the container's start to its end."""
    log: str
    log_truncated: bool = False
    image_id: str = ""
    """Content digest of the image that was run."""
    disk_exceeded: bool = False
    """Killed since it wrote more than its limit."""
    disk_full: bool = False
    """The engine's disk had no room left when it ended, whoever filled it."""


@dataclass(frozen=True)
class Machine:
    """What ran the containers (`machines.jsonl`): another engine can mean another score."""

    engine: str
    """Name and version."""
    architecture: str
    cpus: float
    memory: int
    """Bytes."""
    kernel: str = ""


@dataclass(frozen=True)
class ModelUsage:
    """What one process drew from the model (`usage.jsonl`)."""

    began: float
    """Seconds since the epoch."""
    seconds: float
    """With a request in flight."""
    samples: int
    prompt_tokens: int
    """Asked for: a prompt with n answers counts n times."""
    prompt_tokens_computed: int | None
    """Of these; the others were reused. None where the sampler cannot tell."""
    completion_tokens: int
    gpus: int | None = None
    """That the model was on; None where they are somebody else's."""


@dataclass(frozen=True)
class Evaluation:
    """The verdict on one patch (`evaluations.jsonl`), keyed by instance and patch."""

    instance_id: str
    patch_sha256: str
    verdict: Verdict
    report: dict[str, Any] | None = None
    """The instance's entry of the official report.json; None where the official harness writes none."""
    reason: str = ""
    """Why an infra_error or a failed patch came about."""
    remark: str = ""
    """What there is to say of an unresolved patch beside its tests, such as swebench's own reason."""
    seconds: float = 0.0
    """From the container's start to its end."""
    test_seconds: float = 0.0
    """Of these, the eval script's own."""
    image_id: str = ""
    log_truncated: bool = False
    gold_files: tuple[str, ...] = ()
    """Files that the gold patch edits, so that recall can be told from the run folder alone."""
    strict: Verdict | None = None
    """What stands beside the official verdict: RESOLVED only where the control run bears it out; None: not asked."""
    strict_reason: str = ""
    """Why the strict verdict is another, or on what it could not be checked."""
    suspicious: tuple[str, ...] = ()
    """Where the patch touches what decides the verdict, or its run was caught at it."""

    @property
    def resolved(self) -> bool:
        """Whether this counts as solved."""
        return self.verdict is Verdict.RESOLVED

    @property
    def prevented(self) -> str:
        """Why the machine prevented the official verdict or the strict one; empty where both stand."""
        if Verdict.INFRA_ERROR not in {self.verdict, self.strict}:
            return ""
        said = self.reason if self.verdict is Verdict.INFRA_ERROR else self.strict_reason
        return said or "the machine failed, and did not say how"

    def settled(self, *, strict: bool) -> bool:
        """Whether nothing is left to run: no machine failed, and the strict verdict is there where it is asked for."""
        return not self.prevented and (not strict or self.strict is not None)


@dataclass(frozen=True)
class Regrade:
    """One grading of a run's saved logs after the run (`regrades.jsonl`): what the verdicts rest on since then."""

    dataset_fingerprint: str
    swebench: str
    """Version."""
    graded: int
    """Verdicts computed from logs."""
    changed: int
    """Of these, those that came out otherwise."""
