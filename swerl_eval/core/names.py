"""Checks names from outside that become names of files and folders."""

from __future__ import annotations

from swerl_eval.core.codings import sendable_bytes

MODEL_NAME_BYTES = 150
"""Limit for a model's name in predictions. With a run id that is made here, file names stay below 255 bytes."""
REPORT_NAME_BYTES = 245
"""Limit for the name of swebench's run report: file systems take 255 bytes, and its temporary name has 10 more."""


def model_name_fault(name: str) -> str:
    """Say why a model's name cannot be part of file names as swebench makes them; empty where it can."""
    if name.replace("/", "__").strip() in {"", ".", ".."}:
        return f"{name!r} cannot name a folder; use the model's name"
    if not name.isprintable():  # NUL, line ends, lone surrogates
        return f"{name!r} holds characters that no name of a file can have; use letters, digits, . _ + -"
    return ""


def report_name(model_name: str, run_id: str) -> str:
    """Return `<model>.<run_id>.json`, as swebench names its run report."""
    return f"{model_name.replace('/', '__')}.{run_id}.json"


def report_name_fault(model_name: str, run_id: str) -> str:
    """Say why the run report cannot have that name; empty where it can."""
    if fault := model_name_fault(model_name):
        return f"the model's name {fault}"
    size = len(sendable_bytes(report_name(model_name, run_id)))
    if size > REPORT_NAME_BYTES:
        return (
            f"the model's name and the run id make a name of {size} bytes for swebench's run report, and "
            f"{REPORT_NAME_BYTES} are possible; choose a shorter --run-id"
        )
    return ""
