"""Fixtures for the whole suite."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from swerl_eval.config import RunConfig
from swerl_eval.core.errors import EngineUnavailableError

# a loaded machine is no failure of a property
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=SLOW)
hypothesis.settings.register_profile("quick", deadline=None, suppress_health_check=SLOW, max_examples=20)
hypothesis.settings.load_profile("suite")

PLAIN_VOTE = {"tests": 0, "test_samples": 0, "regression": False, "evaluate": "selected"}
"""What turns the demo's selection by tests off."""

ROOT = Path(__file__).parent.parent

# A cache of the session's own, for subprocesses too: no verdict of another run may stand in for a container.
CACHE_FOLDER = Path(tempfile.mkdtemp(prefix="swerl-eval-tests-cache-"))
os.environ["SWERL_EVAL_CACHE"] = str(CACHE_FOLDER)
# Drawing the charts of a page takes seconds; the tests of pages ask for them.
os.environ["SWERL_EVAL_PAGE"] = "no"
# Temporary files of this process and of those it starts go to a folder of the session's own; pytest's stay where they
# were, so that it keeps those of the last sessions.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
SESSION_FOLDER = Path(tempfile.mkdtemp(prefix="swerl-eval-tests-"))
os.environ["TMPDIR"] = tempfile.tempdir = str(SESSION_FOLDER)


def pytest_unconfigure() -> None:
    """The session's folders go, with whatever a failed session left in them."""
    for folder in (SESSION_FOLDER, CACHE_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bare repositories of the bundled suite's packages; needs no Docker."""
    from swerl_eval.demo.repositories import build_repository
    from swerl_eval.demo.setup import PACKAGES

    folder = tmp_path_factory.mktemp("mirrors")
    for package in PACKAGES.iterdir():
        build_repository(package, folder / f"demo__{package.name}.git")
    return folder


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], None]]:
    """Fails the session for what it leaves, once a test with Docker has called this (`tests/leftovers.py`)."""
    from tests.leftovers import Watch

    watch = Watch(SESSION_FOLDER, tmp_path_factory.getbasetemp())
    yield watch.begin
    left = watch.left()
    assert not left, "the tests left " + ", ".join(left)


@pytest.fixture(scope="session")
def demo_images(nothing_is_left: Callable[[], None]) -> None:
    """The bundled suite's images, and at the end the proof that the tests left nothing.

    No engine is a failure, never a skip: `pytest -m "not docker"` is for who has none.
    """
    from swerl_eval.demo.setup import prepare

    try:
        nothing_is_left()
    except EngineUnavailableError as error:
        pytest.fail(str(error))
    prepare(print)


@pytest.fixture
def demo_config(mirrors: Path, tmp_path: Path) -> RunConfig:
    """The bundled suite with recorded answers and the plain vote, into a folder of the test's own."""
    from swerl_eval.demo.setup import demo_settings

    # without the cache of verdicts: what tests count are containers
    own = {"repositories": str(mirrors), "results": str(tmp_path / "results"), "workers": 2, "reuse": False}
    return RunConfig(**{**demo_settings(), **PLAIN_VOTE, **own})
