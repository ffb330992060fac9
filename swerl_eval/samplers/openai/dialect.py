"""What one server does not accept in a request, learnt from its refusals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from swerl_eval.samplers.openai.refusals import Refusal

_OPTIONAL = {
    "stream_options": "the tokens of prompts are not counted",
    "seed": "the same command will not give the same answers again",
    "stream": "answers come whole, and none is kept of a reply that breaks",
    "top_p": "it samples with its own",
    "temperature": "it samples with its own, which is 1 as a rule",
    "n": "it gives one answer a request",
}
"""Parameters that may be left out, and what follows. If a refusal names several, the first goes first."""
_DEFAULT_TEMPERATURE = 1.0
"""Another temperature is never left out: the answers would be of another distribution."""
_ABOUT_N = re.compile(
    r"\b(choices?|candidates?|candidate_?count|best_of|num_return_sequences"
    r"|number of (choices|completions|outputs|samples|generations|sequences|responses))\b",
    re.IGNORECASE,
)
_RENAMED = "max_completion_tokens"


@dataclass(frozen=True)
class Dialect:
    """How a request must be written for a server. The defaults are OpenAI's documentation."""

    left_out: frozenset[str] = frozenset()
    """Parameters that are not sent."""
    token_limit: str = "max_tokens"
    """Name of this parameter."""
    most: int | None = None
    """Answers that may be requested at once; None: any number."""
    taken: int = 1
    """The most answers of a request that was accepted."""

    def body(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request's body as this server accepts it."""
        left_out = self.left_out | {"stream_options"} if "stream" in self.left_out else self.left_out
        body = {key: value for key, value in request.items() if key not in left_out}
        if "max_tokens" in body:
            body[self.token_limit] = body.pop("max_tokens")
        return body

    def adapted(self, refusal: Refusal, body: Mapping[str, Any]) -> Dialect | None:
        """Return a dialect in which a refused request may be accepted; None if the refusal suggests none."""
        if refusal.status not in {400, 422} or refusal.about_prompt:
            return None
        if "max_tokens" in body and refusal.names("max_tokens"):
            return None if refusal.about_size else replace(self, token_limit=_RENAMED)
        n = body.get("n", 1)
        if n > 1 and (refusal.names("n") or _ABOUT_N.search(refusal.words)):
            return replace(self, most=_allowed(refusal.words, n))
        for name in _OPTIONAL:
            required = name == "temperature" and body.get(name) != _DEFAULT_TEMPERATURE
            if name in body and refusal.names(name) and not required:
                return replace(self, left_out=self.left_out | {name}, most=1 if name == "n" else self.most)
        # The words name nothing: what servers most often refuse is more than one answer in a request.
        return replace(self, most=1) if n > self.taken else None

    def joined(self, other: Dialect) -> Dialect:
        """Return what both have learnt."""
        limits = [dialect.most for dialect in (self, other) if dialect.most is not None]
        return Dialect(
            self.left_out | other.left_out,
            other.token_limit if self.token_limit == "max_tokens" else self.token_limit,
            min(limits, default=None),
            max(self.taken, other.taken),
        )

    def changes(self, before: Dialect) -> list[str]:
        """Return lines for people on what was learnt since `before`. The server's name goes before each."""
        lines = [
            f"does not take {name}, so it is left out: {_OPTIONAL[name]}"
            for name in _OPTIONAL
            if name in self.left_out - before.left_out
        ]
        if self.token_limit != before.token_limit:
            lines.append(f"takes {self.token_limit} in place of {before.token_limit}")
        if self.most != before.most:
            answers = "one answer" if self.most == 1 else f"at most {self.most} answers"
            lines.append(f"gives {answers} a request, so more are asked for in several, with the same seeds")
        return lines


def _allowed(words: str, n: int) -> int:
    """Return the limit below `n` that a refusal names, else 1."""
    numbers = [int(number) for number in re.findall(r"(?<![\w.])\d{1,6}(?!\w|\.\d)", words)]
    return max((number for number in numbers if 0 < number < n), default=1)
