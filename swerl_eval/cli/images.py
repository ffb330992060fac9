"""What the `images` commands do."""

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
from swerl_eval.runner import interruptible
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.images import Images
from swerl_eval.sandboxes.docker.pulls import PULLS_AT_A_TIME
from swerl_eval.sandboxes.docker.stoppable import stoppable

SHOWN_SECONDS = 10.0
"""Between two looks at what pulls wait for."""


def _images(config: RunConfig, watcher: Watcher = UNWATCHED) -> Images:
    return Images(connect(), config.cache_folder(), watcher=watcher)


def _names(config: RunConfig) -> list[str]:
    return sorted({instance.image for instance in open_source(config).instances()})


def check_images(config: RunConfig) -> int:
    """A table of the chosen instances' images; exit code 1 when one is missing."""
    images = _images(config)
    missing = _show(images, _names(config))
    if missing:
        sys.stdout.write(f"{missing} missing: `swerl-eval images pull`, or `images build` for a task repository\n")
    return 1 if missing else 0


def list_images(config: RunConfig) -> int:
    """A table of the images that this tool pulled or built and that are here."""
    images = _images(config)
    names = {*images.pulled(), *images.built_here()}
    _show(images, sorted(name for name in names if images.present(name)))
    return 0


def _show(images: Images, names: list[str]) -> int:
    """Print a line an image, as a table on a terminal, and what all images take; returns how many are missing."""
    usage, pulled, built = images.disk_usage(), images.pulled(), set(images.built_here())
    digests = {name: images.digest(name) for name in names}
    rows = []
    for name, digest in digests.items():
        if digest is None:
            rows.append((name, "no", "", "", "", ""))
            continue
        entry = pulled.get(name)
        if entry is not None and entry.digest != digest:
            entry = None  # another image has its name now
        used = "" if entry is None else f"{datetime.datetime.fromtimestamp(entry.used):%Y-%m-%d %H:%M}"
        origin = "pulled" if entry is not None else "built" if name in built else "elsewhere"
        own, shared = (f"{of.get(digest, 0) / 1e6:,.1f}" for of in (usage.own, usage.shared))
        rows.append((name, "yes", own, shared, origin, used))
    _print(("image", "here", "own MB", "shared MB", "from", "last used"), rows)
    here = {digest for digest in digests.values() if digest is not None}
    own_bytes = sum(usage.own.get(digest, 0) for digest in here) / 1e6
    sys.stdout.write(
        f"{len(here)} images here, of their own {own_bytes:,.1f} MB; all images of the engine "
        f"{usage.layers / 1e6:,.1f} MB, shared layers counted once\n"
    )
    return sum(digest is None for digest in digests.values())


def _print(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on a terminal; elsewhere a line a row with tabs, as `grep` and `cut` want it."""
    console = Console()
    if not console.is_terminal:
        sys.stdout.write("".join("\t".join(row) + "\n" for row in [head, *rows]))
        return
    table = Table(*head)
    table.columns[0].overflow = "fold"  # the ends of names differ
    for column in table.columns[2:4]:
        column.justify = "right"
    for name, here, *rest in rows:
        table.add_row(Text(name), Text(here, style="red" if here == "no" else ""), *rest)
    console.print(table)


def pull_images(config: RunConfig) -> int:
    """Pull what is not here, a few at a time; a failure does not stop the others. No budget: all were asked for."""
    progress = Progress()
    failed = anyio.run(interruptible, _pull_all, _images(config, progress), _names(config), progress)
    return 1 if failed else 0


async def _pull_all(images: Images, names: list[str], progress: Progress) -> int:
    """Returns how many could not be pulled. Cancelling stops the pulls at once."""
    failed = 0
    limiter = anyio.CapacityLimiter(PULLS_AT_A_TIME)

    async def pull(name: str) -> None:
        nonlocal failed
        try:
            await stoppable(lambda stop: images.ensure(name, stop), limiter)
            said = "here"
        except SandboxError as error:
            failed += 1
            said = str(error)
        sys.stdout.write(f"{name}: {said}\n")
        sys.stdout.flush()

    async def show() -> None:
        while True:
            await anyio.sleep(SHOWN_SECONDS)
            sys.stderr.write("".join(f"{wait}\n" for wait in waits_of(progress)))
            sys.stderr.flush()

    async with anyio.create_task_group() as shown:
        shown.start_soon(show)
        async with anyio.create_task_group() as pulls:
            for name in names:
                pulls.start_soon(pull, name)
        shown.cancel_scope.cancel()
    return failed


def build_images(task_repository: Path, ids: list[str]) -> int:
    """Build a task repository's images."""
    build_task_images(task_repository, ids, lambda name: typer.echo(f"built {name}"))
    return 0


def prune_images(config: RunConfig | None, *, yes: bool) -> int:
    """Remove the images of the chosen instances, or (None) those that this tool built."""
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
