"""Options that several commands share, each defined once; they mean the same everywhere."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from swerl_eval.config import RunConfig

_WHAT, _MODEL, _HOW, _WHERE = (
    "What is measured on",
    "Model and method",
    "Sandbox and speed",
    "Configuration and results",
)


def _option(kind: Any, panel: str, text: str, *names: str, **extra: Any) -> Any:
    return Annotated[kind | None, typer.Option(*names, help=text, rich_help_panel=panel, **extra)]


SHARED: dict[str, Any] = {
    "dataset": _option(
        str,
        _WHAT,
        "verified, lite, … or a hub id, also with @REVISION; a parquet/jsonl/json/csv file, a task repository.",
    ),
    "split": _option(str, _WHAT, "Of the dataset; default test."),
    "instances": _option(list[str], _WHAT, "Ids, globs, @file, comma-separated; repeatable.", "--instances", "-i"),
    "repo": _option(list[str], _WHAT, "Only this repository; repeatable."),
    "difficulty": _option(list[str], _WHAT, "Only this difficulty; repeatable."),
    "limit": _option(int, _WHAT, "The first so many."),
    "shard": _option(str, _WHAT, "This share, by a stable hash of the id.", metavar="I/N"),
    "repositories": _option(str, _WHAT, "Folder of bare mirrors, such as sympy__sympy.git."),
    "sampler": _option(str, _MODEL, "openai, vllm, replay, gold or package.module:Class."),
    "model": _option(str, _MODEL, "Name or path of the model."),
    "base_url": _option(list[str], _MODEL, "OpenAI-compatible server; several: comma-separated or repeated."),
    "launch": _option(str, _MODEL, "Command that starts such a server here, with {port} in it."),
    "answers": _option(str, _MODEL, "Recorded answers, for --sampler replay."),
    "samples": _option(int, _MODEL, "Repair samples an instance."),
    "localization": _option(str, _MODEL, "model, oracle, or a loc.jsonl."),
    "tests": _option(int, _MODEL, "Reproduction tests used on candidates; 0 for none."),
    "regression": _option(str, _MODEL, "on or off: candidates have to keep the repository's passing tests."),
    "test_model": _option(str, _MODEL, "Model that writes tests; default: the one that repairs."),
    "evaluate": _option(str, _HOW, "selected, or all: a verdict on every unique candidate too."),
    "prompts": _option(str, _MODEL, "Folder of templates, or swerl."),
    "temperature": _option(float, _MODEL, "Of sampling."),
    "max_tokens": _option(int, _MODEL, "Output tokens of one answer."),
    "seed": _option(int, _MODEL, "Everything random follows from it."),
    "workers": _option(int, _HOW, "Containers at a time; default: what the machine bears.", "--workers", "-j"),
    "timeout": _option(float, _HOW, "Seconds for one evaluation."),
    "stop_when_decided": _option(
        bool, _MODEL, "Draw no more samples for an instance once they cannot change the choice.", "--stop-when-decided"
    ),
    "no_cache": _option(
        bool, _HOW, "Run every patch; neither take verdicts from the cache nor keep any.", "--no-cache"
    ),
    "network": _option(str, _HOW, "Of evaluations: bridge, as the official harness has it, or none."),
    "strict": _option(str, _HOW, "on or off: run resolved patches under control too."),
    "disk": _option(str, _HOW, "What images may take, such as 100GB; unused ones that this tool pulled make room."),
    "results": _option(str, _WHERE, "Folder that runs go to."),
    "run_id": _option(str, _WHERE, "Name of the run; default: made from the settings."),
    "config": Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-f",
            help="TOML file with settings, or greedy-oracle, majority-20, swe-rl-500.",
            rich_help_panel=_WHERE,
        ),
    ],
    "overrides": _option(
        list[str], _WHERE, "Any setting, over the file's; repeatable.", "--set", "-c", metavar="KEY=VALUE"
    ),
}
CHOICE = ("dataset", "split", "instances", "repo", "difficulty", "limit", "shard")
SAMPLING = (
    "repositories", "sampler", "model", "base_url", "launch", "answers", "samples", "localization", "tests",
    "regression", "test_model", "prompts", "temperature", "max_tokens", "seed", "stop_when_decided",
)  # fmt: skip
SANDBOX = ("workers", "timeout", "network", "disk", "evaluate", "strict", "no_cache")
PLACE = ("results", "run_id", "config", "overrides")

Command = Callable[..., None]


def taking(*names: str) -> Callable[[Command], Command]:
    """Give a command the named shared options; it receives those that were set as a dict `options`."""

    def decorate(command: Command) -> Command:
        own = {key: p for key, p in inspect.signature(command, eval_str=True).parameters.items() if key != "options"}

        @functools.wraps(command)
        def wrapped(**arguments: Any) -> None:
            shared = {name: arguments.pop(name) for name in names}
            command(
                options={name: value for name, value in shared.items() if value not in (None, [])},
                **arguments,
            )

        shared = {
            name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=SHARED[name])
            for name in names
        }
        parameters = {**own, **shared}
        wrapped.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]  # what typer reads
        wrapped.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
        del wrapped.__wrapped__  # or typer would read the command's own signature
        return wrapped

    return decorate


def resolve(options: dict[str, Any], defaults: dict[str, Any] | None = None) -> RunConfig:
    """The configuration that a command's options ask for; `defaults` stand below the file and the options.

    A `--run-id` that names an existing run brings that run's settings along, so that a later stage needs no repetition.
    """
    from swerl_eval.config import load_config, merged
    from swerl_eval.records.manifest import read_manifest

    options = dict(options)
    file, overrides = options.pop("config", None), options.pop("overrides", ())
    if options.pop("no_cache", False):
        options["reuse"] = False
    config = load_config(file, overrides, options)
    named = config.model_dump(mode="json", exclude_unset=True)
    below = defaults or {}
    if config.run_id and (config.run_folder / "run.json").exists():
        below = read_manifest(config.run_folder).config
    return load_config(None, (), merged(below, named))
