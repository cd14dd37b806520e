"""Rows of every shape become a prompt and a completion, for chat models and for base models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from lope_train.data.prompts import Example, PromptTemplate, options
from lope_train.models import load_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRICT = (
    "{% for m in messages %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}"
    "[{{ m.role }}] {{ m.content | trim }}{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
INSTRUCTION = {"lope_shape": "instruction", "instruction": "Add.", "input": "3 and 4", "output": "7"}
CHOICE = {"lope_shape": "multiple_choice", "question": "2+2?", "choices": ["3", "4"], "answer": 1}
CLASS = {"lope_shape": "classification", "text": "so dull", "label": "negative"}


def chat(*turns: tuple[str, str | None]) -> dict[str, Any]:
    return {"lope_shape": "chat", "messages": [{"role": role, "content": text} for role, text in turns]}


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model))


@pytest.fixture
def base(tiny_model: Path) -> PromptTemplate:
    return PromptTemplate(load_tokenizer(str(tiny_model)))


@pytest.fixture
def chatml(tokenizer: PreTrainedTokenizerBase) -> PromptTemplate:
    tokenizer.chat_template = CHATML
    return PromptTemplate(tokenizer)


@pytest.mark.parametrize(
    ("row", "user", "answer"),
    [
        (INSTRUCTION, "Add.\n\n3 and 4", "7"),
        (INSTRUCTION | {"input": None}, "Add.", "7"),
        (INSTRUCTION | {"input": " "}, "Add.", "7"),
        (CHOICE, "2+2?", "4"),
        (CLASS, "What is the label of this text?\n\nso dull", "negative"),
        (chat(("user", "Hi"), ("assistant", "Hello")), "Hi", "Hello"),
    ],
)
def test_a_chat_model_gets_its_own_template(
    chatml: PromptTemplate, row: dict[str, Any], user: str, answer: str
) -> None:
    prompt = f"<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
    assert chatml.render(row) == Example(prompt, f"{answer}<|im_end|>")


def test_a_base_model_gets_alpacas_template(base: PromptTemplate) -> None:
    with_input, without = base.render(INSTRUCTION), base.render(INSTRUCTION | {"input": None})
    assert with_input is not None
    assert without is not None
    assert "paired with an input" in with_input.prompt
    assert with_input.prompt.endswith("### Instruction:\nAdd.\n\n### Input:\n3 and 4\n\n### Response:\n")
    assert "paired with an input" not in without.prompt
    assert without.prompt.endswith("### Instruction:\nAdd.\n\n### Response:\n")
    assert with_input.completion == without.completion == "7</s>"


def test_braces_in_a_row_are_only_text(base: PromptTemplate) -> None:
    example = base.render(INSTRUCTION | {"instruction": "{input} {0} {x}", "input": "{instruction}"})
    assert example is not None
    assert "### Instruction:\n{input} {0} {x}\n\n### Input:\n{instruction}\n" in example.prompt


def test_the_last_answer_of_a_chat_is_the_target(chatml: PromptTemplate) -> None:
    turns = [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    row = chat(*turns, ("user", "never answered"))
    example = chatml.render(row)
    assert example is not None
    prompt = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns[:-1])
    assert example == Example(f"{prompt}<|im_start|>assistant\n", "d<|im_end|>")


def test_the_parts_of_a_message_are_joined(chatml: PromptTemplate) -> None:
    parts = [
        {"type": "text", "text": "What is "},
        {"type": "image", "text": None},
        None,
        {"type": "text", "text": "this?"},
    ]
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": parts, "name": "me"},
        {"role": "assistant", "content": ["It", " is."], "tool_calls": []},
    ]
    row = {"lope_shape": "chat", "messages": turns}
    assert chatml.render(row) == chatml.render(chat(("user", "What is this?"), ("assistant", "It is.")))
    assert chatml.render(row) is not None
    turns[1]["content"] = [{"type": "image", "text": None}]
    assert chatml.render(row) is None


def test_of_several_conversations_the_last_is_read(chatml: PromptTemplate) -> None:
    conversations = [chat(("user", q), ("assistant", a))["messages"] for q, a in ("ab", "cd")]
    row = {"lope_shape": "chat", "messages": [None, *conversations, None]}
    assert chatml.render(row) == chatml.render(chat(("user", "c"), ("assistant", "d")))
    assert chatml.render(row) is not None
    assert chatml.render({"lope_shape": "chat", "messages": [*conversations, []]}) is None


def test_a_base_model_reads_a_conversation_as_its_instruction(base: PromptTemplate) -> None:
    example = base.render(chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")))
    assert example is not None
    assert "### Instruction:\nUser: a\n\nAssistant: b\n\nUser: c\n\n### Response:\n" in example.prompt
    assert example.completion == "d</s>"


@pytest.mark.parametrize(
    "row",
    [
        INSTRUCTION | {"instruction": None},
        INSTRUCTION | {"output": None},
        INSTRUCTION | {"output": " \n"},
        CHOICE | {"question": None},
        CHOICE | {"choices": None},
        CHOICE | {"choices": ["3", None]},
        CHOICE | {"answer": None},
        CHOICE | {"answer": 2},
        CHOICE | {"answer": -1},
        CLASS | {"text": None},
        CLASS | {"label": None},
        chat(),
        chat(("user", "a")),
        chat(("assistant", "a")),
        chat(("user", None), ("assistant", "a")),
        chat(("user", "a"), ("assistant", None)),
        chat(("system", "a"), ("assistant", "b")),
        {
            "lope_shape": "chat",
            "messages": [{"role": None, "content": "?"}, *chat(("user", "a"), ("assistant", "b"))["messages"]],
        },
        {"lope_shape": "chat", "messages": None},
        {"lope_shape": "chat", "messages": [None]},
        {"lope_shape": None},
        {},
    ],
)
def test_a_row_without_prompt_or_target_is_none(
    chatml: PromptTemplate, base: PromptTemplate, row: dict[str, Any]
) -> None:
    assert chatml.render(row) is None
    assert base.render(row) is None


def test_turns_that_the_models_template_refuses_are_none(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = STRICT
    template = PromptTemplate(tokenizer)
    assert template.render(chat(("user", "a"), ("user", "b"), ("assistant", "c"))) is None
    # this template ends a turn with nothing: the tokenizer's own end of text is learned
    assert template.render(CHOICE) == Example("[user] 2+2?[assistant] ", "4</s>")


def test_only_base_models_get_leading_special_tokens(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(  # type: ignore[attr-defined]
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    plain = tokenizer("Hi", add_special_tokens=False)["input_ids"]
    tokenizer.chat_template = None
    base = PromptTemplate(tokenizer)
    assert base.encode_prompts(["Hi"]) == [[0, *plain]]
    assert base.encode_completions(["Hi", "Hi</s>"]) == [plain, [*plain, 1]]
    tokenizer.chat_template = CHATML
    assert PromptTemplate(tokenizer).encode_prompts(["Hi"]) == [plain]
    assert base.encode_prompts([]) == []


def test_options_are_the_choices_or_the_classes() -> None:
    assert options(CHOICE, []) == (["3", "4"], 1)
    assert options(CLASS, ["negative", "positive"]) == (["negative", "positive"], 0)
    assert options(INSTRUCTION, ["a", "b"]) is None


@pytest.mark.parametrize(
    "row",
    [
        CHOICE | {"choices": ["only"], "answer": 0},
        CHOICE | {"choices": ["a", ""]},
        CLASS | {"label": "unknown"},
        CLASS | {"label": None},
    ],
)
def test_rows_that_leave_nothing_to_choose(row: dict[str, Any]) -> None:
    assert options(row, ["negative", "positive"]) is None


HISTORY = INSTRUCTION | {"system": "Be brief.", "history": [["a", "b"], ["c", "d"]]}


def test_system_and_history_come_before_the_instruction(chatml: PromptTemplate, base: PromptTemplate) -> None:
    turns = [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    assert chatml.render(HISTORY) == chatml.render(chat(*turns, ("user", "Add.\n\n3 and 4"), ("assistant", "7")))
    assert chatml.render(HISTORY) is not None
    with_all, without = base.render(HISTORY), base.render(INSTRUCTION)
    assert with_all is not None
    assert without is not None
    said = "User: a\n\nAssistant: b\n\nUser: c\n\nAssistant: d\n\nUser: Add."
    assert with_all.prompt == "Be brief.\n\n" + without.prompt.replace("\nAdd.\n", f"\n{said}\n")
    assert with_all.completion == without.completion


def test_the_system_of_a_chat_comes_first(chatml: PromptTemplate, base: PromptTemplate) -> None:
    turns = [("user", "a"), ("assistant", "b")]
    row = chat(*turns) | {"system": "Be brief.", "tools": None}
    assert chatml.render(row) == chatml.render(chat(("system", "Be brief."), *turns))
    with_system, without = base.render(row), base.render(chat(*turns))
    assert with_system is not None
    assert without is not None
    assert with_system.prompt == f"Be brief.\n\n{without.prompt}"
    assert chatml.render(row | {"system": " "}) == chatml.render(chat(*turns))


def pair(prompt: Any, completion: Any) -> dict[str, Any]:
    return {"lope_shape": "prompt_completion", "prompt": prompt, "completion": completion}


def joined(asked: int, *turns: tuple[str, str | None]) -> dict[str, Any]:
    return chat(*turns) | {"lope_shape": "prompt_completion", "asked": asked}


def test_a_plain_pair_and_a_text_get_no_template(chatml: PromptTemplate, base: PromptTemplate) -> None:
    text = {"lope_shape": "text", "text": " Once upon a time"}
    for template in (chatml, base):
        assert template.render(pair("def f(", "x): ...")) == Example("def f(", "x): ...</s>")
        assert template.render(text) == Example("", " Once upon a time</s>")


def test_what_begins_an_input_begins_a_text_too(tokenizer: PreTrainedTokenizerBase) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(  # type: ignore[attr-defined]
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    for chat_template in (None, CHATML):
        tokenizer.chat_template = chat_template
        template = PromptTemplate(tokenizer)
        example = template.render({"lope_shape": "text", "text": "Once"})
        assert example is not None
        (prompt,) = template.encode_prompts([example.prompt])
        assert prompt + template.encode_completions([example.completion])[0] == tokenizer("Once")["input_ids"]


def test_a_pair_of_messages_is_a_conversation(chatml: PromptTemplate, base: PromptTemplate) -> None:
    turns = [("system", "s"), ("user", "a"), ("assistant", "b")]
    for template in (chatml, base):
        assert template.render(chat(*turns)) is not None
        assert template.render(joined(2, *turns)) == template.render(chat(*turns))
        # what the prompt ends with is not learned
        assert template.render(joined(3, *turns, ("user", "c"))) is None


def test_a_message_that_only_calls_a_tool_is_no_text(chatml: PromptTemplate) -> None:
    called = [("user", "a"), ("assistant", None), ("tool", "3"), ("assistant", "b")]
    assert chatml.render(chat(*called)) is None
    assert chatml.render(chat(("user", "a"), ("assistant", "b"), ("tool", None))) is not None


@pytest.mark.parametrize(
    "row",
    [
        HISTORY | {"history": [["a", ""]]},
        HISTORY | {"history": [["a"]]},
        HISTORY | {"history": [None]},
        HISTORY | {"history": "a"},
        HISTORY | {"instruction": None},
        chat(("user", "a")) | {"system": "s"},
        pair(None, "a"),
        pair(" ", "a"),
        pair("a", None),
        pair("a", " "),
        joined(1, ("user", "a"), ("user", "b")),
        {"lope_shape": "prompt_completion", "messages": None},
        {"lope_shape": "prompt_completion", "messages": [None, None], "asked": 1},
        {"lope_shape": "text", "text": None},
        {"lope_shape": "text", "text": "\n"},
        {"lope_shape": "chat", "messages": [{"role": "user", "content": 5}, {"role": "assistant", "content": "a"}]},
    ],
)
def test_rows_of_more_columns_that_cannot_be_trained_on(
    chatml: PromptTemplate, base: PromptTemplate, row: dict[str, Any]
) -> None:
    assert chatml.render(row) is None
    assert base.render(row) is None
