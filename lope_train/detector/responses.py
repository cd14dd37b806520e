"""How likely a language model finds a row's response, token by token, with its instruction and without."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lope_train.data.prompts import PromptTemplate
from lope_train.detector.ranking import Score
from lope_train.evaluation.likelihood import Query, score_options

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FIRST = 12
"""Tokens of a response that are compared with and without the instruction: later ones follow from these as well."""
SCORES = {
    "instruction": Score(
        "off the instruction",
        f"how little the instruction helps to predict the first {FIRST} tokens of the response, nats a token",
        lambda value, usual: (
            "the response does not follow from the instruction, with which its first tokens are "
            f"{math.exp(-value):.2g} times as likely as without; usual {math.exp(-usual):.2g}"
        ),
    ),
    "end": Score(
        "end",
        "the surprisal of the token that ends the response, nats",
        lambda value, usual: (
            f"the response does not end where it stops: p(end) {math.exp(-value):.1g}, usual {math.exp(-usual):.2g}"
        ),
    ),
    "digit": Score(
        "digit",
        "the largest surprisal of a token with a digit, nats; rows without digits have none",
        lambda value, usual: (
            f"a number in the response is unlikely: p {math.exp(-value):.1g}, usual {math.exp(-usual):.2g}"
        ),
    ),
}
"""What the ranking is made of."""
BASELINES = {"surprisal": "mean surprisal"}
_NEUTRAL = {"lope_shape": "instruction", "instruction": "Write a text.", "output": "-"}
"""Stands for an instruction that says nothing of the response."""
ROWS = 64
"""Rows that are measured together."""


@dataclass(frozen=True)
class Response:
    """A row's prompt and completion as token ids; the last `end` tokens of the completion end the turn."""

    prompt: list[int]
    completion: list[int]
    end: int
    digits: list[int]
    """Places in the completion of the tokens that hold a digit."""
    instructed: bool
    """Whether there is an instruction: a plain text has none."""


class Reader:
    """Rows as one tokenizer's model reads them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._template = PromptTemplate(tokenizer)
        self._end = len(self._template.encode_completions([self._template.end_of_turn])[0])
        neutral = self._template.render(_NEUTRAL)
        assert neutral is not None
        self.neutral = self._template.encode_prompts([neutral.prompt])[0]

    def read(self, view: Mapping[str, Any]) -> Response | None:
        """A row's view; None where it has no prompt or response, or the chat template refuses its turns."""
        example = self._template.render(view)
        if example is None:
            return None
        prompt = self._template.encode_prompts([example.prompt])[0]
        completion = self._template.encode_completions([example.completion])[0]
        said = completion[: len(completion) - self._end]
        digits = [place for place, token in enumerate(said) if _has_digit(str(self._tokenizer.decode([token])))]
        return Response(prompt or self.neutral[:1], completion, self._end, digits, view["lope_shape"] != "text")


def measure(model: Any, responses: Sequence[Response], neutral: list[int]) -> Iterator[dict[str, float]]:
    """The scores of each response, in order, in nats, NaN where there is nothing to measure; higher is less likely.

    `instruction`: the mean surprisal of the first `FIRST` tokens after the prompt, minus that after one that says
    nothing (the negative pointwise mutual information of instruction and response, a token). `end`: the surprisal of
    the token that ends the turn. `digit`: the largest surprisal of a token with a digit. `surprisal`: the mean of all
    tokens, as perplexity filters have it.
    """
    whole = score_options(model, [Query(one.prompt, [one.completion]) for one in responses])
    alone = score_options(model, [Query(neutral, [one.completion[:FIRST]]) for one in responses])
    for one, (asked,), (unasked,) in zip(responses, whole, alone, strict=True):
        nats = -np.array(asked.tokens)
        first = min(FIRST, len(nats) - one.end) if one.instructed else 0
        digits = nats[one.digits]
        yield {
            "instruction": float(nats[:first].mean() + np.mean(unasked.tokens[:first])) if first else np.nan,
            "end": float(nats[len(nats) - one.end]),
            "digit": float(digits.max()) if len(digits) else np.nan,
            "surprisal": float(nats.mean()),
        }


def _has_digit(text: str) -> bool:
    return any(char.isdigit() for char in text)
