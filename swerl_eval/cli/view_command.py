"""The command `view` of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from swerl_eval.cli.options import resolve, taking


@taking("seed", "config", "overrides")
def view(
    options: dict[str, Any],
    results: Annotated[
        Path | None, typer.Argument(metavar="RESULTS", help="Folder of the run folders; default: setting results.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is for this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port; default: 7575, or the next free one.", min=0, max=65535)
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
) -> None:
    """Show runs in a browser: the list, running ones live, reports, comparisons. A local server, until Ctrl-C."""
    from swerl_eval.cli.view.command import view_results

    config = resolve(options)
    view_results(results or Path(config.results), host, port, config.seed, open_browser=open_browser)
