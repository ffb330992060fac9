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

from swerl_eval.cli.exit_codes import FAILED, USAGE, exit_with
from swerl_eval.cli.image_commands import images_app
from swerl_eval.cli.judging_commands import add_judging_commands
from swerl_eval.cli.options import CHOICE, PLACE, SAMPLING, SANDBOX, TRACKING, Version, resolve, taking
from swerl_eval.cli.switches import CommandGroup
from swerl_eval.cli.view_command import view
from swerl_eval.reports import EXPORTERS

app = typer.Typer(
    name="swerl-eval",
    help="Measure how many SWE-bench issues a code model really fixes (the SWE-RL / Agentless Mini method).",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(images_app)


@app.callback()
def options_of_the_program(version: Version = None) -> None:
    """Do nothing: each of these options acts by itself."""
    del version


RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, such as results/my-run.")]


@app.command()
@taking(*CHOICE, *SAMPLING, *SANDBOX, *TRACKING, *PLACE)
def run(options: dict[str, Any]) -> None:
    """Run the whole pipeline: localize, repair, select, evaluate.

    The same command again finishes an interrupted run.
    """
    _run_until("evaluate", options)


@app.command()
@taking("workers", "timeout", "network", "no_cache", *TRACKING, *PLACE)
def demo(options: dict[str, Any]) -> None:
    """Run the pipeline on the bundled suite with recorded answers; needs Docker, no model and no GPU."""
    from swerl_eval.cli.runs import execute
    from swerl_eval.demo.setup import demo_settings, prepare

    config = resolve(options, demo_settings())
    prepare(lambda line: typer.echo(line, err=True))
    exit_with(execute(config, "evaluate"))


@app.command()
@taking(*CHOICE, *SAMPLING, *TRACKING, *PLACE)
def localize(options: dict[str, Any]) -> None:
    """Choose the files that are likely to need the change."""
    _run_until("localize", options)


@app.command()
@taking(*CHOICE, *SAMPLING, *TRACKING, *PLACE)
def repair(options: dict[str, Any]) -> None:
    """Sample candidate patches; localize first where the run has not."""
    _run_until("repair", options)


@app.command()
@taking(*CHOICE, *[name for name in SAMPLING if name not in {"samples", "tests"}], "workers", *TRACKING, *PLACE)
def select(
    options: dict[str, Any],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Print the scaling table of this finished run instead.")
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="Repair samples per instance; with RUN several, such as 20,80,all.")
    ] = None,
    tests: Annotated[str | None, typer.Option(help="Reproduction tests; with RUN several, such as 0,5,all.")] = None,
) -> None:
    """Choose one patch for each instance; do first the stages that the run lacks.

    With RUN: print what other numbers of samples and tests would have given, from its stored evidence and verdicts.
    """
    if folder is not None:
        from swerl_eval.cli.scaling import print_scaling

        print_scaling(folder, samples or "all", tests or "0,all", regression=options.get("regression", True))
    else:
        given = {"samples": samples, "tests": tests}
        _run_until("select", options | {name: value for name, value in given.items() if value is not None})


@app.command()
@taking(*CHOICE, *SAMPLING, *SANDBOX, *TRACKING, *PLACE)
def evaluate(
    options: dict[str, Any],
    predictions: Annotated[
        str | None,
        typer.Option("--predictions", "-p", help="A .jsonl or .json file of patches, or the word gold."),
    ] = None,
) -> None:
    """Grade predictions officially, or the patches that a run has chosen (--run-id)."""
    from swerl_eval.cli.runs import evaluate_predictions, evaluate_run

    config = resolve(options)
    exit_with(evaluate_run(config) if predictions is None else evaluate_predictions(config, predictions))


@app.command()
@taking(*CHOICE, "workers", "timeout", "network", *PLACE)
def validate(
    options: dict[str, Any],
    repeat: Annotated[int, typer.Option("--repeat", help="Runs of each instance, to find flaky ones.", min=1)] = 1,
    quarantine: Annotated[
        Path | None,
        typer.Option("--quarantine", help="File for the unsound instances. Default: quarantine.json in the results."),
    ] = None,
) -> None:
    """Check instances: each must be resolved by its gold patch, and not without a patch, in every run.

    Unsound instances are written to a quarantine file, which reports can read (setting `quarantine`).
    """
    from swerl_eval.cli.validate import validate_instances

    exit_with(validate_instances(resolve(options), repeat, quarantine))


@app.command()
@taking("config", "overrides")
def report(  # noqa: PLR0913, PLR0917 - each is an option of the command
    options: dict[str, Any],
    folder: RunFolder,
    form: Annotated[str, typer.Option("--format", help="table, json or html.")] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="For --format html: the file. Default: RUN/report.html.")
    ] = None,
    quarantine: Annotated[
        Path | None,
        typer.Option("--quarantine", help="File of `validate`: add a rate without its instances."),
    ] = None,
    regrade: Annotated[
        bool, typer.Option("--regrade", help="First grade the saved logs again, with today's dataset and swebench.")
    ] = False,
    dataset: Annotated[str | None, typer.Option(help="For --regrade: the dataset; default: the run's.")] = None,
) -> None:
    """Print a run's report, built from its records; as html write it as a page, and print the page's path.

    The setting `prices` overrides the run's own one: `-c prices.output=15`.
    """
    from swerl_eval.cli.run_reports import regrade_run, show_report

    if regrade:
        regrade_run(folder, dataset, quarantine)
    show_report(folder, form, quarantine, resolve(options).prices, output)


