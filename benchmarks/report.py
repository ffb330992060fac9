"""How long the report of a large run takes to write, and its page to open and to answer, in Chromium.

    python benchmarks/report.py [--instances 500] [--samples 500] [--small-answers] [--rounds 5] [--output FILE]

The run is made up, from a seed (`_made_up_run.py`): no model, no container. Beside it the same run in inspect_ai's
viewer, from `swerl-eval export RUN --to inspect`, where that package is installed. Needs Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from _chromium import chromium, memory, middle_and_worst, on_page, opened, timed
from _machine import machine, peak_memory, versions
from _made_up_code import SEED
from _made_up_run import Size, make_run
from playwright.sync_api import Browser, Error, Page

from swerl_eval.records.run_folder import Run

OPENED = 20
"""Instances that are opened, evenly over the table."""
READY = "#filter-box:not([hidden])"
"""The script shows the filter at its end; the table comes before it."""
OPENED_PART = "#instance .part"


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    size: Size
    rounds: int


def write_page(folder: Path, page: Path) -> dict[str, Any]:
    """Write the page of a run, in this process; returns the seconds and the memory it took."""
    from swerl_eval.reports.html.page import report_page
    from swerl_eval.reports.summary import build_report

    begun = time.perf_counter()
    run = Run(folder)
    read = time.perf_counter()
    report = build_report(run)
    summed = time.perf_counter()
    with page.open("w", encoding="utf-8") as file:
        file.writelines(report_page(run, report, {}))
    written = time.perf_counter()
    return {"read": read - begun, "summed": summed - read, "page": written - summed, "peak": peak_memory()}


def child(folder: Path, page: Path) -> dict[str, Any]:
    """Write the page in a process that does nothing else."""
    command = [sys.executable, __file__, "--child", str(folder), str(page)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def answers(page: Page, browser: Browser) -> dict[str, Any]:
    """Sort, filter, and open instances; returns the seconds of each."""
    heads = page.locator("#table thead button").count()
    sorts = [
        timed(page, f"(window.head = document.querySelectorAll('#table thead button')[{place}]).click()",
              "window.head.closest('th').hasAttribute('aria-sort')")
        for place in range(1, heads)
    ]  # fmt: skip
    filters = [
        timed(page, f"""const box = document.getElementById('filter');
              box.value = '{text}'; box.dispatchEvent(new Event('input'))""",
              f"document.getElementById('shown').textContent.includes('{' of ' if text else 'instance'}')")
        for text in ("p", "pa", "verdict:resolved", "repo:plots verdict:unresolved", "")
    ]  # fmt: skip
    count = page.locator("tr[data-id]").count()
    opens = []
    for place in range(0, count, max(1, count // OPENED)):
        link = f"document.querySelectorAll('tr[data-id] a')[{place}].click()"
        opens.append(timed(page, link, f"document.querySelector('{OPENED_PART}') !== null"))
        page.go_back()
        page.wait_for_selector(READY)
    page.locator("tr[data-id] a").first.click()
    page.wait_for_selector(OPENED_PART)
    return {"sorts": sorts, "filters": filters, "opens": opens, **memory(browser, page)}


@contextmanager
def viewer(folder: Path) -> Iterator[str]:
    """Export the run for inspect_ai and serve it by `inspect view`, which listens on the loopback alone."""
    logs = folder.parent / "inspect"
    export = [
        sys.executable,
        "-m",
        "swerl_eval.cli.app",
        "export",
        str(folder),
        "--to",
        "inspect",
        "--output",
        str(logs),
    ]
    subprocess.run(export, check=True, capture_output=True, text=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = str(Path(sys.executable).parent / "inspect")
    command = [program, "view", "start", "--log-dir", str(logs), "--host", "127.0.0.1", "--port", str(port)]
    # its home is in the folder, too: it keeps a database of the logs that it was shown
    environment = {**os.environ, "HOME": str(folder.parent), "XDG_DATA_HOME": str(folder.parent / "data")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    message = "it did not start within a minute"
    raise TimeoutError(message)


def in_inspect(folder: Path, browser: Browser, names: list[str], rounds: int) -> dict[str, Any]:
    """Measure the viewer: its list of samples, and one sample."""
    with viewer(folder) as url:
        size = sum(file.stat().st_size for file in (folder.parent / "inspect").glob("*.eval"))
        figures = opened(browser, url, f"text={names[0]}", rounds)

        def open_one(page: Page) -> dict[str, Any]:
            begun = time.perf_counter()
            page.get_by_text(names[0]).first.click()
            page.get_by_text(f"Sample {names[0]}").first.wait_for()
            page.wait_for_function("document.body.innerText.includes('TRANSCRIPT')")
            return {"opens": [time.perf_counter() - begun], **memory(browser, page)}

        return {"size": size, "list": figures, **on_page(browser, url, f"text={names[0]}", open_one)}


def table(plan: Plan, command: str) -> Iterator[str]:
    """Yield the lines of the report."""
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder, page = Path(name) / "made-up", Path(name) / "report.html"
        names = sorted(make_run(folder, plan.size).manifest.instances)
        stored = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        yield "# The report's page"
        yield ""
        yield f"Made by `{command}`;"
        yield f"{versions('swerl-eval', 'playwright')}; Chromium {browser.version} without a window;"
        yield f"{machine()}; seed {SEED}. {plan.size.instances} instances x {plan.size.samples} samples, made up:"
        yield f"{stored / 1e6:,.0f} MB of records."
        yield ""
        written = child(folder, page)
        yield from _written(written, page.stat().st_size)
        yield ""
        ours = opened(browser, page.as_uri(), READY, plan.rounds)
        used = on_page(browser, page.as_uri(), READY, lambda opened_page: answers(opened_page, browser))
        yield from _shown(plan, ours, used)
        yield ""
        measured = {"size": page.stat().st_size, "list": ours, **used}
        yield from _beside(measured, lambda: in_inspect(folder, browser, names, plan.rounds))


def _written(figures: Mapping[str, float], size: int) -> Iterator[str]:
    whole = figures["read"] + figures["summed"] + figures["page"]
    yield "## Writing"
    yield ""
    yield "In a fresh process, with the records in the system's cache. Goal: a page of less than 25 MB."
    yield ""
    yield "| opening the run folder | summing up | the page | together | peak memory | size of the page |"
    yield "|---|---|---|---|---|---|"
    seconds = " | ".join(f"{each:.1f} s" for each in (figures["read"], figures["summed"], figures["page"], whole))
    yield f"| {seconds} | {figures['peak'] / 1e6:,.0f} MB | {size / 1e6:.1f} MB |"


def _shown(plan: Plan, ours: Mapping[str, float], used: Mapping[str, Any]) -> Iterator[str]:
    yield "## In Chromium"
    yield ""
    yield f"Opened {plan.rounds} times from its file, each time as the first page of a fresh profile; medians. The page"
    yield "is ready when the table is there and the script has run. Actions are timed to the next painted frame."
    yield "Goal: ready in less than 2 s."
    yield ""
    yield "| what | time |"
    yield "|---|---|"
    yield f"| first screen (first contentful paint) | {ours['paint']:.2f} s |"
    yield f"| ready | {ours['ready']:.2f} s (highest {ours['worst']:.2f} s) |"
    yield f"| open an instance, {len(used['opens'])} of them | {middle_and_worst(used['opens'])} |"
    yield f"| sort by a column, {len(used['sorts'])} of them | {middle_and_worst(used['sorts'])} |"
    yield f"| filter, {len(used['filters'])} times | {middle_and_worst(used['filters'])} |"


def _beside(ours: Mapping[str, Any], inspect: Callable[[], Mapping[str, Any]]) -> Iterator[str]:
    yield "## Beside inspect_ai's viewer"
    yield ""
    yield "The same run, exported by `swerl-eval export RUN --to inspect` and served by `inspect view` on this machine."
    yield "That log holds one sample an instance, with the chosen patch; the page holds every unique candidate. Memory"
    yield "is that of the script after a collection, and of the whole process that shows the page."
    yield ""
    yield "| | size | list ready | open one | script's memory, list | process, list | process, one open |"
    yield "|---|---|---|---|---|---|---|"
    yield _row("report.html", ours)
    try:
        yield _row(versions("inspect-ai").partition(", ")[2], inspect())
    except PackageNotFoundError:
        yield "| inspect_ai | not measured: it is not installed | | | | | |"
    except (subprocess.CalledProcessError, Error, OSError) as error:
        said = getattr(error, "stderr", "") or str(error)
        yield f"| inspect_ai | not measured: {said.strip().splitlines()[-1][:200]} | | | | | |"


def _row(name: str, figures: Mapping[str, Any]) -> str:
    shown, bytes_used = figures["list"], figures["size"]
    size = f"{bytes_used / 1e6:.1f} MB"
    sizes = " | ".join(f"{each / 1e6:,.0f} MB" for each in (shown["heap"], shown["resident"], figures["resident"]))
    return f"| {name} | {size} | {shown['ready']:.2f} s | {middle_and_worst(figures['opens'])} | {sizes} |"


FULL = Plan(Size(500, 500), 5)


def main() -> None:
    """Print the table as it grows; write it when it is whole."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--instances", type=int, default=FULL.size.instances)
    parser.add_argument("--samples", type=int, default=FULL.size.samples)
    parser.add_argument("--small-answers", action="store_true", help="answers of a few words, to save disk")
    parser.add_argument("--rounds", type=int, default=FULL.rounds)
    parser.add_argument("--output", type=Path, help="file to write the table to")
    parser.add_argument("--child", nargs=2, type=Path, metavar=("RUN", "PAGE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(write_page(*arguments.child)))
        return
    plan = Plan(Size(arguments.instances, arguments.samples, arguments.small_answers), arguments.rounds)
    shown = ["python benchmarks/report.py"]
    shown += [
        f"--{name} {getattr(arguments, name)}"
        for name in ("instances", "samples", "rounds")
        if getattr(arguments, name) != parser.get_default(name)
    ]
    shown += ["--small-answers"] if arguments.small_answers else []
    shown += [f"--output results/{arguments.output.name}"] if arguments.output else []
    lines = []
    for line in table(plan, " ".join(shown)):
        print(line, flush=True)
        lines.append(line.rstrip())
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
