"""Find out from an engine's output why it died, and decide whether another start is worth it."""

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
"""Bytes. The end of an engine's output is a few tracebacks, and a dump of its settings of about 10 KB."""
_MAX_FAULT_CHARACTERS = 400

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOG_PREFIX = re.compile(r"^(?:\([^()]*\bpid=\d+\) )?(?:(?P<level>[A-Z]+) [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
_FAULT = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception): \S.*|^Worker proc \S+ died unexpectedly.*")
_POINTS_ELSEWHERE = re.compile(r"root cause|stack trace|EngineDeadError|: cancelled$")
"""Errors that a process reports if another process of the same engine had the fault."""

_REMEDIES = (
    (re.compile("CPU Generator does not use offset"), "-c engine.enable_chunked_prefill=false"),
    (
        re.compile(r"(?i)out of memory|for want of memory|died unexpectedly|available memory|KV cache"),
        "less memory: -c engine.kv_cache_memory_bytes=…, engine.max_model_len=… or engine.max_num_seqs=…",
    ),
)
"""Faults with a known remedy."""


@dataclass(frozen=True)
class ExitSummary:
    """How an engine died."""

    symptom: str
    """What its requests saw, and how its processes ended."""
    fault: str = ""
    """The engine's own last error; empty if there is none or it cannot be read."""
    killed: bool = False
    """Whether its core was killed from outside."""

    def __str__(self) -> str:
        return f"{self.fault}; {self.symptom}" if self.fault else self.symptom

    def has_cause_of(self, other: ExitSummary) -> bool:
        """Whether both died of the same cause. Numbers (addresses, sizes, processes) make no difference."""
        return self._cause() == other._cause()

    def _cause(self) -> tuple[str, bool]:
        return re.sub(r"0x[0-9a-f]+|\d+", "0", self.fault), self.killed


class EngineOutput:
    """What this process and those below it print from now on, if standard output or error is a file.

    The command line sends both to the run's `engine.log`. A terminal or a pipe cannot be read back.
    """

    def __init__(self) -> None:
        self._files = [(file, os.fstat(file).st_size) for file in _output_files()]
        self._oom_kills = _oom_kills()

    def last_error(self) -> str:
        """Return the last fault that the output names, on one line and without secrets; empty if there is none."""
        faults: list[str] = []
        for file, before in self._files:
            with suppress(OSError):
                begin = max(before, os.fstat(file).st_size - _READ_BACK)
                faults.append(last_fault(os.pread(file, _READ_BACK, begin).decode("utf-8", "replace")))
        ordered = sorted(filter(None, faults), key=lambda fault: _POINTS_ELSEWHERE.search(fault) is None)
        fault = ordered[-1] if ordered else ""
        if "died unexpectedly" in fault and _oom_kills() > self._oom_kills:
            fault = f"{fault.rstrip('.')}; meanwhile the kernel killed a process for want of memory"
        return without_secrets(fault)

    def close(self) -> None:
        """Close the files."""
        for file, _ in self._files:
            os.close(file)
        self._files = []


def _output_files() -> list[int]:
    """Return descriptors to read standard output and error from, if they are files; one for each file."""
    files: dict[tuple[int, int], int] = {}
    for number in (1, 2):
        with suppress(OSError):
            status = os.fstat(number)
            if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in files:
                # opened by this name, since the file's own name may be gone
                files[status.st_dev, status.st_ino] = os.open(f"/dev/fd/{number}", os.O_RDONLY)
    return list(files.values())


def _oom_kills() -> int:
    """Number of processes of this machine that the kernel killed for memory; 0 if it does not count them."""
    try:
        counts = Path("/proc/vmstat").read_text(encoding="ascii")
        return next((int(line.split()[1]) for line in counts.splitlines() if line.startswith("oom_kill ")), 0)
    except (OSError, ValueError):
        return 0


def last_fault(output: str) -> str:
    """Return the last line of an output that names an error, without its log prefix.

    A line that points to another error is returned only if all do.
    """
    pointer = ""
    for line in reversed(output.splitlines()):
        plain = _COLOUR.sub("", line)
        prefix = _LOG_PREFIX.match(plain)
        if prefix is None or prefix["level"] not in {None, "ERROR", "CRITICAL"}:
            continue
        text = plain[prefix.end() :].rstrip()
        if _FAULT.match(text):
            if _POINTS_ELSEWHERE.search(text) is None:
                return _printable(text)
            pointer = pointer or _printable(text)
    return pointer


def _printable(text: str) -> str:
    """Replace control characters, and cut a long text."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _MAX_FAULT_CHARACTERS else f"{plain[:_MAX_FAULT_CHARACTERS]} …"


def informative(reason: str, fault: str) -> str:
    """Return the fault if the reason points to another error, else the reason."""
    return fault if fault and _POINTS_ELSEWHERE.search(reason) else reason


def with_remedy(text: str) -> str:
    """Append the remedy to a text that names a fault, if one is known."""
    remedy = next((remedy for pattern, remedy in _REMEDIES if pattern.search(text)), "")
    return f"{text}; try {remedy}" if remedy else f"{text}; its own messages say more"


@dataclass
class Restarts:
    """Counts the restarts of an engine, and refuses those that are too many or would not help."""

    model: str
    allowed: int
    exits: list[ExitSummary] = field(default_factory=list)
    """How the engines before the restarts died."""

    def add(self, engine_exit: ExitSummary, *, at_once: bool) -> str:
        """Count a restart.

        Args:
            engine_exit: How the last engine died.
            at_once: Whether it died before it had finished an answer.

        Returns:
            A line for people that says what happened.

        Raises:
            SamplerError: All restarts are used up, or the engine died at once of the same cause twice in a row.
        """
        if at_once and self.exits and engine_exit.has_cause_of(self.exits[-1]):
            message = f"vLLM with {self.model} died at once of the same again, so it is not started anew: {engine_exit}"
            raise SamplerError(with_remedy(message))
        if len(self.exits) >= self.allowed:
            exits = "; ".join(f"({number}) {why}" for number, why in enumerate([*self.exits, engine_exit], start=1))
            message = f"vLLM with {self.model} died again after {self.allowed} restarts: {exits}"
            raise SamplerError(with_remedy(message))
        self.exits.append(engine_exit)
        return (
            f"vLLM with {self.model} died ({engine_exit}): restart {len(self.exits)} of at most {self.allowed}, then "
            "the lost requests are sent again"
        )
