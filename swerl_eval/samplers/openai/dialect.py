"""What one server does not take of a request, learnt from its refusals."""

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
"""Parameters that may be left out, and what follows. The first that a refusal names goes first."""
_DEFAULT_TEMPERATURE = 1.0
"""Another one is never left out: the answers would be of another distribution."""
_ABOUT_N = re.compile(
    r"\b(choices?|candidates?|candidate_?count|best_of|num_return_sequences"
    r"|number of (choices|completions|outputs|samples|generations|sequences|responses))\b",
    re.IGNORECASE,
)
_RENAMED = "max_completion_tokens"


@dataclass(frozen=True)
class Dialect:
    """How a request has to be put for a server. Without arguments: as OpenAI's documentation has it."""

    left_out: frozenset[str] = frozenset()
    token_limit: str = "max_tokens"
    """Name of this parameter."""
    most: int | None = None
    """Answers that may be asked for in one request; None: any number."""
    taken: int = 1
    """The most that were asked for in a request that was answered."""

    def body(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """A request's body as this server takes it."""
        left_out = self.left_out | {"stream_options"} if "stream" in self.left_out else self.left_out
        body = {key: value for key, value in wanted.items() if key not in left_out}
        if "max_tokens" in body:
            body[self.token_limit] = body.pop("max_tokens")
        return body

    def adapted(self, refusal: Refusal, body: Mapping[str, Any]) -> Dialect | None:
        """A dialect in which a refused request may be taken; None where nothing speaks for one."""
        if refusal.status not in {400, 422} or refusal.about_prompt:
            return None
        if "max_tokens" in body and refusal.names("max_tokens"):
            return None if refusal.about_size else replace(self, token_limit=_RENAMED)
        n = body.get("n", 1)
        if n > 1 and (refusal.names("n") or _ABOUT_N.search(refusal.words)):
            return replace(self, most=_allowed(refusal.words, n))
        for name in _OPTIONAL:
            kept = name == "temperature" and body.get(name) != _DEFAULT_TEMPERATURE
            if name in body and refusal.names(name) and not kept:
                return replace(self, left_out=self.left_out | {name}, most=1 if name == "n" else self.most)
        # words that name nothing: more than one answer a request is what servers most often do not give
        return replace(self, most=1) if n > self.taken else None

    def joined(self, other: Dialect) -> Dialect:
        """What both have learnt."""
        limits = [each.most for each in (self, other) if each.most is not None]
        return Dialect(
            self.left_out | other.left_out,
            other.token_limit if self.token_limit == "max_tokens" else self.token_limit,
            min(limits, default=None),
            max(self.taken, other.taken),
        )

    def news(self, before: Dialect) -> list[str]:
        """What was learnt since, in words that follow the server's name."""
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
    """The limit below `n` that a refusal names, else 1."""
    numbers = [int(each) for each in re.findall(r"(?<![\w.])\d{1,6}(?!\w|\.\d)", words)]
    return max((number for number in numbers if 0 < number < n), default=1)
