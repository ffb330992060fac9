"""Shows what a run is doing: a live panel on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from contextlib import ExitStack
from types import TracebackType
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from swerl_eval.progress import Progress, asks_a_model
from swerl_eval.shutdown import at_once

PLAIN_SECONDS = 30.0
"""Seconds between plain lines, so that a CI log of a night stays readable."""
JOIN_SECONDS = 5.0
"""Longest wait for the thread of plain lines to end, which a blocked terminal may delay."""
SHOW_CURSOR = "\x1b[?25h"
NOTICE_SECONDS = 1.0
"""Seconds between two looks for new notices."""
WAITS_SHOWN = 4
"""Waits that are shown; the rest is counted."""
STAGE_WORDS = {
    "localize": "localized",
    "repair": "repaired",
    "reproduce": "reproduction tests",
    "regress": "regression tests",
    "run_tests": "tested",
    "select": "selected",
    "evaluate": "evaluated",
}


class Display:
    """Context manager that shows a `Progress`, from a thread of its own: the run never waits for a terminal.

    Args:
        progress: What is shown.
        stages: The stages that the run goes through, in order.
        title: Heading of the panel.
        output: Where it is shown. Default: standard error.
    """

    def __init__(self, progress: Progress, stages: tuple[str, ...], title: str, output: TextIO | None = None) -> None:
        self._progress = progress
        self._stages = stages
        self._title = title
        self._done = threading.Event()
        self._notices_written = 0
        self._stack = ExitStack()
        self._output = output or sys.stderr
        self._console = Console(file=self._output)
        self._live = Live(
            console=self._console,
            get_renderable=self._panel,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=output is None,
            redirect_stderr=output is None,
        )
        self._thread = threading.Thread(target=self._plain_lines, name="display", daemon=True)

    def __enter__(self) -> Display:
        self._stack.enter_context(at_once(self._abort))
        if self._console.is_terminal:
            self._live.start()
        else:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._done.set()
        if self._console.is_terminal:
            self._live.stop()
            self._write_notices()
        else:
            self._thread.join(JOIN_SECONDS)
            self._write_state()

    def _abort(self) -> None:
        """Restore the terminal and write the last notices, because the process ends at once."""
        if self._console.is_terminal:
            self._write(SHOW_CURSOR)  # first, because the interrupted code may hold the panel's lock
            self._live.stop()
        self._write_notices()

    def _plain_lines(self) -> None:
        """Until the end, write new notices, and a line on the state where it has changed."""
        last_state = ""
        last_time = time.monotonic()
        while not self._done.wait(NOTICE_SECONDS):
            self._write_notices()
            state = f"{self._counts()} {waits_of(self._progress)}"
            if state != last_state and time.monotonic() - last_time >= PLAIN_SECONDS:
                self._write_state()
                last_state, last_time = state, time.monotonic()

    def _write_notices(self) -> None:
        """Write the notices that were not written yet."""
        new = self._progress.notices[self._notices_written :]
        self._notices_written += len(new)
        for notice in new:
            self._write(f"[{clock(self._progress.seconds)}] {notice}\n")

    def _write_state(self) -> None:
        self._write_notices()
        waits = "".join(f"; waiting for {wait}" for wait in waits_of(self._progress))
        self._write(f"[{clock(self._progress.seconds)}] {self._counts()}{waits}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed terminal is no reason to end a run
            self._output.write(text)
            self._output.flush()

    def _counts(self) -> str:
        progress = self._progress
        stages = ", ".join(f"{STAGE_WORDS[stage]} {progress.done[stage]}/{progress.total}" for stage in self._stages)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in progress.verdicts.most_common())
        return f"{stages}{'; ' + verdicts if verdicts else ''}; {self._flow()}"

    def _flow(self) -> str:
        progress = self._progress
        figures = [f"{progress.containers} containers in flight"]
        if asks_a_model(self._stages):
            rate = progress.tokens / max(progress.seconds, 1e-9)
            figures = [
                f"{progress.samples} samples",
                f"{progress.tokens:,} tokens ({rate:,.0f}/s)",
                f"{progress.requests} requests and {figures[0]}",
            ]
        remaining = progress.remaining_seconds(self._stages[-1])
        if remaining:
            figures.append(f"about {clock(remaining)} left")
        return ", ".join(figures)

    def _panel(self) -> RenderableType:
        progress = self._progress
        table = Table.grid(padding=(0, 1))
        for stage in self._stages:
            done = progress.done[stage]
            bar = ProgressBar(total=max(progress.total, 1), completed=done, width=40)
            table.add_row(STAGE_WORDS[stage], bar, f"{done}/{progress.total}")
        verdicts = Text("  ".join(f"{verdict} {count}" for verdict, count in progress.verdicts.most_common()))
        title = Text(f"{self._title}  {clock(progress.seconds)}", style="bold")
        notices = [Text(notice, style="dim") for notice in progress.notices[-1:]]
        waits = [Text(f"waiting for {wait}", style="dim", no_wrap=True) for wait in waits_of(progress)]
        return Group(title, table, verdicts, *notices, *waits, Text(self._flow(), style="dim"))


def waits_of(progress: Progress) -> list[str]:
    """What a run waits for: a line for each of the first few, and the number of the others."""
    lines = [" ".join(f"{name}: {state}".split()) for name, state in sorted(progress.waits.copy().items())]
    more = len(lines) - WAITS_SHOWN
    return lines[:WAITS_SHOWN] + ([f"{more} more"] if more > 0 else [])


def clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    return time.strftime("%H:%M:%S", time.gmtime(seconds)) if seconds < 86400 else f"{seconds / 3600:.0f} h"
