"""The pages of `swerl-eval view`: the list of runs, a run while it goes on, its report, and a comparison of runs.

Reading and page-making happen in threads, one at a time each, so that no request holds up another for long.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from swerl_eval.cli.view import pages
from swerl_eval.cli.view.guard import App, Guard, KnownHosts
from swerl_eval.cli.view.live_page import live_data
from swerl_eval.cli.view.making import ReportMaker, comparison_of
from swerl_eval.cli.view.pages import Page, run_address
from swerl_eval.cli.view.run_list import RUNNING, NoSuchRunError, RunList, RunSummary
from swerl_eval.core.errors import SwerlEvalError, UsageError

Result = TypeVar("Result")


def application(results: Path, hosts: KnownHosts, seed: int = 0) -> App:
    """Return the pages of a folder of results as an ASGI application.

    Args:
        results: The folder of run folders.
        hosts: The hosts by which requests may address the server.
        seed: Seed of the bootstrap in comparisons.
    """
    site = _Site(RunList(results), seed)
    routes = [
        Route("/", site.runs),
        Route("/compare", site.comparison),
        Route("/runs/{name}", site.run),
        Route("/runs/{name}/live", site.live),
        Route("/runs/{name}/live.json", site.live_json),
        Route("/runs/{name}/report", site.report),
    ]
    handlers: dict[Any, Any] = {
        HTTPException: _refusal,
        NoSuchRunError: _not_found,
        SwerlEvalError: _unreadable,
        OSError: _unreadable,
        Exception: _failure,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False  # an address has one form
    return Guard(app, hosts)


class _Site:
    """The answers to requests."""

    def __init__(self, runs: RunList, seed: int) -> None:
        self._runs = runs
        self._seed = seed
        self._reports = ReportMaker()
        self._reading = anyio.CapacityLimiter(1)
        self._making = anyio.CapacityLimiter(1)

    async def runs(self, _: Request) -> Response:
        """The list of runs."""
        return _page(pages.run_list(self._runs.results, await self._read(self._runs.summaries)))

    async def run(self, request: Request) -> Response:
        """To the page of a run that goes on, or to its report."""
        run = await self._read(self._runs.summary, request.path_params["name"])
        return RedirectResponse(run_address(run.name, "live" if run.state == RUNNING else "report"))

    async def live(self, request: Request) -> Response:
        """A run, as it goes on."""
        run, data = await self._read(self._live, request.path_params["name"])
        return _page(pages.live(run, data))

    async def live_json(self, request: Request) -> Response:
        """What that page asks for each second."""
        _, data = await self._read(self._live, request.path_params["name"])
        return JSONResponse(data)

    async def report(self, request: Request) -> Response:
        """A run's report."""
        folder = await self._read(self._runs.folder, request.path_params["name"])
        return _page(await self._make(self._reports.report, folder))

    async def comparison(self, request: Request) -> Response:
        """Several runs, side by side, the oldest first."""
        names = set(request.query_params.getlist("run"))
        if len(names) < 2:
            message = "there is nothing to compare; choose two runs or more in the list"
            raise UsageError(message)
        folders = await self._read(self._runs.folders, names)
        anyway = request.query_params.get("anyway") == "1"
        return _page(await self._make(comparison_of, folders, self._seed, anyway))

    def _live(self, name: str) -> tuple[RunSummary, dict[str, Any]]:
        run = self._runs.summary(name)
        if run.error:
            return run, live_data(run, None, {})
        return run, live_data(run, self._runs.live_status(name), self._runs.verdicts(name))

    async def _read(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True, limiter=self._reading)

    async def _make(self, function: Callable[..., Result], *arguments: object) -> Result:
        return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True, limiter=self._making)


def _page(page: Page, status: int = 200) -> Response:
    # nobody may show the page within another one, to have it clicked on unseen; a page itself cannot say so
    policy = f"{page.policy}; frame-ancestors 'none'"
    return HTMLResponse(page.html, status, {"content-security-policy": policy})


async def _refusal(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    return _page(pages.problem("There is no such page", "The address leads nowhere."), status)


async def _not_found(_: Request, error: Exception) -> Response:
    return _page(pages.problem("There is no such run", str(error)), 404)


async def _unreadable(_: Request, error: Exception) -> Response:
    return _page(pages.problem("This cannot be shown", str(error)), 422)


async def _failure(_: Request, error: Exception) -> Response:
    words = f"{type(error).__name__}: {error}. The terminal of swerl-eval view says where."
    return _page(pages.problem("This went wrong", words), 500)
