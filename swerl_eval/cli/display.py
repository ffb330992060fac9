"""What a run shows while it works: a live panel on a terminal, plain lines at a sane rate elsewhere."""

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

from swerl_eval.progress import Progress
from swerl_eval.shutdown import at_once

PLAIN_SECONDS = 30.0
"""Between plain lines: a CI log of a night stays readable."""
JOIN_SECONDS = 5.0
"""For the thread of plain lines to end, which a terminal may hold up."""
SHOW_CURSOR = "\x1b[?25h"
NOTICE_SECONDS = 1.0
"""Until a notice is shown."""
WAITS_SHOWN = 4
"""Of what is waited for; the rest is counted."""
_STAGE_WORDS = {
    "localize": "localized",
    "repair": "repaired",
    "reproduce": "reproduced",
    "regress": "regressed",
    "run_tests": "examined",
    "select": "selected",
    "evaluate": "evaluated",
}


class Display:
    """Shows a `Progress` from a thread of its own, so that the work never waits for a terminal.

    On standard error, or on `shown` where that is not what it was.
    """

    def __init__(self, progress: Progress, stages: tuple[str, ...], title: str, shown: TextIO | None = None) -> None:
        self._progress = progress
        self._stages = stages
        self._title = title
        self._done = threading.Event()
        self._noticed = 0
        self._around = ExitStack()
        self._shown = shown or sys.stderr
        self._console = Console(file=self._shown)
        self._live = Live(
            console=self._console,
            get_renderable=self._panel,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=shown is None,
            redirect_stderr=shown is None,
        )
        self._thread = threading.Thread(target=self._plain_lines, name="display", daemon=True)

    def __enter__(self) -> Display:
        self._around.enter_context(at_once(self._leave))
        if self._console.is_terminal:
            self._live.start()
        else:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._around.close()
        self._done.set()
        if self._console.is_terminal:
            self._live.stop()
            self._say_notices()
        else:
            self._thread.join(JOIN_SECONDS)
            self._say()

    def _leave(self) -> None:
        """Give the terminal back, and say what was not said yet: this process ends at once."""
        if self._console.is_terminal:
            self._write(SHOW_CURSOR)  # first: the panel may be locked by whatever was interrupted
            self._live.stop()
        self._say_notices()

    def _plain_lines(self) -> None:
        last = ""
        spoken = time.monotonic()
        while not self._done.wait(NOTICE_SECONDS):
            self._say_notices()
            now = f"{self._counts()} {waits_of(self._progress)}"
            if now != last and time.monotonic() - spoken >= PLAIN_SECONDS:
                self._say()
                last, spoken = now, time.monotonic()

    def _say_notices(self) -> None:
        """Each once."""
        new = self._progress.notices[self._noticed :]
        self._noticed += len(new)
        for notice in new:
            self._write(f"[{_clock(self._progress.seconds)}] {notice}\n")

    def _say(self) -> None:
        self._say_notices()
        waits = "".join(f"; waiting for {wait}" for wait in waits_of(self._progress))
        self._write(f"[{_clock(self._progress.seconds)}] {self._counts()}{waits}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more: no reason to end a run
            self._shown.write(text)
            self._shown.flush()

    def _counts(self) -> str:
        progress = self._progress
        stages = ", ".join(f"{_STAGE_WORDS[stage]} {progress.done[stage]}/{progress.total}" for stage in self._stages)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in progress.verdicts.most_common())
        return f"{stages}{'; ' + verdicts if verdicts else ''}; {self._flow()}"

    def _flow(self) -> str:
        progress = self._progress
        rate = progress.tokens / max(progress.seconds, 1e-9)
        words = [f"{progress.samples} samples", f"{progress.tokens:,} tokens ({rate:,.0f}/s)"]
        words += [f"{progress.requests} requests and {progress.containers} containers in flight"]
        left = progress.remaining_seconds(self._stages[-1])
        if left:
            words.append(f"about {_clock(left)} left")
        return ", ".join(words)

    def _panel(self) -> RenderableType:
        progress = self._progress
        table = Table.grid(padding=(0, 1))
        for stage in self._stages:
            done = progress.done[stage]
            bar = ProgressBar(total=max(progress.total, 1), completed=done, width=40)
            table.add_row(_STAGE_WORDS[stage], bar, f"{done}/{progress.total}")
        verdicts = Text("  ".join(f"{verdict} {count}" for verdict, count in progress.verdicts.most_common()))
        title = Text(f"{self._title}  {_clock(progress.seconds)}", style="bold")
        notices = [Text(notice, style="dim") for notice in progress.notices[-1:]]
        waits = [Text(f"waiting for {wait}", style="dim", no_wrap=True) for wait in waits_of(progress)]
        return Group(title, table, verdicts, *notices, *waits, Text(self._flow(), style="dim"))


def waits_of(progress: Progress) -> list[str]:
    """What is waited for, as the first few lines and the number of the others."""
    found = [" ".join(f"{what}: {how}".split()) for what, how in sorted(progress.waits.copy().items())]
    more = len(found) - WAITS_SHOWN
    return found[:WAITS_SHOWN] + ([f"{more} more"] if more > 0 else [])


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(seconds)) if seconds < 86400 else f"{seconds / 3600:.0f} h"
