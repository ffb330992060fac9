"""What is read of an engine's last words, and when another one is started; none of this needs vLLM."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swerl_eval.core.errors import SamplerError
from swerl_eval.samplers.vllm.engine_settings import reason, without_secrets
from swerl_eval.samplers.vllm.exit_summary import ExitSummary, Restarts, informative, last_fault, with_remedy

WORKER = "(Worker pid=71) ERROR 11-29 19:01:53 [multiproc_executor.py:1063] "
CORE = "(EngineCore pid=70) ERROR 11-29 19:01:53 [core.py:1512] "

CHUNKED = f"""\
(Worker pid=71) INFO 11-29 19:01:50 [cpu_worker.py:114] ready
{WORKER}Traceback (most recent call last):
{WORKER}  File "gpu_model_runner.py", line 3502, in _bookkeeping_sync
{WORKER}    gen.set_offset(gen.get_offset() - 4)
{WORKER}RuntimeError: CPU Generator does not use offset
{WORKER}
{CORE}EngineCore encountered a fatal error.
{CORE}RuntimeError: Worker failed with error 'CPU Generator does not use offset', please check the stack trace above \
for the root cause
(MainProcess pid=9) ERROR 11-29 19:01:53 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: EngineCore \
encountered an issue. See stack trace (above) for the root cause.
"""
KILLED = f"""\
{CORE}Worker proc VllmWorker-0 died unexpectedly (exit code: None), shutting down executor.
{CORE}EngineCore failed to start.
{CORE}Traceback (most recent call last):
{CORE}    raise RuntimeError("cancelled")
{CORE}RuntimeError: cancelled
Process EngineCore:
Traceback (most recent call last):
    raise RuntimeError("cancelled")
