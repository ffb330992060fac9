"""Requests and responses."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs


class Request:
    """A request line, taken apart."""

    def __init__(self, method: str, target: str) -> None:
        self.method = method.upper()
        before_fragment = target.partition("#")[0]
        path, _, query = before_fragment.partition("?")
        self.path = path or "/"
        self._query = parse_qs(query, keep_blank_values=True)

    def arg(self, name: str, default: str | None = None) -> str | None:
        """The first value of a query parameter."""
        values = self._query.get(name)
        return values[0] if values else default

    def args(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return list(self._query.get(name, []))


@dataclass
class Response:
    """What a handler answers."""

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
