"""Chats in every form that sources write: ingested, made noisy, and replayed from their records."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_data.builds import Options, build, ingest
from lope_data.errors import SourceError
from lope_data.recipe import Recipe
from lope_data.rows.fields import inputs_of, targets_of
from lope_data.rows.json_type import json_column
from lope_data.rows.leaves import leaves
from lope_data.rows.messages import check_messages
from lope_data.rows.shapes import OPS, ROW_ID
from lope_data.rows.stored import stored
from lope_data.store import Version

MakeRecipe = Callable[..., Recipe]
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
PARTS = pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())]))
MIXED = {
    "mix": {"char.insert": 1, "word.shuffle": 1, "label.swap_response": 1, "label.truncate_response": 1},
    "level": 0.3,
}


def turn(i: int, *, asked: str = "Tell me of number {} please", said: str = "Number {} is a fine one") -> list[Any]:
    return [{"role": "user", "content": asked.format(i)}, {"role": "assistant", "content": said.format(i)}]


def conversation(i: int) -> list[Any]:
    return [
        {"role": "system", "content": "Be brief and kind."},
        *turn(i),
        *turn(i + 1000, asked="And what of {} then?"),
    ]


def lists_of(rows: list[Any]) -> dict[str, list[Any]]:
    """Conversations as a struct of lists."""
    return {name: [message[name] for message in rows] for name in ("role", "content")}


def in_parts(rows: list[Any]) -> list[Any]:
    """Each content in two parts of text with an image between them."""
    cut = [(message["role"], *message["content"].split(" ", 1)) for message in rows]
    return [
        {
            "role": role,
            "content": [{"type": "text", "text": a}, {"type": "image", "text": None}, {"type": "text", "text": b}],
        }
        for role, a, b in cut
    ]


def holding(kind: pa.DataType) -> pa.DataType:
    return pa.struct([("role", pa.string()), ("content", kind)])


CONVERSATIONS = [conversation(i) for i in range(40)]
FORMS: dict[str, pa.Array] = {
    "list of structs": pa.array(CONVERSATIONS, pa.list_(MESSAGE)),
    "large list, large strings": pa.array(
        CONVERSATIONS, pa.large_list(pa.struct([("role", pa.large_string()), ("content", pa.large_string())]))
    ),
    "fixed-size list": pa.array([*CONVERSATIONS[:39], None], pa.list_(MESSAGE, 5)),
    "struct of lists": pa.array(
        [lists_of(rows) for rows in CONVERSATIONS],
        pa.struct([("content", pa.list_(pa.string())), ("role", pa.list_(pa.string()))]),
    ),
    "list of conversations": pa.array(
        [[rows[:3], rows[3:]] if i % 2 else [rows] for i, rows in enumerate(CONVERSATIONS)],
        pa.list_(pa.list_(MESSAGE)),
    ),
    "list of structs of lists": pa.array(
        [[lists_of(rows[:3]), lists_of(rows[3:])] for rows in CONVERSATIONS],
        pa.list_(pa.struct([("role", pa.list_(pa.string())), ("content", pa.list_(pa.string()))])),
    ),
    "extra fields": pa.array(
        [
            [
                message | {"name": f"n{i}", "tool_calls": [{"id": i, "arguments": "{}"}], "weight": 0.5}
                for message in rows
            ]
            for i, rows in enumerate(CONVERSATIONS)
        ]
    ),
    "all-null extra fields": pa.array([[m | {"name": None, "tool_calls": []} for m in rows] for rows in CONVERSATIONS]),
    "contents in parts": pa.array([in_parts(rows) for rows in CONVERSATIONS], pa.list_(holding(PARTS))),
    "contents as lists of texts": pa.array(
        [[m | {"content": m["content"].split(" ", 1)} for m in rows] for rows in CONVERSATIONS],
        pa.list_(holding(pa.list_(pa.string()))),
    ),
    "nulls and empties": pa.array(
        [
            [None, {"role": None, "content": "who?"}, *rows, *[{"role": "assistant", "content": None}] * (i % 4 == 1)]
            if i % 4
            else ([] if i % 8 else [None, {"role": "user", "content": ""}])
            for i, rows in enumerate(CONVERSATIONS)
        ],
        pa.list_(MESSAGE),
    ),
}


def ingested(folder: Path, column: pa.Array, options: Options, name: str = "messages", **recipe: Any) -> Version:
    table = pa.table({"number": range(len(column)), name: column})
    table = table.filter(table[name].is_valid())
    pq.write_table(table, folder / "chat.parquet")
    return ingest(str(folder / "chat.parquet"), Recipe.model_validate(recipe), None, options)


def place(row: Any, path: str) -> tuple[Any, str | int]:
    """What holds the value at a path, and its key there."""
    keys = [int(number) if number else name for number, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)]
    for key in keys[:-1]:
        row = row[key]
    return row, keys[-1]


def replay(clean: pa.Table, edits: pa.Table) -> list[dict[str, Any]]:
    """The records applied to the clean rows, by FORMAT.md alone."""
    rows = {row[ROW_ID]: row for row in clean.drop([OPS]).to_pylist()}
    shift: dict[tuple[str, ...], int] = {}
    for edit in edits.to_pylist():
        holder, key = place(rows[edit["row_id"]], edit["path"])
        text = str(holder[key]).encode()
        where = (edit["row_id"], edit["step"], edit["path"])
        start, end = (edit[name] + shift.get(where, 0) for name in ("start", "end"))
        assert text[start:end].decode() == edit["before"]
        new = (text[:start] + edit["after"].encode() + text[end:]).decode()
        holder[key] = int(new) if edit["path"] == "answer" else new
        shift[where] = shift.get(where, 0) + edit["new_end"] - edit["end"]
    return list(rows.values())


def said_by(row: Any, role: str) -> list[Any]:
    """The contents of a role's messages, however they nest."""
    if isinstance(row, list):
        return [content for message in row for content in said_by(message, role)]
    if row and isinstance(row["role"], list):
        return [content for one, content in zip(row["role"], row["content"], strict=True) if one == role]
    return [row["content"]] if row and row["role"] == role else []


