from __future__ import annotations

import json
from pathlib import Path

import pytest

from swerl_eval.checkpoint import Gpu, folder_of, gpus, read_config, read_tensors
from swerl_eval.core.errors import InputError


def safetensors(path: Path, head: object) -> None:
    text = json.dumps(head).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 16)


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_tensors_are_read_from_the_heads_of_all_files(tmp_path: Path) -> None:
    first, second = ({"dtype": "BF16", "shape": [4], "data_offsets": [0, size]} for size in (8, 6))
    safetensors(tmp_path / "model-1.safetensors", {"a": first, "__metadata__": {"format": "pt"}})
    safetensors(tmp_path / "model-2.safetensors", {"b": second})
    assert read_tensors(tmp_path) == [first, second]


def test_a_file_that_is_no_safetensors_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(InputError, match=r"model\.safetensors is no safetensors file"):
        read_tensors(tmp_path)


def test_a_checkpoint_is_a_folder_with_a_configuration(tmp_path: Path) -> None:
    assert folder_of(str(tmp_path)) is None
    assert folder_of("org/model") is None
    (tmp_path / "config.json").write_text("[1]")
    assert folder_of(str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match="no JSON object"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        read_config(tmp_path)


def test_gpus_are_those_that_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path, monkeypatch, "echo 'Card, 80 GB, 81559, 81000'; echo 'Card, 80 GB, 81559, [N/A]'; echo")
    assert gpus() == [Gpu("Card, 80 GB", 81559 << 20, 81000 << 20)]


def test_without_nvidia_smi_or_a_driver_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus() == []
    nvidia_smi(tmp_path, monkeypatch, "echo 'couldn''t communicate with the NVIDIA driver'; exit 9")
    assert gpus() == []