RuntimeError: cancelled
"""


@pytest.mark.parametrize(
    ("printed", "fault"),
    [
        (CHUNKED, "RuntimeError: CPU Generator does not use offset"),
        (KILLED, "Worker proc VllmWorker-0 died unexpectedly (exit code: None), shutting down executor."),
        ("", ""),
        ("INFO 11-29 19:01:50 [a.py:1] ValueError: told in passing\n", ""),
        ("(Worker pid=1) WARNING 11-29 19:01:50 [a.py:1] RuntimeError: it goes on without\n", ""),
        (
            "\x1b[0;36m(EngineCore pid=7)\x1b[0;0m ERROR 11-29 19:01:53 [core.py:1] ValueError: too small\n",
            "ValueError: too small",
        ),
        ("ValueError: first\n    x = 1\ntorch.OutOfMemoryError: CUDA: 2 GiB\n", "torch.OutOfMemoryError: CUDA: 2 GiB"),
        ("Exception: no start. See stack trace.\n", "Exception: no start. See stack trace."),
        ("ValueError: a\x07b\n", "ValueError: a b"),
    ],
)
def test_the_fault_is_the_last_line_that_names_one_and_points_to_no_other(printed: str, fault: str) -> None:
    assert last_fault(printed) == fault


@given(st.text())
def test_whatever_is_printed_a_fault_is_one_printable_line(printed: str) -> None:
    fault = last_fault(printed)
    assert fault.isprintable()
    assert len(fault) < 500


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"]), min_size=1, max_size=60))
def test_an_error_s_own_line_is_found_in_whatever_stands_around_it(words: str) -> None:
    line = f"ValueError: {words}"
    fault = last_fault(f"INFO 11-29 19:01:50 [a.py:1] up\n{line}\nINFO 11-29 19:01:51 [a.py:1] down\n")
    assert fault == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("OSError: 401 for hf_abcdefghij at https://me:pw@host/x", "OSError: 401 for *** at https://***@host/x"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("hf_token='abc', eos='x'", "hf_token='***', eos='x'"),
        ("API-KEY = abc", "API-KEY = ***"),
        ("max_tokens=48, 3 tokens: fine", "max_tokens=48, 3 tokens: fine"),
    ],
)
def test_secrets_are_replaced(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert reason(ValueError(text)) == f"ValueError: {shown}"


PROGRAM = """
import sys
from pathlib import Path
from swerl_eval.samplers.vllm.exit_summary import EngineOutput
print("ValueError: of another engine", flush=True)
output = EngineOutput()
print("ERROR 11-29 19:01:53 [a.py:1] KeyError: hf_token=abc", file=sys.stderr, flush=True)
Path(sys.argv[1]).write_text(output.last_error())
output.close()
"""


@pytest.mark.parametrize(
    ("shell", "fault"),
    [
        ("{command} > {log} 2>&1", "KeyError: hf_token=***"),
        ("{command} > /dev/null 2> {log}", "KeyError: hf_token=***"),
        ("{command} > {log} 2> /dev/null", ""),
        ("{command} 2>&1 | cat > {log}", ""),
        ("{command} >&- 2>&-", ""),
    ],
)
def test_what_is_printed_to_a_file_is_read_back_from_the_engine_s_start_on(
    tmp_path: Path, shell: str, fault: str
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = f"{sys.executable} {tmp_path}/program.py {tmp_path}/fault"
    subprocess.run(["/bin/sh", "-c", shell.format(command=command, log=tmp_path / "log")], check=True, timeout=300)
    assert (tmp_path / "fault").read_text() == fault


def test_a_reason_that_points_elsewhere_gives_way_to_the_fault() -> None:
    pointing = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    assert informative(pointing, "ValueError: too small") == "ValueError: too small"
    assert informative(pointing, "") == pointing
    assert informative("ValueError: dtype", "RuntimeError: of something else") == "ValueError: dtype"


def test_the_remedy_stands_in_the_message_where_there_is_one() -> None:
    assert with_remedy("a: CPU Generator does not use offset").endswith("; try -c engine.enable_chunked_prefill=false")
    assert "kv_cache_memory_bytes" in with_remedy(last_fault(KILLED))
    assert with_remedy("ValueError: x") == "ValueError: x; its own messages say more"


def test_one_that_dies_at_once_of_the_same_again_is_not_started_anew() -> None:
    restarts = Restarts("m", 3)
    first = ExitSummary("EngineDeadError, its core ended with 1", "IndexError: at 0x7f12 of 5")
    line = restarts.add(first, at_once=True)
    assert line == (
        "vLLM with m died (IndexError: at 0x7f12 of 5; EngineDeadError, its core ended with 1): "
        "restart 1 of at most 3, then the lost requests are sent again"
    )
    with pytest.raises(SamplerError, match="m died at once of the same again, so it is not started anew: IndexError"):
        restarts.add(ExitSummary("requests broken off, its core still runs", "IndexError: at 0x8e of 77"), at_once=True)
    assert len(restarts.exits) == 1


@pytest.mark.parametrize(
    ("second", "at_once"),
    [
        (ExitSummary("b", "KeyError: 1"), True),
        (ExitSummary("a", "IndexError: 2", killed=True), True),
        (ExitSummary("a", "IndexError: 2"), False),
    ],
)
def test_one_that_dies_of_something_else_or_after_an_answer_is_started_anew_within_the_bound(
    second: ExitSummary, at_once: bool
) -> None:
    restarts = Restarts("m", 2)
    restarts.add(ExitSummary("a", "IndexError: 1"), at_once=True)
    assert "restart 2 of at most 2" in restarts.add(second, at_once=at_once)
    with pytest.raises(
        SamplerError, match=r"died again after 2 restarts: \(1\) IndexError.*\(2\).*\(3\) OSError: x; c"
    ):
        restarts.add(ExitSummary("c", "OSError: x"), at_once=True)


def test_without_a_restart_the_first_death_ends_it() -> None:
    with pytest.raises(SamplerError, match=r"died again after 0 restarts: \(1\) a"):
        Restarts("m", 0).add(ExitSummary("a"), at_once=True)