def check(column: pa.Array, *, or_text: bool = False) -> None:
    """As ingest does."""
    column = stored(column, "chat.parquet, column 'messages'")
    check_messages(
        column,
        lambda row: f"chat.parquet{'' if row is None else f', row {row}'}, column 'messages'",
        written=not or_text,
        or_text=or_text,
    )


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_ingested_made_noisy_and_replayed(
    form: str, tmp_path: Path, options: Options, make_recipe: MakeRecipe
) -> None:
    clean = ingested(tmp_path, FORMS[form], options)
    assert clean.manifest.shapes == {"chat": len(clean.rows)}
    noisy = build(clean, make_recipe(ratio=0.5, **MIXED), None, options)
    assert noisy.manifest.touched == round(0.5 * len(clean.rows))
    assert {op for ops in noisy.rows[OPS].to_pylist() for op in ops} >= {"label.swap_response", "word.shuffle"}
    assert replay(clean.rows, noisy.edits) == noisy.rows.drop([OPS]).to_pylist()
    opened = datasets.load_from_disk(str(noisy.folder))
    assert opened.with_format("arrow")[:].drop([OPS]).to_pylist() == noisy.rows.drop([OPS]).to_pylist()
    for before, after in zip(clean.rows.to_pylist(), noisy.rows.to_pylist(), strict=True):
        assert said_by(before["messages"], "system") == said_by(after["messages"], "system")
        asked = said_by(before["messages"], "user") != said_by(after["messages"], "user")
        answered = said_by(before["messages"], "assistant") != said_by(after["messages"], "assistant")
        label = any(op.startswith("label") for op in after[OPS])
        assert (asked, answered) == (bool(after[OPS]) and not label, label)


FLAT = ("list of structs", "large list, large strings", "struct of lists", "fixed-size list")


def test_forms_of_one_content_hold_the_same_texts_by_the_same_roles() -> None:
    columns = [stored(FORMS[form], "here").slice(0, 39) for form in FLAT]
    columns += [json_column(CONVERSATIONS[:39]), pa.array(map(json.dumps, CONVERSATIONS[:39]))]
    found = [leaves("messages", column, written=True) for column in columns]
    for one in found[1:]:
        assert one.values.equals(found[0].values)
        assert one.role.equals(found[0].role)
        assert one.row.tolist() == found[0].row.tolist()
    assert found[2].path[1].as_py() == "messages.content[1]"  # a struct of lists
    assert all(one.path.equals(found[0].path) for place, one in enumerate(found) if place != 2)