@app.command()
@taking("seed", "results", "config", "overrides")
def compare(
    options: dict[str, Any],
    sides: Annotated[
        list[str],
        typer.Argument(metavar="SIDE", help="Runs of --results, run folders, run reports of swebench, results.json."),
    ],
    form: Annotated[str, typer.Option("--format", help="text, json, markdown or html.")] = "text",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: standard output.")] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare what they have in common, although they were measured otherwise.")
    ] = False,
) -> None:
    """Compare two runs instance by instance, or show several as a trend.

    Runs with other datasets, instances, limits, images or harnesses are refused, with the differences named.
    """
    from swerl_eval.cli.compare import comparison_text, put_out

    config = resolve(options)
    put_out(comparison_text(sides, Path(config.results), form, config.seed, anyway=anyway), output)


app.command()(view)


add_judging_commands(app)


@app.command()
@taking("run_id", "results")
def merge(
    options: dict[str, Any],
    folders: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run folders, such as results/shard-*.")],
) -> None:
    """Make one run of its shards: the same records, reports and exports as if it had never been divided.

    Folders of other settings, data or versions are refused, and so are different results for the same instance.
    """
    from swerl_eval.cli.merge import merge_runs

    config = resolve(options)
    exit_with(merge_runs(folders, Path(config.results), config.run_id))


@app.command()
@taking("config", "overrides")
def export(
    options: dict[str, Any],
    folder: RunFolder,
    to: Annotated[str, typer.Option("--to", help=f"{', '.join(EXPORTERS)} or package.module:Class.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: RUN/export/<format>.")] = None,
) -> None:
    """Write a finished run in another tool's format. Names and links come from the setting `submission`."""
    from swerl_eval.cli.run_reports import export_run

    export_run(folder, to, output, resolve(options).submission)


@app.command()
def trace(
    folder: RunFolder,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: RUN/trace.json.")] = None,
) -> None:
    """Write what a run did when as a trace, for https://ui.perfetto.dev or chrome://tracing."""
    from swerl_eval.cli.trace import write_trace

    write_trace(folder, output)


@app.command()
def reward(
    answers: Annotated[Path, typer.Argument(help="jsonl with output, code_context and oracle_new_content.")],
    oracle: Annotated[
        Path | None, typer.Option(help="jsonl with instance_id, code_context and oracle_new_content.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Default: standard output.")] = None,
    workers: Annotated[int, typer.Option("--workers", "-j", help="Processes.", min=1)] = 1,
    strict: Annotated[bool, typer.Option("--strict", help="Also demand the last closing fence.")] = False,
) -> None:
    """Compute the SWE-RL reward of recorded answers."""
    from swerl_eval.cli.reward import reward_answers

    reward_answers(answers, oracle, output, workers, strict=strict)


@app.command(name="config")
@taking(*CHOICE, *SAMPLING, *SANDBOX, *TRACKING, *PLACE)
def config_command(options: dict[str, Any]) -> None:
    """Print every setting with its value and description, as TOML for --config."""
    from swerl_eval.cli.show_config import print_config

    print_config(resolve(options))


@app.command()
@taking("dataset", "sampler", "sandbox", "ray_address", "results")
def doctor(options: dict[str, Any]) -> None:
    """Check what a run needs on this machine, and print the command that fixes what is missing."""
    from swerl_eval.cli.doctor import check_machine

    exit_with(check_machine(resolve(options)))


@app.command()
@taking(*CHOICE, *SAMPLING, *SANDBOX, *PLACE)
def preflight(options: dict[str, Any]) -> None:
    """Check whether the model fits this machine's GPUs or memory, and whether the prompts fit its context."""
    from swerl_eval.cli.preflight import check as check_before

    exit_with(check_before(resolve(options)))


def _run_until(stage: str, options: dict[str, Any]) -> None:
    """Carry out a run up to and including a stage."""
    from swerl_eval.cli.runs import execute

    exit_with(execute(resolve(options), stage))


def _enter_utf8_mode() -> None:
    """Start this process again in Python's UTF-8 mode if the host's locale has another encoding.

    Libraries (swebench among them) read files in the locale's encoding, and it may lack characters that are printed.
    """
    encoding = codecs.lookup(locale.getpreferredencoding(do_setlocale=False)).name
    if encoding != "utf-8" and "utf8" not in sys._xoptions:  # set in the restarted process
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def main() -> None:
    """Run the command and exit. An error of this package is one line on standard error."""
    from swerl_eval.shutdown import exit_soon

    code = _run_command()
    exit_soon(code)
    sys.exit(code)


def _run_command() -> int:
    """Carry out the command of the command line; returns the exit code."""
    from swerl_eval.core.errors import InterruptedRunError, SwerlEvalError, UsageError
    from swerl_eval.shutdown import INTERRUPTED

    _enter_utf8_mode()
    try:
        app()
    except SwerlEvalError as error:
        from swerl_eval.config.environment import environment_secrets
        from swerl_eval.core.secrets import Redactor, secrets_in

        redact = Redactor(environment_secrets() | secrets_in(sys.argv))
        typer.echo(f"swerl-eval: {redact(str(error))}", err=True)
        codes = {UsageError: USAGE, InterruptedRunError: INTERRUPTED}
        return next((code for kind, code in codes.items() if isinstance(error, kind)), FAILED)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else FAILED if error.code else 0
    return 0


if __name__ == "__main__":
    main()
