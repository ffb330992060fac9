"""Collect the answers of one request, which may come from several servers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import anyio

from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens
from swerl_eval.samplers.openai.chunks import End, PartialAnswer, Reply, TokenCounts, Update

LONG_PROMPT = 8_000
"""Characters. The token count of a prompt as long as this shows whether the server cut it."""
CHARACTERS_PER_TOKEN = 12
"""More than any tokenizer reaches over a long prompt. The tokenizers of GPT-4, Llama 3 and Qwen never join two words:
the characters of a word limit those of a token. Measured on the files of Python 3.11 and of installed packages: over
8,000 characters the median is 4.3, and one file in a thousand has 10.2; over 20,000 characters the highest is 10.7
(deeply indented code)."""
CREDIBLE_TOKENS = 256
"""A smaller count is no sign of a cut, since no server has so small a context: it does not include cached tokens."""
MAX_PARTS = 8
"""Parts of one request in flight, if a server gives fewer answers a request than are wanted. With 64 requests at a time
this stays below the 1,000 connections that the openai package opens."""


@dataclass
class PendingRequest:
    """A request, and the completions that it has so far. Answers are numbered from 0 to n - 1."""

    request: SampleRequest
    on_tokens: OnTokens
    on_answer: OnAnswer
    completions: dict[int, Completion] = field(default_factory=dict)
    """By number."""
    parts: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(MAX_PARTS))
    """Limits the parts in flight."""
    _reported: set[int] = field(default_factory=set)

    @property
    def characters(self) -> int:
        """Length of the prompt in characters."""
        return sum(len(message.content) for message in self.request.messages)

    def report(self, numbers: range, reply: Reply, updates: list[Update], *, early: bool) -> None:
        """Call the callbacks for one event of a reply.

        Args:
            numbers: The answers that the reply is to hold.
            reply: The reply so far.
            updates: What the event brought.
            early: Whether to report answers that are whole before the reply is.
        """
        with_text = sum(update.has_text for update in updates)
        if with_text:
            self.on_tokens(with_text)
        # With one index alone, a server may be giving all answers the same.
        if not early or (len(reply.answers) == 1 and reply.wanted > 1):
            return
        if any(reply.answers[update.choice].end is not None for update in updates):
            for index, answer in reply.answers.items():
                place = reply.place(index)
                if answer.finished and place is not None and numbers[place] not in self._reported:
                    self._reported.add(numbers[place])
                    # without token counts: these come at the end of the stream
                    self.on_answer(numbers[place], _completion(answer, TokenCounts(), None))

    def store(self, numbers: range, reply: Reply) -> None:
        """Store the finished answers of a reply. Answers that were not asked for are ignored."""
        if reply.ambiguous:
            return
        tokens = reply.tokens
        # usage counts all answers together, so that only one alone is known exactly
        exact = tokens.completion if len(reply.answers) == 1 else None
        cut = cut_reason(self.characters, tokens)
        for index, answer in reply.answers.items():
            place = reply.place(index)
            if answer.finished and place is not None:
                completion = _completion(answer, tokens, exact)
                if cut:
                    completion = Completion("", "error", tokens.prompt, error=f"refused: {cut}", refused=True)
                self.completions[numbers[place]] = completion

    def refuse(self, numbers: range, words: str) -> None:
        """Store a refusal, in the server's words, for those of these answers that are missing."""
        for number in numbers:
            self.completions.setdefault(number, Completion("", "error", error=f"refused: {words}", refused=True))

    def missing(self, numbers: range, most: int | None) -> list[range]:
        """Return the numbers without an answer, in runs of at most `most`: answer k of a request has its seed + k."""
        runs: list[range] = []
        for number in numbers:
            if number in self.completions:
                continue
            if runs and runs[-1].stop == number and len(runs[-1]) != most:
                runs[-1] = range(runs[-1].start, number + 1)
            else:
                runs.append(range(number, number + 1))
        return runs

    def result(self) -> list[Completion]:
        """Return all n completions.

        All have the same prompt: where a stream broke before it gave the prompt's length, another answer's is used.
        """
        answers = [self.completions[number] for number in range(self.request.n)]
        known = next((answer.prompt_tokens for answer in answers if answer.prompt_tokens is not None), None)
        return [
            replace(answer, prompt_tokens=known) if answer.prompt_tokens is None and not answer.error else answer
            for answer in answers
        ]


def cut_reason(characters: int, tokens: TokenCounts) -> str:
    """Return why the token counts show that the server cut the prompt; empty if they do not.

    Args:
        characters: Length of the prompt that was sent.
        tokens: The server's counts.
    """
    if tokens.prompt is None or characters < LONG_PROMPT:
        return ""
    read = tokens.prompt
    if tokens.cached is not None and tokens.cached > read:
        read += tokens.cached  # some servers count the two apart
    if read < CREDIBLE_TOKENS or read * CHARACTERS_PER_TOKEN >= characters:
        return ""
    return (
        f"the server cut the prompt: {characters:,} characters were sent, and it counts {read:,} tokens; give it a "
        "longer context, or lower -c max_input_tokens"
    )


def _completion(answer: PartialAnswer, tokens: TokenCounts, exact: int | None) -> Completion:
    if answer.end is End.FILTERED:
        error = "refused: filtered by the server"
        return Completion("", "error", tokens.prompt, exact, error=error, cached_tokens=tokens.cached)
    return Completion(
        "".join(answer.text),
        "length" if answer.end is End.LENGTH else "stop",
        tokens.prompt,
        exact if exact is not None else answer.pieces,
        "".join(answer.reasoning),
        cached_tokens=tokens.cached,
    )
