"""Tokens of rows with the bytes of the field that each stands for, in either template, and the edits they overlap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from lope_train.data import Layout, PromptTemplate, resolve
from lope_train.detector.lines import Line, make_lines
from lope_train.detector.token_edits import Mark, read_marks
from lope_train.errors import ModelError, VersionError

STORE = Path(__file__).parents[2] / "golden" / "store"
CHATML = (
    "{% if messages[0].role != 'system' %}<|s|>a helpful assistant</s>{% endif %}"
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content | trim }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHOUTING = CHATML.replace("trim", "upper")


@pytest.fixture(scope="module")
def alpaca(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = CHATML
    return tokenizer


def instruction(asked: str, given: str = "", output: str = "ok") -> dict[str, Any]:
    return {
        "lope_row_id": "a",
        "lope_shape": "instruction",
        "instruction": asked,
        "input": given,
        "output": output,
    }


PLAIN = Layout(
    {
        shape: {key: key for key in keys}
        for shape, keys in {
            "instruction": ("instruction", "input", "output"),
            "multiple_choice": ("question", "choices", "answer"),
            "classification": ("text", "label"),
            "chat": ("messages",),
        }.items()
    },
    {},
)
"""Of rows whose columns are called as the shape's keys."""


def one(row: dict[str, Any], tokenizer: Any, *marks: Mark, layout: Layout = PLAIN) -> Line:
    made = make_lines([row], layout, {"a": marks}, tokenizer, 512, False)
    assert len(made.lines) == 1
    return made.lines[0]


def of_field(line: Line, path: str) -> bytes:
    """The field as its tokens have it: they tile it, but for more tokens of one character."""
    found = b""
    for token in line.tokens:
        if token.path == path:
            assert token.start is not None
            assert token.end is not None
            assert token.start <= len(found)
            found += token.text.encode()[-(token.end - token.start) :][len(found) - token.start :]
            assert len(found) == token.end
    return found


def marked(line: Line, op: str = "char.x") -> list[str]:
    return [token.text for token in line.tokens if op in token.ops]


def test_ids_are_those_of_training_and_fields_are_found(alpaca: Any, chat: Any) -> None:
    row = instruction("Name the capital  of Zürich 😀 ", "naïve\n\tinput €", "Paris ✓")
    for tokenizer in (alpaca, chat):
        template = PromptTemplate(tokenizer)
        example = template.render(row)
        assert example is not None
        line = one(row, tokenizer)
        prompt = template.encode_prompts([example.prompt])[0]
        assert line.ids == prompt + template.encode_completions([example.completion])[0]
        assert (line.prompt, len(line.tokens)) == (len(prompt), len(line.ids))
        assert of_field(line, "instruction").decode() == row["instruction"]
        assert of_field(line, "input").decode() == row["input"]
        assert of_field(line, "output").decode() == row["output"]
        exposed = {token.path for token in line.tokens if token.exposed}
        assert exposed == {"instruction", "input"}


def test_a_field_that_the_template_has_too_is_found_in_its_place(alpaca: Any, chat: Any) -> None:
    for tokenizer in (alpaca, chat):
        line = one(instruction("a", "Response"), tokenizer)
        text = "".join(token.text for token in line.tokens)
        begins = [n for n, token in enumerate(line.tokens) if token.path == "input"]
        assert "".join(line.tokens[n].text for n in begins).strip() == "Response"
        before = "".join(token.text for token in line.tokens[: begins[0]])
        assert before.rstrip().endswith("### Input:" if tokenizer is alpaca else "a")
        assert text.count("### Response") == (1 if tokenizer is alpaca else 0)


def test_trimmed_fields_keep_their_bytes(chat: Any) -> None:
    line = one(instruction("  é word"), chat, Mark("instruction", "char.x", 5, 9))
    assert "".join(marked(line)) == "word"
    assert min(token.start for token in line.tokens if token.start is not None and token.exposed) == 2


def test_tokens_of_a_multi_byte_character_are_all_marked(alpaca: Any) -> None:
    line = one(instruction("Nаme it"), alpaca, Mark("instruction", "char.x", 1, 3))
    hit = [token for token in line.tokens if token.ops]
    assert [(token.start, token.end) for token in hit] == [(1, 3), (1, 3)]  # a byte each, of one Cyrillic letter
    assert {token.text for token in hit} == {"а"}


@pytest.mark.parametrize(("at", "expected"), [(0, ["N"]), (3, ["x", "q"]), (4, ["q"])])
def test_a_deletion_marks_the_neighbours_that_there_are(alpaca: Any, at: int, expected: list[str]) -> None:
    line = one(instruction("NTxq"), alpaca, Mark("instruction", "char.x", at, at))
    assert marked(line) == expected
    assert all(token.path == "instruction" for token in line.tokens if token.ops)


