"""Rows of every shape, in the canonical view of `rows`, as a prompt and the completion to learn.

Models with a chat template get it; base models get the template of Stanford Alpaca, as in the paper. Plain texts and
plain pairs of a prompt and a completion get neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jinja2.exceptions import TemplateError

from lope_train.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CLASSIFY = "What is the label of this text?"

_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
)
_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Response:\n"
)


@dataclass(frozen=True)
class Example:
    """The text before the model's turn, and the turn itself with the token that ends it."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class _Request:
    """What is asked: the last user turn in two parts, with the turns before it; without a template if `plain`."""

    instruction: str
    target: str
    input: str = ""
    history: tuple[tuple[str, str], ...] = ()
    system: str = ""
    plain: bool = False


class PromptTemplate:
    """Prompts in the form that one tokenizer's model expects.

    Rendered text holds its special tokens as text, so it is encoded with `encode_prompts` and
    `encode_completions`; the two are joined as token ids, so the boundary between them is exact.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.is_chat = bool(tokenizer.chat_template)
        self.end_of_turn = self._end_of_turn()
        self._prefix = [] if self.is_chat else self._leading_specials()

    def render(self, row: Mapping[str, Any]) -> Example | None:
        """The prompt and target of a row's view; None where one is missing or the chat template refuses the turns.

        A row of the shape `text` is all target: its prompt is empty, but for the special tokens that begin an input.
        """
        request = _request(row)
        if request is None:
            return None
        if request.plain:
            return Example(self._opening + request.instruction, request.target + str(self._tokenizer.eos_token))
        try:
            prompt = self._chat_prompt(request) if self.is_chat else _alpaca_prompt(request)
        except TemplateError:  # for instance two user turns in a row
            return None
        return Example(prompt, request.target + self.end_of_turn)

    def encode_prompts(self, prompts: Sequence[str]) -> list[list[int]]:
        """Token ids of rendered prompts; a base model's leading special tokens are put before them."""
        return [self._prefix + ids for ids in self._encode(prompts)]

    def encode_completions(self, completions: Sequence[str]) -> list[list[int]]:
        """Token ids of completions or options, without special tokens of the tokenizer's own."""
        return self._encode(completions)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return encoded["input_ids"]  # type: ignore[no-any-return]

    @cached_property
    def _opening(self) -> str:
        """What begins a text without a template: chat templates write it themselves, so `encode_prompts` does not."""
        return str(self._tokenizer.decode(self._leading_specials())) if self.is_chat else ""

    def _chat_prompt(self, request: _Request) -> str:
        last = f"{request.instruction}\n\n{request.input}" if request.input else request.instruction
        before = [("system", request.system)] if request.system else []
        turns = [*before, *request.history, ("user", last)]
        return self._chat([{"role": role, "content": content} for role, content in turns], True)

    def _chat(self, messages: list[dict[str, str]], generation: bool) -> str:
        text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation)
        return str(text)

    def _end_of_turn(self) -> str:
        """What the template puts after an answer; it need not be the tokenizer's eos token (Llama 3)."""
        eos = str(self._tokenizer.eos_token)
        if not self.is_chat:
            return eos
        answer = "lope"
        probe = [{"role": "user", "content": "?"}, {"role": "assistant", "content": answer}]
        return self._chat(probe, False).rpartition(answer)[2].strip() or eos

    def _leading_specials(self) -> list[int]:
        return around(self._tokenizer)[0]


def around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """What the tokenizer itself puts before and after an input (T5: nothing and </s>).

    Raises ModelError where it does not say.
    """
    whole: list[int] = tokenizer("a")["input_ids"]
    plain: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    starts = [i for i in range(len(whole) - len(plain) + 1) if whole[i : i + len(plain)] == plain]
    if not plain or not starts:
        raise ModelError(f"{type(tokenizer).__name__}: what it puts around a text is not to be told from the text")
    return whole[: starts[0]], whole[starts[0] + len(plain) :]


