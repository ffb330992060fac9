"""Find the route of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from waypost.errors import MethodNotAllowed, NotFound, PatternError
from waypost.pattern import Pattern

Handler = Callable[..., Any]


@dataclass(frozen=True)
class Route:
    """A pattern, the methods it takes and the handler for them."""

    pattern: Pattern
    methods: frozenset[str]
    handler: Handler
    name: str | None = None


@dataclass(frozen=True)
class Match:
    """The route of a request and the parameters of its path."""

    route: Route
    params: dict[str, Any]


class Router:
    """An ordered collection of routes."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def add(
        self,
        pattern: str,
        handler: Handler,
        methods: Iterable[str] = ("GET",),
        name: str | None = None,
    ) -> Route:
        """Add a route behind the others; whoever takes GET also takes HEAD."""
        taken = {method.upper() for method in methods}
        if "GET" in taken:
            taken.add("HEAD")
        if name is not None and any(route.name == name for route in self):
            raise PatternError(f"there is already a route named {name!r}")
        route = Route(Pattern(pattern), frozenset(taken), handler, name)
        self._routes.append(route)
        return route

    def include(self, prefix: str, other: Router) -> None:
        """Add all routes of another router below a prefix."""
        for route in other:
            self.add(
                prefix.rstrip("/") + route.pattern.text,
                route.handler,
                route.methods,
                route.name,
            )

    def match(self, method: str, path: str) -> Match:
        """Find the route of a request."""
        for route in self._routes:
            params = route.pattern.match(path)
            if params is None:
                continue
            if method not in route.methods:
                raise MethodNotAllowed(method, path, route.methods)
            return Match(route, params)
        raise NotFound(path)
