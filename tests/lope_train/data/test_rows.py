"""The canonical view of rows, in every spelling of their source, and the paths of their texts back in it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from lope_train.data.rows import SHAPES, Layout, texts_of
from lope_train.data.versions import Version
from lope_train.errors import VersionError

ASKED, ANSWERED = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}


def row(shape: str, **columns: Any) -> dict[str, Any]:
    return {"lope_row_id": "a", "lope_shape": shape, "lope_ops": [], **columns}


def layout(shape: str, classes: dict[str, list[str]] | None = None, **columns: Any) -> Layout:
    return Layout({shape: columns}, classes or {})


def view(shape: str, columns: dict[str, Any], **names: Any) -> dict[str, Any]:
    """The view of a row without what all rows have."""
    found = layout(shape, **names).view(row(shape, **columns))
    assert (found.pop("lope_row_id"), found.pop("lope_shape")) == ("a", shape)
    return found


def chat(messages: Any) -> Any:
    return view("chat", {"m": messages}, messages="m")["messages"]


def paths(layout: Layout, source: dict[str, Any]) -> dict[str, str]:
    """The texts of a row by their path."""
    return {layout.path(source, keys): text for keys, text, _ in texts_of(layout.view(source))}


def exposed(layout: Layout, source: dict[str, Any]) -> set[str]:
    return {layout.path(source, text.keys) for text in texts_of(layout.view(source)) if text.exposed}


def test_an_instruction_under_the_names_of_dolly() -> None:
    names = {"instruction": "instruction", "input": "context", "output": "response"}
    source = row("instruction", instruction="Add.", context="3 and 4", response="7", category="sum")
    of_dolly = layout("instruction", **names)
    assert of_dolly.view(source) == {
        "lope_row_id": "a",
        "lope_shape": "instruction",
        "instruction": "Add.",
        "output": "7",
        "input": "3 and 4",
        "system": None,
        "history": None,
    }
    assert paths(of_dolly, source) == {"instruction": "Add.", "context": "3 and 4", "response": "7"}
    assert exposed(of_dolly, source) == {"instruction", "context"}


def test_system_and_history_have_paths_and_no_noise() -> None:
    names = {"instruction": "q", "output": "a", "system": "s", "history": "h"}
    source = row("instruction", q="Add.", a="7", s="Be brief.", h=[["x", "y"], ["z", ""]])
    found = layout("instruction", **names)
    assert found.view(source)["history"] == [["x", "y"], ["z", ""]]
    assert paths(found, source) == {
        "q": "Add.",
        "a": "7",
        "s": "Be brief.",
        "h[0][0]": "x",
        "h[0][1]": "y",
        "h[1][0]": "z",
    }
    assert exposed(found, source) == {"q"}


def test_choices_of_one_column_and_of_several() -> None:
    names: dict[str, Any] = {"question": "q", "choices": "options", "answer": "gold"}
    found = view("multiple_choice", {"q": "2+2?", "options": ["3", "4"], "gold": 1}, **names)
    assert found == {"question": "2+2?", "choices": ["3", "4"], "answer": 1}
    names["choices"] = ["A", "B"]
    source = row("multiple_choice", q="2+2?", A="3", B="4", gold="1")
    several = layout("multiple_choice", **names)
    assert {key: several.view(source)[key] for key in found} == found
    assert paths(several, source) == {"q": "2+2?", "A": "3", "B": "4"}
    assert exposed(several, source) == {"q"}


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("07", 7),
        (0, 0),
        ("", None),
        ("-1", None),
        ("²", None),
        ("9" * 5000, None),
        ("b", None),
        (True, None),
        (1.0, None),
    ],
)
def test_an_answer_is_an_integer_or_decimal_digits(value: Any, answer: int | None) -> None:
    names = {"question": "q", "choices": "c", "answer": "a"}
    assert view("multiple_choice", {"q": "?", "c": ["x"], "a": value}, **names)["answer"] == answer


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("good", "good"),
        (1, "good"),
        (-1, None),
        (2, None),
        (True, "true"),
        (0.5, "0.5"),
        (None, None),
        (["ä", "b"], '["ä","b"]'),
        ([0, 1, -1], '["bad","good",-1]'),
        (datetime.date(2024, 2, 3), '"2024-02-03"'),
    ],
)
def test_the_text_of_a_label(value: Any, text: str | None) -> None:
    names = {"text": "body", "label": "mood"}
    classes = {"mood": ["bad", "good"], "mood[]": ["bad", "good"]}
    found = layout("classification", classes, **names)
    source = row("classification", body="fine", mood=value)
    assert found.view(source)["label"] == text
    assert paths(found, source) == {"body": "fine"} | ({} if text is None else {"mood": text})
    assert exposed(found, source) == {"body"}
    plain = layout("classification", **names).view(row("classification", body="fine", mood=1))
    assert plain["label"] == "1"


SHAREGPT = [{"from": "Human", "value": "Hi"}, {"from": "gpt", "value": "Hello", "weight": 1}]
LISTS = {"role": ["USER", "model"], "content": ["Hi", "Hello"], "weight": [None, 1]}


@pytest.mark.parametrize(
    ("messages", "spelled"),
    [
        ([ASKED, ANSWERED], ["[0].content", "[1].content"]),
        (SHAREGPT, ["[0].value", "[1].value"]),
        (json.dumps(SHAREGPT, indent=2), ["[0].value", "[1].value"]),
        (LISTS, [".content[0]", ".content[1]"]),
        ({"from": ["human", "bot"], "value": ["Hi", "Hello"]}, [".value[0]", ".value[1]"]),
        ([None, *SHAREGPT], ["[1].value", "[2].value"]),
        ([[], SHAREGPT], ["[1][0].value", "[1][1].value"]),
        ([LISTS], ["[0].content[0]", "[0].content[1]"]),
        (
            [{"role": "user", "content": [{"type": "image"}, {"text": "Hi"}]}, {"role": "bot", "content": ["Hello"]}],
            ["[0].content[1].text", "[1].content[0]"],
        ),
    ],
)
def test_messages_in_every_spelling(messages: Any, spelled: list[str]) -> None:
    found = layout("chat", messages="conversations")
    source = row("chat", conversations=messages)
    asked, answered = (f"conversations{path}" for path in spelled)
    assert paths(found, source) == {asked: "Hi", answered: "Hello"}
    assert exposed(found, source) == {asked}
    flat = found.view(source)["messages"]
    while isinstance(flat[-1], list):
        flat = flat[-1]
    assert [message["role"] for message in flat if message] == ["user", "assistant"]


def test_a_message_keeps_what_else_it_has() -> None:
    assert chat(SHAREGPT) == [ASKED, ANSWERED | {"weight": 1}]
    assert chat(LISTS) == [ASKED | {"weight": None}, ANSWERED | {"weight": 1}]


def test_a_message_without_content_or_role_is_no_text_and_of_nobody() -> None:
    call = {"role": "assistant", "tool_calls": [{"name": "f"}]}
    found = chat([{"role": "User", "content": "Hi"}, call, {"role": "TOOL", "content": "3"}, {"content": "x"}])
    assert found[1:] == [
        {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]},
        {"role": "tool", "content": "3"},
        {"role": None, "content": "x"},
    ]
    source = row("chat", m=[ASKED, call, {"role": "user", "content": 5}])
    assert paths(layout("chat", messages="m"), source) == {"m[0].content": "Hi"}


@pytest.mark.parametrize("value", [None, "", "no JSON", "3", "[" * 100_000, {"role": "user", "content": "x"}])
def test_what_holds_no_messages_is_none(value: Any) -> None:
    assert chat(value) is None


def test_system_and_tools_of_a_chat() -> None:
    tools = [{"name": "f", "text": "what it does"}]
    source = {"m": [ASKED], "s": "Be brief.", "t": tools}
    found = view("chat", source, messages="m", system="s", tools="t")
    assert found == {"messages": [ASKED], "system": "Be brief.", "tools": tools}


def test_a_plain_prompt_and_completion() -> None:
    found = layout("prompt_completion", prompt="p", completion="c")
    source = row("prompt_completion", p="Hi", c="Hello")
    assert paths(found, source) == {"p": "Hi", "c": "Hello"}
    assert exposed(found, source) == {"p"}
    assert view("prompt_completion", {"p": "Hi", "c": None}, prompt="p", completion="c") == {
        "prompt": "Hi",
        "completion": None,
    }


@pytest.mark.parametrize(
    ("prompt", "completion", "asked", "answered"),
    [
        ([ASKED], [ANSWERED], "p[0].content", "c[0].content"),
        ("Hi", SHAREGPT[1:], "p", "c[0].value"),
        ([ASKED], "Hello", "p[0].content", "c"),
        ({"role": ["user"], "content": ["Hi"]}, {"from": ["gpt"], "value": ["Hello"]}, "p.content[0]", "c.value[0]"),
    ],
)
def test_a_prompt_of_messages_stands_with_its_completion(
    prompt: Any, completion: Any, asked: str, answered: str
) -> None:
    found = layout("prompt_completion", prompt="p", completion="c")
    source = row("prompt_completion", p=prompt, c=completion)
    assert [message["content"] for message in found.view(source)["messages"]] == ["Hi", "Hello"]
    assert found.view(source)["asked"] == 1
    assert paths(found, source) == {asked: "Hi", answered: "Hello"}
    assert exposed(found, source) == {asked}


def test_noise_goes_to_what_the_user_says_in_the_prompt_alone() -> None:
    found = layout("prompt_completion", prompt="p", completion="c")
    source = row("prompt_completion", p=[{"role": "system", "content": "s"}, ASKED], c=[ANSWERED, ASKED, ANSWERED])
    assert exposed(found, source) == {"p[1].content"}


@pytest.mark.parametrize(("prompt", "completion"), [([[ASKED]], [ANSWERED]), ([ASKED], None), (None, [ANSWERED])])
def test_a_pair_that_is_not_one_conversation_has_no_messages(prompt: Any, completion: Any) -> None:
    found = view("prompt_completion", {"p": prompt, "c": completion}, prompt="p", completion="c")
    assert found == {"messages": None}


def test_a_text() -> None:
    source = row("text", body="Once upon a time")
    found = layout("text", text="body")
    assert paths(found, source) == {"body": "Once upon a time"}
    assert exposed(found, source) == {"body"}


def test_blank_texts_are_no_texts() -> None:
    names = {"instruction": "i", "output": "o", "input": "x"}
    assert paths(layout("instruction", **names), row("instruction", i="a", o="b", x=" \n")) == {"i": "a", "o": "b"}


@pytest.mark.parametrize("shape", ["chat", "preference", None])
def test_a_shape_without_a_layout_is_refused(shape: Any) -> None:
    with pytest.raises(VersionError, match=f"row 'a' has shape {shape!r}"):
        layout("text", text="t").view(row(shape, t="x"))


def test_what_the_source_calls_a_key() -> None:
    found = layout("multiple_choice", question="q", choices=["A", "B"], answer="a")
    assert [found.called("multiple_choice", key) for key in ("question", "choices", "lope_shape")] == [
        *("q", "choices", "lope_shape")
    ]
    assert found.names == ["q", "A", "B", "a"]


def test_columns_of_json_and_classes_as_datasets_gives_them(tmp_path: Path) -> None:
    """Through files, as a version holds them; a mixed table, so that most columns are null in most rows."""
    call = [{"from": "human", "value": "Hi"}, {"from": "gpt", "tool_calls": [{"f": 1}]}, {"from": "gpt", "value": "ok"}]
    rows = [row("chat", talk=call), row("classification", body="dull", mood=0), row("chat", talk=json.dumps(call))]
    features = datasets.Features(
        {
            "lope_row_id": datasets.Value("string"),
            "lope_shape": datasets.Value("string"),
            "lope_ops": datasets.List(datasets.Value("string")),
            "talk": datasets.Json(),
            "body": datasets.Value("large_string"),
            "mood": datasets.ClassLabel(names=["bad", "good"]),
        }
    )
    filled = [{name: one.get(name) for name in features} for one in rows]
    datasets.Dataset.from_list(filled, features=features).save_to_disk(tmp_path)
    columns = {"chat": {"messages": "talk"}, "classification": {"text": "body", "label": "mood"}}
    manifest = {
        "rows": 3,
        "layout": {"columns": columns, "classes": {"mood": ["bad", "good"]}, "absent": [], "raw": []},
    }
    first, second, third = Version(tmp_path, manifest).views()
    assert [message["content"] for message in first["messages"]] == ["Hi", None, "ok"]
    assert third["messages"] == first["messages"]
    assert (second["text"], second["label"]) == ("dull", "bad")


def test_every_shape_says_where_noise_goes() -> None:
    assert all(set(shape.noisy) - {"messages"} <= set(shape.keys) for shape in SHAPES.values())
