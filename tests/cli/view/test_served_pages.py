"""The pages as a browser gets them, without a browser."""

from __future__ import annotations

import html
import os
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from starlette.testclient import TestClient

from swerl_eval.cli.view.guard import known_hosts
from swerl_eval.cli.view.server import application
from swerl_eval.progress import Progress
from swerl_eval.records.live_status import LIVE_FILE
from swerl_eval.records.manifest import read_manifest
from swerl_eval.records.run_folder import open_run
from swerl_eval.reports.write_reports import write_page, write_reports
from tests.cli.view.serving import served
from tests.reports.comparison_runs import NAMES, facts, made

BASE = "RRuu" * 3
OLD_RUN = Path(__file__).parents[2] / "data" / "run-folder-0.1"


def client(results: Path) -> TestClient:
    app = application(results, known_hosts("127.0.0.1", 7575))
    return TestClient(app, base_url="http://localhost:7575", raise_server_exceptions=False)


def _get(address: str, **more: Any) -> httpx.Response:
    return httpx.get(address, timeout=240, **more)


def page(results: Path, path: str, status: int = 200) -> str:
    answer = client(results).get(path)
    assert answer.status_code == status, answer.text
    text = html.unescape(re.sub(r"<(style|script)>.*?</\1>|<[^>]+>", " ", answer.text, flags=re.S))
    return re.sub(r"\s+", " ", text)


def beat(folder: Path, age: float = 0.0) -> None:
    state = Progress(total=12)
    state.finish("evaluate", resumed=False)
    state.waiting("image <b>", "12 of 90 MB")
    state.notify("server 0 is started")
    status = {"heartbeat": time.time() - age, **state.snapshot(("localize", "evaluate"))}
    (folder / LIVE_FILE).write_bytes(orjson.dumps(status))


def test_the_list_names_every_run_with_its_figures(tmp_path: Path) -> None:
    made(tmp_path / "monday", BASE, strict="Ruuu" * 3)
    made(tmp_path / "half", BASE[:6] + "." * 6, recorded=True)
    text = page(tmp_path, "/")
    assert re.search(r"monday finished 50\.0 % 6 of 12 25\.4 % to 74\.6 % 3 org/model verified 2026-01-01 00:00", text)
    assert re.search(r"half recorded incomplete 33\.3 % 4 of 12 so far: 6 of 12 have a verdict 4 org/model", text)


def test_an_empty_folder_says_how_a_run_is_made(tmp_path: Path) -> None:
    assert "There is no run yet. swerl-eval demo makes one" in page(tmp_path, "/")


def test_a_folder_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    assert "No such file or directory" in page(tmp_path / "gone", "/", 422)


def test_a_broken_run_is_listed_with_its_error_and_has_no_link(tmp_path: Path) -> None:
    made(tmp_path / "fine", BASE)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("<script>alert(1)</script>")
    answer = client(tmp_path).get("/")
    assert 'href="/runs/fine"' in answer.text
    assert "/runs/broken" not in answer.text
    assert "not a manifest of this program" in answer.text
    assert "not a manifest of this program" in page(tmp_path, "/runs/broken/report", 422)
    assert "not a manifest of this program" in page(tmp_path, "/runs/broken/live", 200)


@pytest.mark.parametrize(
    "name", ["two words", "100%", "a%2Fb", "..%2f", "naïve ✓", "a+b", "a?b#c", "a&run=b", "<b>bold", "\"'", "new\nline"]
)
def test_a_run_of_any_name_is_reached_by_the_link_of_the_list(tmp_path: Path, name: str) -> None:
    made(tmp_path / name, BASE)
    made(tmp_path / "other", BASE)
    with served(tmp_path) as address:
        text = _get(address).text
        assert "<b>bold" not in text
        links = [html.unescape(each) for each in re.findall(r'href="(/runs/[^"]+)"', text)]
        link = next(each for each in links if each != "/runs/other")
        assert _get(f"{address}{link}").headers["location"] == f"{link}/report"
        assert _get(f"{address}{link}/report").status_code == 200
        compared = _get(f"{address}/compare", params=[("run", name), ("run", "other")])
        assert compared.status_code == 200
        assert link in [html.unescape(each) for each in re.findall(r'href="([^"#]+)/report"', compared.text)]


