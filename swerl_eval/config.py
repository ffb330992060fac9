"""The configuration of a run: a TOML file, `-c key=value`, the command line. The only reader of the environment."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from swerl_eval.core.errors import InputError, UsageError
from swerl_eval.core.hub_names import split_revision

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class RunConfig(BaseModel):
    """Everything that decides a run. What only decides its speed is listed in `SPEED_ONLY`."""

    # numbers as text: `-c run_id=5` is TOML for a number
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, allow_inf_nan=False)

    # -- what is measured on
    dataset: str = "verified"
    """Alias (`verified`, `lite`, `full`, …) or hub id, each also with `@` and a revision (commit, branch or tag);
    parquet, jsonl, json or csv file, folder of `save_to_disk`, or a task repository."""
    split: str = "test"
    instances: tuple[str, ...] = ()
    """Ids, globs, or `@file` with one of these a line. Empty: all."""
    repo: tuple[str, ...] = ()
    """Only these repositories, such as `sympy/sympy`."""
    difficulty: tuple[str, ...] = ()
    """Only these values of the dataset's column, such as `<15 min fix`."""
    limit: int | None = Field(default=None, ge=1)
    """The first so many of what is left."""
    shard: str = ""
    """`i/n`: this process's share, by a stable hash of the id."""
    repositories: str = ""
    """Folder with bare mirrors; searched before the cache. Empty: the cache alone."""

    # -- the model
    sampler: str = "openai"
    """`openai`, `vllm`, `replay`, `gold`, or `package.module:Class`."""
    model: str = ""
    """Name or path, as the sampler takes it; also the name in predictions."""
    base_url: tuple[str, ...] = ()
    """OpenAI-compatible servers that have the model, as a list or with commas between. Empty: OPENAI_BASE_URL, else the
    library's default."""
    launch: str = ""
    """Command that starts such a server here, with `{port}` in it (also `{index}`, `{model}`), in place of `base_url`:
    `CUDA_VISIBLE_DEVICES={index} vllm serve {model} --port {port}`. Not read by a shell."""
    servers: int = Field(default=1, ge=1)
    """How many of these are started, with `{index}` 0, 1, …"""
    launch_timeout: float = Field(default=1800, gt=0)
    """Seconds until such a server has to be ready."""
    answers: str = ""
    """Recorded answers for the `replay` sampler (jsonl)."""
    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=4096, ge=1)
    """Output tokens of one answer."""
    samples: int = Field(default=1, ge=1)
    """Repair samples per instance. With 1, nothing is shuffled."""
    localization: str = "model"
    """`model`, `oracle` (the gold patch's files), or a file of lists (`loc.jsonl`, as swe-rl writes it)."""
    localization_samples: int = Field(default=1, ge=1)
    max_files: int = Field(default=5, ge=1)
    max_input_tokens: int = Field(default=60_000, ge=1)
    """Budget for the files in a repair prompt."""
    tests: int = Field(default=0, ge=0)
    """Reproduction tests used on candidates, the top ones by votes; 0: none."""
    test_samples: int = Field(default=0, ge=0)
    """Reproduction tests generated; 0: twice as many as are used."""
    test_model: str = ""
    """Model that writes tests, with the same sampler; empty: the one that repairs."""
    regression: str = Field(default="off", pattern="^(on|off)$")
    """Whether candidates are run against the repository's own tests that pass on the original code."""
    thinking: bool = True
    """Send the system prompt that asks for <think> and <solution>."""
    prompts: str = ""
    """Folder of templates, or `swerl`. Empty: the bundled ones."""
    seed: int = 0
    engine: dict[str, Any] = Field(default_factory=dict)
    """Arguments for vLLM's engine, as AsyncEngineArgs names them; and ours: `lora` (an adapter's folder),
    `chat_template_kwargs` (a table), `restarts` (of an engine that dies, 3)."""

    request: dict[str, Any] = Field(default_factory=dict)
    """Further parameters that each request to a server carries: `-c request.reasoning_effort=low`,
    `-c request.chat_template_kwargs.enable_thinking=true`, `-c 'request.stop=["x"]'`."""

    # -- the sandbox
    sandbox: str = "docker"
    timeout: float = Field(default=1800, gt=0)
    """Seconds for one evaluation, as `swebench eval` has it."""
    evaluate: str = Field(default="selected", pattern="^(selected|all)$")
    """`all`: a verdict on every unique candidate too."""
    stop_when_decided: bool = False
    """Draw no more samples for an instance once they cannot change which patch is chosen."""
    script_timeout: float = Field(default=60, gt=0, allow_inf_nan=False)
    """Seconds for one reproduction test."""
    regression_files: int = Field(default=5, ge=1)
    """Test files for regression tests, at most."""
    regression_seconds: float = Field(default=600, gt=0, allow_inf_nan=False)
    """Seconds for all of them on the original code."""
    memory: str = "8g"
    """Per container; `none` for no limit."""
    cpus: float = Field(default=2.0, ge=0)
    """Per container; 0 for no limit, and never more than the engine has."""
    pids: int = Field(default=4096, ge=0)
    """Per container; 0 for no limit."""
    network: str = Field(default="bridge", pattern="^(bridge|none)$")
    """For evaluation; `bridge` as the official harness (eval scripts may install), or `none`."""
    written: str = "16g"
    """What one container may write to disk; `none` for no limit."""
    strict: str = Field(default="on", pattern="^(on|off)$")
    """Whether resolved patches are run once more under control, for the strict verdict."""

    # -- how fast, and where it goes
    workers: int = Field(default=0, ge=0)
    """Containers at a time. 0: as many as the engine's machine bears, fewer while it is overloaded."""
    requests: int = Field(default=64, ge=1)
    """Requests in flight at the sampler."""
    requests_per_server: int = Field(default=0, ge=0)
    """Of these, at one of several servers; 0: no limit but the whole."""
    disk: str = "none"
    """What images may take in the engine, such as 100GB: unused ones that this tool pulled make room."""
    reuse: bool = True
    """Take a verdict from the cache where image, patch, eval script, limits and harness are the same."""
    quarantine: str = ""
    """File of `validate --repeat`: flaky instances, left out of a second solve rate."""
    results: str = "results"
    run_id: str = Field(default="", pattern=r"^([^./\\][^/\\]*)?$")
    """Name of the run's folder. Empty: made from the configuration, so that the same command resumes."""
    submission: dict[str, Any] = Field(default_factory=dict)
    """What exports need and only the submitter knows: name, authors, site, model_display, model_org, os_model, …"""
    cache: str = ""
    """Folder for clones and verdicts. Empty: SWERL_EVAL_CACHE, else the user's cache folder."""

    @field_validator("shard")
    @classmethod
    def _shard_is_a_fraction(cls, value: str) -> str:
        match = re.fullmatch(r"(\d+)/(\d+)", value)
        if value and (match is None or not 1 <= int(match[1]) <= int(match[2])):
            raise ValueError("a shard is i/n with 1 <= i <= n, such as 1/4")
        return value

    @field_validator("base_url", mode="before")
    @classmethod
    def _addresses_come_with_commas_between(cls, value: Any) -> Any:
        return _addresses([value] if isinstance(value, str) else value)

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if not re.match(r"https?://[^/]", address):
                message = f"{address!r} is no address of a server; write it as http://localhost:8000/v1"
                raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _launched_servers_fit(self) -> RunConfig:
        if self.launch and self.base_url:
            raise ValueError(
                "launch and base_url exclude each other; --launch '' or --base-url '' takes a stored one back"
            )
        if self.launch and self.test_model and "{model}" not in self.launch:
            raise ValueError("launch needs {model} in place of the model's name, since test_model is another one")
        return self

    @model_validator(mode="after")
    def _request_leaves_the_run_its_own(self) -> RunConfig:
        for name in self.request:
            if name in OF_THE_RUN:
                message = f"request.{name}: the run sets this itself; {OF_THE_RUN[name]}"
                raise ValueError(message)
        if self.request and self.sampler == "vllm":
            raise ValueError("request is for servers; vLLM in this process takes engine.chat_template_kwargs")
        return self

    @field_validator("memory", "written", "disk")
    @classmethod
    def _is_a_size(cls, value: str) -> str:
        parse_size(value)
        return value

    @property
    def model_name(self) -> str:
        """The name that predictions carry."""
        return self.model or self.sampler

    @property
    def run_folder(self) -> Path:
        """`results/<run_id>`."""
        return Path(self.results) / (self.run_id or self.default_run_id())

    def cache_folder(self) -> Path:
        """Where clones and verdicts are kept."""
        chosen = self.cache or os.environ.get("SWERL_EVAL_CACHE", "")
        return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("swerl-eval")

    def verdicts_folder(self) -> Path:
        """Where verdicts are kept."""
        return self.cache_folder() / "verdicts"

    def identity(self) -> dict[str, Any]:
        """The settings that a result depends on; a resume may change those in `BOUND_BY` alone."""
        left_out = SPEED_ONLY | {key for key, records in BOUND_BY.items() if not records}
        values = {key: value for key, value in self.model_dump(mode="json").items() if key not in left_out}
        values["engine"] = {key: value for key, value in values["engine"].items() if key not in ENGINE_SPEED_ONLY}
        return values

    def default_run_id(self, **more: str) -> str:
        """Readable, and different for different settings and whatever `more` the run follows from."""
        digest = hashlib.sha256(json.dumps(self.identity() | more, sort_keys=True).encode()).hexdigest()[:8]
        dataset, revision = split_revision(self.dataset)
        stem = "-".join(Path(part.rstrip("/")).name for part in (self.model_name, dataset))
        stem += f"-{revision[:REVISION_CHARACTERS]}" if revision else ""
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', stem)[:STEM_CHARACTERS].strip('-.')}-{digest}"


