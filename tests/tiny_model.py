"""A chat model with random weights, small enough for the real engine on a CPU, made on the spot."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

CONTEXT = 4096
"""The longest context that the model's configuration allows."""

ENGINE: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_num_seqs": 32,
    "kv_cache_memory_bytes": 64 << 20,
    "block_size": 32,
    "max_num_batched_tokens": 4096,
    "seed": 0,
}
"""Settings with which the real engine runs on a CPU, quickly and the same each time. None of them names a CPU."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    "{% if messages[-1].content.startswith('Think') %}<think>\n{% endif %}"
)
"""For a prompt that begins with "Think" it opens the thinking itself, as the templates of many models do."""

_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def make_tiny_model(folder: Path, **dimensions: int) -> Path:
    """Write model and tokenizer into `folder`, as `from_pretrained` reads them. The same bytes each time.

    Two layers of width 64 and some 500 tokens: any byte can be written, and an answer ends by itself after
    hundreds of tokens. Other `dimensions`, by their names in a configuration, make it larger, and of 16 bits.
    """
    # by name: none of these is in the environment that the type checker and most tests run in
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_trained_tokenizer(), eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    sizes = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer),
        max_position_embeddings=CONTEXT,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        **{**sizes, **dimensions},
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16 if dimensions else torch.float32)
    try:
        transformers.Qwen2ForCausalLM(config).save_pretrained(folder)
    finally:
        torch.set_default_dtype(torch.float32)
    return folder


def _trained_tokenizer() -> Any:
    """A `tokenizers.Tokenizer` by bytes, its merges learnt from this file."""
    tokenizers: Any = importlib.import_module("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=_SPECIAL,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([Path(__file__).read_text(encoding="utf-8")], trainer)
    return tokenizer
