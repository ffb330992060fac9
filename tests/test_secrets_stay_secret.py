"""Secrets are planted wherever a user can put one. No byte that a run leaves or prints has one of them."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from swerl_eval.demo.setup import SUITE
from swerl_eval.reports import EXPORTERS
from tests.fake_server import FakeServer
from tests.telling_server import TellingServer

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).parent / "swerl-eval")
ROOT = Path(__file__).parent.parent
HEAD = 12
"""Characters of a planted secret that tell it from the others: half a key is a leak too."""


def planted(name: str) -> str:
    """A secret for one place; its first characters are the place's own."""
    return f"{hashlib.sha256(name.encode()).hexdigest()[:HEAD]}-{len(name)}-abcdef"


ENVIRONMENT = {
    name: planted(name[::-1])
    for name in ("OPENAI_API_KEY", "WANDB_API_KEY", "HF_TOKEN", "DATABASE_PASSWORD", "AZURE_OPENAI_KEY")
}
ENVIRONMENT["PIP_PROXY_ADDRESS"] = f"http://me:{planted('proxy address')}@proxy.example"
PASSWORD = f"{planted('base url password')}/ä"
BASE_URL_KEY = planted("key of base url")
LAUNCH = {name: planted(name) for name in ("launch variable", "1 launch option", "2nd launch key", "header launched")}
TABLES = {
    "request.extra_body_api_key": planted("request api key"),
    "request.metadata.password": planted("metadata"),
    "engine.hf_token": planted("engine token"),
    "submission.token": planted("submission token"),
    "submission.site": f"https://me:{planted('site of the submission')}@site.example/?sig={planted('signature')}",
    "submission.name": "A name",
    "tracking.uri": f"https://me:{planted('password of a tracker')}@tracker.example",
}
SECRETS = [
    *(value for name, value in ENVIRONMENT.items() if name != "PIP_PROXY_ADDRESS"),
    *LAUNCH.values(),
    *(value for name, value in TABLES.items() if name.rpartition(".")[2] not in {"site", "name", "uri"}),
    planted("password of a tracker"),
    planted("site of the submission"),
    planted("signature"),
    planted("proxy address"),
    PASSWORD,
    BASE_URL_KEY,
]


def spellings() -> Iterator[bytes]:
    for secret in SECRETS:
        for spelling in (secret, quote(secret, safe="")):
            yield spelling[:HEAD].encode()
    # what a client makes of an address with a password
    yield base64.b64encode(f"me:{PASSWORD}".encode())[:24]


def test_the_planted_secrets_are_told_apart_by_their_first_characters() -> None:
    assert len({secret[:HEAD] for secret in SECRETS}) == len(SECRETS)


def leaks(folder: Path, done: Mapping[str, bytes]) -> list[str]:
    """Where the run left which secret: every file below a folder, packed ones too, and what was printed."""
    texts = dict(done)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            texts[str(path.relative_to(folder))] = content
            if content.startswith(b"\x1f\x8b"):
                texts[f"{path.name}, unpacked"] = gzip.decompress(content)
    return [f"{name}: {head.decode()}" for name, text in texts.items() for head in spellings() if head in text]


OF_WHOLE_SPLITS = ("hub", "sb-cli")
"""Exports that no run of the bundled suite has."""


