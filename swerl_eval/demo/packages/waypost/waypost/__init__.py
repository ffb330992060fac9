"""A small URL router."""

from waypost.app import Application
from waypost.errors import MethodNotAllowed, NotFound, PatternError, UrlError
from waypost.messages import Request, Response
from waypost.router import Match, Router

__all__ = [
    "Application",
    "Match",
    "MethodNotAllowed",
    "NotFound",
    "PatternError",
    "Request",
    "Response",
    "Router",
    "UrlError",
]