def test_edits_of_another_field_or_of_the_target_mark_no_token(alpaca: Any) -> None:
    marks = [Mark("input", "char.x", 0, 1), Mark("output", "label.flip", 0, 2), Mark("label", "char.y", 0, 1)]
    line = one(instruction("abc", "xyz"), alpaca, *marks)
    assert [token.path for token in line.tokens if token.ops] == ["input"]
    assert (line.text_ops, line.label_ops) == (("char.x", "char.y"), ("label.flip",))


def test_several_ops_on_one_token(alpaca: Any) -> None:
    line = one(instruction("abc"), alpaca, Mark("instruction", "char.x", 0, 1), Mark("instruction", "word.y", 0, 3))
    assert [token.ops for token in line.tokens if token.ops] == [("char.x", "word.y"), ("word.y",), ("word.y",)]


def test_subwords_are_of_the_words_of_the_field(alpaca: Any, chat: Any) -> None:
    for tokenizer in (alpaca, chat):
        line = one(instruction("xyzzy  q capital"), tokenizer)
        sizes = {token.subwords for token in line.tokens if token.path is None}
        assert sizes == {None}
        words: dict[str, set[int | None]] = {}
        for token in line.tokens:
            if token.path == "instruction":
                words.setdefault(token.text, set()).add(token.subwords)
        assert words["x"] == words["y"] == words["z"] == {5}
        own = len(tokenizer(" capital", add_special_tokens=False)["input_ids"])
        assert line.tokens[[t.path for t in line.tokens].index("instruction")].subwords == 5
        assert [t.subwords for t in line.tokens if t.path == "instruction"][-1] in (own, own - 1)


def test_chats_by_message_and_part(chat: Any, alpaca: Any) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        None,
        {"role": "user", "content": [{"text": "thr"}, {"text": None}, {"text": "eé"}]},
        {"role": "assistant", "content": "four"},
        {"role": "user", "content": "after"},
    ]
    row = {"lope_row_id": "a", "lope_shape": "chat", "messages": [[], messages]}
    for tokenizer in (chat, alpaca):
        line = one(row, tokenizer, Mark("messages[1][4].content[2].text", "char.x", 1, 3))
        paths = list(dict.fromkeys(token.path for token in line.tokens if token.path))
        assert paths == [
            *(f"messages[1][{n}].content" for n in (0, 1, 2)),
            "messages[1][4].content[0].text",
            "messages[1][4].content[2].text",
            "messages[1][5].content",
        ]
        assert set(marked(line)) == {"é"}
        exposed = {token.path for token in line.tokens if token.exposed}
        assert exposed == {paths[1], paths[3], paths[4]}


def test_questions_and_texts(alpaca: Any) -> None:
    asked = {
        "lope_row_id": "a",
        "lope_shape": "multiple_choice",
        "question": "q?",
        "choices": ["x", "yes"],
        "answer": 1,
    }
    line = one(asked, alpaca)
    assert of_field(line, "question") == b"q?"
    assert of_field(line, "choices[1]") == b"yes"
    line = one({"lope_row_id": "a", "lope_shape": "classification", "text": "bad", "label": "no"}, alpaca)
    assert (of_field(line, "text"), of_field(line, "label")) == (b"bad", b"no")


def test_edits_are_found_by_the_names_of_the_source(alpaca: Any, chat: Any) -> None:
    dolly = Layout({"instruction": {"instruction": "instruction", "input": "context", "output": "response"}}, {})
    row = {"lope_row_id": "a", "lope_shape": "instruction", "instruction": "Add.", "context": "3 and 4"}
    for tokenizer in (alpaca, chat):
        line = one(row | {"response": "7"}, tokenizer, Mark("context", "char.x", 2, 5), layout=dolly)
        assert "".join(marked(line)).strip() == "and"
        assert of_field(line, "response") == b"7"


TALK = [{"from": "human", "value": "Häw are you?"}, {"from": "gpt", "value": "Fine."}]
LISTS = {"role": ["user", "assistant"], "content": ["Häw are you?", "Fine."]}


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        (TALK, "t[0].value"),
        (json.dumps(TALK), "t[0].value"),
        ([[], TALK], "t[1][0].value"),
        (LISTS, "t.content[0]"),
        ([LISTS], "t[0].content[0]"),
    ],
)
def test_edits_are_found_in_messages_however_they_are_written(alpaca: Any, chat: Any, messages: Any, path: str) -> None:
    row = {"lope_row_id": "a", "lope_shape": "chat", "t": messages}
    for tokenizer in (alpaca, chat):
        line = one(row, tokenizer, Mark(path, "char.x", 1, 3), layout=Layout({"chat": {"messages": "t"}}, {}))
        assert set(marked(line)) == {"ä"}
        assert of_field(line, path.replace("0].v", "1].v").replace("content[0", "content[1")) == b"Fine."


