"""Fixtures for the whole suite."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from swerl_eval.config import RunConfig
from swerl_eval.core.errors import EngineUnavailableError

# a loaded machine is no failure of a property
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.load_profile("suite")

PLAIN_VOTE = {"tests": 0, "test_samples": 0, "regression": "off", "evaluate": "selected"}
"""What turns the demo's selection by tests off."""

ROOT = Path(__file__).parent.parent


_CACHE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """A cache of this session's own, for subprocesses too: no verdict of another run may stand in for a container."""
    config.stash[_CACHE] = Path(tempfile.mkdtemp(prefix="swerl-eval-tests-"))
    os.environ["SWERL_EVAL_CACHE"] = str(config.stash[_CACHE])


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[_CACHE], ignore_errors=True)


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


@pytest.fixture(scope="session")
def demo_images() -> Iterator[None]:
    """The bundled suite's images, and the proof that no container is left when the tests are done.

    No engine is a failure, never a skip: `pytest -m "not docker"` is for who has none.
    """
    from swerl_eval.demo.setup import prepare
    from swerl_eval.sandboxes.engine import connect
    from swerl_eval.sandboxes.leftovers import OWNER_LABEL

    try:
        client = connect()
    except EngineUnavailableError as error:
        pytest.fail(str(error))
    before = {
        container.id
        for container in client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    }
    prepare(print)
    yield
    after = {
        container.id
        for container in client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True)
    }
    assert after <= before, "the tests left containers behind"


@pytest.fixture
def demo_config(mirrors: Path, tmp_path: Path) -> RunConfig:
    """The bundled suite with recorded answers and the plain vote, into a folder of the test's own."""
    from swerl_eval.demo.setup import demo_settings

    # without the cache of verdicts: what tests count are containers
    own = {"repositories": str(mirrors), "results": str(tmp_path / "results"), "workers": 2, "reuse": False}
    return RunConfig(**{**demo_settings(), **PLAIN_VOTE, **own})