def spoken(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """A row's view for people: what is asked last, with the turns before it, and the target; None without either."""
    request = _request(row)
    if request is None:
        return None
    before = [f"{str(role).capitalize()}: {text}" for role, text in request.history]
    asked = [request.system, *before, request.instruction, request.input]
    return "\n\n".join(part for part in asked if part), request.target


def has_prompt(row: Mapping[str, Any]) -> bool:
    """Whether the row has a prompt and a target, as far as the row alone can tell."""
    return _request(row) is not None


def options(row: Mapping[str, Any], classes: Sequence[str]) -> tuple[list[str], int] | None:
    """The texts to choose from and the index of the right one; None where the row has no options.

    `classes` are a classification row's options. Options are completions in cloze form: no letters, no list.
    """
    shape = row.get("lope_shape")
    if shape == "classification":
        texts: list[Any] = list(classes)
        gold = texts.index(row["label"]) if row.get("label") in texts else None
    elif shape == "multiple_choice":
        texts, gold = list(row.get("choices") or ()), row.get("answer")
    else:
        return None
    if len(texts) < 2 or gold is None or not 0 <= gold < len(texts) or not all(map(_is_text, texts)):
        return None
    return texts, gold


def _request(row: Mapping[str, Any]) -> _Request | None:
    shape = row.get("lope_shape")
    if shape == "chat":
        return _with_system(_last_exchange(row.get("messages")), row)
    if shape == "prompt_completion":
        return _answered(row) if "messages" in row else _pair(row.get("prompt"), row.get("completion"))
    if shape == "text":
        return _Request("", str(row["text"]), plain=True) if _is_text(row.get("text")) else None
    if shape == "instruction":
        asked, target, given = row.get("instruction"), row.get("output"), row.get("input")
    elif shape == "classification":
        asked, target, given = CLASSIFY, row.get("label"), row.get("text")
        if not _is_text(given):
            return None
    elif shape == "multiple_choice":
        found = options(row, ())
        asked, target, given = row.get("question"), found and found[0][found[1]], None
    else:
        return None
    history = _turns(row.get("history") or ())
    if not _is_text(asked) or not _is_text(target) or history is None:
        return None
    request = _Request(str(asked), str(target), str(given) if _is_text(given) else "", history)
    return _with_system(request, row)


def _pair(prompt: object, completion: object) -> _Request | None:
    usable = _is_text(prompt) and _is_text(completion)
    return _Request(str(prompt), str(completion), plain=True) if usable else None


def _answered(row: Mapping[str, Any]) -> _Request | None:
    """The last exchange, where the answer is in the completion."""
    messages = row["messages"] or ()
    said = [message["role"] for message in messages[row.get("asked", 0) :] if message is not None]
    return _last_exchange(messages) if "assistant" in said else None


def _with_system(request: _Request | None, row: Mapping[str, Any]) -> _Request | None:
    system = row.get("system")
    return replace(request, system=str(system)) if request and _is_text(system) else request


def _turns(pairs: Sequence[Any]) -> tuple[tuple[str, str], ...] | None:
    """Pairs of a question and its answer as turns; None where one is blank, since what follows may hang on it."""
    turns: list[tuple[str, str]] = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_text, pair)):
            return None
        turns += [("user", pair[0]), ("assistant", pair[1])]
    return tuple(turns)


def _last_exchange(messages: Sequence[Any] | None) -> _Request | None:
    """The last assistant message as the target, all before it as the prompt, ending with a user's turn.

    Of several conversations the last one is read.
    """
    messages = [message for message in messages or () if message is not None]
    if messages and not isinstance(messages[-1], Mapping):
        return _last_exchange(messages[-1])
    turns = [(message["role"], _content(message["content"])) for message in messages]
    last = max((i for i, (role, _) in enumerate(turns) if role == "assistant"), default=0)
    if (
        last == 0
        or turns[last - 1][0] != "user"
        or not all(_is_text(word) for turn in turns[: last + 1] for word in turn)
    ):
        return None
    return _Request(turns[last - 1][1], turns[last][1], history=tuple(turns[: last - 1]))


def _content(content: Any) -> Any:
    """A message's text; parts of one that hold no text (images) are left out."""
    if content is None or isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        text = content.get("text")
        return text if isinstance(text, str) else ""
    if not isinstance(content, list):  # a number, in JSON
        return None
    return "".join(_content(part) or "" for part in content)


def _alpaca_prompt(request: _Request) -> str:
    instruction = request.instruction
    if request.history:  # a base model has no turns: the conversation becomes its instruction
        turns = [*request.history, ("user", request.instruction)]
        instruction = "\n\n".join(f"{str(role).capitalize()}: {text}" for role, text in turns)
    template = _WITH_INPUT if request.input else _WITHOUT_INPUT
    before = f"{request.system}\n\n" if request.system else ""
    return before + template.format(instruction=instruction, input=request.input)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
