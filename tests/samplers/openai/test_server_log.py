from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from swerl_eval.core.secrets import Redactor
from swerl_eval.samplers.openai.server_log import ServerLog

REDACTOR = Redactor(["open sesame"])


def printed(log: ServerLog, program: str) -> None:
    with log.following() as sink:
        process = subprocess.Popen([sys.executable, "-u", "-c", program], stdout=sink, stderr=subprocess.STDOUT)
    process.wait(120)
    log.drain(120)


def test_the_log_has_what_the_server_printed_without_secrets_however_it_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "server-0.log"
    program = (
        "import os, time\n"
        "for part in (b'loading\\n', b'my key is open', b' ses', b'ame, and', b'\\xff\\n'):\n"
        "    os.write(1, part); time.sleep(0.05)\n"
    )
    log = ServerLog(file, REDACTOR, "--- serve open sesame\n")
    printed(log, program)
    assert file.read_bytes() == b"--- serve <redacted>\nloading\nmy key is <redacted>, and\xff\n"
    assert log.tail() == "loading\nmy key is <redacted>, and\ufffd\n"


def test_a_second_start_appends_and_has_a_tail_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "server-0.log"
    printed(ServerLog(file, REDACTOR, "--- 1\n"), "print('first')")
    second = ServerLog(file, REDACTOR, "--- 2\n")
    printed(second, "print('x' * 5000)")
    assert second.tail() == "x" * 4095 + "\n"
    assert file.read_text(encoding="utf-8") == f"--- 1\nfirst\n--- 2\n{'x' * 5000}\n"


def test_waiting_for_the_end_of_an_output_that_a_child_holds_open_is_bounded(tmp_path: Path) -> None:
    log = ServerLog(tmp_path / "log", REDACTOR, "")
    with log.following() as sink:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdout=sink)
    log.drain(0.2)
    child.kill()
    child.wait()
    log.drain(120)
    assert log.tail() == ""
