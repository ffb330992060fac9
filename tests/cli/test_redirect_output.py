"""What is printed while a display is shown goes to a file, whoever prints it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swerl_eval.cli.redirect_output import redirect_output
from swerl_eval.core.errors import SamplerError
from swerl_eval.core.secrets import Redactor


def test_this_process_and_those_it_starts_print_to_the_file_and_only_the_display_is_seen(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logs" / "engine.log"
    os.write(1, b"before\n")
    with redirect_output(file) as shown:
        shown.write("the panel ✓\n")
        os.write(1, b"a library\n")
        os.write(2, b"its complaint\n")
        subprocess.run([sys.executable, "-c", "import os; os.write(1, b'a child\\n')"], check=True)
    os.write(1, b"after\n")
    os.write(2, b"a fault\n")
    assert capfd.readouterr() == ("before\nafter\n", "the panel ✓\na fault\n")
    assert file.read_text() == "a library\nits complaint\na child\n"
    with redirect_output(file):
        os.write(1, b"a resume\n")
    assert file.read_text().endswith("a child\na resume\n")


def test_secrets_are_masked_when_the_block_ends_and_those_of_an_earlier_block_that_was_killed(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    file.write_bytes(b"killed with hf_0123\xff\n")
    with redirect_output(file, Redactor(["hf_0123"])):
        assert file.read_bytes() == b"killed with *******\xff\n"
        os.write(1, b"my key is hf_0123\n")
    assert file.read_bytes() == b"killed with *******\xff\nmy key is *******\n"


def test_what_was_buffered_lands_where_it_was_printed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from swerl_eval.cli.redirect_output import redirect_output\n"
        "print('before')\n"
        f"with redirect_output(Path({str(tmp_path / 'log')!r})): print('meanwhile')\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("before\nafter\n", "")
    assert (tmp_path / "log").read_text() == "meanwhile\n"


def test_a_sampler_that_fails_names_the_file_and_all_is_put_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = rf"^no memory; for the full output see {tmp_path}/log$"
    with pytest.raises(SamplerError, match=said), redirect_output(tmp_path / "log"):
        raise SamplerError("no memory")
    with pytest.raises(KeyboardInterrupt), redirect_output(tmp_path / "log"):
        raise KeyboardInterrupt
    os.write(1, b"seen\n")
    assert capfd.readouterr() == ("seen\n", "")
