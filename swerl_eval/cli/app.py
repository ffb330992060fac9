"""The command line. Commands are thin: they resolve the configuration, call one thing, and print.

Heavy modules are imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import codecs
import locale
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from swerl_eval.cli.options import CHOICE, PLACE, SAMPLING, SANDBOX, resolve, taking

app = typer.Typer(
    name="swerl-eval",
    help="Measure how many SWE-bench issues a code model really fixes (the SWE-RL / Agentless Mini method).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
images_app = typer.Typer(name="images", help="Check, pull, build and remove instance images.", no_args_is_help=True)
app.add_typer(images_app)

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes beside 0; 3 is kept for gates that are not met."""

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as results/my-run.")]


@app.command()
@taking(*CHOICE, *SAMPLING, *SANDBOX, *PLACE)
def run(options: dict[str, Any]) -> None:
    """Run the whole pipeline: localize, repair, select, evaluate.

    The same command again finishes an interrupted run.
    """
    _work("evaluate", options)


@app.command()
@taking("workers", "timeout", "network", "no_cache", *PLACE)
def demo(options: dict[str, Any]) -> None:
    """Run the pipeline on the bundled suite with recorded answers; needs Docker, no model and no GPU."""
    from swerl_eval.cli.runs import execute
    from swerl_eval.demo.setup import demo_settings, prepare

    config = resolve(options, demo_settings())
    prepare(lambda line: typer.echo(line, err=True))
    _exit(execute(config, "evaluate"))


@app.command()
@taking(*CHOICE, *SAMPLING, *PLACE)
def localize(options: dict[str, Any]) -> None:
    """Choose the files that are likely to need the change."""
    _work("localize", options)


@app.command()
@taking(*CHOICE, *SAMPLING, *PLACE)
def repair(options: dict[str, Any]) -> None:
    """Sample candidate patches (and localize first, where the run has not)."""
    _work("repair", options)


@app.command()
@taking(*CHOICE, *[name for name in SAMPLING if name not in {"samples", "tests"}], "workers", *PLACE)
def select(
    options: dict[str, Any],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Print the scaling table of this finished run instead.")
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="Repair samples an instance; with RUN several, such as 20,80,all.")
    ] = None,
    tests: Annotated[str | None, typer.Option(help="Reproduction tests; with RUN several, such as 0,5,all.")] = None,
) -> None:
    """Choose one patch for each instance (and do first what the run has not).

    With RUN: what other numbers of samples and tests would have given, from its stored evidence and verdicts.
    """
    if folder is not None:
        from swerl_eval.cli.scaling import print_scaling

        regression = options.get("regression", "on") != "off"
        print_scaling(folder, samples or "all", tests or "0,all", regression=regression)
    else:
        given = {"samples": samples, "tests": tests}
        _work("select", options | {name: value for name, value in given.items() if value is not None})


@app.command()
@taking(*CHOICE, *SAMPLING, *SANDBOX, *PLACE)
def evaluate(
    options: dict[str, Any],
    predictions: Annotated[
        str | None,
        typer.Option("--predictions", "-p", help="A .jsonl or .json of patches, or the word gold."),
    ] = None,
) -> None:
    """Grade predictions officially, or the patches that a run has chosen (--run-id)."""
    from swerl_eval.cli.runs import evaluate_predictions

    if predictions is None:
        _work("evaluate", options)
    else:
        _exit(evaluate_predictions(resolve(options), predictions))


@app.command()
@taking(*CHOICE, "workers", "timeout", "network", *PLACE)
def validate(
    options: dict[str, Any],
    repeat: Annotated[int, typer.Option("--repeat", help="Times that each is run, to find flaky ones.", min=1)] = 1,
    quarantine: Annotated[
        Path | None,
        typer.Option("--quarantine", help="File for those not to be trusted. Default: quarantine.json in the folder."),
    ] = None,
) -> None:
    """Check instances: the gold patch must resolve each, and no patch at all must not, every time.

    Those that do not are written to a quarantine file, which reports can honour (setting `quarantine`).
    """
    from swerl_eval.cli.validate import validate_instances

    _exit(validate_instances(resolve(options), repeat, quarantine))


@app.command()
def report(
    folder: RunFolder,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
    quarantine: Annotated[
        Path | None, typer.Option("--quarantine", help="File of `validate`: a second rate, without its instances.")
    ] = None,
    regrade: Annotated[
        bool, typer.Option("--regrade", help="First grade the saved logs again, by the dataset and swebench of now.")
    ] = False,
    dataset: Annotated[str | None, typer.Option(help="For --regrade: rows from here; default: the run's.")] = None,
) -> None:
    """Print a run's report, made anew from its records."""
    from swerl_eval.cli.runs import print_report, regrade_run

    if regrade:
        regrade_run(folder, dataset, quarantine)
    print_report(folder, form, quarantine)


