"""What can go wrong."""

from __future__ import annotations

from collections.abc import Iterable


class WaypostError(Exception):
    """The base of all errors of the package."""


class PatternError(WaypostError, ValueError):
    """A pattern that cannot be read."""


class UrlError(WaypostError, LookupError):
    """An address that cannot be built."""


class NotFound(WaypostError):
    """No route has this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"nothing at {path}")
        self.path = path


class MethodNotAllowed(WaypostError):
    """The path is known, but not with this method."""

    def __init__(self, method: str, path: str, allowed: Iterable[str]) -> None:
        self.allowed = sorted(allowed)
        super().__init__(f"{method} is not allowed at {path}")
        self.method = method
        self.path = path
