"""Checks what an export is about to write against a schema: the base of the schemas, and the types that they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from swerl_eval.core.errors import UsageError
from swerl_eval.reports.comparison.names import printable


def unique(names: list[str]) -> list[str]:
    """Return names, if none is there twice. Raises `ValueError` otherwise."""
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        message = f"listed more than once: {', '.join(repeated[:3])}"
        raise ValueError(message)
    return names


Name = Annotated[str, StringConstraints(min_length=1)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FolderName = Annotated[str, StringConstraints(pattern=r"^\d{8}_[\w.+-]+$", max_length=200)]
InstanceId = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00]+$", min_length=1, max_length=200)]
InstanceIds = Annotated[list[InstanceId], AfterValidator(unique)]


class Strict(BaseModel):
    """Base of all schemas."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Checked = TypeVar("Checked")


def check(schema: Any, content: Checked, file: str) -> Checked:
    """Return what is about to be written, if it is as its schema says.

    Args:
        schema: A class of this module, or a type made of them.
        content: Plain data.
        file: The file, for the message.

    Raises:
        UsageError: It is not. The message names the file, the field and what is wrong.
    """
    try:
        TypeAdapter(schema).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        message = (
            f"{file} is not written, since it would be rejected: {printable(place)}: {printable(first['msg'])}; "
            "correct the setting `submission`, or the run's records"
        )
        raise UsageError(message) from error
    return content


def check_each(schema: Any, contents: Mapping[str, Checked]) -> Mapping[str, Checked]:
    """Return files that are about to be written, by name. Raises as `check` does."""
    for file, content in contents.items():
        check(schema, content, file)
    return contents
