"""Samplers: backends that answer prompts. To add one, add a file here and a line to the table."""

SAMPLERS = {
    "openai": "swerl_eval.samplers.openai.sampler:OpenAISampler",
    "vllm": "swerl_eval.samplers.vllm.sampler:VllmSampler",
    "replay": "swerl_eval.samplers.replay:ReplaySampler",
    "gold": "swerl_eval.samplers.gold:GoldSampler",
}
"""Name to `module:Class`, imported on first use."""


def estimated_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer: a third of its UTF-8 bytes, which is high for code."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 3)
