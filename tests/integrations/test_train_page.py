"""docs/train.md: the script that it shows, and its reward for verl, called as verl calls it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from docs import train_grpo
from swerl_eval.config import RunConfig
from swerl_eval.integrations.execution.pool import close_pools
from swerl_eval.integrations.rows import training_rows
from tests.docs.pages import ROOT, blocks
from tests.integrations.rewarding import NAME, RewardingSandbox, answer

PAGE = ROOT / "docs/train.md"


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    """The names that the page's last example defines."""
    names: dict[str, Any] = {}
    exec(compile(blocks(PAGE, "python")[-1], "docs/train.md", "exec"), names)  # our own page
    yield names
    close_pools()


def test_the_page_shows_the_script_as_it_is() -> None:
    assert blocks(PAGE, "python")[0] == (ROOT / "docs/train_grpo.py").read_text("utf-8")


def test_the_page_s_command_line_is_one_that_the_script_takes() -> None:
    (line,) = [block for block in blocks(PAGE, "console") if "train_grpo.py" in block]
    given = train_grpo.options(line.split()[3:])
    assert (given.dataset, given.output, given.sandbox) == ("tasks.jsonl", "adapter", "docker")


def test_a_row_for_verl_carries_what_both_rewards_need(
    page: dict[str, Any], demo_config: RunConfig, tmp_path: Path
) -> None:
    data: dict[str, Any] = {"dataset": demo_config.dataset, "repositories": demo_config.repositories}
    file = tmp_path / "train.parquet"
    made = [page["verl_row"](row) for row in training_rows(**data).rows]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(made), file)
    row = next(
        row for row in pyarrow.parquet.read_table(file).to_pylist() if row["extra_info"] == {"instance_id": NAME}
    )
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    RewardingSandbox.all_jobs.clear()
    settings = {**data, "sandbox": "tests.integrations.rewarding:RewardingSandbox", "reuse": False}

    def scored(text: str) -> dict[str, float]:
        call = page["both_rewards"](row["data_source"], text, row["reward_model"]["ground_truth"], {}, **settings)
        return asyncio.run(call)

    # these patches make a file that was not shown: a format error by similarity, whatever the sandbox says
    flags = {"resolved": 1.0, "no_patch": 0.0, "failed": 0.0}
    assert scored(answer("right")) == {"score": 0.5, "similarity": -1.0, **flags}
    assert scored(answer("wrong"))["score"] == -0.5
    assert scored("no") == {"score": -1.5, "similarity": -1.0, "resolved": 0.0, "no_patch": 1.0, "failed": 0.0}
    assert json.loads(row["reward_model"]["ground_truth"])["instance_id"] == NAME
    assert set(RewardingSandbox.all_jobs) == {NAME}
