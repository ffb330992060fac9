"""The figures that the worked plan in `docs/scaling.md` is made from, each with its source: `docs/make_plan.py`."""

from __future__ import annotations

from dataclasses import dataclass

CASES = LOW, LIKELY, HIGH = range(3)
"""All inputs at their favourable end, at the likely figure, at their unfavourable end."""
INPUTS: list[Input] = []
"""All that goes into the plan, in the order of the table."""


@dataclass(frozen=True)
class Input:
    """One figure, and where it comes from."""

    what: str
    values: tuple[float, float, float]
    source: str

    def __getitem__(self, case: int) -> float:
        return self.values[case]


def entered(what: str, *values: float, source: str) -> Input:
    """Enter an input into the table: one value, or low, likely and high."""
    low, likely, high = values if len(values) == 3 else values * 3
    INPUTS.append(Input(what, (low, likely, high), source))
    return INPUTS[-1]


_PAPER = "[the paper](https://arxiv.org/abs/2502.18449)"
_PRESET = "preset `swe-rl-500`; the paper does not say"
_MLPERF = "https://github.com/mlcommons/inference_results_v4.1/blob/main/closed/NVIDIA/results"
_OFFLINE = "Offline/performance/run_1/mlperf_log_summary.txt"
_TENSORRT = (
    "https://github.com/NVIDIA/TensorRT-LLM/blob/00f37686aa854010d68bcbd0f4ab000221541ca6/docs/source/performance/"
    "perf-overview.md"
)
_PRICES = "https://raw.githubusercontent.com"
_RUNPOD = f"{_PRICES}/api-evangelist/runpod/refs/heads/main/plans/runpod-plans-pricing.yml"
_LAMBDA = f"{_PRICES}/api-evangelist/lambda-labs/refs/heads/main/plans/lambda-labs-plans-pricing.yml"
_AWS = f"{_PRICES}/datareceipts/data-receipts/main/109-gpu-pricing/hyperscalers.json"

INSTANCES = entered("instances", 500, source=f"{_PAPER}: Verified")
SAMPLES = entered("repair samples per instance", 500, source=_PAPER)
TESTS = entered("reproduction tests that candidates run", 30, source=_PAPER)
WRITTEN = entered("reproduction tests that are written", 60, source=_PRESET)
LISTS = entered("localization samples, each a list of files", 4, source=_PRESET)
FILES = entered("files in a list", 2, 3, 5, source="assumption; the model is asked for 2 to 5")
FILE_KB = entered(
    "KB of a file",
    27,
    48,
    48,
    source="those of 471 gold patches, in a release of nine repositories: median, mean, mean",
)
LETTERS = entered("bytes of code in a token", 4, 4, 3, source="assumption")
BUDGET = entered("tokens of files in a prompt, at most", 60000, source="setting `max_input_tokens`")
ISSUE = entered(
    "tokens of an issue, with the question", 700, source="Verified's issues: 1,700 letters; bundled templates"
)
TREE = entered("tokens of a tree of files", 5000, source="the same releases: 15,000 letters; assumption: 3 in a token")
ANSWER = entered("tokens of an answer", 600, 1000, 2000, source="assumption, thinking included; at most 4,096")
STOP = entered(
    "share drawn with `--stop-when-decided`", 0.5, 0.85, 1, source="assumption; by its rule not less than a half"
)
PROMPT_MS = entered(
    "ms of an H200 for a prompt token",
    0.120,
    source="fit to the ten lengths of Llama 3.3 70B, FP8, one H200, in TensorRT-LLM's "
    f"[table]({_TENSORRT}); meets each within 10 %",
)
ANSWER_MS = entered("ms of an H200 for an answer's token", 0.110, source="the same fit")
CONTEXT_MS = entered("and for each 1,000 tokens before it", 0.0935, source="the same fit")
H100 = entered(
    "an H100 against an H200", 1.1, 1.4, 1.5, source="the same table, two H100: 1.1 in prompts, 1.5 in contexts"
)
MLPERF_H200 = entered(
    "answer tokens/s of 8 H200, short prompts",
    31303,
    source=f"[MLPerf Inference v4.1]({_MLPERF}/H200-SXM-141GBx8_TRT/llama2-70b-99/{_OFFLINE}), Llama 2 70B, offline",
)
MLPERF_H100 = entered(
    "the same of 8 H100",
    24525,
    source=f"[MLPerf Inference v4.1]({_MLPERF}/DGX-H100_H100-SXM-80GBx8_TRT/llama2-70b-99.9/{_OFFLINE})",
)
SLOWER = entered(
    "time of your server against these", 0.8, 1, 2, source="assumption: another engine, BF16, idle moments"
)
SAMPLER = entered("our sampler's share of the engine's throughput", 0.944, source="[sampling](../results/sampling.md)")
UNIQUE = entered(
    "unique candidates per instance",
    39,
    80,
    120,
    source="assumption; runs made up for [selection](../results/selection.md) have 39, for "
    "[report](../results/report.md) up to 120",
)
OUTSIDE = entered(
    "seconds of a container outside of tests",
    0.27,
    0.4,
    0.6,
    source="[selection](../results/selection.md): 0.27 on small images; assumption: up to 0.6",
)
SCRIPT = entered("seconds of a reproduction test", 0.5, 1, 2, source="assumption: Python's start, imports, a few lines")
REGRESSION = entered("seconds of regression tests", 5, 15, 60, source="assumption; at most 5 files and 600 s")
VERDICT = entered(
    "seconds of an evaluation",
    4.3,
    12,
    20,
    source="`swebench eval`, 55 instances of Verified, 2 cores: median 4.3, mean about 12; assumption: up to 20",
)
RESOLVED = entered("share of patches with a control run", 0.41, source=f"{_PAPER}: 41.0 % are resolved")
PLACES = entered("containers at a time on 32 processors", 24, source="our default: three of four")
OVERLAP = entered(
    "a run against the longer of its sides", 1.03, 1.03, 1.24, source="[sampling](../results/sampling.md), 27 and 9"
)
IMAGES = entered(
    "GiB of images, unpacked",
    31,
    206,
    206,
    source="[LogicStar](https://github.com/logic-star-ai/swe-bench-compressed): official 206, pulled as 100; theirs 31",
)
RECORDS = entered("GB of records", 1.5, source="[report](../results/report.md): 500 x 500, made up")
GPU_HOUR = entered(
    "$ for an hour of an H200",
    4.59,
    source=f"RunPod, [read 2026-10-07]({_RUNPOD}); an H100: Lambda 3.99, [2026-09-20]({_LAMBDA}), "
    f"AWS 6.88, [2026-11-09]({_AWS})",
)
HOST_HOUR = entered(
    "$ for an hour of a host",
    1.54,
    source="AWS m6i.8xlarge, 32 vCPUs, 128 GiB: 8 times [m6i.xlarge, April 2026](https://www.cloudinvent.co/?p=2894)",
)
