"""A loaded model as lm-evaluation-harness wants it, with our exact scorer."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lm_eval.models.huggingface import HFLM
from torch import Tensor

from lope_train.evaluation.likelihood import Query, Scored, score_options
from lope_train.models.load import context_length, has_virtual_tokens

_OPTIONS = 64
"""Options of one prompt that are scored at once; some tasks ask for thousands after none."""
_ANSWERED, _ANSWERED_ACCELERATOR = 4, 32
"""Prompts that are answered at once, on a CPU and on an accelerator."""


class LopeLM(HFLM):  # type: ignore[misc]
    """`model`, in eval mode, with its `tokenizer`: decoder or encoder-decoder, with or without an adapter.

    Options after the same prompt share its computation, and no option is computed twice as long as `forget` is not
    called, which is due when the model has changed. `advance` is told the number of prompts done.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        if has_virtual_tokens(model):
            answered = 1  # peft drops position ids, so padding before a prompt would move it from its virtual tokens
        else:
            answered = _ANSWERED if model.device.type == "cpu" else _ANSWERED_ACCELERATOR
        super().__init__(
            pretrained=model,
            backend="seq2seq" if model.config.is_encoder_decoder else "causal",
            tokenizer=tokenizer,
            batch_size=answered,
        )
        self.advance: Callable[[int], object] = lambda _: None
        self._known: dict[tuple[int, ...], dict[tuple[int, ...], Scored]] = {}
        # a task asks for the options of a prompt one after the other
        self._encoded = lru_cache(maxsize=8)(super().tok_encode)

    @property
    def max_length(self) -> int:
        """Tokens that the model reads, beside the virtual ones of its adapter."""
        return context_length(self.model) or int(super().max_length)

    def forget(self) -> None:
        """The model gives other answers now."""
        self._known.clear()

    def tok_encode(self, string: str, *args: Any, **kwargs: Any) -> list[int]:
        return list(self._encoded(string, *args, **kwargs))

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        return super().loglikelihood(requests, disable_tqdm)  # type: ignore[no-any-return]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        return super().generate_until(requests, disable_tqdm)  # type: ignore[no-any-return]

    def _loglikelihood_tokens(
        self, requests: list[tuple[Any, list[int], list[int]]], **_: Any
    ) -> list[tuple[float, bool]]:
        # a decoder's prompt is cut with its options, by the scorer
        room = self.max_length if self.backend == "seq2seq" else 0
        asked = [(tuple(context[-room:]), tuple(option)) for _, context, option in requests]
        new: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
        for prompt, option in asked:
            if option not in self._known.get(prompt, {}):
                new.setdefault(prompt, {})[option] = None
        parts = [
            (prompt, [*options][start : start + _OPTIONS])
            for prompt, options in new.items()
            for start in range(0, len(options), _OPTIONS)
        ]
        queries = [Query([*prompt], [[*option] for option in options]) for prompt, options in parts]
        for (prompt, options), scored in zip(parts, score_options(self.model, queries, self.advance), strict=True):
            self._known.setdefault(prompt, {}).update(zip(options, scored, strict=True))
        return [self._known[prompt][option][:2] for prompt, option in asked]

    def _model_generate(self, context: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        answers: Tensor = super()._model_generate(context, *args, **kwargs)
        self.advance(len(context))
        return answers
