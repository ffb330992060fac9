"""Call the handler of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from waypost.errors import MethodNotAllowed, NotFound
from waypost.messages import Request, Response
from waypost.router import Handler, Router
from waypost.urls import build_url


class Application:
    """A router whose handlers answer requests."""

    def __init__(self) -> None:
        self.router = Router()

    def route(
        self,
        pattern: str,
        methods: Iterable[str] = ("GET",),
        name: str | None = None,
    ) -> Callable[[Handler], Handler]:
        """Add the decorated function as a handler."""

        def decorate(handler: Handler) -> Handler:
            self.router.add(pattern, handler, methods, name)
            return handler

        return decorate

    def mount(self, prefix: str, other: Application) -> None:
        """Make the routes of another application available below a prefix."""
        self.router.include(prefix, other.router)

    def url_for(self, name: str, **values: Any) -> str:
        """The address of a named route."""
        return build_url(self.router, name, values)

    def handle(self, request: Request) -> Response:
        """Answer a request."""
        try:
            match = self.router.match(request.method, request.path)
        except NotFound as error:
            return Response(str(error), 404)
        except MethodNotAllowed as error:
            return Response(str(error), 405, {"Allow": ", ".join(error.allowed)})
        answer = match.route.handler(request, **match.params)
        response = answer if isinstance(answer, Response) else Response(str(answer))
        if request.method == "HEAD":
            response.body = ""
        return response
