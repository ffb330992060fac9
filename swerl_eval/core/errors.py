"""The errors that this package raises on purpose.

    SwerlEvalError                base class: catches all of them
    ├── UsageError                the command or its configuration is wrong (exit code 2)
    │   ├── InputError            a file from the user is malformed; names the file and the line
    │   ├── UnknownInstanceError  an instance id that is not in the dataset
    │   └── RunConflictError      the run folder was made under another configuration
    ├── RunLockedError            another process writes this run folder
    ├── PreflightError            something the run needs is missing (Docker, an image, disk)
    ├── InterruptedRunError       a signal stopped the run (SIGINT, SIGTERM); finished work is stored (exit code 130)
    ├── StorageError              the run folder cannot be written any more (its disk is full); stored records stay
    ├── SourceError               a dataset or a repository cannot be read
    ├── SamplerError              the model cannot be reached, or refuses for good
    ├── GradingError              swebench cannot read a row, or grade a log of it
    └── SandboxError              a job could not be run, for a reason outside of it
        ├── EngineUnavailableError  the Docker engine does not answer
        └── ImageMissingError       the image is not on this machine
            └── ImageRefusedError   and its registry does not give it, after retries

A message says what is wrong, where, and the remedy. What a patch, a test or a model does wrong is a stored result
(`Rejection`, `Verdict`), never an error.
"""

from __future__ import annotations

import errno

DISK_FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Codes of an `OSError` for a full disk or an exhausted quota."""


class SwerlEvalError(Exception):
    """Base class of this package's errors."""


class UsageError(SwerlEvalError):
    """The command line or the configuration is wrong."""


class InputError(UsageError):
    """A file from the user is malformed."""


class UnknownInstanceError(UsageError):
    """The dataset has no such instance."""


class RunConflictError(UsageError):
    """The run folder belongs to another configuration."""


class RunLockedError(SwerlEvalError):
    """Another process is writing this run folder."""


class PreflightError(SwerlEvalError):
    """Something that the run needs is missing; found before any work was done."""


class InterruptedRunError(SwerlEvalError):
    """A signal stopped the run."""


class StorageError(SwerlEvalError):
    """The run folder cannot be written any more."""


class SourceError(SwerlEvalError):
    """A dataset or repository cannot be read."""


class SamplerError(SwerlEvalError):
    """The model gives no answers: server gone, key refused, engine dead."""


class GradingError(SwerlEvalError):
    """swebench raises an error for one instance: for its row, or for a log of it."""


class SandboxError(SwerlEvalError):
    """A job could not be run, for a reason outside of it."""


class EngineUnavailableError(SandboxError):
    """The container engine does not answer."""


class ImageMissingError(SandboxError):
    """The image is not on this machine."""


class ImageRefusedError(ImageMissingError):
    """The image is not on this machine, and its registry does not give it or cannot be reached."""


def cause_of(error: Exception) -> Exception:
    """Return this package's error within groups of errors, else the first error: the others were only cancelled."""
    members: tuple[Exception, ...] = getattr(error, "exceptions", ())
    causes = [cause_of(member) for member in members]
    return next((cause for cause in causes if isinstance(cause, SwerlEvalError)), causes[0]) if causes else error
