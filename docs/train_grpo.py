"""Trains a LoRA adapter with TRL 1.16 by single-step GRPO: one answer to each prompt, rewarded by two functions.

    python docs/train_grpo.py --model MODEL --dataset tasks.jsonl --output adapter

It needs `trl` and `peft` beside this package.
"""

from __future__ import annotations

import argparse
import functools
import logging
from collections.abc import Sequence
from typing import Any

from swerl_eval.integrations.execution import ExecutionReward
from swerl_eval.integrations.rows import training_rows
from swerl_eval.integrations.trl import swe_rl_reward

LOG = logging.getLogger("train")


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Train a LoRA adapter by GRPO.")
    parser.add_argument("--model", required=True, help="name or folder")
    parser.add_argument("--output", required=True, help="folder for the adapter")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--prompts", type=int, default=4, help="prompts in a step")
    parser.add_argument("--answers", type=int, default=8, help="answers to a prompt: GRPO's group")
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    parser.add_argument("--max-prompt", type=int, default=16_000, help="tokens; longer prompts are left out")
    parser.add_argument("--max-answer", type=int, default=4096, help="tokens; longer answers are cut")
    parser.add_argument("--opening", default="", help="what the chat template begins an answer with, such as <think>")
    parser.add_argument("--similarity", type=float, default=0.5, help="weight of the reward by similarity")
    parser.add_argument("--execution", type=float, default=1.0, help="weight of the reward by execution")
    parser.add_argument("--dataset", required=True, help="task repository, file of rows or name on the hub")
    parser.add_argument("--split", default="test")
    parser.add_argument("--repositories", default="", help="folder of bare mirrors")
    parser.add_argument("--sandbox", default="docker")
    parser.add_argument("--workers", type=int, default=0, help="containers at a time; 0: as the machine allows")
    return parser.parse_args(words)


def data(given: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that rows and verdicts share."""
    return {"dataset": given.dataset, "split": given.split, "repositories": given.repositories}


def rows(given: argparse.Namespace, tokenizer: Any) -> list[dict[str, Any]]:
    """Return the rows to train on."""
    made = training_rows(
        **data(given), count_tokens=lambda text: len(tokenizer.encode(text)), max_prompt_tokens=given.max_prompt
    )
    for name, reason in made.left_out.items():
        LOG.warning("%s is left out: %s", name, reason)
    return made.rows


def train(given: argparse.Namespace) -> Any:
    """Train, write the adapter, and return the trainer."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    gpu = torch.cuda.is_available()
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    similarity = functools.partial(swe_rl_reward, opening=given.opening)
    execution = ExecutionReward(
        **data(given),
        sandbox=given.sandbox,
        workers=given.workers,
        opening=given.opening,
        shaping=0.2,  # an unresolved patch is worth at most this
        on_failure=0.0,  # a number, because there is another reward beside it
        timeout=600,  # of one patch's tests
        call_seconds=1500,  # of a step's verdicts: below the 1800 s for which other training processes wait
    )
    arguments = GRPOConfig(
        output_dir=given.output,
        max_steps=given.steps,
        per_device_train_batch_size=1,  # prompts are long
        gradient_accumulation_steps=given.prompts * given.answers,
        num_generations=given.answers,
        max_completion_length=given.max_answer,
        learning_rate=given.learning_rate,
        reward_weights=[given.similarity, given.execution],
        bf16=gpu,
        use_cpu=not gpu,
        logging_steps=1,
        save_steps=20,
    )
    trainer = GRPOTrainer(
        model=given.model,
        processing_class=tokenizer,
        args=arguments,
        train_dataset=Dataset.from_list(rows(given, tokenizer)),
        reward_funcs=[similarity, execution],
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.save_model()
    LOG.info("answers by execution: %s", dict(execution.figures))
    return trainer


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    train(options())
