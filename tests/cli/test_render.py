"""How the facts of a run are printed."""

from __future__ import annotations

import io

from rich.console import Console

from swerl_eval.cli.render import print_sections
from swerl_eval.reports.first_screen import Fact, Section

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
