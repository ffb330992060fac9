"""A run folder in which every text is an injection: all fields of all records, log lines, names of files.

The records are filled from their types, so that a new field or a new journal is covered without a change here. One
instance for each injection; its id is the injection, too.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from swerl_eval.config import RunConfig
from swerl_eval.core.diffs import sha256
from swerl_eval.core.types import Candidate, Rejection, Verdict
from swerl_eval.records.journal import Journal
from swerl_eval.records.log_files import OFFICIAL_FILES
from swerl_eval.records.manifest import RunManifest, write_manifest
from swerl_eval.records.run_folder import Run

RUN = "window.__injected=1"
ELSEWHERE = "//127.0.0.1:9/"
INJECTIONS = (
    f"<script>{RUN}</script>",
    f'"><img src=x onerror={RUN}>',
    f"'><svg onload={RUN}>",
    f"</script><script>{RUN}</script>",
    f"<!--<script>{RUN}",
    f"--><script>{RUN}</script>",
    f"]]><script>{RUN}</script>",
    f"</style></title></textarea></template></noscript><script>{RUN}</script>",
    f"</pre></code></details></table><iframe srcdoc='<script>parent.{RUN[7:]}</script>'>",
    f"javascript:{RUN}",
    f"[link](javascript:{RUN}) ![image](http:{ELSEWHERE})",
    f"<a href=javascript:{RUN} autofocus onfocus={RUN}>",
    f"<base href={ELSEWHERE}><meta http-equiv=refresh content='0;url={ELSEWHERE}'>",
    f"<link rel=stylesheet href={ELSEWHERE}x.css><style>@import '{ELSEWHERE}y.css'</style>",
    f"<form action={ELSEWHERE}><button autofocus formaction=javascript:{RUN}>",
    "{{ 7*7 }}{% raw %}{# x #}${7*7}#{7*7}<%= 7*7 %>[[ 7*7 ]]",
    f"&#60;script&#62;{RUN}&#60;/script&#62; &lt;b&gt; &amp;amp; &quot;",
    f"\\u003cscript\\u003e{RUN}\\x3c/script> %3Cscript%3E",
    f'"}};{RUN};//',
    f"';{RUN};//`${{{RUN}}}`",
    f"\u2028{RUN}\u2029{RUN}",
    "\u202egnp.exe\u202c \u2067left\u2069 \u200f\u200b\ufeff",
    f"\x00<script>\x00{RUN}</script>",
    "\x1b[31m\x1b]0;title\x07\x08\x7f\x85\ufffe\uffff",
    "__proto__",
    "constructor",
    "#q=x&open=y&sort=z.desc %",
    "..",
)  # fmt: skip
STAGES = ("localize", "repair", "guide", "reproduce", "regress")
SAMPLES, CANDIDATES = 3, 2
"""Samples of an instance, and how many of them give a candidate; the last one is rejected."""


def instance_id(injection: str) -> str:
    """Return the injection as a name that a folder can have; the page must not need ids of any form."""
    return "..." if injection == ".." else injection.replace("/", "|").replace("\0", "%00")[:200]


def marked(injection: str, place: str) -> str:
    """Return the text of a field: the injection, and which field it is."""
    return f"{injection} ({place})"


def diff(injection: str, number: int) -> str:
    """Return a diff whose path, context and lines are the injection."""
    line = injection.replace("\n", " ").replace("\r", " ")
    path = line.replace("/", "|")
    return (
        f"diff --git a/{path}.py b/{path}.py\n--- a/{path}.py\n+++ b/{path}.py\n"
        f"@@ -1,2 +1,{number + 2} @@ {line}\n {line}\n-{line} (removed)\n" + f"+{line} (added)\n" * (number + 1)
    )


def make_injected_run(folder: Path) -> Path:
    """Write the run folder and return it."""
    folder.mkdir(parents=True)
    write_manifest(folder, _manifest())
    with Run(folder) as run:
        for journal, (number, injection) in itertools.product(run.journals, enumerate(INJECTIONS)):
            for record in _records(_record_type(journal), injection, number):
                journal.append(record)
        for injection, stage in itertools.product(INJECTIONS, (*STAGES, "evaluate", "<b>stage")):
            run.event(instance_id(injection), stage, "start")
            run.event(instance_id(injection), stage, marked(injection, "event"))
            run.event(instance_id(injection), stage, "end")
        for injection in INJECTIONS:
            _write_logs(run, injection)
    return folder


def _manifest() -> RunManifest:
    texts = itertools.cycle(INJECTIONS)
    # texts of settings are injections, too, except for the words that readers of a run folder go by
    config = {
        name: marked(next(texts), f"config.{name}") if isinstance(value, str) and name not in {"evaluate"} else value
        for name, value in RunConfig(strict=True, evaluate="all", samples=SAMPLES, tests=SAMPLES, test_samples=SAMPLES)
        .model_dump()
        .items()
    }
    tables = {name: {next(texts): marked(next(texts), name)} for name in ("identity", "prompts", "versions")}
    facts = ("repo", "created_at", "difficulty", *INJECTIONS[:2])
    instances = {instance_id(each): {fact: marked(each, fact) for fact in facts} for each in INJECTIONS}
    known = {
        "config": config,
        "instances": instances,
        "recorded": True,
        "schema_version": 1,
        "submitted": None,
        **tables,
    }
    hints = get_type_hints(RunManifest)
    rest = {
        field.name: _filled(hints[field.name], next(texts), f"RunManifest.{field.name}")
        for field in fields(RunManifest)
        if field.name not in {*known, "patches", "submitted"}
    }
    return TypeAdapter(RunManifest).validate_python({**known, **rest})


def _record_type(journal: Journal[Any]) -> type:
    return journal._adapter.core_schema["cls"]  # type: ignore[no-any-return]


def _records(record: type, injection: str, number: int) -> Iterator[Any]:
    """Yield the records of one type for an instance; the last one counts where there can be only one."""
    hints = get_type_hints(record)
    for index in reversed(range(SAMPLES)):
        links = _links(record, injection, number, index)
        for stage in (*STAGES, marked(injection, "stage")) if "stage" in hints else ("",):
            links["stage"] = stage
            values = {
                name: links[name] if name in links else _filled(kind, injection, f"{record.__name__}.{name}")
                for name, kind in hints.items()
            }
            yield record(**values)


def _links(record: type, injection: str, number: int, index: int) -> dict[str, Any]:
    """Return the values that tie the records of an instance together, by the names of their fields."""
    rejected = record is Candidate and index == CANDIDATES
    verdicts = (Verdict.RESOLVED, Verdict.UNRESOLVED, Verdict.INFRA_ERROR, Verdict.PATCH_FAILED, Verdict.TIMED_OUT)
    tests = [marked(injection, f"test {place}") for place in range(3)]
    outcomes = {"success": tests[:1], "failure": tests[1:]}
    statuses = {"FAIL_TO_PASS": outcomes, "PASS_TO_PASS": outcomes, injection: injection}
    return {
        "instance_id": instance_id(injection),
        "index": index,
        "rank": index,
        "value": index / 2,
        "began": float(number),
        "patch": "" if rejected else diff(injection, index),
        "patch_sha256": sha256(diff(injection, index)),
        "normal_form": "" if rejected else marked(injection, f"form {index}"),
        "rejection": list(Rejection)[number % len(Rejection)] if rejected else None,
        "verdict": verdicts[number % len(verdicts)],
        "strict": verdicts[number % len(verdicts)],
        "report": {"resolved": number % len(verdicts) == 0, "tests_status": statuses, injection: injection},
    }


def _filled(kind: Any, injection: str, place: str) -> Any:
    """Return a value of a type with the injection wherever it has room for text."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return _filled(next(each for each in arguments if each is not type(None)), injection, place)
    if origin is tuple:
        return tuple(_filled(arguments[0], injection, f"{place}.{number}") for number in range(2))
    if origin is dict:
        return {injection: _filled(arguments[1], injection, place)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[len(injection) % len(kind)]
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _filled(each, injection, f"{kind.__name__}.{name}") for name, each in hints.items()})
    return {str: marked(injection, place), bool: False, int: 1, float: 1.5}.get(kind, marked(injection, place))


def _write_logs(run: Run, injection: str) -> None:
    """Write the logs of an instance: bytes that are no text, and the injection in every line and every name."""
    tests = [marked(injection, f"test {place}") for place in range(3)]
    lines = [*(f"FAILED {test}\n____ {test} ____\nE   {marked(injection, 'log')}" for test in tests), *INJECTIONS]
    log = b"\xff\xfe\xed\xa0\x80" + "\n".join(lines).encode("utf-8", "surrogatepass") + b"\xed\xb0\x80\n"
    name = instance_id(injection)
    folders = [run.logs(name)]
    folders += [run.candidate_logs(name, sha256(diff(injection, index))) for index in range(CANDIDATES)]
    for folder in folders:
        folder.mkdir(parents=True)
        for file in (*OFFICIAL_FILES, "control.json", "control_output.txt", f"{name}.txt"):
            (folder / file).write_bytes(log)
        Path(f"{folder}/bytes \udcff.txt").write_bytes(log)
