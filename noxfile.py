"""Runs the quick test group on the other supported Pythons: `scripts/test --pythons`, or `nox`.

`scripts/test --trackers`, or `nox -s trackers`, tests the trackers with their real packages (another 600 MB).

`scripts/test` covers the Python that it sets up (3.11 where there is one). Interpreters that are not installed are
skipped, with a warning. Each session keeps its own environment below `.nox/` (about 650 MB).
"""

from __future__ import annotations

import nox

nox.options.error_on_missing_interpreters = False
nox.options.reuse_venv = "yes"
nox.options.sessions = ["quick"]


@nox.session(python=["3.10", "3.12", "3.13"])
def quick(session: nox.Session) -> None:
    """The tests that need no container, no vLLM and no browser, with fewer examples of each property."""
    session.install("-e", ".[dev]")
    arguments = session.posargs or ["-m", "not vllm and not docker and not ray and not browser and not slow"]
    session.run("python", "-m", "pytest", "-p", "no:cacheprovider", "--hypothesis-profile=quick", *arguments)


@nox.session
def trackers(session: nox.Session) -> None:
    """The trackers with their real packages, which are too large for everybody's environment."""
    session.install("-e", ".[wandb,mlflow,tensorboard,trackio]", "hypothesis", "jsonschema", "pytest", "pytest-timeout")
    session.run(
        "python", "-m", "pytest", "-p", "no:cacheprovider", "-m", "trackers", "tests/contracts/test_trackers.py"
    )
