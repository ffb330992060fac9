"""How the facts of a run are printed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

from rich.console import Console

from swerl_eval.cli.render import print_report_files, print_run, print_sections
from swerl_eval.core.types import Outcome
from swerl_eval.reports.first_screen import Fact, Section
from swerl_eval.reports.summary import build_report
from tests.reports import method_runs
from tests.reports.method_runs import Records

SECTIONS = [
    Section("Result", (Fact("Solve rate", "1/2 = 50.0 %", "95 % interval 9.5 to 90.5"),)),
    Section("Measured with", (Fact("Model", "[bold]m[/bold]"), Fact("Dataset", "a long name " * 5))),
]


def printed(width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    print_sections(console, SECTIONS)
    return console.export_text()


def test_the_result_is_printed_last_and_names_are_not_read_as_markup() -> None:
    assert printed(100) == (
        f"Measured with\n  Model: [bold]m[/bold]\n  Dataset: {'a long name ' * 5}".rstrip()
        + " \nResult\n  Solve rate: 1/2 = 50.0 % (95 % interval 9.5 to 90.5)\n"
    )


def test_a_long_fact_goes_on_below_its_beginning() -> None:
    lines = printed(40).splitlines()
    assert [line.rstrip() for line in lines[2:4]] == [
        "  Dataset: a long name a long name a",
        "  long name a long name a long name",
    ]


def test_names_are_whole_on_a_narrow_terminal_and_in_one_line_where_a_program_reads(tmp_path: Path) -> None:
    name = f"repository__{'name' * 10}-1"
    run = method_runs.made(tmp_path / "r", {name: Records(samples="p", tests="r", outcomes=(Outcome.RESOLVED,))})

    def printed(*, terminal: bool) -> str:
        file = io.StringIO()
        print_run(Console(width=80, file=file, force_terminal=terminal, color_system=None), build_report(run))
        return file.getvalue()

    assert f"\n {name} │ " in printed(terminal=False)
    shown = printed(terminal=True)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    cells = [line.partition("│")[0].strip() for line in shown.splitlines() if "│" in line]
    assert "".join(cells) == name


def test_a_table_of_patches_that_nobody_voted_on_has_no_column_of_votes(tmp_path: Path) -> None:
    run = method_runs.made(tmp_path / "r", {"a__a-1": Records(samples="p", tests="r", outcomes=(Outcome.RESOLVED,))})
    report = build_report(run)

    def columns() -> list[str]:
        file = io.StringIO()
        print_run(Console(width=200, file=file, color_system=None), report)
        return [title.strip() for title in file.getvalue().splitlines()[1].split("┃")]

    with_votes = columns()
    del report["instances"][0]["votes"]
    assert columns() == [title for title in with_votes if title != "votes"]
    assert with_votes.count("votes") == 1


def test_the_reports_that_are_there_are_named_and_on_a_terminal_they_are_links(tmp_path: Path) -> None:
    folder = tmp_path / "a [bold] name"
    folder.mkdir()
    (folder / "report.json").touch()

    def printed(*, terminal: bool) -> str:
        file = io.StringIO()
        system: Literal["standard"] | None = "standard" if terminal else None
        print_report_files(Console(width=20, file=file, force_terminal=terminal, color_system=system), folder)
        return file.getvalue()

    assert printed(terminal=False) == f"Report: {folder}/report.json\n"
    (folder / "report.html").touch()
    assert printed(terminal=False) == f"Report: {folder}/report.html\nReport: {folder}/report.json\n"
    link = (folder / "report.html").as_uri()
    assert f";{link}\x1b\\{folder}/report.html" in printed(terminal=True)
