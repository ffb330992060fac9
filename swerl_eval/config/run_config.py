"""The settings of a run: names, defaults, limits and what each means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from swerl_eval.config import environment
from swerl_eval.config.identity import identity_of, run_id_of
from swerl_eval.config.sizes import parse_size
from swerl_eval.config.tables import PRICES, SET_BY_THE_RUN, tracking_fault
from swerl_eval.core.secrets import REDACTED, redacted, secrets_in


class RunConfig(BaseModel):
    """Everything that decides a run. `identity.SPEED_ONLY` lists the settings that only decide its speed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        coerce_numbers_to_str=True,  # in TOML, `-c run_id=5` gives a number
        use_attribute_docstrings=True,  # `swerl-eval config` prints these descriptions
    )

    # -- the instances
    dataset: str = "verified"
    """Alias (`verified`, `lite`, `full`, …) or hub id, each also with `@` and a revision (commit, branch or tag);
    parquet, jsonl, json or csv file, folder of `save_to_disk`, or a task repository."""
    split: str = "test"
    """Split of the dataset."""
    instances: tuple[str, ...] = ()
    """Ids, globs, or `@file` with one of these a line. Empty: all."""
    repo: tuple[str, ...] = ()
    """Only these repositories, such as `sympy/sympy`."""
    difficulty: tuple[str, ...] = ()
    """Only these values of the dataset's column, such as `<15 min fix`."""
    limit: int | None = Field(default=None, ge=1)
    """At most this many instances: the first ones."""
    shard: str = ""
    """`i/n`: this process's share of the instances, by a stable hash of the id."""
    repositories: str = ""
    """Folder with bare mirrors, searched before the cache. Empty: the cache alone."""

    # -- the model and the method
    sampler: str = "openai"
    """A built-in sampler (`openai`, `vllm`, `replay`, `gold`), a plug-in, or `package.module:Class`."""
    model: str = ""
    """Name or path, as the sampler takes it; also the name in predictions."""
    base_url: tuple[str, ...] = ()
    """Addresses of OpenAI-compatible servers that have the model, as a list or comma-separated. Empty: OPENAI_BASE_URL,
    else the client's default."""
    launch: str = ""
    """Command that starts such a server here, with `{port}` in it (also `{index}`, `{model}`), in place of `base_url`:
    `CUDA_VISIBLE_DEVICES={index} vllm serve {model} --port {port}`. No shell reads it."""
    servers: int = Field(default=1, ge=1)
    """Servers that `launch` starts, with `{index}` 0, 1, …"""
    launch_timeout: float = Field(default=1800, gt=0)
    """Seconds until a launched server has to be ready."""
    answers: str = ""
    """Recorded answers for the `replay` sampler (jsonl)."""
    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature; 0 is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling: share of the probability that tokens are drawn from."""
    max_tokens: int = Field(default=4096, ge=1)
    """Output tokens of one answer, at most."""
    samples: int = Field(default=1, ge=1)
    """Repair samples per instance. With 1, the files in the prompt are not shuffled."""
    localization: str = "model"
    """`model`, `oracle` (the gold patch's files), or a file of lists (`loc.jsonl`, as swe-rl writes it)."""
    localization_samples: int = Field(default=1, ge=1)
    """Localization samples per instance."""
    max_files: int = Field(default=5, ge=1)
    """Files that one localization sample may name, at most."""
    max_input_tokens: int = Field(default=60_000, ge=1)
    """Token budget for the files in a repair prompt."""
    tests: int = Field(default=0, ge=0)
    """Reproduction tests that candidates are run against, the top ones by votes. 0: none."""
    test_samples: int = Field(default=0, ge=0)
    """Reproduction tests that are generated. 0: twice as many as are used."""
    test_model: str = ""
    """Model that writes tests, with the same sampler. Empty: the one that repairs."""
    regression: bool = False
    """Run candidates against the repository's own tests that pass on the original code."""
    thinking: bool = True
    """Send the system prompt that asks for <think> and <solution>."""
    prompts: str = ""
    """Folder of templates, or `swerl`. Empty: the bundled ones."""
    seed: int = 0
    """Seed that everything random follows from."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Arguments for vLLM's engine, as AsyncEngineArgs names them; and three of this program: `lora` (an adapter's
    folder), `chat_template_kwargs` (a table), `restarts` (of an engine that dies; default 3)."""
    request: dict[str, Any] = Field(default_factory=dict)
    """Further parameters of each request to a server: `-c request.reasoning_effort=low`,
    `-c request.chat_template_kwargs.enable_thinking=true`, `-c 'request.stop=["x"]'`."""

    # -- the sandbox and the verdicts
    sandbox: str = "docker"
    """`docker`, `ray` (the Docker engines of a Ray cluster), `scripted`, or `package.module:Class`."""
    ray_address: str = ""
    """Address of the cluster for the sandbox `ray`. Empty: RAY_ADDRESS, else a cluster of this machine alone."""
    timeout: float = Field(default=1800, gt=0)
    """Seconds for one evaluation, as `swebench eval` has it."""
    evaluate: Literal["selected", "all"] = "selected"
    """Patches that get a verdict: the `selected` one, or `all` unique candidates."""
    stop_when_decided: bool = False
    """Sample no more answers for an instance once they cannot change which patch is chosen."""
    script_timeout: float = Field(default=60, gt=0)
    """Seconds for one reproduction test."""
    regression_files: int = Field(default=5, ge=1)
    """Test files for regression tests, at most."""
    regression_seconds: float = Field(default=600, gt=0)
    """Seconds for all regression tests on the original code."""
    memory: str = "8g"
    """Memory per container; `none` for no limit."""
    cpus: float = Field(default=2.0, ge=0)
    """CPUs per container; 0 for no limit. Never more than the engine has."""
    pids: int = Field(default=4096, ge=0)
    """Processes per container; 0 for no limit."""
    network: Literal["bridge", "none"] = "bridge"
    """Network of evaluations: `bridge` as in the official harness (eval scripts may install packages), or `none`."""
    written: str = "16g"
    """What one container may write to disk; `none` for no limit."""
    strict: bool = True
    """Run resolved patches once more, as a control run, for the strict verdict."""

    # -- speed, and where results go
    workers: int = Field(default=0, ge=0)
    """Containers at a time. 0: as many as the engine's machine bears, fewer while it is overloaded."""
    requests: int = Field(default=64, ge=1)
    """Requests in flight at the sampler."""
    requests_per_server: int = Field(default=0, ge=0)
    """Requests in flight at one of several servers. 0: no limit but that of `requests`."""
    disk: str = "none"
    """Disk that images may take in the engine, such as 100GB. Unused images that this tool pulled are removed first."""
    reuse: bool = True
    """Take a verdict from the cache where image, patch, eval script, limits and harness are the same."""
    quarantine: str = ""
    """File of `validate --repeat`: its flaky instances are left out of a second solve rate."""
    results: str = "results"
    """Folder that run folders are made in."""
    run_id: str = ""
    """Name of the run's folder. Empty: made from the configuration, so that the same command resumes."""
    submission: dict[str, Any] = Field(default_factory=dict)
    """What exports need and only the submitter knows: name, authors, site, model_display, model_org, os_model, …"""
    prices: dict[str, float] = Field(default_factory=dict)
    """What a model costs, for the report's figures: money per million tokens (`input`, `cached_input`, `output`) and
    per hour of a GPU (`gpu_hour`), such as `-c prices.output=15`. A resume may change them."""
    tracker: tuple[str, ...] = ()
    """Trackers that show the run's figures while it goes on, as a list or comma-separated: `wandb`, `mlflow`,
    `tensorboard`, `trackio`, `jsonl`, plug-ins, or `package.module:Class`."""
    tracking: dict[str, Any] = Field(default_factory=dict)
    """What trackers are opened with: `project`, `entity`, `group`, `tags`, `uri`, `offline`; and a table by a tracker's
    name for what only that one knows. Keys are taken from the environment."""
    cache: str = ""
    """Folder for clones and verdicts. Empty: SWERL_EVAL_CACHE, else the user's cache folder."""

    @field_validator("shard")
    @classmethod
    def _check_shard(cls, value: str) -> str:
        match = re.fullmatch(r"(\d+)/(\d+)", value)
        if value and (match is None or not 1 <= int(match[1]) <= int(match[2])):
            raise ValueError("a shard is i/n with 1 <= i <= n, such as 1/4")
        return value

    @field_validator("run_id")
    @classmethod
    def _check_run_id(cls, value: str) -> str:
        if re.search(r"^\.|[/\\]", value):
            message = f"{value!r} is not the name of a folder: write it without / and \\, and with no dot in front"
            raise ValueError(message)
        return value

    @field_validator("base_url", "tracker", mode="before")
    @classmethod
    def _split_addresses(cls, value: Any) -> Any:
        return environment.split_addresses(value if isinstance(value, list | tuple) else [value])

    @field_validator("base_url")
    @classmethod
    def _check_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            if not re.match(r"https?://[^/]", address):
                message = f"{redacted(address)!r} is not the address of a server; write it as http://localhost:8000/v1"
                raise ValueError(message)
        return value

    @field_validator("prices")
    @classmethod
    def _check_prices(cls, value: dict[str, float]) -> dict[str, float]:
        for name, price in value.items():
            if name not in PRICES:
                message = f"{name!r} is no price; there are {', '.join(PRICES)}"
                raise ValueError(message)
            if price < 0:
                message = f"{name} is negative: {price:g}"
                raise ValueError(message)
        return value

    @field_validator("tracking")
    @classmethod
    def _check_tracking(cls, value: dict[str, Any]) -> dict[str, Any]:
        if fault := tracking_fault(value):
            raise ValueError(fault)
        return value

    @field_validator("memory", "written", "disk")
    @classmethod
    def _check_size(cls, value: str) -> str:
        parse_size(value)
        return value

    @model_validator(mode="after")
    def _check_launch(self) -> RunConfig:
        if self.launch and self.base_url:
            raise ValueError(
                "launch and base_url exclude each other; --launch '' or --base-url '' removes a stored setting"
            )
        if self.launch and self.test_model and "{model}" not in self.launch:
            raise ValueError("launch needs {model} in place of the model's name, because test_model is another model")
        return self

    @model_validator(mode="after")
    def _check_request(self) -> RunConfig:
        for name in self.request:
            if name in SET_BY_THE_RUN:
                message = f"request.{name}: the run sets this itself; {SET_BY_THE_RUN[name]}"
                raise ValueError(message)
        if self.request and self.sampler == "vllm":
            raise ValueError("request is for servers; vLLM in this process takes engine.chat_template_kwargs")
        return self

    @property
    def model_name(self) -> str:
        """The name that predictions carry."""
        return self.model or self.sampler

    @property
    def run_folder(self) -> Path:
        """`results/<run_id>`."""
        return Path(self.results) / (self.run_id or self.default_run_id())

    def cache_folder(self) -> Path:
        """The folder of clones and verdicts."""
        return environment.cache_folder(self.cache)

    def cluster_address(self) -> str:
        """The Ray cluster's address; empty where there is none."""
        return environment.ray_address(self.ray_address)

    def verdicts_folder(self) -> Path:
        """The folder of cached verdicts."""
        return self.cache_folder() / "verdicts"

    def recorded(self) -> dict[str, Any]:
        """All settings as a record may have them: without secrets."""
        return {name: redacted(value) for name, value in self.model_dump(mode="json").items()}

    def secrets(self) -> frozenset[str]:
        """The secrets in these settings and in the environment."""
        return secrets_in(list(self.model_dump(mode="json").values())) | environment.environment_secrets()

    def without_secret(self) -> list[str]:
        """The settings that come from a record, and lack the secret that they had."""
        return [name for name, value in self.model_dump(mode="json").items() if REDACTED in str(value)]

    def identity(self) -> dict[str, Any]:
        """The settings that a result depends on; a resume may change only those in `BOUND_BY`."""
        return identity_of(self.model_dump(mode="json"))

    def default_run_id(self, **inputs: str) -> str:
        """A readable name that differs for different settings and for different `inputs` of the run."""
        return run_id_of(self.model_name, self.dataset, self.identity() | inputs)
