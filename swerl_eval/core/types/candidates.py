"""Edits, the candidate patches made of them, and the patch that is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Rejection(str, Enum):
    """Why a sample gives no candidate patch."""

    SAMPLE_FAILED = "sample_failed"
    """The model gave no answer: the server refused the prompt or failed."""
    BAD_FORMAT = "bad_format"
    """The answer has markers of an edit, but no whole edit."""
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
    """The diff holds bytes that no predictions file can carry, or the file's coding lacks a character."""
    TOO_LONG = "too_long"
    """The edits make a file longer than the limit, or take too much work."""


@dataclass(frozen=True)
class Edit:
    """One SEARCH/REPLACE block, as whole lines. Without a search line it makes a new file."""

    path: str
    search: tuple[str, ...]
    replace: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """The patch of one repair sample, or why there is none (`candidates.jsonl`), keyed by instance and index."""

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
    """The SWE-RL reward of one repair sample (`rewards.jsonl`). Computing it takes the oracle."""

    instance_id: str
    index: int
    """Number of the sample."""
    value: float
    """From 0 to 1, or -1 for a wrong format."""
    error: str = ""
    """What is wrong with the format; empty where nothing is."""


MADE, HANDED_IN, GOLD = "made", "handed in", "gold"
"""Where the patches of a run come from: its own stages, a file of predictions, or the gold patches."""


@dataclass(frozen=True)
class Selection:
    """The one patch that enters the solve rate (`selections.jsonl`)."""

    instance_id: str
    index: int | None
    """Number of the sample; None when there is no candidate, or the patch comes from a file of predictions."""
    patch: str
    reason: str
    votes: int = 0
    """Samples with the normal form of the patch."""
    valid: int = 0
    """Samples that give a candidate."""
    unique: int = 0
    """Different normal forms among them."""