def test_pairs_and_texts(alpaca: Any, chat: Any) -> None:
    names = {"prompt": "p", "completion": "c"}
    layout = Layout({"prompt_completion": names, "text": {"text": "body"}}, {})
    row = {"lope_row_id": "a", "lope_shape": "prompt_completion"}
    for tokenizer in (alpaca, chat):
        line = one(row | {"p": "2 + x =", "c": " 4"}, tokenizer, Mark("p", "char.x", 4, 5), layout=layout)
        assert "".join(marked(line)).strip() == "x"
        assert of_field(line, "c") == b" 4"
        line = one(row | {"p": TALK[:1], "c": "Fine."}, tokenizer, Mark("p[0].value", "char.x", 1, 3), layout=layout)
        assert set(marked(line)) == {"ä"}
        assert of_field(line, "c") == b"Fine."
        text = {"lope_row_id": "a", "lope_shape": "text", "body": "xyzzy q"}
        line = one(text, tokenizer, Mark("body", "char.x", 2, 3), layout=layout)
        assert (marked(line), line.prompt) == (["z"], 0)
        assert of_field(line, "body") == b"xyzzy q"
        # the first token has no surprisal, so that it cannot be judged
        assert [token.exposed for token in line.tokens] == [
            False,
            *(token.path is not None for token in line.tokens[1:]),
        ]


def test_system_and_history_are_found(alpaca: Any, chat: Any) -> None:
    names = {key: key for key in ("instruction", "output", "input", "system", "history")}
    row = instruction("Add.", "3", "7") | {"system": "Be brief.", "history": [["one", "two"]]}
    for tokenizer in (alpaca, chat):
        line = one(row, tokenizer, layout=Layout({"instruction": names}, {}))
        paths = list(dict.fromkeys(token.path for token in line.tokens if token.path))
        assert paths == ["system", "history[0][0]", "history[0][1]", "instruction", "input", "output"]
        assert {token.path for token in line.tokens if token.exposed} == {"instruction", "input"}


def test_the_name_of_a_class_is_the_label(alpaca: Any) -> None:
    layout = Layout({"classification": {"text": "body", "label": "mood"}}, {"mood": ["bad", "good"]})
    row = {"lope_row_id": "a", "lope_shape": "classification", "body": "fine", "mood": 1}
    assert of_field(one(row, alpaca, layout=layout), "mood") == b"good"


def test_a_field_that_the_template_says_twice_is_not_placed(tiny_model: Path) -> None:
    twice = AutoTokenizer.from_pretrained(tiny_model)
    twice.chat_template = CHATML.replace("content | trim", "content + message.content")
    assert make_lines([instruction("abc")], PLAIN, {}, twice, 512, False).skipped.unaligned == 1


def test_what_is_left_out_is_counted(tiny_model: Path, alpaca: Any) -> None:
    shouting = AutoTokenizer.from_pretrained(tiny_model)
    shouting.chat_template = SHOUTING
    rows = [instruction("abc"), instruction(""), instruction("x" * 600)]
    skipped = make_lines(rows, PLAIN, {}, shouting, 512, False).skipped
    assert (skipped.unusable, skipped.too_long, skipped.unaligned) == (1, 1, 1)
    cut = make_lines([instruction("abc", output="y" * 600)], PLAIN, {}, alpaca, 256, True).lines[0]
    assert len(cut.ids) == len(cut.tokens) == 256


def test_an_edit_outside_its_text_and_a_tokenizer_without_offsets_are_refused(alpaca: Any) -> None:
    with pytest.raises(VersionError, match="'instruction' lies outside"):
        one(instruction("abc"), alpaca, Mark("instruction", "char.x", 2, 4))

    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="Slow does not say"):
        make_lines([], PLAIN, {}, Slow(), 512, False)  # type: ignore[arg-type]


def test_the_golden_version(alpaca: Any, chat: Any) -> None:
    noisy = resolve("golden", STORE)
    marks = read_marks(noisy, STORE)
    for tokenizer in (alpaca, chat):
        made = make_lines(list(noisy.dataset()), noisy.layout, marks, tokenizer, 512, False)
        assert made.skipped.unaligned == 0
        assert len(made.lines) == 24
        for line in made.lines:
            found = {op for token in line.tokens for op in token.ops}
            assert found == set(line.text_ops)
