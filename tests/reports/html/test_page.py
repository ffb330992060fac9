"""The page of a run as a file: what may run in it, what it holds, and that a run does not fail by it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pytest

from swerl_eval.records.run_folder import Run
from swerl_eval.reports.html.templates import ASSETS
from swerl_eval.reports.summary import build_report
from swerl_eval.reports.write_reports import write_page, write_page_if_possible, write_reports

OLD_RUN = Path(__file__).parents[2] / "data" / "run-folder-0.1"


class Parsed(HTMLParser):
    """The elements of a page, and the texts of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attrs = self.elements[-1] if self.elements else ("", {})
        if tag in {"script", "style"} and data.strip():
            self.texts.append((tag + (attrs.get("type") or ""), data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a run folder of an older version; it lacks issue texts and gold patches."""
    return Path(shutil.copytree(OLD_RUN, tmp_path / "run"))


@pytest.fixture
def page(folder: Path) -> str:
    run = Run(folder)
    write_page(folder / "page.html", run, build_report(run))
    return (folder / "page.html").read_text(encoding="utf-8")


def packed(page: str) -> list[dict[str, Any]]:
    """The instances that a page holds."""
    texts = [text for kind, text in Parsed(page).texts if kind == "scriptapplication/octet-stream"]
    return [json.loads(zlib.decompress(base64.b64decode(text), -15)) for text in texts]


def test_nothing_but_its_own_script_and_style_may_act_in_a_page(page: str) -> None:
    parsed = Parsed(page)
    texts = {kind: text for kind, text in parsed.texts if kind in {"script", "style"}}
    digests = {kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for kind, text in texts.items()}
    assert [kind for kind, _ in parsed.texts].count("script") == 1
    policy = next(attrs["content"] for _, attrs in parsed.elements if attrs.get("http-equiv"))
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests['script']}'; style-src 'sha256-{digests['style']}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    attributes = {name for _, attrs in parsed.elements for name in attrs}
    assert not [name for name in attributes if name.startswith("on") or name == "style"]
    addresses = [attrs["href"] or "" for _, attrs in parsed.elements if "href" in attrs]
    assert {address[0] for address in addresses if address != "data:,"} == {"#"}


def test_every_picture_is_within_the_page(page: str) -> None:
    sources = [attrs.get(name) for _, attrs in Parsed(page).elements for name in ("src", "srcset") if name in attrs]
    assert sources
    assert all(source and source.startswith("data:image/svg+xml;base64,") for source in sources)


@pytest.mark.parametrize("asset", sorted(path.name for path in ASSETS.iterdir() if path.suffix in {".js", ".css"}))
def test_no_script_or_style_ends_early_or_makes_markup_of_text(asset: str) -> None:
    text = (ASSETS / asset).read_text(encoding="utf-8")
    assert not re.search(r"</|<!--|]]>", text)
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|createContextual"
    )
    assert not re.search(forbidden, text)


def test_a_page_holds_every_instance_in_the_order_of_its_table(page: str, folder: Path) -> None:
    rows = [attrs["data-id"] for tag, attrs in Parsed(page).elements if tag == "tr" and "data-id" in attrs]
    assert rows == sorted(Run(folder).manifest.instances)
    assert [instance["id"] for instance in packed(page)] == rows


def test_a_page_is_the_same_each_time(folder: Path, page: str) -> None:
    run = Run(folder)
    write_page(folder / "again.html", run, build_report(run))
    assert (folder / "again.html").read_text(encoding="utf-8") == page


def test_an_older_run_folder_has_a_page(page: str) -> None:
    assert [instance["id"] for instance in packed(page) if instance["issue"] or instance["gold"]] == []
    assert "Solve rate" in page


def test_names_of_a_run_are_text(folder: Path) -> None:
    run = Run(folder)
    report = build_report(run)
    report["model"] = '<img src=x onerror="alert(1)">\ud800'
    report["instances"][0]["reason"] = "</td><script>alert(1)</script>"
    write_page(folder / "page.html", run, report)
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;?" in page
    assert [kind for kind, _ in Parsed(page).texts].count("script") == 1


def test_an_instance_with_odd_records_is_said_to_be_odd_and_the_others_are_shown(folder: Path) -> None:
    file = folder / "evaluations.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    resolved = next(line for line in lines if line["report"])
    resolved["report"]["tests_status"] = {"FAIL_TO_PASS": 5, "PASS_TO_PASS": 5}
    run = Run(folder)
    report = build_report(run)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_page(folder / "page.html", Run(folder), report)
    page = (folder / "page.html").read_text(encoding="utf-8")
    odd = [instance for instance in packed(page) if "unreadable" in instance]
    assert [instance["id"] for instance in odd] == [resolved["instance_id"]]
    assert odd[0]["unreadable"].startswith("its records are odd: ")
    assert len(packed(page)) == len(report["instances"])


def test_a_run_that_is_not_complete_is_said_to_be_so(page: str, folder: Path) -> None:
    assert "INCOMPLETE" not in page
    (folder / "evaluations.jsonl").unlink()
    run = Run(folder)
    write_page(folder / "page.html", run, build_report(run))
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "<strong>INCOMPLETE.</strong>" in page
    assert '<p class="number">0.0&nbsp;%</p>' in page


def test_a_run_without_strict_verdicts_has_no_strict_rate(folder: Path) -> None:
    manifest = json.loads((folder / "run.json").read_bytes())
    manifest["config"]["strict"] = False
    (folder / "run.json").write_text(json.dumps(manifest))
    run = Run(folder)
    write_page(folder / "page.html", run, build_report(run))
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "The run has no strict verdicts" in page
    assert page.count("confirmed by the control run") == 0


def test_the_page_is_written_with_the_reports(folder: Path) -> None:
    write_page_if_possible(Run(folder), write_reports(Run(folder)), print)
    assert (folder / "report.html").stat().st_size > 10_000


def test_a_page_that_cannot_be_written_is_said_and_the_other_reports_are_there(folder: Path) -> None:
    (folder / "report.html").mkdir()
    said: list[str] = []
    report = write_reports(Run(folder))
    write_page_if_possible(Run(folder), report, said.append)
    assert json.loads((folder / "report.json").read_bytes()) == report
    assert (folder / "all_preds.jsonl").is_file()
    assert len(said) == 1
    assert said[0].startswith("report.html was not written: ")
    assert not list(folder.glob(".*.unfinished"))


def test_a_page_of_earlier_records_does_not_stay_when_there_is_no_new_one(folder: Path) -> None:
    write_page_if_possible(Run(folder), write_reports(Run(folder)), print)
    (folder / "events.jsonl").unlink()
    (folder / "events.jsonl").mkdir()  # it cannot be read
    said: list[str] = []
    write_page_if_possible(Run(folder), write_reports(Run(folder)), said.append)
    assert len(said) == 1
    assert not (folder / "report.html").exists()


def test_a_value_that_a_page_lacks_is_an_error_and_leaves_no_half_page(folder: Path) -> None:
    run = Run(folder)
    report = build_report(run)
    del report["run_id"]
    with pytest.raises(jinja2.UndefinedError, match="run_id"):
        write_page(folder / "page.html", run, report)
    assert not (folder / "page.html").exists()
