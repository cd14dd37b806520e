"""Columns under the names that people give them are recognised, and what fits no shape says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lope_data as library
from lope_data.errors import RecipeError, SourceError
from lope_data.rows.canonical import ingest_table
from lope_data.rows.columns import Columns
from lope_data.rows.fields import targets_of
from lope_data.rows.layout import Layout
from lope_data.rows.recognise import recognised
from lope_data.rows.shapes import OPS, ROW_ID, SHAPE

CHAT = [{"from": "human", "value": "Say hello."}, {"from": "gpt", "value": "Hello."}]


QA = {"instruction": "question", "output": "answer"}
SHAREGPT = {"messages": "conversations", "system": "system", "tools": "tools"}


@pytest.mark.parametrize(
    ("row", "shape", "expected"),
    [
        (
            {"instruction": "Ask", "context": "c", "response": "r", "category": "qa"},
            "instruction",
            {"instruction": "instruction", "input": "context", "output": "response"},
        ),
        (
            {"instruction": "Ask", "input": "c", "output": "r", "context": "more"},
            "instruction",
            {"instruction": "instruction", "input": "input", "output": "output"},
        ),
        (
            {"instruction": "Ask", "input": "", "output": "r", "system": "Be kind.", "history": [["a", "b"]]},
            "instruction",
            {name: name for name in ("instruction", "input", "output", "system", "history")},
        ),
        ({"question": "Why?", "answer": "So."}, "instruction", QA),
        (
            {"Question": "Why?", "Context": "c", "Answer": "So."},
            "instruction",
            {"instruction": "Question", "input": "Context", "output": "Answer"},
        ),
        (
            {"question": "Why?", "options": ["a", "b"], "answer": 1},
            "multiple_choice",
            {"question": "question", "choices": "options", "answer": "answer"},
        ),
        ({"conversations": CHAT, "system": "Be kind.", "tools": "[]"}, "chat", SHAREGPT),
        ({"Text": "t", "LABEL": "l"}, "classification", {"text": "Text", "label": "LABEL"}),
        ({"sentence": "t", "target": "l"}, "classification", {"text": "sentence", "label": "target"}),
        ({"content": "t", "category": "l"}, "classification", {"text": "content", "label": "category"}),
        ({"text": "t", "content": "more", "target": "l"}, "classification", {"text": "text", "label": "target"}),
        (
            {"text": "t", "label": "l", "question": "q", "answer": "a"},
            "classification",
            {"text": "text", "label": "label"},
        ),
        ({"text": "t", "labels": ["a", "b"]}, "classification", {"text": "text", "label": "labels"}),
        (
            {"prompt": "p", "completion": "c", "label": True},
            "prompt_completion",
            {"prompt": "prompt", "completion": "completion"},
        ),
        (
            {"prompt": CHAT[:1], "completion": CHAT[1:]},
            "prompt_completion",
            {"prompt": "prompt", "completion": "completion"},
        ),
        ({"text": "t"}, "text", {"text": "text"}),
        ({"Content": "t"}, "text", {"text": "Content"}),
    ],
)
def test_usual_names_are_recognised(row: dict[str, Any], shape: str, expected: dict[str, str]) -> None:
    said: list[str] = []
    table = pa.table({name: [value] for name, value in row.items()})
    rows = ingest_table(table, "rows", None, Columns(), None, 0, said.append)
    assert rows[SHAPE].to_pylist() == [shape]
    assert Layout.of(rows).columns == {shape: expected}
    assert rows.column_names == [*row, ROW_ID, SHAPE, OPS]  # the source's own columns, and no other
    assert rows.select(list(row)).to_pylist() == [row]
    other = {f"{name!r} as {column}" for column, name in expected.items() if column != name}
    assert [set(line.removeprefix("rows: reading ").split(", ")) for line in said] == ([other] if other else [])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["sentence", "content", "label"],
            "'sentence' and 'content' could each be the text of classification; say which: --columns text=sentence",
        ),
        (["Label", "LABEL", "text"], "'Label' and 'LABEL' could each be the label"),
        (
            ["question", "answer", "sentence", "target"],
            "its columns fit instruction, with instruction=question, output=answer; or classification, with text=",
        ),
        (["text", "target", "labels"], "or classification, with text=text, label=labels"),
    ],
)
def test_what_is_ambiguous_is_asked(names: list[str], message: str) -> None:
    with pytest.raises(SourceError) as error:
        recognised(names, None, "rows", {})
    assert message in str(error.value)
    found = recognised(["question", "answer", "sentence", "target"], "classification", "rows", {})
    assert found == {"classification": {"text": "sentence", "label": "target"}}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"premise": "p", "hypothesis": "h", "label": "l"},
            "which lacks 'text': rename the columns, or say which they are, --columns text=COLUMN",
        ),
        ({"body": "p", "cat": "h"}, "columns body, cat fit no shape"),
        ({"prompt": "p", "output": "o"}, "Nearest is instruction, which lacks 'instruction'"),
        ({"prompt": "p", "chosen": "o", "rejected": "r"}, "Nearest is prompt_completion, which lacks 'completion'"),
        ({"text": "t", "url": "u"}, "--columns label=COLUMN, or --columns text=text to read its text alone"),
        ({"role": "prompter", "text": "t"}, "each row is one message of a conversation (role: 'prompter')"),
        ({"question": "q", "answer": ["a"]}, "column 'answer': [\"a\"] is list<item: string>, where text is needed"),
    ],
)
def test_what_fits_no_shape_says_what_to_do(row: dict[str, Any], message: str) -> None:
    """In the source's own names."""
    with pytest.raises(SourceError) as error:
        ingest_table(pa.table({name: [value] for name, value in row.items()}), "rows", None, Columns(), None, 0)
    assert message in str(error.value)