@pytest.mark.parametrize(
    "path",
    [
        "/runs/%2e%2e", "/runs/%2e%2e/report", "/runs/..%2fsecret/report", "/runs/%2e%2e%2fsecret/live",
        "/runs/r%2f..%2f..%2fsecret/report", "/runs/%2fetc/report", "/runs/r%00/report", "/runs/linked/report",
        "/runs/linked/live.json", "/runs//report", "/runs/r/run.json", "/runs/r/report.json", "/runs/r/report/",
        "/r/run.json",
        "/../secret/run.json", "/%2e%2e/secret/run.json", "/assets/runs.js", "/compare?run=r&run=linked",
        "/compare?run=r&run=../secret", "/compare?run=r&run=%2e%2e%2fsecret", "/runs/%ff/report", "/runs/r%252f/report",
    ],
)  # fmt: skip
def test_nothing_but_runs_of_the_folder_is_served(tmp_path: Path, path: str) -> None:
    made(tmp_path / "results" / "r", BASE)
    made(tmp_path / "secret", BASE, model_name="secret/model")
    (tmp_path / "results" / "linked").symlink_to(tmp_path / "secret")
    answer = client(tmp_path / "results").get(path)
    assert answer.status_code == 404
    assert "secret/model" not in answer.text


def test_a_finished_run_opens_as_its_report_and_a_running_one_live(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", BASE[:-1] + ".")
    assert client(tmp_path).get("/runs/r", follow_redirects=False).headers["location"] == "/runs/r/report"
    beat(folder)
    assert client(tmp_path).get("/runs/r", follow_redirects=False).headers["location"] == "/runs/r/live"


def test_the_live_page_says_in_words_what_the_process_does(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", BASE[:2] + "u" + "." * 9)
    beat(folder)
    text = page(tmp_path, "/runs/r/live")
    assert "running The run goes on. Stages localized 0 of 12 evaluated 1 of 12" in text
    assert "Waits for image <b>: 12 of 90 MB Last notices server 0 is started" in text
    assert "3 of 12 instances have a verdict, 2 are resolved." in text
    data = client(tmp_path).get("/runs/r/live.json").json()
    assert (data["state"], data["stages"]) == ("running", [["localized", 0, 12], ["evaluated", 1, 12]])
    assert data["instances"] == [
        [NAMES[2], "unresolved", "unresolved"],
        [NAMES[1], "resolved", "resolved"],
        [NAMES[0], "resolved", "resolved"],
    ]


def test_a_run_whose_heart_has_stopped_is_said_to_be_stopped(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", BASE[:2] + "." * 10)
    beat(folder, age=16)
    data = client(tmp_path).get("/runs/r/live.json").json()
    assert (data["state"], data["stages"], data["figures"]) == ("stopped", [], [])
    assert "The same command goes on with it." in data["explanation"]
    assert "stopped" in page(tmp_path, "/")


def test_the_report_of_the_folder_is_served_while_it_is_newer_than_the_records(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", BASE)
    with open_run(folder, read_manifest(folder)) as run:
        write_page(folder / "report.html", run, write_reports(run))
    file = folder / "report.html"
    marked = file.read_text().replace("</title>", " (of the folder)</title>")
    file.write_text(marked)
    served = client(tmp_path).get("/runs/r/report")
    assert "(of the folder)</title>" in served.text
    os.utime(file, ns=(0, 0))
    made_now = client(tmp_path).get("/runs/r/report")
    assert "(of the folder)</title>" not in made_now.text
    assert "Solve rate" in made_now.text


def test_a_report_of_a_running_run_has_its_latest_verdicts(tmp_path: Path) -> None:
    made(tmp_path / "r", BASE)
    made(tmp_path / "new", "R" + "." * 11)
    browser = client(tmp_path)
    assert "1 of 12" in browser.get("/runs/new/report").text
    other = made(tmp_path / "other", "RR" + "." * 10)
    for name in ("selections.jsonl", "evaluations.jsonl"):
        (other / name).replace(tmp_path / "new" / name)
    assert "2 of 12" in browser.get("/runs/new/report").text


def test_a_script_in_a_report_of_somebody_else_does_not_run(tmp_path: Path) -> None:
    folder = made(tmp_path / "r", BASE)
    (folder / "report.html").write_text("<script>fetch('/')</script>")
    assert "fetch('/')" not in client(tmp_path).get("/runs/r/report").text
    with open_run(folder, read_manifest(folder)) as run:
        write_page(folder / "report.html", run, write_reports(run))
    whole = (folder / "report.html").read_text()
    (folder / "report.html").write_text(whole.replace("<body>", "<body><script>fetch('/')</script>"))
    answer = client(tmp_path).get("/runs/r/report")
    policy = answer.headers["content-security-policy"]
    assert "fetch('/')" in answer.text  # it is there, and the policy of the answer lets none but our script run
    assert re.fullmatch(r"'sha256-[\w+/]+='", re.search(r"script-src ([^;]*);", policy)[1])  # type: ignore[index]
    assert "connect-src" not in policy
    assert policy.startswith("default-src 'none'; ")


@pytest.mark.parametrize(
    "path", ["/", "/runs/r/live", "/runs/r/report", "/compare?run=r&run=s", "/compare?run=r&run=t"]
)
def test_the_policy_of_an_answer_is_that_of_its_page_and_forbids_frames(tmp_path: Path, path: str) -> None:
    made(tmp_path / "r", BASE)
    made(tmp_path / "s", BASE)
    made(tmp_path / "t", BASE, versions={"swebench": "5.1.0"})
    answer = client(tmp_path).get(path)
    assert answer.status_code == 200
    written = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', answer.text)
    assert written is not None
    assert answer.headers["content-security-policy"] == f"{html.unescape(written[1])}; frame-ancestors 'none'"
    assert "unsafe" not in written[1]


def test_chosen_runs_are_compared_the_oldest_first_each_once(tmp_path: Path) -> None:
    made(tmp_path / "monday", BASE, created_at="2026-01-01T00:00:00+00:00")
    made(tmp_path / "tuesday", "RRRu" + BASE[4:], created_at="2026-01-02T00:00:00+00:00")
    text = page(tmp_path, "/compare?run=tuesday&run=monday&run=tuesday")
    assert "monday and tuesday Comparison over 12 instances" in text
    assert "Difference: +8.3 points" in text
    assert f"Gained, by tuesday alone: 1 {NAMES[2]} monday tuesday" in text
    link = f'href="/runs/tuesday/report#open={NAMES[2]}"'
    assert link in client(tmp_path).get("/compare?run=tuesday&run=monday").text


def test_runs_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = made(tmp_path / name, BASE)
        manifest = orjson.loads((folder / "run.json").read_bytes())
        (folder / "run.json").write_bytes(orjson.dumps({**manifest, "run_id": "same"}))
    assert "a and b Comparison" in page(tmp_path, "/compare?run=a&run=b")


def test_one_run_is_nothing_to_compare(tmp_path: Path) -> None:
    made(tmp_path / "r", BASE)
    for query in ("", "?run=r", "?run=r&run=r"):
        assert "choose two runs or more" in page(tmp_path, f"/compare{query}", 422)


def test_runs_that_were_not_measured_alike_are_compared_only_on_demand(tmp_path: Path) -> None:
    made(tmp_path / "r", BASE)
    made(tmp_path / "t&t", BASE, versions={"swebench": "5.1.0"})
    address = f"/compare?run=r&run={quote('t&t')}"
    answer = client(tmp_path).get(address)
    assert "harness version: swebench 5.0.2 in r and swebench 5.1.0 in t&amp;t" in answer.text
    assert "Difference:" not in answer.text
    anyway = html.unescape(re.search(r'class="button" href="([^"]+)"', answer.text)[1])  # type: ignore[index]
    text = page(tmp_path, anyway)
    assert "NOT MEASURED ALIKE" in text
    assert "Difference: 0.0 points" in text


def test_runs_without_a_common_instance_are_refused_even_so(tmp_path: Path) -> None:
    made(tmp_path / "r", BASE)
    made(tmp_path / "s", BASE, instances=facts([f"other__other-{number}" for number in range(12)]))
    assert "have no instance in common" in page(tmp_path, "/compare?run=r&run=s&anyway=1", 422)


def test_a_run_of_an_older_version_is_shown(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(OLD_RUN, tmp_path / "old")
    assert "finished" in page(tmp_path, "/")
    for part in ("live", "live.json", "report"):
        assert client(tmp_path).get(f"/runs/old/{part}").status_code == 200


def test_an_error_of_the_program_is_a_page_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swerl_eval.cli.view.pages.run_list", lambda *_: 1 / 0)
    answer = client(tmp_path).get("/")
    assert answer.status_code == 500
    assert "ZeroDivisionError: division by zero" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.slow
def test_a_long_list_is_quick(tmp_path: Path) -> None:
    folder = made(tmp_path / "r0", "R" * 500, instances=facts([f"a__b-{number}" for number in range(500)]))
    for number in range(1, 200):
        target = tmp_path / f"r{number}"
        target.mkdir()
        for file in folder.iterdir():
            if file.is_file():
                os.link(file, target / file.name)
    browser = client(tmp_path)
    assert browser.get("/").text.count("<tr data-id=") == 200
    begun = time.process_time()
    browser.get("/")
    assert time.process_time() - begun < 10.0  # 0.1 s where nothing else runs
