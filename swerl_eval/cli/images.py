"""What the `images` commands do."""

from __future__ import annotations

import datetime
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.compose import build_task_images, open_source
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import SandboxError
from swerl_eval.sandboxes.engine import connect
from swerl_eval.sandboxes.images import Images
from swerl_eval.sandboxes.pulls import PULLS_AT_A_TIME


def _images(config: RunConfig) -> Images:
    return Images(connect(), config.cache_folder())


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
    """Print the table, and what all images take; returns how many are missing."""
    usage, pulled, built = images.usage(), images.pulled(), set(images.built_here())
    table = Table("image", "here", "own MB", "shared MB", "from", "last used")
    table.columns[0].overflow = "fold"  # the ends of names differ
    for column in table.columns[2:4]:
        column.justify = "right"
    digests = {name: images.digest(name) for name in names}
    for name, digest in digests.items():
        if digest is None:
            table.add_row(Text(name), Text("no", style="red"), "", "", "", "")
            continue
        entry = pulled.get(name)
        if entry is not None and entry.digest != digest:
            entry = None  # another image has its name now
        used = "" if entry is None else f"{datetime.datetime.fromtimestamp(entry.used):%Y-%m-%d %H:%M}"
        origin = "pulled" if entry is not None else "built" if name in built else "elsewhere"
        sizes = [f"{of.get(digest, 0) / 1e6:,.1f}" for of in (usage.own, usage.shared)]
        table.add_row(Text(name), "yes", *sizes, origin, used)
    Console().print(table)
    here = {digest for digest in digests.values() if digest is not None}
    own = sum(usage.own.get(digest, 0) for digest in here) / 1e6
    sys.stdout.write(
        f"{len(here)} images here, of their own {own:,.1f} MB; all images of the engine {usage.layers / 1e6:,.1f} MB, "
        "shared layers counted once\n"
    )
    return sum(digest is None for digest in digests.values())


def pull_images(config: RunConfig) -> int:
    """Pull what is not here, a few at a time; a failure does not stop the others. No budget: all were asked for."""
    images = _images(config)

    def pull(name: str) -> str:
        try:
            images.ensure(name)
        except SandboxError as error:
            return str(error)
        return ""

    names = _names(config)
    failed = 0
    with ThreadPoolExecutor(PULLS_AT_A_TIME) as pool:
        for name, error in zip(names, pool.map(pull, names), strict=True):
            failed += bool(error)
            sys.stdout.write(f"{name}: {error or 'here'}\n")
    return 1 if failed else 0


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
