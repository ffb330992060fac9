"""Every error this package raises on purpose.

    SwerlEvalError                what a caller may catch to catch all of them
    ├── UsageError                the command or its configuration is wrong (exit code 2)
    │   ├── InputError            a file handed in is malformed; names the file and the line
    │   ├── UnknownInstanceError  an instance id that the dataset does not have
    │   └── RunConflictError      the run folder was made under another configuration
    ├── RunLockedError            another process writes this run folder
    ├── PreflightError            something the run needs is missing (Docker, an image, disk)
    ├── InterruptedRunError       asked to stop (SIGINT, SIGTERM); everything done so far is stored (exit code 130)
    ├── StorageError              the run folder cannot be written any more (its disk is full); what is stored stays
    ├── SourceError               a dataset or a repository cannot be read
    ├── SamplerError              the model cannot be reached or refused for good
    ├── GradingError              swebench cannot make a specification of a row, or grade a log of it
    └── SandboxError              a job could not be run, through no fault of what it runs
        ├── EngineUnavailableError  the Docker engine does not answer
        └── ImageMissingError       the image is not here
            └── ImageRefusedError   nor does its registry give it, asked with patience

A message says what is wrong, where, and the remedy. What a patch, a test or a model does wrong is never an error:
it is a stored result (`Rejection`, `Verdict`).
"""

from __future__ import annotations

import errno

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Codes of an `OSError` that says that a disk is full, or this user's share of it."""


class SwerlEvalError(Exception):
    """Root of the tree."""


class UsageError(SwerlEvalError):
    """The command line or the configuration asks for something that cannot be."""


class InputError(UsageError):
    """A file handed in is malformed."""


class UnknownInstanceError(UsageError):
    """The dataset has no such instance."""


class RunConflictError(UsageError):
    """The run folder belongs to another configuration."""


class RunLockedError(SwerlEvalError):
    """Another process is writing this run folder."""


class PreflightError(SwerlEvalError):
    """A need of the run is not met; found before any work was done."""


class InterruptedRunError(SwerlEvalError):
    """Somebody asked the run to stop."""


class StorageError(SwerlEvalError):
    """The run folder cannot be written any more."""


class SourceError(SwerlEvalError):
    """A dataset or repository cannot be read."""


class SamplerError(SwerlEvalError):
    """The model gives no answers: server gone, key refused, engine dead."""


class GradingError(SwerlEvalError):
    """swebench raises at one instance: at its row, or at a log of it."""


class SandboxError(SwerlEvalError):
    """A job could not be run, through no fault of what it runs."""


class EngineUnavailableError(SandboxError):
    """The container engine does not answer."""


class ImageMissingError(SandboxError):
    """The image is not here."""


class ImageRefusedError(ImageMissingError):
    """The image is not here, and its registry does not give it or cannot be reached."""


def cause_of(error: Exception) -> Exception:
    """The error of ours within groups of errors, or the first there is: the rest was only cancelled."""
    members: tuple[Exception, ...] = getattr(error, "exceptions", ())
    found = [cause_of(member) for member in members]
    return next((member for member in found if isinstance(member, SwerlEvalError)), found[0]) if found else error