def test_text_beside_other_columns_is_asked_for(ingest_rows: Callable[..., pa.Table]) -> None:
    """It may be that its label has a name that nobody knows."""
    row = {"text": "t", "url": "u"}
    for rows in (ingest_rows([row], columns=Columns(text="text")), ingest_rows([row], "text")):
        assert Layout.of(rows).columns == {"text": {"text": "text"}}
    said: list[str] = []
    ingest_table(pa.table({"body": ["t"], "url": ["u"]}), "rows", None, Columns(text="body"), None, 0, said.append)
    assert said == [
        "rows: reading 'body' as plain text, without a label; to give one, --columns text=body,label=COLUMN"
    ]
    assert Layout.of(ingest_rows([{"id": "1", "text": "t"}], columns=Columns(id="id"))).columns == {
        "text": {"text": "text"}
    }


def test_a_column_that_was_named_is_taken_for_another_of_that_name(ingest_rows: Callable[..., pa.Table]) -> None:
    rows = ingest_rows([{"text": "raw", "body": "clean", "label": "l"}], columns=Columns(text="body"))
    assert Layout.of(rows).columns == {"classification": {"text": "body", "label": "label"}}
    assert rows["text"].to_pylist() == ["raw"]


@pytest.fixture
def body(tmp_path: Path) -> Path:
    path = tmp_path / "body.jsonl"
    path.write_text("".join(json.dumps({"body": f"a text {i} of words", "cat": "xy"[i % 2]}) + "\n" for i in range(20)))
    return path


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["instruction", "question", "answer"], "'question' and 'instruction' could each be the instruction"),
        (["question", "answer", "output"], "'answer' and 'output' could each be the output"),
        (["instruction", "response", "question", "answer"], "or instruction, with instruction=question, output="),
    ],
)
def test_no_column_is_passed_over_for_another(names: list[str], message: str) -> None:
    with pytest.raises(SourceError) as error:
        recognised(names, None, "rows", {})
    assert message in str(error.value)


def test_messages_are_in_the_sources_own_names(ingest_rows: Callable[..., pa.Table]) -> None:
    for row, message in (
        ({"conversations": [{"from": "prompter", "value": "x"}]}, "row 0, column 'conversations': unknown role"),
        ({"conversations": [1, 2]}, "column 'conversations': int64, where a list of {role, content} is needed"),
        ({"from": "human", "value": "Hello."}, "each row is one message of a conversation (role: 'human')"),
    ):
        with pytest.raises(SourceError) as error:
            ingest_rows([row])
        assert message in str(error.value)
    with pytest.raises(SourceError, match="row 1: 'sentence' is null"):
        ingest_rows([{"sentence": "a", "target": "b"}, {"sentence": None, "target": "b"}])


