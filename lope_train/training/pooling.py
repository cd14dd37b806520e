"""Whether a head reads the right token: that pads beside a text do not change its class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lope_train.data.classified import Encoder, padded_ids
from lope_train.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TEXTS = ("Which of these is it, and how many of them are there in all?", "Which?")
_ALIKE = 0.1
"""Of logits by their largest: rounding in bfloat16 and 8 bits stays below, another token's are far above."""


@torch.no_grad()
def check_pooling(model: Any, tokenizer: PreTrainedTokenizerBase, what: str) -> None:
    """Raise ModelError where the logits of a short text are others once a longer one stands beside it; `what` is named.

    Families pool at the first token, the last or the mean, and not all of them look for pads on the right; an adapter
    that hands the model embeddings hides its pads.
    """
    training = model.training
    model.eval()
    try:
        rows = [ids for ids, _ in Encoder(tokenizer)(_TEXTS, None)]
        together = _logits(model, tokenizer, rows)[1]
        alone = _logits(model, tokenizer, rows[1:])[0]
    except Exception as error:  # whatever a model makes of what its adapter puts before a text
        raise ModelError(f"{what}: cannot be trained with a head: {' '.join(str(error).split())}") from error
    finally:
        model.train(training)
    if bool((together - alone).abs().max() > _ALIKE * alone.abs().max()):
        raise ModelError(
            f"{what}: the class of a text depends on the pads beside it, as this combination reads it from another "
            "token; take another method or model"
        )


def _logits(model: Any, tokenizer: PreTrainedTokenizerBase, rows: list[list[int]]) -> torch.Tensor:
    arrays = padded_ids(tokenizer, rows)
    inputs = {name: torch.from_numpy(values).to(model.device) for name, values in arrays.items()}
    logits: torch.Tensor = model(**inputs).logits.float()
    return logits