def swerl_eval(*arguments: object, folder: Path, code: int | None = 0) -> dict[str, bytes]:
    environment = {**os.environ, **ENVIRONMENT, "SWERL_EVAL_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=folder, env=environment, timeout=300)
    if code is not None:
        assert done.returncode == code, done.stderr.decode()
    return {f"{arguments[0]}: output": done.stdout, f"{arguments[0]}: errors": done.stderr}


def settings(mirrors: Path, *more: object) -> list[object]:
    tables = [part for name, value in TABLES.items() for part in ("-c", f"{name}={value}")]
    return [
        "--dataset", ROOT / SUITE, "-i", "demo__inkwell-1", "--repositories", mirrors, "--model", "m",
        "-c", "sandbox=scripted", "--run-id", "r", "--tracker", "jsonl", *tables, *more,
    ]  # fmt: skip


@pytest.fixture
def telling() -> Iterator[TellingServer]:
    server = TellingServer()
    server.start()
    yield server
    server.kill()


def address_of(server: FakeServer) -> str:
    return server.base_url.replace("://", f"://me:{quote(PASSWORD, safe='')}@") + f"?key={BASE_URL_KEY}"


def test_a_run_with_a_server_that_echoes_its_requests_its_report_and_its_exports_hold_none(
    mirrors: Path, tmp_path: Path, telling: TellingServer
) -> None:
    done = swerl_eval("run", *settings(mirrors, "--base-url", address_of(telling)), folder=tmp_path)
    told = telling.requests[-1]
    assert BASE_URL_KEY in told.path
    assert base64.b64encode(f"me:{PASSWORD}".encode()).decode() in told.headers["authorization"]
    assert TABLES["request.extra_body_api_key"] in str(told.body)
    assert b"who are you?" in (tmp_path / "results/r/samples.jsonl").read_bytes()  # the echo is stored
    done |= swerl_eval("report", "results/r", "--format", "json", folder=tmp_path)
    done |= swerl_eval("config", *settings(mirrors, "--base-url", address_of(telling)), folder=tmp_path)
    done |= swerl_eval("report", "results/r", "--format", "html", folder=tmp_path)
    given = {**TABLES, "submission.trial": "true"}
    tables = [part for key, value in given.items() for part in ("-c", f"{key}={value}")]
    for name in EXPORTERS:
        code = 2 if name in OF_WHOLE_SPLITS else 0
        told_of = swerl_eval("export", "results/r", "--to", name, *tables, folder=tmp_path, code=code)
        done |= {f"{name}, {stream}": text for stream, text in told_of.items()}
    assert leaks(tmp_path, done) == []


def test_a_server_that_ends_the_run_does_not_end_it_with_a_secret(
    mirrors: Path, tmp_path: Path, telling: TellingServer
) -> None:
    telling.mode = "all"
    done = swerl_eval("run", *settings(mirrors, "--base-url", address_of(telling)), folder=tmp_path, code=1)
    assert b"who are you?" in done["run: errors"]
    assert leaks(tmp_path, done) == []


def test_a_run_is_resumed_by_the_same_command_and_by_its_name_where_no_request_is_needed(
    mirrors: Path, tmp_path: Path, telling: TellingServer
) -> None:
    given = settings(mirrors, "--base-url", address_of(telling))
    done = swerl_eval("localize", *given, folder=tmp_path)
    by_name = swerl_eval("localize", "--run-id", "r", folder=tmp_path)
    assert by_name["localize: output"] == done["localize: output"]
    lacking = swerl_eval("run", "--run-id", "r", folder=tmp_path, code=2)["run: errors"].decode()
    assert lacking.splitlines()[-1] == ("swerl-eval: a run folder stores no secrets: give base_url and request again")
    other_key = ["-c", f"request.metadata.password={planted('another password')}"]
    done |= swerl_eval("run", *given, *other_key, folder=tmp_path)
    assert leaks(tmp_path, done) == []


def test_a_run_folder_that_holds_secrets_is_resumed_and_loses_them(
    mirrors: Path, tmp_path: Path, telling: TellingServer
) -> None:
    given = settings(mirrors, "--base-url", address_of(telling))
    swerl_eval("localize", *given, folder=tmp_path)
    file = tmp_path / "results/r/run.json"
    manifest = json.loads(file.read_text())
    request = {"extra_body_api_key": TABLES["request.extra_body_api_key"], "metadata": {"password": "before"}}
    manifest["config"] |= {"base_url": [address_of(telling)], "request": request}
    manifest["identity"] |= {"request": request}
    file.write_text(json.dumps(manifest))
    done = swerl_eval("report", "results/r", "--format", "json", folder=tmp_path)
    assert leaks(tmp_path / "results/r/logs", done) == []
    done = swerl_eval("run", *given, folder=tmp_path)
    assert leaks(tmp_path, done) == []


def command_of(mode: str) -> str:
    words = [
        f"SOME_API_KEY={LAUNCH['launch variable']}", sys.executable, "-m", "tests.telling_server", "--mode", mode,
        "--port", "{port}", "--api-key", LAUNCH["1 launch option"], LAUNCH["2nd launch key"],
        "--header", f"Authorization: Bearer {LAUNCH['header launched']}",
    ]  # fmt: skip
    return shlex.join(words)


@pytest.mark.parametrize("mode", ["repair", "crash"])
def test_a_launched_server_that_prints_its_command_and_its_environment_does_not_print_them_into_the_run(
    mirrors: Path, tmp_path: Path, mode: str
) -> None:
    command = command_of(mode)
    code = 1 if mode == "crash" else 0
    done = swerl_eval("run", *settings(mirrors, "--launch", command), folder=tmp_path, code=code)
    log = (tmp_path / "results/r/logs/server-0.log").read_text(encoding="utf-8")
    assert "SOME_API_KEY" in log
    assert "HF_TOKEN" in log
    assert leaks(tmp_path, done) == []


@pytest.mark.parametrize(
    "wrong",
    [
        ["--base-url", f"ftp://me:{PASSWORD}@server.example"],
        ["--launch", f"SOME_API_KEY={LAUNCH['launch variable']} no-such-program --port 1"],
        ["--launch", f"no-such-program '--api-key={LAUNCH['1 launch option']}"],
        ["-c", f"api_key={TABLES['engine.hf_token']}"],
    ],
)
def test_a_message_on_a_wrong_setting_holds_none(wrong: list[str], mirrors: Path, tmp_path: Path) -> None:
    done = swerl_eval("run", *settings(mirrors, *wrong), folder=tmp_path, code=2)
    assert leaks(tmp_path, done) == []
