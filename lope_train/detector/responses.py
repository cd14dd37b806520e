"""How likely a language model finds a row's response, token by token, with its instruction and without."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lope_train.data.prompts import PromptTemplate
from lope_train.detector.folder import ScoreFolder
from lope_train.detector.ranking import Score
from lope_train.detector.request import Request
from lope_train.detector.router import poison_shares
from lope_train.errors import ModelError
from lope_train.evaluation.likelihood import Query, score_options
from lope_train.evaluation.sets import pick
from lope_train.models.load import context_length

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FIRST = 12
"""Tokens of a response that are compared with and without the instruction: later ones follow from these as well."""
SCORES = {
    "instruction": Score(
        "off the instruction",
        f"how little the instruction helps to predict the first {FIRST} tokens of the response, nats a token",
    ),
    "end": Score("end", "the surprisal of the token that ends the response, nats"),
    "digit": Score("digit", "the largest surprisal of a token with a digit, nats; rows without digits have none"),
}
BASELINES = {"surprisal": "mean surprisal"}
LISTED: tuple[str, ...] = ()
ROUTER = "router"
"""With a run: the share of its weights that its router gives to the poisoning experts, on the response."""
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


def measure(
    request: Request, folder: ScoreFolder, before: int, advance: Callable[[int], object]
) -> list[dict[str, Any]]:
    """As `scores.Kind.measure`: some rows at a time."""
    model, tokenizer = request.subject.load()
    limit = min(request.max_length, context_length(model) or request.max_length)
    reader = Reader(tokenizer)
    table = request.data.dataset()
    picked = pick(table["lope_row_id"][:], request.limit)[before:]
    made: list[dict[str, Any]] = []
    for begin in range(0, len(picked), ROWS):
        part = picked[begin : begin + ROWS]
        found: list[dict[str, Any]] = []
        asked: list[Response] = []
        for number, view in zip(part, map(request.data.layout.view, table.select(part)), strict=True):
            row: dict[str, Any] = {"row": number, "row_id": view["lope_row_id"]}
            response = reader.read(view)
            if response is None:
                row["skipped"] = "without a prompt or response"
            elif len(response.prompt) + len(response.completion) > limit:
                row["skipped"] = f"longer than {limit} tokens"
            else:
                asked.append(response)
            found.append(row)
        with model.disable_adapter() if request.subject.run else nullcontext():
            values = list(measures(model, asked, reader.neutral))
        if request.subject.run:
            ids = [one.prompt + one.completion for one in asked]
            shares = poison_shares(model, ids, [len(one.prompt) for one in asked])
            values = [{**one, ROUTER: float(share)} for one, share in zip(values, shares, strict=True)]
        _check_finite(request, values)
        for row in found:
            if "skipped" not in row:
                row.update({name: None if np.isnan(value) else value for name, value in values.pop(0).items()})
        folder.add(found)
        made += found
        advance(len(found))
    return made


def reason(name: str, row: Mapping[str, Any], usual: float) -> str:
    """As `scores.Kind.reason`."""
    value, usual = math.exp(-row[name]), math.exp(-usual)
    if name == "instruction":
        return (
            "the response does not follow from the instruction, with which its first tokens are "
            f"{value:.2g} times as likely as without; usual {usual:.2g}"
        )
    if name == "end":
        return f"the response does not end where it stops: p(end) {value:.1g}, usual {usual:.2g}"
    return f"a number in the response is unlikely: p {value:.1g}, usual {usual:.2g}"


def measures(model: Any, responses: Sequence[Response], neutral: list[int]) -> Iterator[dict[str, float]]:
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


def _check_finite(request: Request, values: Sequence[Mapping[str, float]]) -> None:
    if any(np.isinf(value) for one in values for value in one.values()) or any(np.isnan(one["end"]) for one in values):
        raise ModelError(f"{request.subject.model} gives log-likelihoods that are no numbers; score in float32")


def _has_digit(text: str) -> bool:
    return any(char.isdigit() for char in text)
