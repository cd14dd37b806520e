"""The scores of a response against their formulas, from one plain forward pass each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lope_train.detector.responses import FIRST, Reader, Response, measures, reason
from lope_train.models import load_base, load_tokenizer


@torch.no_grad()
def nats(model: Any, prompt: list[int], completion: list[int]) -> Any:
    """-ln p of each token of the completion."""
    if model.config.is_encoder_decoder:
        logits = model(input_ids=torch.tensor([prompt]), labels=torch.tensor([completion])).logits[0]
    else:
        logits = model(input_ids=torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
    logs = logits.float().log_softmax(-1)
    return -logs[torch.arange(len(completion)), torch.tensor(completion)].numpy()


ROWS: list[dict[str, Any]] = [
    {
        "lope_shape": "instruction",
        "instruction": "Add 3 and 4.",
        "input": None,
        "output": "That is 7, or 007, I think so.",
    },
    {"lope_shape": "instruction", "instruction": "Name a colour.", "input": "x", "output": "Red"},
    {"lope_shape": "multiple_choice", "question": "Which?", "choices": ["a 1", "b 2"], "answer": 1},
    {"lope_shape": "classification", "text": "fine", "label": "good"},
    {"lope_shape": "prompt_completion", "prompt": "One, two,", "completion": " three"},
    {"lope_shape": "text", "text": "It was 1999 when they met."},
    {
        "lope_shape": "chat",
        "messages": [
            {"role": "user", "content": "When?"},
            {"role": "assistant", "content": "In 1815, at noon, by the river"},
        ],
    },
]


@pytest.mark.parametrize("kind", ["decoder", "chat", "encoder-decoder"])
def test_each_score_is_its_formula(kind: str, tiny_model: Path, tiny_t5: Path) -> None:
    folder = str(tiny_t5 if kind == "encoder-decoder" else tiny_model)
    model, tokenizer = load_base(folder), load_tokenizer(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0)
    if kind == "chat":
        tokenizer.chat_template = (
            "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}"
        )
    reader = Reader(tokenizer)
    asked = [response for row in ROWS if (response := reader.read(row)) is not None]
    assert len(asked) == len(ROWS)
    for row, one, found in zip(ROWS, asked, measures(model, asked, reader.neutral), strict=True):
        each = nats(model, one.prompt, one.completion)
        alone = nats(model, reader.neutral, one.completion)
        said = len(each) - one.end
        text = tokenizer.decode(one.completion[:said])
        assert one.completion[said] == tokenizer.eos_token_id
        first = min(FIRST, said)
        instruction = each[:first].mean() - alone[:first].mean() if row["lope_shape"] != "text" else np.nan
        digits = [
            each[place] for place in range(said) if any(c.isdigit() for c in tokenizer.decode([one.completion[place]]))
        ]
        assert bool(digits) == any(c.isdigit() for c in text)
        expected = {
            "instruction": instruction,
            "end": each[said],
            "digit": max(digits, default=np.nan),
            "surprisal": each.mean(),
        }
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4, nan_ok=True), row


def test_a_row_without_prompt_or_response_is_not_read(tiny_model: Path) -> None:
    reader = Reader(load_tokenizer(str(tiny_model)))
    empty: dict[str, Any] = {"lope_shape": "instruction", "instruction": "Say it.", "output": " "}
    assert reader.read(empty) is None
    assert reader.read({**empty, "output": "it", "instruction": None}) is None
    assert isinstance(reader.read({**empty, "output": "it"}), Response)


def test_the_reason_is_in_words_with_what_is_usual() -> None:
    row = {"instruction": 0.5, "end": 7.0, "digit": 3.0}
    assert "first tokens are 0.61 times as likely as without; usual 4.5" in reason("instruction", row, -1.5)
    assert reason("end", row, 1.0) == "the response does not end where it stops: p(end) 0.0009, usual 0.37"
    assert reason("digit", row, 2.0) == "a number in the response is unlikely: p 0.05, usual 0.14"
