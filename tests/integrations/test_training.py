"""The recipe of docs/train.md, run on a tiny model in the environment of vLLM, which has torch, TRL and peft."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import swerl_eval
from docs import train_grpo
from swerl_eval.config import RunConfig
from swerl_eval.demo.setup import ANSWERS, prepare
from swerl_eval.integrations.execution.pool import close_pools
from swerl_eval.sandboxes.docker.engine import connect
from swerl_eval.sandboxes.docker.leftovers import PROCESS_LABEL, process_mark
from swerl_eval.sources.datasets import load_rows
from tests.docs.pages import ROOT
from tests.tiny_model import ENGINE, make_tiny_model

pytestmark = pytest.mark.vllm

SHARES = {
    "demo__inkwell-1": {"resolved": 0.5, "unresolved": 0.25, "no_patch": 0.25, "failed": 0.0},
    "demo__ledgerly-2": {"resolved": 0.5, "unresolved": 0.5, "no_patch": 0.0, "failed": 0.0},
}
"""Of the first four recorded answers, as the table of swerl_eval/demo/README.md has it."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "model")


def words(config: RunConfig, model: Path, **more: object) -> list[str]:
    """The command line of the recipe: two steps of one prompt, in the folder of the model."""
    values = {
        "model": model,
        "output": model.parent / "adapter",
        "dataset": config.dataset,
        "repositories": config.repositories,
        "steps": 2,
        "prompts": 1,
        **more,
    }
    return [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def logits(model: Any) -> Any:
    torch = importlib.import_module("torch")
    with torch.no_grad():
        return model.eval()(torch.arange(3, 40)[None]).logits


def test_the_script_trains_with_both_rewards_and_writes_what_can_be_loaded(demo_config: RunConfig, model: Path) -> None:
    peft = importlib.import_module("peft")
    sandbox = "tests.integrations.rewarding:RewardingSandbox"
    line = words(demo_config, model, sandbox=sandbox, answers=2, max_answer=8, max_prompt=2500)
    done = subprocess.run(
        [sys.executable, "docs/train_grpo.py", *line],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "demo__ledgerly-3 is left out: no file of its list exists" in done.stderr
    assert "answers by execution: {'no_patch': 4, 'answers': 4}" in done.stderr  # a random model
    for name in ("swe_rl_reward", "execution_reward"):
        assert done.stdout.count(f"'rewards/{name}/mean': '-1'") == 2, name
    adapter = model.parent / "adapter"
    assert logits(peft.AutoPeftModelForCausalLM.from_pretrained(adapter)).shape[1] == 37
    own = {"sampler": "vllm", "model": str(model), "engine": ENGINE | {"lora": str(adapter)}, "max_tokens": 8}
    more = {"localization": "oracle", "sandbox": "scripted", "instances": ("demo__waypost-1",), "samples": 1}
    run = swerl_eval.run(demo_config.model_copy(update={**own, **more}))
    assert run.complete
    assert [sample.completion.completion_tokens for sample in run.samples()] == [8]


@pytest.mark.docker
def test_verdicts_of_containers_move_the_adapter(
    demo_config: RunConfig, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The suite's recorded answers stand in for the model's, by TRL's own hook for another generator."""
    # not by the fixture `demo_images`: it watches the session's temporary files, where vLLM and torch leave some
    prepare(print)
    peft, trl = importlib.import_module("peft"), importlib.import_module("trl")
    own = tmp_path / "own.jsonl"
    own.write_text(
        "\n".join(json.dumps(row) for row in load_rows(demo_config.dataset, None) if row["instance_id"] in SHARES),
        encoding="utf-8",
    )
    used: Counter[str] = Counter()
    monkeypatch.setattr(trl, "GRPOTrainer", recorded_answers(trl.GRPOTrainer, used))
    given = train_grpo.options(words(demo_config, model, dataset=own, answers=4, workers=2, learning_rate=0.01))
    try:
        trainer = train_grpo.train(given)
    finally:
        close_pools()
    own_containers = {"label": f"{PROCESS_LABEL}={process_mark()}"}
    assert connect().containers.list(all=True, filters=own_containers) == []
    assert used == dict.fromkeys(SHARES, 4)
    steps = [entry for entry in trainer.state.log_history if "rewards/execution_reward/mean" in entry]
    steps.sort(key=lambda step: -step["execution/no_patch"])
    kinds = SHARES["demo__inkwell-1"]
    assert [{kind: step[f"execution/{kind}"] for kind in kinds} for step in steps] == list(SHARES.values())
    similarity, execution = (
        [step[f"rewards/{name}/mean"] for step in steps] for name in ("swe_rl_reward", "execution_reward")
    )
    assert similarity[0] > 0  # of the other instance, no answer has its thinking in tags: that counts here alone
    assert similarity[1] == -1
    assert execution[0] >= 0.25
    assert execution[1] >= 0.5
    assert [step["reward"] for step in steps] == pytest.approx(
        [0.5 * one + other for one, other in zip(similarity, execution, strict=True)], abs=1e-6
    )
    assert all(step["reward_std"] > 0 and step["grad_norm"] > 0 for step in steps)
    trained = logits(trainer.model)
    loaded = peft.AutoPeftModelForCausalLM.from_pretrained(given.output)
    assert logits(loaded).allclose(trained, atol=1e-4)
    with loaded.disable_adapter():
        assert not logits(loaded).allclose(trained, atol=1e-2)


def recorded_answers(trainer_class: Any, used: Counter[str]) -> Any:
    """TRL's trainer with the suite's recorded answers as its generator; `used` counts them by instance."""
    lines = [json.loads(line) for line in ANSWERS.read_text("utf-8").splitlines()]
    texts = {line["instance_id"]: line["completions"] for line in lines if line["stage"] == "repair"}

    def generate(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        tokenizer = trainer.processing_class
        named = {json.dumps(row["prompt"]): row["instance_id"] for row in trainer.train_dataset}
        answers = []
        for prompt in prompts:
            name = named[json.dumps(prompt)]
            answers.append([*tokenizer.encode(texts[name][used[name]]["text"]), tokenizer.eos_token_id])
            used[name] += 1
        asked = [
            tokenizer.apply_chat_template(p, add_generation_prompt=True, return_dict=True)["input_ids"] for p in prompts
        ]
        return {"prompt_ids": asked, "completion_ids": answers, "logprobs": [[0.0] * len(ids) for ids in answers]}

    return lambda **arguments: trainer_class(**arguments, rollout_func=generate)
