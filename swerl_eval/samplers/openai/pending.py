"""A request for several answers while they come, from one server or several."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import anyio

from swerl_eval.core.types import Completion, SampleRequest
from swerl_eval.ports import OnAnswer, OnTokens
from swerl_eval.samplers.openai.chunks import End, PartialAnswer, Reply, TokenCounts

LONG_PROMPT = 8_000
"""Characters from which on a prompt's token count says whether the server cut it."""
CHARACTERS_PER_TOKEN = 12
"""More than any tokenizer reaches over a long prompt. The tokenizers of GPT-4, Llama 3 and Qwen never join two words,
so characters a word bound characters a token. Over 8,000 characters of Python 3.11's own files and of installed
packages the median is 4.3, and one in a thousand has 10.2; over 20,000 characters the highest is 10.7 (deeply indented
code)."""
CREDIBLE_TOKENS = 256
"""A smaller count is no cut, since no server has a context that small: it leaves out what was cached."""
AT_ONCE = 8
"""Parts of one request in flight, where a server gives fewer answers a request than are wanted. With 64 requests at a
time this stays below the 1,000 connections that the openai package opens."""


@dataclass
class PendingRequest:
    """A request and what has come of it."""

    request: SampleRequest
    on_tokens: OnTokens
    on_answer: OnAnswer
    completions: dict[int, Completion] = field(default_factory=dict)
    """By number, from 0 to n - 1."""
    parts: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(AT_ONCE))
    _told: set[int] = field(default_factory=set)

    @property
    def characters(self) -> int:
        """Length of the prompt."""
        return sum(len(message.content) for message in self.request.messages)

    def tell(self, numbers: range, reply: Reply, event: list[tuple[int, bool]], *, early: bool) -> None:
        """Pass on what an event brought: pieces of text, and with `early` the answers that are whole.

        Of several answers none is told before a second index has come: a server may give all of them the same.
        """
        carried = sum(has_text for _, has_text in event)
        if carried:
            self.on_tokens(carried)
        if not early or (len(reply.answers) == 1 and reply.wanted > 1):
            return
        if any(reply.answers[index].end is not None for index, _ in event):
            for index, answer in reply.answers.items():
                place = reply.place(index)
                if answer.finished and place is not None and numbers[place] not in self._told:
                    self._told.add(numbers[place])
                    # the counts of its tokens come with the end of the stream
                    self.on_answer(numbers[place], _completion(answer, TokenCounts(), None))

    def take(self, numbers: range, reply: Reply) -> None:
        """Keep the finished answers of a reply; what a server sends beyond what was asked for is left."""
        if reply.ambiguous:
            return
        tokens = reply.tokens
        # usage counts all answers together; of one it says its own
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
        """Record that a server did not take the request, in its words."""
        for number in numbers:
            self.completions.setdefault(number, Completion("", "error", error=f"refused: {words}", refused=True))

    def missing(self, numbers: range, most: int | None) -> list[range]:
        """The numbers without an answer, in runs of at most `most`, since answer k of one request has its seed + k."""
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
        """All n. The prompt is the same for all, so its length is too, where a broken stream did not come to say it."""
        answers = [self.completions[number] for number in range(self.request.n)]
        known = next((answer.prompt_tokens for answer in answers if answer.prompt_tokens is not None), None)
        return [
            replace(answer, prompt_tokens=known) if answer.prompt_tokens is None and not answer.error else answer
            for answer in answers
        ]


def cut_reason(characters: int, tokens: TokenCounts) -> str:
    """Why the server's count of a prompt's tokens means that it did not read all of it; empty where it does not."""
    if tokens.prompt is None or characters < LONG_PROMPT:
        return ""
    read = tokens.prompt
    if tokens.cached is not None and tokens.cached > read:
        read += tokens.cached  # some count the two apart
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