OF_THE_RUN = {
    "model": "use --model",
    "messages": "the prompts come from --prompts",
    "n": "use --samples",
    "temperature": "use --temperature",
    "top_p": "use -c top_p",
    "max_tokens": "use --max-tokens",
    "max_completion_tokens": "use --max-tokens",
    "seed": "use --seed",
    "stream": "it streams where the server does",
    "stream_options": "it asks for the counts of tokens",
}
"""What `request` may not name, and what to use instead."""
STEM_CHARACTERS = 75
"""Of the readable part of a run id that is made here: run ids are part of names of files."""
REVISION_CHARACTERS = 12
"""Of a dataset's revision, in that part."""
SPEED_ONLY = frozenset(
    {
        "workers", "requests", "results", "run_id", "cache", "base_url", "repositories", "submission", "disk", "reuse",
        "quarantine", "launch", "servers", "launch_timeout", "requests_per_server",
    }
)  # fmt: skip
"""Settings that change where and how fast, not what comes out."""
_TESTS = ("reproductions", "regressions", "evidence")
BOUND_BY: dict[str, tuple[str, ...]] = {
    # they only add verdicts to a run
    "evaluate": (),
    "strict": (),
    **dict.fromkeys(("timeout", "memory", "cpus", "pids", "network", "written"), (*_TESTS, "evaluations")),
    **dict.fromkeys(("script_timeout", "regression_files", "regression_seconds"), _TESTS),
}
"""Settings that a resume may change as long as the run has no record of these kinds."""
ENGINE_SPEED_ONLY = frozenset(
    {
        "block_size", "cpu_offload_gb", "data_parallel_size", "disable_log_stats", "enable_prefix_caching",
        "enforce_eager", "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_batched_tokens", "max_num_seqs",
        "pipeline_parallel_size", "restarts", "scheduling_policy", "stream_interval", "tensor_parallel_size",
    }
)  # fmt: skip
"""The same of `engine`: a run that ran out of a GPU's memory is resumed with less of it, or on more GPUs."""