def test_what_was_typed_stays_in_what_is_to_be_typed(ingest_rows: Callable[..., pa.Table]) -> None:
    with pytest.raises(SourceError, match=r"columns ask, cat fit no shape.* --columns instruction=ask,output=COLUMN"):
        ingest_rows([{"ask": "a", "cat": "b"}], columns=Columns(instruction="ask"))
    with pytest.raises(SourceError, match="'body' is named as text and as label; it can be one of them"):
        ingest_rows([{"body": "a", "cat": "b"}], columns=Columns(text="body", label="body"))


def test_columns_are_mapped_where_they_are_typed(body: Path, lope_data: Callable[..., Any], tmp_path: Path) -> None:
    typed = ("--source", body, "--columns", "text=body,label=cat")
    refused = lope_data("build", "--source", body)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert not (tmp_path / "lope-store").exists()
    assert "would be touched" in lope_data("preview", *typed).out
    built = lope_data("build", *typed, "--json").json
    clean = lope_data("ingest", body, "--columns", "text=body,label=cat", "--json").json
    assert built["parent"] == f"body@{clean['version']}"
    recipe = tmp_path / "r.toml"
    recipe.write_text("[columns]\ntext = 'body'\nlabel = 'nothing'\n")
    assert (
        lope_data("ingest", body, "--recipe", recipe, "--columns", "label=cat", "--json").json["version"]
        == clean["version"]
    )
    mapped = library.ingest(body, columns={"text": "body", "label": "cat"}, store=tmp_path / "lope-store")
    assert mapped.manifest.version == clean["version"]
    assert lope_data("verify", built["name"], "--replay").code == 0


def test_several_columns_are_choices(lope_data: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "piqa.jsonl").write_text('{"goal": "Open it", "sol1": "turn", "sol2": "push", "label": 1}\n')
    columns = "question=goal,choices=sol1,choices=sol2,answer=label"
    assert lope_data("ingest", "piqa.jsonl", "--columns", columns).code == 0
    version = library.open("piqa")
    assert version.layout.columns["multiple_choice"]["choices"] == ("sol1", "sol2")
    assert version.rows.column_names[:4] == ["goal", "sol1", "sol2", "label"]
    found = targets_of(version.rows, "choice").table
    assert (found["choices"].to_pylist(), found["target"].to_pylist()) == ([["turn", "push"]], ["1"])


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("text", "--columns 'text': 'text' is not NAME=COLUMN, as in text=body"),
        ("text=", "'text=' is not NAME=COLUMN"),
        ("text=a,text=b", "'text' is given twice"),
        ("txt=body", "columns: txt: unknown key 'txt'; did you mean 'text'?"),
        ("text=bdy,label=cat", "no column 'bdy', which [columns] or --columns names; did you mean 'body'?"),
    ],
)
def test_what_is_wrong_with_columns_is_named(
    typed: str, message: str, body: Path, lope_data: Callable[..., Any], tmp_path: Path
) -> None:
    ran = lope_data("build", "--source", body, "--columns", typed)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert message in ran.err
    assert not list((tmp_path / "lope-store").glob("*/*"))


def test_columns_are_of_a_source(body: Path, lope_data: Callable[..., Any]) -> None:
    lope_data("ingest", body, "--columns", "text=body,label=cat")
    assert "columns (--columns) are of a source" in lope_data("build", "--from", "body", "--columns", "text=body").err
    with pytest.raises(RecipeError, match=r'columns must be a dict such as {"text": "body"}, not 5'):
        library.ingest(body, columns=5)  # type: ignore[arg-type]


def test_what_is_refused_is_not_said_to_be_read() -> None:
    said: list[str] = []
    table = pa.table({"sentence": [1, 2], "label": ["x", "y"]})
    with pytest.raises(SourceError, match="where text is needed"):
        ingest_table(table, "rows", None, Columns(), None, 0, said.append)
    assert said == []
