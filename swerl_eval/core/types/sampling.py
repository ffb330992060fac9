"""What is asked of a model, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One chat message."""

    role: str
    content: str


@dataclass(frozen=True)
class SampleRequest:
    """A prompt and the number of answers to sample. Identical prompts are one request: it is prefilled once."""

    instance_id: str
    stage: str
    """`localize`, `repair`, `reproduce` or `regress`."""
    messages: tuple[Message, ...]
    indices: tuple[int, ...]
    """The numbers of the samples that the answers become, in order; n is their count."""
    seed: int
    """Answer k is sampled with seed + k; the seeds of a run's requests never overlap."""
    temperature: float
    top_p: float
    max_tokens: int
    priority: int = 0
    """Requests with lower numbers come first, where the engine's queue has priorities; answers do not depend on it."""

    @property
    def n(self) -> int:
        """Number of answers."""
        return len(self.indices)


@dataclass(frozen=True)
class Completion:
    """One answer of a model, or the recorded reason why there is none."""

    text: str
    finish_reason: str = "stop"
    """`stop`, `length`, or `error`."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning: str = ""
    """Thinking, if the server sends it apart from the text."""
    error: str = ""
    """Why there is no text; empty when there is one."""
    cached_tokens: int | None = None
    """Tokens of the prompt that the server took from its cache."""
    refused: bool = False
    """Whether the server refused the request (`error` has its message). Another server may accept it, so a resume asks
    again."""


@dataclass(frozen=True)
class Sample:
    """One stored answer (`samples.jsonl`), keyed by instance, stage and index."""

    instance_id: str
    stage: str
    index: int
    completion: Completion
    files: tuple[str, ...]
    """Paths shown in the prompt, in order. Empty for localization."""
    prompt_sha256: str
    seed: int


@dataclass(frozen=True)
class ModelUsage:
    """What one process asked of the model (`usage.jsonl`)."""

    began: float
    """Seconds since the epoch."""
    seconds: float
    """Seconds with a request in flight."""
    samples: int
    prompt_tokens: int
    """Tokens of all prompts; a prompt with n answers counts n times."""
    prompt_tokens_computed: int | None
    """The part of these that was computed; the others were reused. None where the sampler does not tell."""
    completion_tokens: int
    gpus: int | None = None
    """GPUs that the model used; None for a server that the run did not start."""
