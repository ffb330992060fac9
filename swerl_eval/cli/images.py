"""What the `images` commands do: list, pull, build and remove images."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.cli.display import waits_of
from swerl_eval.compose import build_task_images, open_source
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import SandboxError
from swerl_eval.ports import UNWATCHED, Watcher
from swerl_eval.progress import Progress
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.images import Images
from swerl_eval.sandboxes.docker.pulls import PULLS_AT_A_TIME
from swerl_eval.sandboxes.docker.stoppable import stoppable
from swerl_eval.shutdown import interruptible

WAITS_SECONDS = 10.0
"""Seconds between two lines on what pulls wait for."""


def _images(config: RunConfig, watcher: Watcher = UNWATCHED) -> Images:
    return Images(connect(), config.cache_folder(), watcher=watcher)


def _names(config: RunConfig) -> list[str]:
    return sorted({instance.image for instance in open_source(config).instances()})


def check_images(config: RunConfig) -> int:
    """Print a table of the chosen instances' images. Returns exit code 1 when one is missing."""
    missing = _print_images(_images(config), _names(config))
    if missing:
        sys.stdout.write(f"{missing} missing: run `swerl-eval images pull`, or `images build` for a task repository\n")
    return 1 if missing else 0


def list_images(config: RunConfig) -> int:
    """Print a table of the images that this tool pulled or built and that are here. Returns the exit code."""
    images = _images(config)
    names = {*images.pulled(), *images.built_here()}
    _print_images(images, sorted(name for name in names if images.present(name)))
    return 0


def _print_images(images: Images, names: list[str]) -> int:
    """Print a line for each image, and the disk that all images take. Returns how many are missing."""
    usage, pulled, built = images.disk_usage(), images.pulled(), set(images.built_here())
    digests = {name: images.digest(name) for name in names}
    rows = []
    for name, digest in digests.items():
        if digest is None:
            rows.append((name, "no", "", "", "", ""))
            continue
        entry = pulled.get(name)
        if entry is not None and entry.digest != digest:
            entry = None  # another image has this name now
        used = "" if entry is None else f"{datetime.datetime.fromtimestamp(entry.used):%Y-%m-%d %H:%M}"
        origin = "pulled" if entry is not None else "built" if name in built else "elsewhere"
        own, shared = (f"{sizes.get(digest, 0) / 1e6:,.1f}" for sizes in (usage.own, usage.shared))
        rows.append((name, "yes", own, shared, origin, used))
    _print_table(("image", "here", "own MB", "shared MB", "from", "last used"), rows)
    here = {digest for digest in digests.values() if digest is not None}
    own_bytes = sum(usage.own.get(digest, 0) for digest in here) / 1e6
    sys.stdout.write(
        f"{len(here)} images here, {own_bytes:,.1f} MB in layers of their own; all images of the engine: "
        f"{usage.layers / 1e6:,.1f} MB, shared layers counted once\n"
    )
    return sum(digest is None for digest in digests.values())


def _print_table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table on a terminal; elsewhere tab-separated lines, for `grep` and `cut`."""
    console = Console()
    if not console.is_terminal:
        sys.stdout.write("".join("\t".join(row) + "\n" for row in [head, *rows]))
        return
    table = Table(*head)
    table.columns[0].overflow = "fold"  # names differ at their ends
    for column in table.columns[2:4]:
        column.justify = "right"
    for name, here, *rest in rows:
        table.add_row(Text(name), Text(here, style="red" if here == "no" else ""), *rest)
    console.print(table)


def pull_images(config: RunConfig) -> int:
    """Pull the missing images, a few at a time; a failure does not stop the others. Returns the exit code.

    No limit on disk applies, because the user asked for all of them.
    """
    progress = Progress()
    failed = anyio.run(interruptible, _pull_all, _images(config, progress), _names(config), progress)
    return 1 if failed else 0


async def _pull_all(images: Images, names: list[str], progress: Progress) -> int:
    """Pull images and print a line for each. Returns how many failed. Cancelling stops the pulls at once."""
    failed = 0
    limiter = anyio.CapacityLimiter(PULLS_AT_A_TIME)

    async def pull(name: str) -> None:
        nonlocal failed
        try:
            await stoppable(lambda stop: images.ensure(name, stop), limiter)
            state = "here"
        except SandboxError as error:
            failed += 1
            state = str(error)
        sys.stdout.write(f"{name}: {state}\n")
        sys.stdout.flush()

    async def print_waits() -> None:
        while True:
            await anyio.sleep(WAITS_SECONDS)
            sys.stderr.write("".join(f"{wait}\n" for wait in waits_of(progress)))
            sys.stderr.flush()

    async with anyio.create_task_group() as background:
        background.start_soon(print_waits)
        async with anyio.create_task_group() as pulls:
            for name in names:
                pulls.start_soon(pull, name)
        background.cancel_scope.cancel()
    return failed


def build_images(task_repository: Path, ids: list[str]) -> int:
    """Build a task repository's images; all of them when no id is named. Returns the exit code."""
    build_task_images(task_repository, ids, lambda name: typer.echo(f"built {name}"))
    return 0


def prune_images(config: RunConfig | None, *, yes: bool) -> int:
    """Remove the chosen instances' images, or those that this tool built. Returns exit code 1 when one stays.

    Args:
        config: Chooses the instances; None for the images that this tool built.
        yes: Do not ask first.
    """
    images = Images(connect()) if config is None else _images(config)
    names = images.built_here() if config is None else [name for name in _names(config) if images.present(name)]
    if not names:
        sys.stdout.write("nothing to remove\n")
        return 0
    if not yes:
        typer.confirm(f"remove {len(names)} images, such as {names[0]}?", abort=True)
    failed = 0
    for name in names:
        try:
            images.remove(name)
        except SandboxError as error:
            failed += 1
            sys.stdout.write(f"{error}\n")
    sys.stdout.write(f"removed {len(names) - failed} images\n")
    return 1 if failed else 0