def test_extra_fields_are_kept(tmp_path: Path, options: Options, make_recipe: MakeRecipe) -> None:
    clean = ingested(tmp_path, FORMS["extra fields"], options)
    noisy = build(clean, make_recipe(ratio=1.0, **MIXED), None, options)
    for i, rows in enumerate(noisy.rows["messages"].to_pylist()):
        assert [message["name"] for message in rows] == [f"n{i}"] * 5
        assert [message["tool_calls"] for message in rows] == [[{"id": i, "arguments": "{}"}]] * 5


def test_the_paths_are_those_of_the_format(tmp_path: Path, options: Options, make_recipe: MakeRecipe) -> None:
    for form, user, answer in [
        ("list of structs", r"messages\[[13]\]\.content", r"messages\[4\]\.content"),
        ("list of conversations", r"messages\[[01]\]\[[0123]\]\.content", r"messages\[[01]\]\[[14]\]\.content"),
        ("contents in parts", r"messages\[[13]\]\.content\[[02]\]\.text", r"messages\[4\]\.content\[2\]\.text"),
        ("contents as lists of texts", r"messages\[[13]\]\.content\[[01]\]", r"messages\[4\]\.content\[1\]"),
    ]:
        clean = ingested(tmp_path, FORMS[form], options)
        edits = build(clean, make_recipe(ratio=1.0, **MIXED), None, options).edits.to_pylist()
        for edit in edits:
            assert re.fullmatch(answer if edit["op"].startswith("label") else user, edit["path"])


@pytest.mark.parametrize("op", ["label.swap_response", "label.truncate_response", "label.near_miss_number"])
def test_label_noise_changes_the_last_answer(
    op: str, tmp_path: Path, options: Options, make_recipe: MakeRecipe
) -> None:
    clean = ingested(tmp_path, FORMS["list of structs"], options)
    noisy = build(clean, make_recipe(ratio=1.0, mix={op: 1}), None, options)
    answers = []
    for before, after in zip(clean.rows["messages"].to_pylist(), noisy.rows["messages"].to_pylist(), strict=True):
        assert after[:4] == before[:4]
        assert after[4]["role"] == "assistant"
        assert after[4]["content"] != before[4]["content"]
        answers.append(after[4]["content"])
    if op == "label.swap_response":
        assert sorted(answers) == sorted(rows[4]["content"] for rows in CONVERSATIONS)


@pytest.mark.parametrize("kind", ["structs", "JSON", "a struct of lists", "parts"])
def test_a_last_answer_without_text_is_no_target(kind: str, tmp_path: Path, options: Options) -> None:
    """It may call a tool; an earlier answer is not the row's target, whatever it says."""
    said: Any = [{"role": "assistant", "content": None}, {"role": "user", "content": "?"}]
    rows = [[*turn(0), *said], turn(1), said]
    column = pa.array(rows, pa.list_(MESSAGE))
    if kind == "JSON":
        call = {"role": "assistant", "tool_calls": [{"name": "f"}]}  # without a content
        column = json_column([[*turn(0), call, said[1]], turn(1), [call]])
    elif kind == "a struct of lists":
        column = pa.array([lists_of(row) for row in rows])
    elif kind == "parts":
        parts = [[m | {"content": [{"text": m["content"]}] if m["content"] else None} for m in row] for row in rows]
        column = pa.array(parts)
    clean = ingested(tmp_path, column, options)
    targets = targets_of(clean.rows, "response")
    assert targets.table["target"].to_pylist() == [None, "Number 1 is a fine one", None]


def test_sharegpt_through_columns(tmp_path: Path, options: Options, make_recipe: MakeRecipe) -> None:
    roles = {"system": "system", "user": "human", "assistant": "gpt"}
    rows = [[{"from": roles[m["role"]], "value": m["content"]} for m in c] for c in CONVERSATIONS]
    (tmp_path / "share.jsonl").write_text(
        "".join(json.dumps({"id": i, "conversations": r}) + "\n" for i, r in enumerate(rows))
    )
    recipe = Recipe.model_validate({"columns": {"messages": "conversations", "id": "id"}})
    clean = ingest(str(tmp_path / "share.jsonl"), recipe, None, options)
    assert clean.rows["conversations"].to_pylist() == rows  # as they were
    noisy = build(clean, make_recipe(ratio=0.5, **MIXED), None, options)
    assert replay(clean.rows, noisy.edits) == noisy.rows.drop([OPS]).to_pylist()


