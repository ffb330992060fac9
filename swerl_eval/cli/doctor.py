"""`swerl-eval doctor`: checks what a run needs on this machine, with the command that fixes what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swerl_eval.compose import MIN_FREE_BYTES, open_source
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import SwerlEvalError
from swerl_eval.evaluation.verdict_cache import MAX_BYTES
from swerl_eval.preflight.hardware import nvidia_smi
from swerl_eval.sandboxes.docker.engine import connect, is_podman, local_root
from swerl_eval.sandboxes.ray.cluster import RESOURCE, START, Cluster

FINE, MISSING, NOTE = "fine", "missing", "note"
VERIFIED_IMAGES_BYTES = 120 * 2**30
"""Disk that the images of all of Verified were seen to take."""
PODMAN = (
    "in place of Docker; whether images can be pulled is not known before a run, and --disk counts shared layers "
    "once for every image, so fewer images stay than would fit"
)


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    subject: str
    state: str
    """`FINE`, `MISSING` (the run needs it) or `NOTE`."""
    detail: str
    remedy: str = ""


def check_machine(config: RunConfig) -> int:
    """Print the findings. Returns exit code 1 when something is missing that this configuration needs."""
    checks: list[Callable[[RunConfig], Finding]] = [
        _python, _docker, _ray, _disk, _dataset, _results, _cache, _verdicts, _git, _gpu, _vllm,
    ]  # fmt: skip
    findings = [check(config) for check in checks]
    table = Table("what", "state", "found", "remedy")
    styles = {FINE: "green", MISSING: "red", NOTE: "yellow"}
    for finding in findings:
        state = Text(finding.state, style=styles[finding.state])
        table.add_row(finding.subject, state, Text(finding.detail), Text(finding.remedy))
    Console().print(table)
    return 1 if any(finding.state == MISSING for finding in findings) else 0


def _python(config: RunConfig) -> Finding:
    return Finding("Python", FINE, f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")


def _docker(config: RunConfig) -> Finding:
    try:
        client = connect()
    except SwerlEvalError as error:
        return Finding("Docker", MISSING, str(error).partition(". ")[0], "apt-get install docker.io && dockerd &")
    info = client.info()
    podman = is_podman(client)
    memory = f"{info['MemTotal'] / 2**30:.0f} GiB"
    name = "Podman" if podman else "engine"
    detail = f"{name} {info['ServerVersion']}, {info['NCPU']} cores, {memory}, {info['Images']} images"
    if info["Architecture"] not in {"x86_64", "amd64"}:
        remedy = (
            "most published instance images are x86_64 only; build with `swerl-eval images build` where there are none"
        )
        return Finding("Docker", NOTE, f"{detail}, {info['Architecture']}", remedy)
    if podman:
        return Finding("Docker", NOTE, detail, PODMAN)
    return Finding("Docker", FINE, detail)


def _ray(config: RunConfig) -> Finding:
    state = MISSING if config.sandbox == "ray" else NOTE
    if importlib.util.find_spec("ray") is None:
        return Finding("Ray", state, "not installed", "pip install 'swerl-eval[ray]' (only for --sandbox ray)")
    if config.sandbox != "ray":
        return Finding("Ray", FINE, "installed; with --sandbox ray its nodes are checked")
    try:
        cluster = Cluster(config.cluster_address())
    except SwerlEvalError as error:
        return Finding("Ray", MISSING, str(error).partition(". ")[0], START)
    try:
        nodes = [place.where for place in cluster.places()]
    finally:
        cluster.close()
    if not nodes:
        return Finding("Ray", MISSING, f"no node has the resource {RESOURCE!r}", START)
    return Finding("Ray", FINE, f"{len(nodes)} nodes that can run containers: {', '.join(nodes)}")


def _disk(config: RunConfig) -> Finding:
    try:
        root = local_root(connect()) or Path()
    except SwerlEvalError:
        root = Path()
    free = shutil.disk_usage(root).free
    detail = f"{free / 2**30:.0f} GiB free on the disk of {root.absolute()}"
    if free < MIN_FREE_BYTES:
        return Finding("disk", MISSING, detail, "docker system df; swerl-eval images prune")
    if free < VERIFIED_IMAGES_BYTES:
        return Finding(
            "disk",
            NOTE,
            detail,
            f"all of Verified may take {VERIFIED_IMAGES_BYTES / 2**30:.0f} GiB; use --disk, --shard or --limit",
        )
    return Finding("disk", FINE, detail)


def _dataset(config: RunConfig) -> Finding:
    try:
        count = len(open_source(config).instances())
    except SwerlEvalError as error:
        return Finding("dataset", MISSING, str(error), "--dataset FILE.parquet")
    return Finding("dataset", FINE, f"{config.dataset}: {count} instances")


def _results(config: RunConfig) -> Finding:
    return _writable("results", Path(config.results), "--results FOLDER")


def _cache(config: RunConfig) -> Finding:
    return _writable("cache", config.cache_folder(), "export SWERL_EVAL_CACHE=FOLDER")


def _verdicts(config: RunConfig) -> Finding:
    folder = config.verdicts_folder()
    sizes = [path.stat().st_size for path in folder.glob("*/*.tar.gz")]
    detail = f"{folder}: {len(sizes)} cached, {sum(sizes) / 2**20:.0f} of at most {MAX_BYTES / 2**20:.0f} MiB"
    return Finding("verdicts", FINE, detail, "remove the folder to empty the cache" if sizes else "")


def _writable(subject: str, folder: Path, remedy: str) -> Finding:
    nearest = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if os.access(nearest, os.W_OK):
        return Finding(subject, FINE, str(folder))
    return Finding(subject, MISSING, f"{folder} cannot be written", remedy)


def _git(config: RunConfig) -> Finding:
    program = shutil.which("git")
    if program is None:
        return Finding("git", NOTE, "not found", "apt-get install git (only for cloning)")
    return Finding("git", FINE, program)


def _gpu(config: RunConfig) -> Finding:
    state = MISSING if config.sampler == "vllm" else NOTE
    rows = nvidia_smi("name", "memory.total")
    if rows is None:
        return Finding("GPU", state, "no nvidia-smi", "only for --sampler vllm; else --base-url of a server")
    if not rows:
        return Finding("GPU", state, "nvidia-smi finds none")
    return Finding("GPU", FINE, "; ".join(f"{name}, {memory} MiB" for name, memory in rows))


def _vllm(config: RunConfig) -> Finding:
    if importlib.util.find_spec("vllm") is not None:
        return Finding("vLLM", FINE, "installed; `swerl-eval preflight` says whether a model fits")
    state = MISSING if config.sampler == "vllm" else NOTE
    return Finding("vLLM", state, "not installed", "pip install 'swerl-eval[vllm]' (only for --sampler vllm)")
