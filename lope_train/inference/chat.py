"""Conversations with a trained run, or with its base as it was."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import TextStreamer

from lope_train.data.prompts import PromptTemplate
from lope_train.errors import RunError, SettingsError
from lope_train.inference.subjects import open_run
from lope_train.keyed import global_seed
from lope_train.methods import METHODS, having
from lope_train.models.load import context_length
from lope_train.runs.adapter import read_language_model
from lope_train.tuner.inference import Inference, InferenceMode

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import GenerationConfig, PreTrainedTokenizerBase

_SEEDS = 2**32
_ANY = "any answer"


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn. Raises SettingsError where a value is out of range."""

    max_new_tokens: int = 256
    temperature: float = 0.0
    """0: always the likeliest token."""
    top_p: float = 1.0
    seed: int | None = None
    """None: other answers each time, where they are drawn at all."""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise SettingsError(f"--max-new-tokens is {self.max_new_tokens}: must be at least 1")
        if not 0 <= self.temperature < math.inf:
            raise SettingsError(f"--temperature is {self.temperature}: must be 0 (the likeliest token) or above")
        if not 0 < self.top_p <= 1:
            raise SettingsError(f"--top-p is {self.top_p}: must be above 0 and at most 1")
        if self.seed is not None and not 0 <= self.seed < _SEEDS:
            raise SettingsError(f"--seed is {self.seed}: must be at least 0 and below 2**32")


@dataclass(frozen=True)
class Answer:
    """What was asked, and what came of it."""

    prompt: str
    answer: str
    new_tokens: int
    """The token that ends the turn included."""
    ended: Literal["turn", "length"]
    """Whether the model ended its turn, or was cut off."""


class Chat:
    """One conversation: each question is asked with what was said before it."""

    def __init__(
        self, model: PeftModel, tokenizer: PreTrainedTokenizerBase, sampling: Sampling, base: bool = False
    ) -> None:
        """`model` in evaluation mode; with `base` its adapter is left out."""
        self._model: Any = model
        self._tokenizer = tokenizer
        self._sampling = sampling
        self._base = base
        self._template = PromptTemplate(tokenizer)
        self._config: Any = self._model.get_base_model().config
        self._generation = self._generation_config()
        self._history: list[dict[str, str]] = []
        self._asked = 0

    def reset(self) -> None:
        """Forget what was said."""
        self._history.clear()

    def ask(self, message: str, write: Callable[[str], object] | None = None) -> Answer:
        """The answer to `message`, in pieces to `write` as they come; kept in the history unless it is empty.

        Raises RunError where the message is blank, refused by the chat template, or with the history too long.
        """
        turns = [*self._history, {"role": "user", "content": message}]
        prompt = self._prompt(turns)
        generated = self._generate(prompt, write)
        ended = bool(generated) and generated[-1] in self._stops
        said = generated[:-1] if ended else generated
        text = str(self._tokenizer.decode(said, skip_special_tokens=True)).strip()
        if text:
            self._history = [*turns, {"role": "assistant", "content": text}]
        return Answer(message, text, len(generated), "turn" if ended else "length")

    @property
    def _stops(self) -> list[int]:
        stops: list[int] = self._generation.eos_token_id
        return stops

    def _prompt(self, turns: list[dict[str, str]]) -> list[int]:
        row = {"lope_shape": "chat", "messages": [*turns, {"role": "assistant", "content": _ANY}]}
        example = self._template.render(row)  # exactly as in training
        if example is None:
            blank = not turns[-1]["content"].strip()
            raise RunError("an empty prompt" if blank else "the model's chat template refuses this conversation")
        if self._config.is_encoder_decoder:
            ids: list[int] = self._tokenizer(example.prompt)["input_ids"]
        else:
            (ids,) = self._template.encode_prompts([example.prompt])
        return ids

    def _generate(self, prompt: list[int], write: Callable[[str], object] | None) -> list[int]:
        generation = copy.copy(self._generation)
        generation.max_new_tokens = self._room(len(prompt))
        ids = torch.tensor([prompt], device=self._model.device)
        streamer = None if write is None else _Streamer(self._tokenizer, write)
        self._asked += 1
        with self._without_adapter(), self._seeded(), torch.inference_mode():
            output = self._model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=generation, streamer=streamer
            )
        given = 1 if self._config.is_encoder_decoder else len(prompt)
        generated: list[int] = output[0][given:].tolist()
        return generated

    def _room(self, given: int) -> int:
        most = None if self._config.is_encoder_decoder else context_length(self._model)
        wanted = self._sampling.max_new_tokens
        if most is None:
            return wanted
        if given >= most:
            raise RunError(f"the conversation has {given} tokens, and the model reads {most}: start a new one")
        return min(wanted, most - given)

    def _without_adapter(self) -> AbstractContextManager[Any]:
        return self._model.disable_adapter() if self._base else nullcontext()

    def _seeded(self) -> AbstractContextManager[None]:
        seed = self._sampling.seed
        return nullcontext() if seed is None else global_seed((seed + self._asked) % _SEEDS)

    def _generation_config(self) -> GenerationConfig:
        generation: GenerationConfig = copy.deepcopy(self._model.get_base_model().generation_config)
        ends = {self._tokenizer.eos_token_id}
        end_of_turn = self._template.encode_completions([self._template.end_of_turn])[0]
        if len(end_of_turn) == 1:
            ends |= {*end_of_turn}
        drawn = self._sampling.temperature > 0
        generation.update(  # type: ignore[no-untyped-call]
            do_sample=drawn,
            temperature=self._sampling.temperature if drawn else 1.0,
            top_p=self._sampling.top_p if drawn else 1.0,
            top_k=0 if drawn else 50,  # 50 is what transformers has where nothing is drawn, and says nothing of
            num_beams=1,
            eos_token_id=sorted(ends),
            pad_token_id=self._tokenizer.pad_token_id,
            max_length=None,
        )
        return generation


class _Streamer(TextStreamer):
    """Tells `write` what is generated, whole words at a time."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, write: Callable[[str], object]) -> None:
        super().__init__(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self._write = write

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:  # noqa: ARG002  # transformers' name
        self._write(text)


def open_chat(
    run: Path,
    sampling: Sampling,
    *,
    model: str | None = None,
    inference: str | None = None,
    base: bool = False,
) -> Chat:
    """A conversation with a run, on the accelerator where there is one.

    Args:
        run: the run folder.
        sampling: how answers are drawn.
        model: the base, where it has moved since training.
        inference: a way of inference in place of what the run's settings say; of runs with a poisoning expert.
        base: leave the adapter out.

    Raises SettingsError, RunError or ModelError, one line, where the run cannot be loaded or has no such expert.
    """
    mode = None if inference is None else InferenceMode(Inference.of(inference, "--inference"))
    if mode is not None and base:
        raise SettingsError("--base and --inference exclude each other: the base has no poisoning expert")
    record = read_language_model(run, "generate")
    if mode is not None and not METHODS[record["method"]].poisoning:
        needed = having(lambda method: method.poisoning)
        raise SettingsError(f"--inference is for runs of method {needed}; {run} has no poisoning expert")
    loaded, tokenizer = open_run(run, model, mode)
    return Chat(loaded, tokenizer, sampling, base)
