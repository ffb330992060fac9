"""The records of the method, as frozen dataclasses. Each stored record is one of these, one JSON line each."""

from __future__ import annotations

from swerl_eval.core.types.candidates import (
    GOLD,
    HANDED_IN,
    MADE,
    Candidate,
    Edit,
    Rejection,
    Reward,
    Selection,
)
from swerl_eval.core.types.evidence import (
    Evidence,
    Outcome,
    RegressionTests,
    ReproductionTest,
)
from swerl_eval.core.types.instances import (
    Failure,
    GoldPatch,
    Instance,
    IssueText,
    Localization,
    Oracle,
    TestPlan,
)
from swerl_eval.core.types.jobs import (
    Job,
    JobResult,
    Limits,
    Machine,
)
from swerl_eval.core.types.sampling import (
    Completion,
    Message,
    ModelUsage,
    Sample,
    SampleRequest,
)
from swerl_eval.core.types.verdicts import (
    Evaluation,
    Regrade,
    Verdict,
)

__all__ = [
    "GOLD",
    "HANDED_IN",
    "MADE",
    "Candidate",
    "Completion",
    "Edit",
    "Evaluation",
    "Evidence",
    "Failure",
    "GoldPatch",
    "Instance",
    "IssueText",
    "Job",
    "JobResult",
    "Limits",
    "Localization",
    "Machine",
    "Message",
    "ModelUsage",
    "Oracle",
    "Outcome",
    "Regrade",
    "RegressionTests",
    "Rejection",
    "ReproductionTest",
    "Reward",
    "Sample",
    "SampleRequest",
    "Selection",
    "TestPlan",
    "Verdict",
]
