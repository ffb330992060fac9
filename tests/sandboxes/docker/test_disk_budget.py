"""The budget for images: what is removed, in which order, and what stays. The engine's answers are scripted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swerl_eval.core.errors import ImageMissingError, SandboxError
from swerl_eval.sandboxes.docker import disk_budget
from swerl_eval.sandboxes.docker.disk_budget import Budget, image_disk_usage
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.ledger import Ledger
from tests.fake_engine import Answer, FakeEngine, fake_engine

QUESTION = "GET /system/df"


class Engine:
    """An engine with images of some size that share no layers."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.sizes: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        self.needed: set[str] = set()
        """By containers of somebody else."""
        self.answers_well = True
        self.fake: FakeEngine

    def pull(self, name: str, size: int) -> None:
        """As this tool pulls it."""
        self.has(name, size)
        self.ledger.record(name, self.digests[name], size)

    def has(self, name: str, size: int) -> None:
        """Whoever pulled it."""
        self.sizes[name], self.digests[name] = size, f"sha256:{name}"

    def budget(self, limit: int | None) -> Budget:
        return Budget(connect(), self.ledger, limit, self.remove, self.digests.get)

    def remove(self, name: str) -> None:
        if name in self.needed:
            message = f"conflict: {name} is being used by a container"
            raise SandboxError(message)
        if name not in self.sizes:
            message = f"no such image: {name}"
            raise ImageMissingError(message)
        del self.sizes[name], self.digests[name]

    def usage(self) -> Answer:
        if not self.answers_well:
            return 500, {"message": "the driver failed"}
        images = [{"Id": self.digests[name], "Size": size, "SharedSize": 0} for name, size in self.sizes.items()]
        return 200, {"LayersSize": sum(self.sizes.values()), "Images": images}

    @property
    def questions(self) -> int:
        return self.fake.requests.count(QUESTION)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    opened = Engine(Ledger(tmp_path / "ledger.json"))
    with fake_engine({QUESTION: opened.usage}) as fake:
        opened.fake = fake
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        yield opened


def test_without_a_limit_nothing_is_asked_or_removed(engine: Engine) -> None:
    engine.pull("a", 2**50)
    budget = engine.budget(None)
    assert budget.trim()
    assert budget.trim(for_prefetch=True)
    assert (set(engine.sizes), engine.questions) == ({"a"}, 0)


def test_a_budget_that_is_kept_removes_nothing_and_asks_only_when_it_may_be_exceeded(engine: Engine) -> None:
    engine.pull("a", 40)
    budget = engine.budget(100)
    assert budget.trim()
    assert budget.trim()
    engine.pull("b", 30)
    budget.pulled(30)
    assert budget.trim()
    assert engine.questions == 1
    engine.pull("c", 30)
    budget.pulled(31)
    assert budget.trim(), "it took less than was counted"
    assert (set(engine.sizes), engine.questions) == ({"a", "b", "c"}, 2)


def test_an_answer_that_is_old_is_asked_for_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = engine.budget(100)
    assert budget.trim()
    engine.has("of-another-process", 101)
    assert budget.trim()
    monkeypatch.setattr(disk_budget, "USAGE_TTL", 0.0)
    assert not budget.trim()


def test_the_least_recently_used_images_go_and_no_more_than_must(engine: Engine) -> None:
    for name in "abcd":
        engine.pull(name, 30)
    with engine.ledger.using("a"):
        pass
    assert engine.budget(60).trim()
    assert set(engine.sizes) == {"a", "d"}
    assert set(engine.ledger.entries()) == {"a", "d"}


def test_what_is_in_use_or_was_pulled_by_somebody_else_stays(engine: Engine) -> None:
    engine.has("by-hand", 30)
    for name in "abc":
        engine.pull(name, 30)
    with engine.ledger.using("a"):
        engine.needed = {"b"}
        assert not engine.budget(1).trim()
    assert set(engine.sizes) == {"by-hand", "a", "b"}


def test_an_image_that_was_replaced_or_removed_by_hand_is_taken_out_of_the_ledger_alone(engine: Engine) -> None:
    for name in "abc":
        engine.pull(name, 30)
    engine.digests["a"] = "sha256:another"
    engine.remove("b")
    assert not engine.budget(1).trim()
    assert set(engine.sizes) == {"a"}
    assert engine.ledger.entries() == {}


def test_a_prefetch_needs_room_for_an_image_as_large_as_the_largest(engine: Engine) -> None:
    engine.pull("a", 40)
    engine.pull("b", 20)
    budget = engine.budget(100)
    assert budget.trim(for_prefetch=True)
    assert set(engine.sizes) == {"a", "b"}
    assert engine.budget(99).trim(for_prefetch=True)
    assert set(engine.sizes) == {"b"}
    assert not engine.budget(19).trim(for_prefetch=True)


def test_where_no_prefetch_fits_nothing_is_removed_for_one(engine: Engine) -> None:
    engine.pull("a", 60)
    assert not engine.budget(59).trim(for_prefetch=True)
    assert set(engine.sizes) == {"a"}


def test_prefetched_images_that_no_job_has_used_go_last_and_never_for_another_prefetch(engine: Engine) -> None:
    for name in "abcd":
        engine.pull(name, 30)
    budget = engine.budget(120)
    budget.wanted = ["a", "b"]
    assert budget.trim(for_prefetch=True)
    assert set(engine.sizes) == {"a", "b", "d"}
    tight = engine.budget(60)
    tight.wanted = ["a", "b"]
    assert not tight.trim(for_prefetch=True)
    assert set(engine.sizes) == {"a", "b"}
    engine.pull("e", 30)
    engine.pull("f", 30)
    with engine.ledger.using("e"), engine.ledger.using("f"):
        jobs = engine.budget(90)
        jobs.wanted = ["a", "b"]
        assert jobs.trim()
    assert set(engine.sizes) == {"a", "e", "f"}, "of the prefetched ones the last one goes first"


def test_an_engine_that_does_not_tell_what_images_take_ends_no_job(engine: Engine) -> None:
    engine.pull("a", 40)
    engine.answers_well = False
    assert not engine.budget(1).trim()
    assert set(engine.sizes) == {"a"}


# -- the question itself


def test_an_engine_that_answers_somebody_else_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = (500, {"message": "a disk usage operation is already running"})
    answer = {"LayersSize": 9, "Images": [{"Id": "sha256:a", "Size": 7, "SharedSize": 3}]}
    with fake_engine({QUESTION: [busy, (200, answer)]}) as fake:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        usage = image_disk_usage(connect())
    assert (usage.layers, usage.own, usage.shared) == (9, {"sha256:a": 4}, {"sha256:a": 3})


def test_an_engine_that_fails_or_stays_busy_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_budget, "BUSY_SECONDS", 0.1)
    for message in ("the driver failed", "a disk usage operation is already running"):
        with fake_engine({QUESTION: (500, {"message": message})}) as fake:
            monkeypatch.setenv("DOCKER_HOST", fake.host)
            with pytest.raises(SandboxError, match=f"asking for the size of images: .*{message}"):
                image_disk_usage(connect())
