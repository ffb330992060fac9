"""Records as tables: one row a record, one column a field.

A field that is a record itself becomes a column for each of its fields (`completion_text`). What has no plain type in a
table, such as the official report, is JSON text.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from swerl_eval.core.codings import sendable
from swerl_eval.core.errors import UsageError
from swerl_eval.records.journal import Journal

if TYPE_CHECKING:
    import pyarrow

Record = TypeVar("Record")
BATCH = 1000
"""Records that are in memory as Python objects at a time."""


class Records(Generic[Record]):
    """The records of one kind of a run. They are read from its folder each time they are iterated."""

    def __init__(self, kind: type[Record], journal: Journal[Record]) -> None:
        self._kind = kind
        self._journal = journal

    def __len__(self) -> int:
        return len(self._journal)

    def __iter__(self) -> Iterator[Record]:
        return self._journal.values()

    def __repr__(self) -> str:
        return f"<{len(self)} records: {self._kind.__name__}>"

    def to_arrow(self) -> pyarrow.Table:
        """Return a pyarrow table. Its columns are the same whether or not there are records."""
        import pyarrow

        columns = list(_columns(self._kind))
        schema = pyarrow.schema([(column.name, column.arrow_type()) for column in columns])
        records, batches = iter(self), []
        while batch := list(islice(records, BATCH)):
            arrays = [
                pyarrow.array([column.value(record) for record in batch], column.arrow_type()) for column in columns
            ]
            batches.append(pyarrow.record_batch(arrays, schema=schema))
        return pyarrow.Table.from_batches(batches, schema)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`. Raises `UsageError` where pandas is not installed."""
        try:
            return self.to_arrow().to_pandas()
        except ImportError as error:
            message = "pandas is not installed: pip install pandas, or use to_arrow()"
            raise UsageError(message) from error


class _Column(NamedTuple):
    name: str
    hint: Any
    value: Callable[[Any], Any]

    def arrow_type(self) -> Any:
        """The type of the column; text for what has no plain one."""
        import pyarrow

        plain = {bool: pyarrow.bool_(), int: pyarrow.int64(), float: pyarrow.float64()}
        if self.hint == tuple[str, ...]:
            return pyarrow.list_(pyarrow.string())
        return plain.get(self.hint, pyarrow.string())


def _columns(
    kind: type[Any], prefix: str = "", owner: Callable[[Any], Any] = lambda record: record
) -> Iterator[_Column]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint = _without_none(hints[field.name])

        def read(record: Any, name: str = field.name) -> Any:
            return getattr(owner(record), name)

        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from _columns(hint, f"{prefix}{field.name}_", read)
        else:
            yield _Column(prefix + field.name, hint, _plain(hint, read))


def _without_none(hint: Any) -> Any:
    """`X` of `X | None`."""
    if typing.get_origin(hint) in {typing.Union, types.UnionType}:
        rest = [part for part in typing.get_args(hint) if part is not type(None)]
        return rest[0] if len(rest) == 1 else hint
    return hint


def _plain(hint: Any, read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A reader of a field that returns what a table can hold."""

    def value(record: Any) -> Any:
        found = read(record)
        if found is None or hint in {bool, int, float}:
            return found
        if isinstance(found, Enum):
            return found.value
        if isinstance(found, str):
            return sendable(found)
        if hint == tuple[str, ...]:
            return [sendable(item) for item in found]
        return json.dumps(found, default=_as_json)

    return value


def _as_json(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else str(value)
