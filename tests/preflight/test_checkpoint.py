from __future__ import annotations

import json
from pathlib import Path

import pytest

from swerl_eval.core.errors import InputError
from swerl_eval.preflight.checkpoint import checkpoint_folder, read_config, read_tensors


def safetensors(path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 16)


def test_tensors_are_read_from_the_headers_of_all_files(tmp_path: Path) -> None:
    first, second = ({"dtype": "BF16", "shape": [4], "data_offsets": [0, size]} for size in (8, 6))
    safetensors(tmp_path / "model-1.safetensors", {"a": first, "__metadata__": {"format": "pt"}})
    safetensors(tmp_path / "model-2.safetensors", {"b": second})
    assert read_tensors(tmp_path) == [first, second]


def test_a_file_that_is_no_safetensors_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(InputError, match=r"model\.safetensors is no safetensors file"):
        read_tensors(tmp_path)


def test_a_checkpoint_is_a_folder_with_a_configuration(tmp_path: Path) -> None:
    assert checkpoint_folder(str(tmp_path)) is None
    assert checkpoint_folder("org/model") is None
    (tmp_path / "config.json").write_text("[1]")
    assert checkpoint_folder(str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match="no JSON object"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        read_config(tmp_path)
