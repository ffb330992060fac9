"""What the `images` commands do."""

from __future__ import annotations

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
from swerl_eval.sandboxes.images import PULLS_AT_A_TIME, Images


def _names(config: RunConfig) -> list[str]:
    return sorted({instance.image for instance in open_source(config).instances()})


def check_images(config: RunConfig) -> int:
    """A table of the images; exit code 1 when one is missing."""
    images = Images(connect())
    table = Table("image", "here", "size")
    missing = 0
    for name in _names(config):
        here = images.present(name)
        missing += not here
        size = f"{images.size(name) / 1e6:,.0f} MB" if here else ""
        table.add_row(Text(name), "yes" if here else Text("no", style="red"), size)
    Console().print(table)
    if missing:
        sys.stdout.write(f"{missing} missing: `swerl-eval images pull`, or `images build` for a task repository\n")
    return 1 if missing else 0


def pull_images(config: RunConfig) -> int:
    """Pull what is not here, a few at a time; a failure does not stop the others."""
    images = Images(connect())

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
    images = Images(connect())
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