@app.command()
@taking("config", "overrides")
def export(
    options: dict[str, Any],
    folder: RunFolder,
    to: Annotated[str, typer.Option("--to", help="swebench, leaderboard, experiments or package.module:Class.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: RUN/export/<format>.")] = None,
) -> None:
    """Write a finished run in somebody else's format. Names and links come from the settings' table `submission`."""
    from swerl_eval.cli.runs import export_run

    export_run(folder, to, output, resolve(options).submission)


@app.command()
def reward(
    answers: Annotated[Path, typer.Argument(help="jsonl with output, code_context and oracle_new_content.")],
    oracle: Annotated[
        Path | None, typer.Option(help="jsonl with instance_id, code_context and oracle_new_content.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: standard output.")] = None,
    workers: Annotated[int, typer.Option("--workers", "-j", help="Processes.", min=1)] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Demand the last closing fence too.")] = False,
) -> None:
    """Compute the SWE-RL reward of recorded answers."""
    from swerl_eval.cli.reward import reward_answers

    reward_answers(answers, oracle, output, workers, strict=strict)


@app.command(name="config")
@taking(*CHOICE, *SAMPLING, *SANDBOX, *PLACE)
def config_command(options: dict[str, Any]) -> None:
    """Print the resolved settings."""
    from swerl_eval.cli.runs import print_config

    print_config(resolve(options))


@app.command()
@taking("dataset", "sampler", "results")
def doctor(options: dict[str, Any]) -> None:
    """Say what this machine has and lacks for a run, and the line that fixes it."""
    from swerl_eval.cli.doctor import examine

    _exit(examine(resolve(options)))


@app.command()
@taking(*CHOICE, *SAMPLING, *SANDBOX, *PLACE)
def preflight(options: dict[str, Any]) -> None:
    """Say whether the model fits this machine's GPUs or memory, and whether the prompts at hand fit its context."""
    from swerl_eval.cli.preflight import check as check_before

    _exit(check_before(resolve(options)))


@images_app.command()
@taking(*CHOICE)
def check(options: dict[str, Any]) -> None:
    """Say which images of the chosen instances are here, and what they take."""
    from swerl_eval.cli.images import check_images

    _exit(check_images(resolve(options)))


@images_app.command(name="list")
@taking("config", "overrides")
def list_command(options: dict[str, Any]) -> None:
    """Say what the images that this tool pulled or built take, and when they were used."""
    from swerl_eval.cli.images import list_images

    _exit(list_images(resolve(options)))


@images_app.command()
@taking(*CHOICE)
def pull(options: dict[str, Any]) -> None:
    """Pull the images of the chosen instances that are not here."""
    from swerl_eval.cli.images import pull_images

    _exit(pull_images(resolve(options)))


@images_app.command()
def build(
    task_repository: Annotated[Path, typer.Argument(help="Folder with tasks/<id>/Dockerfile.")],
    instances: Annotated[list[str] | None, typer.Option("--instances", "-i", help="Only these ids.")] = None,
) -> None:
    """Build the images of a task repository from its Dockerfiles."""
    from swerl_eval.cli.images import build_images

    _exit(build_images(task_repository, instances or []))


@images_app.command()
@taking(*CHOICE)
def prune(
    options: dict[str, Any],
    built: Annotated[bool, typer.Option("--built", help="Remove what this tool built.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove the images of the chosen instances, or those that this tool built."""
    from swerl_eval.cli.images import prune_images

    _exit(prune_images(None if built else resolve(options), yes=yes))


def _work(until: str, options: dict[str, Any]) -> None:
    from swerl_eval.cli.runs import execute

    _exit(execute(resolve(options), until))


def _exit(code: int) -> None:
    if code:
        raise typer.Exit(code)


def _enter_utf8_mode() -> None:
    """Start this process again in Python's UTF-8 mode, where the host's locale has another encoding.

    Libraries (swebench among them) read files in the locale's encoding, and what is printed here may not fit into it.
    """
    encoding = codecs.lookup(locale.getpreferredencoding(do_setlocale=False)).name
    if encoding != "utf-8" and "utf8" not in sys._xoptions:  # which is there once this was done
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def main() -> None:
    """Entry point: errors of ours are one line on stderr, and every way to end has its exit code."""
    from swerl_eval.shutdown import exit_soon

    code = _outcome()
    exit_soon(code)
    sys.exit(code)


def _outcome() -> int:
    """Carry out the command; returns its exit code."""
    from swerl_eval.core.errors import InterruptedRunError, SwerlEvalError, UsageError

    _enter_utf8_mode()
    try:
        app()
    except SwerlEvalError as error:
        typer.echo(f"swerl-eval: {error}", err=True)
        codes = {UsageError: USAGE, InterruptedRunError: INTERRUPTED}
        return next((code for kind, code in codes.items() if isinstance(error, kind)), FAILED)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED if end.code else 0
    return 0


if __name__ == "__main__":
    main()
