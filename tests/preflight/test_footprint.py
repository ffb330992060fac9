from __future__ import annotations

from typing import Any

import pytest

from swerl_eval.preflight.footprint import OVERHEAD, Parallelism, footprint, parameters

SEVEN_B: dict[str, Any] = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "torch_dtype": "bfloat16",
}
"""Dimensions of a model with 7.62 billion parameters."""
GIB = 1 << 30


def tensor(dtype: str, size: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [size], "data_offsets": [8, 8 + size]}


def test_parameters_follow_from_the_dimensions() -> None:
    assert parameters(SEVEN_B) == pytest.approx(7.62e9, rel=0.01)
    assert parameters(SEVEN_B) - parameters(SEVEN_B | {"tie_word_embeddings": True}) == 152064 * 3584


def test_weights_are_what_the_tensors_say_where_there_are_any() -> None:
    known = footprint(SEVEN_B, [tensor("BF16", 100), tensor("BF16", 28)], {})
    assert (known.weights, known.weights_known) == (128, True)
    guessed = footprint(SEVEN_B, [], {})
    assert (guessed.weights, guessed.weights_known) == (2 * parameters(SEVEN_B), False)


@pytest.mark.parametrize(
    ("stored", "engine", "loaded"),
    [
        ("F32", {}, 50),  # vLLM loads 32 bits as 16 unless a setting asks for 32
        ("F32", {"dtype": "float32"}, 100),
        ("BF16", {"dtype": "float32"}, 200),
        ("F8_E4M3", {}, 100),
        ("I32", {"dtype": "float32"}, 100),
    ],
)
def test_numbers_are_counted_in_the_width_that_they_are_loaded_in(
    stored: str, engine: dict[str, Any], loaded: int
) -> None:
    assert footprint(SEVEN_B | {"torch_dtype": "float32"}, [tensor(stored, 100)], engine).weights == loaded


def test_a_token_takes_keys_and_values_of_every_layer() -> None:
    size = footprint(SEVEN_B, [], {})
    assert size.token_bytes_per_gpu(Parallelism()) == 2 * 28 * 4 * 128 * 2
    assert footprint(SEVEN_B, [], {"kv_cache_dtype": "fp8"}).token_bytes_per_gpu(Parallelism()) == 28 * 4 * 128 * 2
    assert footprint(SEVEN_B | {"head_dim": 64}, [], {}).token_bytes_per_gpu(Parallelism()) == 2 * 28 * 4 * 64 * 2


def test_latent_attention_keeps_one_vector_for_all_heads() -> None:
    size = footprint(SEVEN_B | {"kv_lora_rank": 512, "qk_rope_head_dim": 64}, [], {})
    assert size.token_bytes_per_gpu(Parallelism()) == size.token_bytes_per_gpu(Parallelism(tensor=4)) == 28 * 576 * 2


def test_layers_that_keep_a_window_or_a_state_are_left_out_and_said_to_be_an_estimate() -> None:
    mixed = footprint(SEVEN_B | {"layer_types": ["full_attention"] * 7 + ["linear_attention"] * 21}, [], {})
    assert (mixed.token_bytes_per_gpu(Parallelism()), mixed.kv_known) == (2 * 7 * 4 * 128 * 2, False)
    assert footprint(SEVEN_B | {"layer_types": ["full_attention"] * 28}, [], {}).kv_known


def test_gpus_share_weights_and_heads_but_never_less_than_one_head() -> None:
    size = footprint(SEVEN_B, [tensor("BF16", 8000)], {})
    assert [size.weights_per_gpu(Parallelism(tensor=t, pipeline=p)) for t, p in ((1, 1), (2, 1), (2, 2))] == [
        8000,
        4000,
        2000,
    ]
    whole = size.token_bytes_per_gpu(Parallelism())
    assert [size.token_bytes_per_gpu(Parallelism(tensor=t)) / whole for t in (1, 2, 4, 8)] == [1, 0.5, 0.25, 0.25]
    assert size.token_bytes_per_gpu(Parallelism(pipeline=2)) / whole == 0.5
    assert size.token_bytes_per_gpu(Parallelism(data=2)) == whole
    assert Parallelism(tensor=2, pipeline=2, data=2).gpus == 8


def test_room_is_what_weights_and_overhead_leave_of_the_share() -> None:
    size = footprint(SEVEN_B, [], {})
    left = 80 * GIB * 0.5 - size.weights - OVERHEAD
    assert size.cache_tokens(80 * GIB, Parallelism(utilization=0.5)) == int(left / (2 * 28 * 4 * 128 * 2))
    assert size.cache_tokens(16 * GIB, Parallelism()) < 0


def test_the_language_model_of_a_larger_one_is_meant() -> None:
    inner = {key: value for key, value in SEVEN_B.items() if key != "torch_dtype"}
    assert footprint({"torch_dtype": "bfloat16", "text_config": inner}, [], {}).context == 32768


def test_what_the_configuration_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="no num_hidden_layers"):
        footprint({key: value for key, value in SEVEN_B.items() if key != "num_hidden_layers"}, [], {})