def parse_size(text: str) -> int | None:
    """Bytes of `8g`, `512m`, `100GB`; None for `none`."""
    if text.strip().lower() in {"none", "0", ""}:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text.lower())
    if match is None:
        message = f"{text!r} is not a size; write it as 512m or 8g"
        raise ValueError(message)
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def load_config(
    file: Path | None = None, overrides: Iterable[str] = (), options: Mapping[str, Any] | None = None
) -> RunConfig:
    """The resolved configuration: options over `-c key=value` over the file over the defaults.

    Raises `UsageError` with the key's name and, for an unknown one, what may have been meant.
    """
    values: dict[str, Any] = _read_toml(file) if file is not None else {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            message = f"-c {override!r}: write it as key=value"
            raise UsageError(message)
        _put(values, key.strip(), _value(text.strip()))
    values.update({key: value for key, value in (options or {}).items() if value is not None})
    return _validated(values, str(file) if file is not None else "")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings laid over others; tables key by key, so that `-c engine.x=1` leaves the rest of `engine` as it is."""
    tables = {
        key: {**below[key], **value}
        for key, value in above.items()
        if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
    }
    return {**below, **above, **tables}


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    """Set `key`, or `table.key`."""
    *tables, last = key.split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            message = f"-c {key}: {table} is not a table"
            raise UsageError(message)
    values[last] = value


def presets() -> dict[str, Path]:
    """The published settings that come with the package, by name."""
    return {file.stem: file for file in sorted((Path(__file__).parent / "presets").glob("*.toml"))}


def _read_toml(file: Path) -> dict[str, Any]:
    if not file.exists():
        file = presets().get(str(file), file)
    try:
        values: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read the configuration {file}: {error.strerror}; presets are {', '.join(presets())}"
        raise InputError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{file} is not valid TOML: {error}"
        raise InputError(message) from error
    return values


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is none (so that `-c model=my-model` needs no quotes)."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _validated(values: dict[str, Any], place: str) -> RunConfig:
    for key in values:
        if key not in RunConfig.model_fields:
            near = difflib.get_close_matches(key, RunConfig.model_fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; `swerl-eval config` prints all settings"
            message = f"{place + ': ' if place else ''}unknown setting {key!r}{hint}"
            raise UsageError(message)
    try:
        return RunConfig(**values)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        message = f"{place + ': ' if place else ''}" + "; ".join(lines)
        raise UsageError(message) from error


def _addresses(parts: Iterable[Any]) -> Any:
    """The addresses in texts with commas between; what is no text is left for the check of types."""
    split = [str(part).split(",") if isinstance(part, str) else [part] for part in parts]
    return [each.strip() if isinstance(each, str) else each for part in split for each in part if each != ""]


def openai_credentials(base_urls: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Key and addresses of OpenAI-compatible servers. A server of one's own rarely wants a key, so one is made up."""
    addresses = base_urls or tuple(_addresses([os.environ.get("OPENAI_BASE_URL", "")]))
    return os.environ.get("OPENAI_API_KEY") or "none", addresses