def test_a_message_may_say_where_it_is_from() -> None:
    """ShareGPT's `from` and `value` are its names only where the usual ones are not there."""
    column = pa.array([[{"role": "user", "content": "a", "from": "phone", "value": 3}]])
    check(column)
    for one in (column, json_column(column.to_pylist())):
        found = leaves("messages", one)
        assert (found.values.to_pylist(), found.role.to_pylist()) == (["a"], ["user"])
        assert found.path.to_pylist() == ["messages[0].content"]


def test_a_table_of_chats_and_other_rows(tmp_path: Path, options: Options, make_recipe: MakeRecipe) -> None:
    rows: list[dict[str, Any]] = [{"messages": rows} for rows in CONVERSATIONS]
    rows += [{"instruction": f"Say number {i} aloud", "input": "", "output": f"It is {i}."} for i in range(40)]
    rows += [{"question": f"What is {i} and 1?", "choices": [str(i), str(i + 1)], "answer": 1} for i in range(20)]
    rows = [rows[i * 37 % 100] for i in range(100)]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clean = ingest(str(tmp_path / "mixed.jsonl"), Recipe(), None, options)
    assert clean.manifest.shapes == {"chat": 40, "instruction": 40, "multiple_choice": 20}
    ops = ("char.insert", "word.shuffle", "label.choice", "label.swap_response", "label.near_miss_number")
    recipe = make_recipe(ratio=1.0, mix=dict.fromkeys(ops, 1), level=0.3)
    noisy = build(clean, recipe, None, options)
    assert replay(clean.rows, noisy.edits) == noisy.rows.drop([OPS]).to_pylist()
    assert len(datasets.load_from_disk(str(noisy.folder))) == 100
    donors = dict(zip(clean.rows[ROW_ID].to_pylist(), clean.rows["lope_shape"].to_pylist(), strict=True))
    swaps = [edit for edit in noisy.edits.to_pylist() if edit["op"] == "label.swap_response"]
    assert {donors[edit["detail"]] for edit in swaps} == {"chat", "instruction"}  # responses are of one kind


def test_shards_change_nothing(tmp_path: Path, options: Options, make_recipe: MakeRecipe) -> None:
    clean = ingested(tmp_path, FORMS["nulls and empties"], options)
    recipe = make_recipe(ratio=0.5, **MIXED)
    small = Options(options.store, 1, 7)
    digests = [build(clean, recipe, name, o).manifest.content_digest for name, o in (("a", options), ("b", small))]
    assert digests[0] == digests[1]


def test_a_messages_column_of_rows_of_another_shape_is_left_alone(
    tmp_path: Path, options: Options, make_recipe: MakeRecipe
) -> None:
    for column in (pa.array([["a"]] * 9), pa.array(["x"] * 9), pa.array([{"n": 1}] * 9), pa.array([{"text": "t"}] * 9)):
        table = pa.table({"instruction": ["Say it again"] * 9, "output": list("abcdefghi"), "messages": column})
        pq.write_table(table, tmp_path / "rows.parquet")
        recipe = Recipe.model_validate({"shape": "instruction"})
        clean = ingest(str(tmp_path / "rows.parquet"), recipe, None, options)
        noisy = build(clean, make_recipe(ratio=1.0), None, options)
        assert noisy.rows["messages"].to_pylist() == column.to_pylist()
        assert set(noisy.edits["path"].to_pylist()) <= {"instruction", "output"}


def test_a_column_of_nulls_holds_no_messages() -> None:
    check(pa.nulls(3))


