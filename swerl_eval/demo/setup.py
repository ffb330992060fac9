"""Makes what the bundled suite needs: repositories and images. Takes no time when everything is there."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock

from swerl_eval.compose import build_task_images
from swerl_eval.config import RunConfig
from swerl_eval.core.errors import SandboxError
from swerl_eval.demo.repositories import build_repository
from swerl_eval.records.atomic import replacing_folder
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.images import Images

HERE = Path(__file__).parent
SUITE = HERE / "suite"
ANSWERS = HERE / "completions.jsonl"
PACKAGES = HERE / "packages"
BASE_IMAGE = "swerl-eval/demo-base:latest"
PARENT_IMAGE = "debian:bookworm-slim"
DEBIAN_PACKAGES = "git,patch,procps,python3,python3-pytest"
SAMPLES, LOCALIZATION_SAMPLES, TEST_SAMPLES = 8, 2, 6
"""Number of recorded answers for each instance."""
TESTS = 3
"""Number of reproduction tests that candidates are run against."""


def demo_settings() -> dict[str, Any]:
    """Return the settings of `swerl-eval demo`."""
    mirrors = RunConfig().cache_folder() / "demo"
    return {
        "dataset": str(SUITE),
        "sampler": "replay",
        "answers": str(ANSWERS),
        "samples": SAMPLES,
        "localization_samples": LOCALIZATION_SAMPLES,
        "repositories": str(mirrors),
        "tests": TESTS,
        "test_samples": TEST_SAMPLES,
        "regression": True,
        "evaluate": "all",  # so that the table can show what the plain vote would have given
        "script_timeout": 5.0,
        "run_id": "demo",
        "timeout": 120.0,
    }


def prepare(notify: Callable[[str], None]) -> None:
    """Build the suite's repositories and images. Raises `SandboxError` with the remedy."""
    mirrors = RunConfig().cache_folder() / "demo"
    mirrors.mkdir(parents=True, exist_ok=True)
    images = Images(connect())
    with filelock.FileLock(mirrors / ".lock"):
        if not images.present(BASE_IMAGE):
            _make_base(images, notify)
        for package in sorted(folder for folder in PACKAGES.iterdir() if folder.is_dir()):
            repository = mirrors / f"demo__{package.name}.git"
            with replacing_folder(repository) as new:
                build_repository(package, new)
            _build_package(images, package.name, repository)
        build_task_images(SUITE, (), lambda _: None)


def _build_package(images: Images, name: str, repository: Path) -> None:
    files = {
        f"repository.git/{path.relative_to(repository).as_posix()}": path.read_bytes()
        for path in sorted(repository.rglob("*"))
        if path.is_file()
    }
    dockerfile = (HERE / "images" / "package.Dockerfile").read_text(encoding="utf-8")
    images.build(f"swerl-eval/demo-{name}:latest", dockerfile, files)


def _make_base(images: Images, notify: Callable[[str], None]) -> None:
    """Build the base image from its parent where a registry answers, else from Debian's packages."""
    if images.in_registry(PARENT_IMAGE):
        notify(f"building {BASE_IMAGE} on {PARENT_IMAGE}")
        try:
            images.build(BASE_IMAGE, (HERE / "images" / "base.Dockerfile").read_text(encoding="utf-8"), {})
        except SandboxError as error:
            notify(f"that failed ({str(error).splitlines()[-1]})")
        else:
            return
    notify(f"making {BASE_IMAGE} from Debian's packages (no registry answers); about a minute")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={DEBIAN_PACKAGES}", "bookworm", "-"]
    try:
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as process,
        ):
            images.import_archive(BASE_IMAGE, process.stdout)
            if process.wait() != 0:
                errors.seek(0)
                last = errors.read().decode(errors="replace").strip().splitlines()[-3:]
                images.remove(BASE_IMAGE)
                message = f"mmdebstrap failed: {' / '.join(last)}"
                raise SandboxError(message)
    except FileNotFoundError as error:
        message = (
            "no image registry answers, and mmdebstrap, which makes the suite's base image instead, is not installed: "
            "run `apt-get install mmdebstrap` (with `debian-archive-keyring` on Ubuntu), or `docker pull "
            f"{PARENT_IMAGE}` where a registry can be reached"
        )
        raise SandboxError(message) from error
