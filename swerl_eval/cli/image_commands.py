"""The `images` commands of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from swerl_eval.cli.exit_codes import exit_with
from swerl_eval.cli.options import CHOICE, resolve, taking

images_app = typer.Typer(name="images", help="Check, pull, build and remove instance images.", no_args_is_help=True)


@images_app.command()
@taking(*CHOICE)
def check(options: dict[str, Any]) -> None:
    """List the chosen instances' images: which are here, and how much disk they take."""
    from swerl_eval.cli.images import check_images

    exit_with(check_images(resolve(options)))


@images_app.command(name="list")
@taking("config", "overrides")
def list_command(options: dict[str, Any]) -> None:
    """List the images that this tool pulled or built: how much disk they take, and when they were last used."""
    from swerl_eval.cli.images import list_images

    exit_with(list_images(resolve(options)))


@images_app.command()
@taking(*CHOICE)
def pull(options: dict[str, Any]) -> None:
    """Pull the chosen instances' missing images."""
    from swerl_eval.cli.images import pull_images

    exit_with(pull_images(resolve(options)))


@images_app.command()
def build(
    task_repository: Annotated[Path, typer.Argument(help="Folder with tasks/<id>/Dockerfile.")],
    instances: Annotated[list[str] | None, typer.Option("--instances", "-i", help="Only these ids.")] = None,
) -> None:
    """Build the images of a task repository from its Dockerfiles."""
    from swerl_eval.cli.images import build_images

    exit_with(build_images(task_repository, instances or []))


@images_app.command()
@taking(*CHOICE)
def prune(
    options: dict[str, Any],
    built: Annotated[bool, typer.Option("--built", help="Remove the images that this tool built.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove the chosen instances' images, or those that this tool built."""
    from swerl_eval.cli.images import prune_images

    exit_with(prune_images(None if built else resolve(options), yes=yes))