def test_conversations_may_all_be_empty() -> None:
    check(pa.array([[], []], pa.list_(pa.string())))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["hello"]), "row 0, column 'messages': 'hello' is not a list of {role, content}"),
        (pa.array([["hello"]]), "column 'messages': string, where a list"),
        (json_column([["hello"]]), "row 0, column 'messages': 'hello' is not a list of {role, content}"),
        (
            json_column([{"role": "user", "content": "a"}]),
            'row 0, column \'messages\': \'{"role":"user","content":"a"}\' is not',
        ),
        (pa.array([[{"role": "user", "text": "a"}]]), "where a list of {role, content} is needed"),
        (pa.array([[{"content": "a"}]]), "where a list of {role, content} is needed"),
        (pa.array([[{"role": 1, "content": "a"}]]), "the roles are int64, where text is needed"),
        (pa.array([[{"role": "user", "content": 1}]]), "the contents are int64, where text, or a list"),
        (
            json_column([[{"role": "user", "content": 1}]]),
            "row 0, column 'messages': the content '1' is neither text nor a list",
        ),
        (
            json_column([None, [{"role": "user"}]]),
            "row 1, column 'messages': '{\"role\":\"user\"}' has no content, as what a user says",
        ),
        (json_column([[{"role": 1, "content": "a"}]]), "row 0, column 'messages': the role '1' is no text"),
        (
            json_column([[{"content": "a"}]]),
            "row 0, column 'messages': '{\"content\":\"a\"}' has no role, as a message must",
        ),
        (json_column([[{"role": "user", "content": "\ud800"}]]), "row 0, column 'messages': not valid Unicode"),
        (pa.array([[{"role": "user", "content": "a", "raw": b"x"}]]), "a version cannot hold list<"),
        (
            pa.array([{"role": ["user"], "content": ["a"]}, {"role": ["user"], "content": ["a", "b"]}]),
            "row 1, column 'messages': 1 of 'role', but 2 of 'content'",
        ),
        (
            pa.array([[{"role": ["user"], "content": ["a"]}] * 2, [{"role": ["user"], "content": None}]]),
            "row 1, column 'messages': 1 of 'role', but 0 of 'content'",
        ),
        (pa.array([{"role": ["user"], "content": ["a"], "id": 7}]), "'id' is int64 beside a list of roles"),
    ],
)
def test_bad_messages_are_refused(column: pa.Array, message: str) -> None:
    with pytest.raises(SourceError, match=f"^chat.parquet.*{re.escape(message)}"):
        check(column)


def test_parts_without_text_are_no_text() -> None:
    column = pa.array([[{"role": "user", "content": [{"type": "image"}]}]])
    check(column)
    assert not len(leaves("messages", column).values)


def test_contents_of_two_kinds_are_read_side_by_side(tmp_path: Path, options: Options, make_recipe: MakeRecipe) -> None:
    rows = [
        turn(0),
        [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "ab cd"}]}],
    ]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps({"messages": r}) + "\n" for r in rows))
    clean = ingest(str(tmp_path / "chat.jsonl"), Recipe(), None, options)
    assert [json.loads(text) for text in clean.rows["messages"].to_pylist()] == rows
    noisy = build(clean, make_recipe(ratio=1.0, mix={"char.insert": 1}, level=0.5), None, options)
    assert set(noisy.edits["path"].to_pylist()) == {"messages[0].content", "messages[0].content[1].text"}


def test_messages_as_json_text_are_messages(ingest_rows: Callable[..., pa.Table]) -> None:
    """And stay the text that they were."""
    plain = [{"messages": conversation(i)} for i in range(3)]
    text = [{"messages": json.dumps(row["messages"])} for row in plain]
    for rows in (text, plain):
        assert ingest_rows(rows).select(["messages"]).to_pylist() == rows
    found = [inputs_of(ingest_rows(rows)) for rows in (text, plain)]
    assert found[0].values.equals(found[1].values)
    assert found[0].path.equals(found[1].path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "row 1, column 'messages': 'hello' is not a list of {role, content}"),
        ('{"role": "user", "content": "x"}', "is not a list of {role, content}"),
        ("[1, 2]", "column 'messages': "),
        ('[{"role": "user", "content": "x"}, {"role": 5, "content": "y"}]', "column 'messages'"),
    ],
)
def test_json_text_that_is_no_conversation_is_named(
    ingest_rows: Callable[..., pa.Table], text: str, message: str
) -> None:
    with pytest.raises(SourceError) as error:
        ingest_rows([{"messages": json.dumps(conversation(0))}, {"messages": text}])
    assert message in str(error.value)


def test_unknown_roles_are_named_and_those_of_tools_stay(ingest_rows: Callable[..., pa.Table]) -> None:
    said = [*conversation(0), {"role": "Tool", "content": "4 degrees"}, {"role": "observation", "content": "x"}]
    with pytest.raises(
        SourceError, match=r"row 1, column 'messages': unknown role 'prompter'; rename it to one of user, "
    ):
        ingest_rows([{"messages": said[:3]}, {"messages": [*turn(1), {"role": "prompter", "content": "?"}]}])
    roles = [message["role"] for message in ingest_rows([{"messages": said}])["messages"].to_pylist()[0]]
    assert roles[-2:] == ["Tool", "observation"]
