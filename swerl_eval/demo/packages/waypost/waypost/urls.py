"""Build the address of a named route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from waypost.errors import UrlError
from waypost.router import Route, Router


def build_url(router: Router, name: str, values: Mapping[str, Any]) -> str:
    """The address of a route; values that the path has no place for go to the query."""
    route = _named(router, name)
    try:
        path = route.pattern.build(values)
    except ValueError as error:
        raise UrlError(f"{name}: {error}") from error
    extra = {key: values[key] for key in values if key not in route.pattern.names}
    if not extra:
        return path
    return f"{path}?{urlencode(extra, doseq=True)}"


def _named(router: Router, name: str) -> Route:
    for route in router:
        if route.name == name:
            return route
    raise UrlError(f"no route is named {name!r}")
