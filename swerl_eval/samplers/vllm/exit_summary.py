"""Why an engine died, read back from what it printed, and whether another one is worth a start."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from swerl_eval.core.errors import SamplerError
from swerl_eval.samplers.vllm.engine_settings import without_secrets

_READ_BACK = 1 << 18
"""Bytes: an engine's last words are a few tracebacks, and a dump of its settings of some 10 KB."""
_LONGEST = 400

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOG_PREFIX = re.compile(r"^(?:\([^()]*\bpid=\d+\) )?(?:(?P<level>[A-Z]+) [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
_FAULT = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception): \S.*|^Worker proc \S+ died unexpectedly.*")
_POINTS_ELSEWHERE = re.compile(r"root cause|stack trace|EngineDeadError|: cancelled$")
"""What processes say when another one of the same engine had the fault."""

_REMEDIES = (
    (re.compile("CPU Generator does not use offset"), "-c engine.enable_chunked_prefill=false"),
    (
        re.compile(r"(?i)out of memory|for want of memory|died unexpectedly|available memory|KV cache"),
        "less memory: -c engine.kv_cache_memory_bytes=…, engine.max_model_len=… or engine.max_num_seqs=…",
    ),
)
"""Faults whose way out is known."""


@dataclass(frozen=True)
class Death:
    """How an engine came to its end."""

    symptom: str
    """What its front end saw of it, and how its processes ended."""
    fault: str = ""
    """The engine's own last error; empty where it cannot be read, or where there is none."""
    killed: bool = False
    """Whether its core was killed from outside."""

    def __str__(self) -> str:
        return f"{self.fault}; {self.symptom}" if self.fault else self.symptom

    def repeats(self, other: Death) -> bool:
        """Whether the other one died of the same. Numbers (addresses, sizes, processes) make no difference."""
        return self._kind() == other._kind()

    def _kind(self) -> tuple[str, bool]:
        return re.sub(r"0x[0-9a-f]+|\d+", "0", self.fault), self.killed


class EngineOutput:
    """What is printed by this process and those below it, from now on, where that goes to files.

    The command line sends it to the run's `engine.log`. What goes to a terminal or a pipe cannot be read back.
    """

    def __init__(self) -> None:
        self._files = [(file, os.fstat(file).st_size) for file in _output_files()]
        self._oom_kills = _oom_kills()

    def last_error(self) -> str:
        """The last fault that is named in it, on one line without secrets; empty when there is none."""
        found: list[str] = []
        for file, before in self._files:
            with suppress(OSError):
                begin = max(before, os.fstat(file).st_size - _READ_BACK)
                found.append(last_fault(os.pread(file, _READ_BACK, begin).decode("utf-8", "replace")))
        faults = sorted(filter(None, found), key=lambda fault: _POINTS_ELSEWHERE.search(fault) is None)
        fault = faults[-1] if faults else ""
        if "died unexpectedly" in fault and _oom_kills() > self._oom_kills:
            fault = f"{fault.rstrip('.')}; meanwhile the kernel killed a process for want of memory"
        return without_secrets(fault)

    def close(self) -> None:
        """Let go of the files."""
        for file, _ in self._files:
            os.close(file)
        self._files = []


def _output_files() -> list[int]:
    """Descriptors of standard output and error, to read where they are files, each file once."""
    files: dict[tuple[int, int], int] = {}
    for number in (1, 2):
        with suppress(OSError):
            what = os.fstat(number)
            if stat.S_ISREG(what.st_mode) and (what.st_dev, what.st_ino) not in files:
                # a descriptor of its own, by this name: the file may have none any more
                files[what.st_dev, what.st_ino] = os.open(f"/dev/fd/{number}", os.O_RDONLY)
    return list(files.values())


def _oom_kills() -> int:
    """Processes of this machine that the kernel has killed for memory; 0 where it does not count them."""
    try:
        counts = Path("/proc/vmstat").read_text(encoding="ascii")
        return next((int(line.split()[1]) for line in counts.splitlines() if line.startswith("oom_kill ")), 0)
    except (OSError, ValueError):
        return 0


def last_fault(printed: str) -> str:
    """The last line that names an error; one that only points to another comes after all that do not."""
    best = ""
    for line in reversed(printed.splitlines()):
        plain = _COLOUR.sub("", line)
        prefix = _LOG_PREFIX.match(plain)
        if prefix is None or prefix["level"] not in {None, "ERROR", "CRITICAL"}:
            continue
        told = plain[prefix.end() :].rstrip()
        if _FAULT.match(told):
            if _POINTS_ELSEWHERE.search(told) is None:
                return _one_line(told)
            best = best or _one_line(told)
    return best


def _one_line(text: str) -> str:
    """No control characters, and not endless."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]} …"


def informative(reason: str, fault: str) -> str:
    """The fault that a reason points to, or else the reason."""
    return fault if fault and _POINTS_ELSEWHERE.search(reason) else reason


def with_remedy(text: str) -> str:
    """The text, and what helps where that is known."""
    remedy = next((remedy for pattern, remedy in _REMEDIES if pattern.search(text)), "")
    return f"{text}; try {remedy}" if remedy else f"{text}; its own messages say more"


@dataclass
class Restarts:
    """How often an engine was started anew, and whether it is once more."""

    model: str
    allowed: int
    deaths: list[Death] = field(default_factory=list)

    def add(self, death: Death, *, at_once: bool) -> str:
        """Count a restart; says what happened. `at_once`: nothing was answered since the last start.

        Raises `SamplerError` when no further start is allowed, or none would help.
        """
        if at_once and self.deaths and death.repeats(self.deaths[-1]):
            message = f"vLLM with {self.model} died at once of the same again, so it is not started anew: {death}"
            raise SamplerError(with_remedy(message))
        if len(self.deaths) >= self.allowed:
            told = "; ".join(f"({number}) {why}" for number, why in enumerate([*self.deaths, death], start=1))
            message = f"vLLM with {self.model} died again after {self.allowed} restarts: {told}"
            raise SamplerError(with_remedy(message))
        self.deaths.append(death)
        return (
            f"vLLM with {self.model} died ({death}): restart {len(self.deaths)} of at most {self.allowed}, then the "
            "lost requests are sent again"
        )
