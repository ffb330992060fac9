"""Options that several commands share, each defined once; they mean the same everywhere."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swerl_eval.samplers import SAMPLERS
from swerl_eval.sandboxes import SANDBOXES
from swerl_eval.trackers import TRACKERS

if TYPE_CHECKING:
    from swerl_eval.config import RunConfig

_INSTANCES, _MODEL, _SANDBOX, _RESULTS = (
    "Instances",
    "Model and method",
    "Sandbox and speed",
    "Configuration and results",
)
"""Headings of the help."""


def _option(kind: Any, panel: str, text: str, *names: str, **extra: Any) -> Any:
    """An option that is None when it is not given."""
    return Annotated[kind | None, typer.Option(*names, help=text, rich_help_panel=panel, **extra)]


SHARED: dict[str, Any] = {
    "dataset": _option(
        str,
        _INSTANCES,
        "verified, lite, … or a hub id, also with @REVISION; a parquet/jsonl/json/csv file, a task repository.",
    ),
    "split": _option(str, _INSTANCES, "Split of the dataset; default: test."),
    "instances": _option(list[str], _INSTANCES, "Ids, globs, @file, comma-separated; repeatable.", "--instances", "-i"),
    "repo": _option(list[str], _INSTANCES, "Only this repository; repeatable."),
    "difficulty": _option(list[str], _INSTANCES, "Only this difficulty; repeatable."),
    "limit": _option(int, _INSTANCES, "At most this many: the first ones."),
    "shard": _option(str, _INSTANCES, "This process's share, by a stable hash of the id.", metavar="I/N"),
    "repositories": _option(str, _INSTANCES, "Folder of bare mirrors, such as sympy__sympy.git."),
    "sampler": _option(str, _MODEL, f"{', '.join(SAMPLERS)}, a plug-in, or package.module:Class."),
    "model": _option(str, _MODEL, "Name or path of the model."),
    "base_url": _option(list[str], _MODEL, "Address of an OpenAI-compatible server; comma-separated, repeatable."),
    "launch": _option(str, _MODEL, "Command that starts such a server here, with {port} in it."),
    "answers": _option(str, _MODEL, "Recorded answers, for --sampler replay."),
    "samples": _option(int, _MODEL, "Repair samples per instance."),
    "localization": _option(str, _MODEL, "model, oracle, or a loc.jsonl file."),
    "tests": _option(int, _MODEL, "Reproduction tests used on candidates; 0 for none."),
    "regression": _option(
        bool,
        _MODEL,
        "Run candidates against the repository's tests that pass on the original code.",
        "--regression/--no-regression",
    ),
    "test_model": _option(str, _MODEL, "Model that writes tests; default: the one that repairs."),
    "evaluate": _option(str, _SANDBOX, "Patches that get a verdict: the selected one, or all unique candidates."),
    "prompts": _option(str, _MODEL, "Folder of templates, or swerl."),
    "temperature": _option(float, _MODEL, "Sampling temperature; 0 is greedy."),
    "max_tokens": _option(int, _MODEL, "Output tokens of one answer."),
    "seed": _option(int, _MODEL, "Seed that everything random follows from."),
    "sandbox": _option(str, _SANDBOX, f"{', '.join(SANDBOXES)}, a plug-in, or package.module:Class."),
    "ray_address": _option(str, _SANDBOX, "Ray cluster for --sandbox ray; default: RAY_ADDRESS, else this machine."),
    "workers": _option(int, _SANDBOX, "Containers at a time; default: what the machine bears.", "--workers", "-j"),
    "timeout": _option(float, _SANDBOX, "Seconds for one evaluation."),
    "stop_when_decided": _option(
        bool, _MODEL, "Sample no more for an instance once it cannot change the choice.", "--stop-when-decided"
    ),
    "no_cache": _option(
        bool, _SANDBOX, "Run every patch: neither read verdicts from the cache nor store them.", "--no-cache"
    ),
    "network": _option(str, _SANDBOX, "Network of evaluations: bridge, as in the official harness, or none."),
    "strict": _option(
        bool,
        _SANDBOX,
        "Run resolved patches once more, as a control run, for the strict verdict (the default).",
        "--strict/--no-strict",
    ),
    "disk": _option(str, _SANDBOX, "Disk for images, such as 100GB; unused images that this tool pulled are removed."),
    "tracker": _option(
        list[str],
        _RESULTS,
        f"Show figures in {', '.join(TRACKERS)}, a plug-in or package.module:Class; comma-separated.",
    ),
    "results": _option(str, _RESULTS, "Folder that run folders are made in."),
    "run_id": _option(str, _RESULTS, "Name of the run's folder; default: made from the settings."),
    "config": Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-f",
            help="TOML file with settings, or a preset: greedy-oracle, majority-20, swe-rl-500.",
            rich_help_panel=_RESULTS,
        ),
    ],
    "overrides": _option(
        list[str], _RESULTS, "Any setting; overrides the file's; repeatable.", "--set", "-c", metavar="KEY=VALUE"
    ),
}
CHOICE = ("dataset", "split", "instances", "repo", "difficulty", "limit", "shard")
SAMPLING = (
    "repositories", "sampler", "model", "base_url", "launch", "answers", "samples", "localization", "tests",
    "regression", "test_model", "prompts", "temperature", "max_tokens", "seed", "stop_when_decided",
)  # fmt: skip
SANDBOX = ("sandbox", "ray_address", "workers", "timeout", "network", "disk", "evaluate", "strict", "no_cache")
TRACKING = ("tracker",)
PLACE = ("results", "run_id", "config", "overrides")

Command = Callable[..., None]


def _print_version(asked: bool | None) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"swerl-eval {version('swerl-eval')}")
        raise typer.Exit


Version = Annotated[
    bool | None,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
]


def taking(*names: str, **own: Any) -> Callable[[Command], Command]:
    """Decorator: give a command the named shared options, and options of its own where it has too many for parameters.

    The command's parameter `options` receives those that the user set, by name.

    Args:
        names: Keys of `SHARED`.
        own: Annotations of the command's own options, by name.
    """

    def decorate(command: Command) -> Command:
        parameters = dict(inspect.signature(command, eval_str=True).parameters)
        del parameters["options"]
        annotations = own | {name: SHARED[name] for name in names}

        @functools.wraps(command)
        def wrapped(**arguments: Any) -> None:
            options = {name: arguments.pop(name) for name in annotations}
            command(options={name: value for name, value in options.items() if value not in (None, [])}, **arguments)

        for name, annotation in annotations.items():
            parameters[name] = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
        wrapped.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]  # what typer reads
        wrapped.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
        del wrapped.__wrapped__  # or typer would read the command's own signature
        return wrapped

    return decorate


def resolve(options: dict[str, Any], defaults: dict[str, Any] | None = None) -> RunConfig:
    """The configuration that a command's options ask for.

    A `--run-id` that names an existing run starts from that run's settings, so that a later stage need not repeat them.

    Args:
        options: What the user set, by name: settings, and `config`, `overrides` and `no_cache`.
        defaults: Settings that the file and the options override.
    """
    from swerl_eval.config import load_config, merge_settings
    from swerl_eval.records.manifest import read_manifest

    options = dict(options)
    file, overrides = options.pop("config", None), options.pop("overrides", ())
    if options.pop("no_cache", False):
        options["reuse"] = False
    config = load_config(file, overrides, options)
    base = defaults or {}
    if config.run_id and (config.run_folder / "run.json").exists():
        base = read_manifest(config.run_folder).config
    return load_config(options=merge_settings(base, config.model_dump(mode="json", exclude_unset=True)))
