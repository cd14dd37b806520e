"""`python -m lope_data diff`: manifests, recipes, rates, and rows of two versions."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lope_data.builds import Options, build, ingest
from lope_data.recipe import Recipe
from lope_data.report.diff_rows import _unequal, row_difference
from lope_data.report.difference import compare_keys
from lope_data.report.pieces import text_pieces
from lope_data.rows import OPS, ROW_ID
from lope_data.store import Store, Version

Cli = Callable[..., Any]
Noisy = Callable[..., Version]


@pytest.fixture
def made(options: Options, tmp_path: Path) -> Callable[..., Version]:
    """Ingests rows under a name: `made("a", rows)`."""

    def make(name: str, rows: list[dict[str, Any]], **recipe: Any) -> Version:
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
        return ingest(str(tmp_path / f"{name}.json"), Recipe.model_validate(recipe), None, options)

    return make


def test_parent_and_child(lope_data: Cli, store: Store, sample: Version, noisy: Noisy) -> None:
    built = noisy(ratio=0.2, name="h")
    run = lope_data("diff", "sample", "h", "--store", store.root)
    assert run.code == 1
    assert "\x1b" not in run.out
    assert all(len(line) <= 80 for line in run.out.splitlines())
    assert "2,400 in both" in run.out
    assert "0 in both (0 with the same edits), 0 only in A, 480 only in B" in run.out
    clean, dirty = sample.rows.to_pylist(), built.rows.to_pylist()
    different = sum({**a, OPS: 0} != {**b, OPS: 0} for a, b in zip(clean, dirty, strict=True))
    assert f"{2400 - different:,} with equal values, {different:,} with others" in run.out
    answers = sum(a["answer"] != b["answer"] for a, b in zip(clean, dirty, strict=True))
    assert f"    answer: {answers}\n" in run.out
    assert f"{different - 5} more such rows" in run.out


def test_the_same_content(lope_data: Cli, store: Store, noisy: Noisy) -> None:
    one, two = noisy(ratio=0.1, name="a"), noisy(ratio=0.1, name="b")
    assert one.manifest.content_digest == two.manifest.content_digest
    run = lope_data("diff", "a", "b", "--store", store.root)
    assert run.code == 0
    assert "The same content" in run.out
    run = lope_data("diff", "a", "b", "--store", store.root, "--json")
    assert run.code == 0
    assert run.json["same_content"] is True
    assert run.json["rows"] is None


def test_ratios_are_nested(lope_data: Cli, store: Store, noisy: Noisy) -> None:
    noisy(ratio=0.1, name="a")
    noisy(ratio=0.2, name="b")
    found = lope_data("diff", "a", "b", "--store", store.root, "--json").json
    assert found["recipe"]["changed"]["steps[0].ratio"] == ["0.1", "0.2"]
    assert found["rows"]["touched"] == {"both": 240, "a": 0, "b": 240, "neither": 1920}
    assert found["rows"]["same_edits"] == 240
    assert found["facts"]["changed"]["touched"] == ["240", "480"]


def test_other_seeds_have_other_edits(store: Store, noisy: Noisy) -> None:
    one, two = (
        noisy(ratio=1.0, name="a", mix={"char.insert": 1}),
        noisy(ratio=1.0, name="b", seed=1, mix={"char.insert": 1}),
    )
    found = row_difference(one, two, 3)
    assert found.touched["both"] == 2400
    mine, others = ({}, {})
    for version, into in ((one, mine), (two, others)):
        for edit in version.edits.to_pylist():
            into.setdefault(edit["row_id"], []).append(edit)
    assert found.same_edits == sum(mine[row] == others[row] for row in mine) < 200
    assert len(found.pairs) == 3


def test_rows_added_removed_and_moved(made: Callable[..., Version], options: Options) -> None:
    rows = [{"text": f"row number {i}", "label": "x"} for i in range(3000)]
    shuffled = rows[200:] + [{"text": f"new {i}", "label": "x"} for i in range(7)]
    shuffled.sort(key=lambda row: zlib.crc32(row["text"].encode()))
    recipe = Recipe.model_validate({"steps": [{"ratio": 1.0, "level": 0.2, "mix": {"char.delete": 1}}]})
    one = build(made("a", rows), recipe, None, options)
    two = made("b", shuffled)
    found = row_difference(one, two, 1)
    assert (found.common, found.only_a, found.only_b) == (2800, 200, 7)
    assert not found.same_order
    assert found.different == 2800
    assert found.columns == {"text": 2800}
    theirs = {row[ROW_ID]: row["text"] for row in two.rows.to_pylist()}
    pair = found.pairs[0]
    assert pair.values["text"][1] == theirs[pair.row_id]
    assert set(found.ids_only_a) <= {row[ROW_ID] for row in one.rows.to_pylist()} - theirs.keys()
    assert row_difference(two, one, 1).ids_only_b == found.ids_only_a


def test_other_schemas(lope_data: Cli, store: Store, made: Callable[..., Version]) -> None:
    columns = {"columns": {"id": "id"}}
    made(
        "a",
        [{"id": "1", "text": "one", "label": "x", "n": 5, "extra": 1}, {"id": "2", "text": "", "label": "x", "n": 6}],
        **columns,
    )
    made("b", [{"id": "1", "question": "one", "choices": ["p"], "answer": 0, "n": "5"}], **columns)
    run = lope_data("diff", "a", "b", "--store", store.root)
    assert run.code == 1
    assert "columns only in A, not compared: text (string)" in run.out
    assert "n: 1 (int64 in A, string in B)" in run.out
    assert 'n: [-5-]{+"5"+}' in run.out
    assert "1 only in A: 2" in run.out


def test_no_row_in_common(lope_data: Cli, store: Store, made: Callable[..., Version]) -> None:
    made("a", [{"text": "one", "label": "x"}])
    made("b", [{"text": "two", "label": "x"}])
    run = lope_data("diff", "a", "b", "--store", store.root)
    assert run.code == 1
    assert "0 in both" in run.out


def test_chats(lope_data: Cli, store: Store, made: Callable[..., Version]) -> None:
    columns = {"columns": {"id": "id"}}
    one = [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": "Hi"}]
    two = [{"role": "user", "content": "Hello here", "name": "me"}]
    made("a", [{"id": "1", "messages": one}, {"id": "2", "messages": one}], **columns)
    made("b", [{"id": "1", "messages": two}, {"id": "2", "messages": one}], **columns)
    run = lope_data("diff", "a", "b", "--store", store.root)
    assert "1 with equal values, 1 with others" in run.out
    assert "messages[0].content: Hello [-t-]here" in run.out
    assert 'messages[0].name: [-null-]{+"me"+}' in run.out
    assert "messages[1]: [-" in run.out


def test_json(lope_data: Cli, store: Store, made: Callable[..., Version]) -> None:
    columns = {"columns": {"id": "id"}}
    call = {"role": "assistant", "tool_calls": [{"name": "f", "n": 1}]}
    said = [{"role": "user", "content": "Hello there"}, call, {"role": "assistant", "content": "Hi"}]
    other = [{"role": "user", "content": "Hello there"}, {**call, "tool_calls": [{"name": "g"}]}, said[2]]
    plain = [said[0], said[2]]
    for name, talk in (("a", said), ("b", other), ("c", plain)):
        rows = [{"id": str(i), "messages": talk if i == 1 else plain, "meta": {"x": i} if i else {}} for i in range(3)]
        made(name, rows, **columns)
    run = lope_data("diff", "a", "b", "--store", store.root)
    assert "2 with equal values, 1 with others" in run.out
    assert "messages[1].tool_calls[0].name: [-f-]{+g+}" in run.out
    assert "messages[1].tool_calls[0].n: [-1-]{+null+}" in run.out
    assert "meta" not in run.out
    run = lope_data("diff", "a", "c", "--store", store.root)  # of JSON and of structs: values are what counts
    assert "2 with equal values, 1 with others" in run.out
    assert "messages: 1 (JSON in A, list<" in run.out


def test_messages_as_json_in_strings(lope_data: Cli, store: Store, made: Callable[..., Version]) -> None:
    said = [
        [{"role": "user", "content": "Hello there"}, {"role": "assistant", "content": text}] for text in ("Hi", "Ho")
    ]
    for name, talk in zip("ab", said, strict=True):
        made(name, [{"id": "1", "messages": json.dumps(talk)}], columns={"id": "id"})
    assert "  messages[1].content: H[-i-]{+o+}\n" in lope_data("diff", "a", "b", "--store", store.root).out


def test_class_numbers_are_compared_by_their_names(
    lope_data: Cli, store: Store, options: Options, tmp_path: Path
) -> None:
    for name, names, labels in (("a", ["no", "yes"], [0, 1, 1]), ("b", ["yes", "no", "maybe"], [1, 0, 2])):
        label = datasets.ClassLabel(names=names)
        features = datasets.Features({"id": datasets.Value("string"), "text": datasets.Value("string"), "label": label})
        rows = {"id": list("123"), "text": ["x", "y", "z"], "label": labels}
        datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / name))
        ingest(str(tmp_path / name), Recipe.model_validate({"columns": {"id": "id"}}), None, options)
    run = lope_data("diff", "a", "b", "--store", store.root)
    assert "2 with equal values, 1 with others" in run.out
    assert "  label: [-yes-]{+maybe+}\n" in run.out
    lines = " ".join(run.out.split())
    assert 'layout: [-"classification: label=label, text=text; classes of label: no, yes"-]' in lines
    assert run.out.count("layout") == 1


def test_layouts_that_differ_are_said(lope_data: Cli, store: Store, made: Callable[..., Version]) -> None:
    made("a", [{"text": "one", "label": "x", "n": 1}, {"text": "two", "label": "x"}])
    made("b", [{"text": "one", "label": "x"}])
    made(
        "c", [{"q": "one", "p": "1", "r": "2", "k": 0}], columns={"question": "q", "choices": ["p", "r"], "answer": "k"}
    )
    found = lope_data("diff", "a", "c", "--store", store.root, "--json").json
    one, other = found["facts"]["changed"]["layout"]
    assert one == '"classification: label=label, text=text; absent: n"'
    assert other == '"multiple_choice: answer=k, choices=p+r, question=q"'
    assert "layout" in lope_data("diff", "a", "b", "--store", store.root, "--json").json["facts"]["changed"]


def test_colours_or_marks(
    lope_data: Cli, store: Store, made: Callable[..., Version], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = {"columns": {"id": "id"}}
    made("a", [{"id": "1", "text": "an old word \x1b[2J\u202e", "label": "x"}], **columns)
    made("b", [{"id": "1", "text": "an new word \x1b[2K\u202d", "label": "x"}], **columns)
    marked = lope_data("diff", "a", "b", "--store", store.root).out
    assert "an [-old-]{+new+} word ␛[[-2J⟨U+202E⟩-]{+2K⟨U+202D⟩+}" in marked
    assert "\x1b" not in marked
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    coloured = lope_data("diff", "a", "b", "--store", store.root).out
    assert "\x1b[9;31mold\x1b[0m\x1b[1;32mnew\x1b[0m" in coloured
    assert "\x1b[2J" not in coloured
    assert "[-old-]" not in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "[-old-]" in lope_data("diff", "a", "b", "--store", store.root).out


@pytest.mark.parametrize("refs", [("sample", "nope"), ("nope", "sample"), ("sample", "/"), ("sample",)])
def test_bad_references(lope_data: Cli, store: Store, sample: Version, refs: tuple[str, ...]) -> None:
    run = lope_data("diff", *refs, "--store", store.root)
    assert run.code == 2
    assert run.err.startswith("error: ")


def test_a_version_that_cannot_be_read(lope_data: Cli, store: Store, sample: Version, noisy: Noisy) -> None:
    built = noisy(ratio=0.1, name="h")
    for file in built.folder.glob("data-*.arrow"):
        file.write_bytes(b"nothing")
    run = lope_data("diff", "sample", "h", "--store", store.root)
    assert run.code == 2
    assert "cannot be read" in run.err


def test_recipes_key_by_key() -> None:
    found = compare_keys({"a": {"b": [1, 2]}, "c": 1, "d": {}}, {"a": {"b": [1, 3]}, "d": {"e": None}})
    assert found.same == 1
    assert found.changed == {"a.b[1]": ("2", "3")}
    assert found.only_a == {"c": "1", "d": "{}"}
    assert found.only_b == {"d.e": "null"}


MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(pa.string()))]))
NARROW_AND_WIDE = [
    (pa.string(), pa.large_string()),
    (pa.int64(), pa.int64()),
    (pa.float64(), pa.float64()),
    (pa.bool_(), pa.bool_()),
    (pa.list_(pa.string()), pa.large_list(pa.large_string())),
    (pa.date32(), pa.date32()),
    (pa.timestamp("us"), pa.timestamp("us")),
    (pa.decimal128(9, 2), pa.decimal128(9, 2)),
    (pa.decimal256(60, 2), pa.decimal256(60, 2)),
    (pa.null(), pa.null()),
    (MESSAGES, pa.large_list(pa.struct([("role", pa.large_string()), ("content", pa.large_list(pa.string()))]))),
]
SAMPLES: dict[pa.DataType, list[Any]] = {
    pa.int64(): [0, 1, -(2**63)],
    pa.float64(): [0.0, 1.5],
    pa.bool_(): [False, True],
    pa.date32(): [date(1, 1, 1), date(2000, 1, 1)],
    pa.timestamp("us"): [datetime(1970, 1, 1), datetime(2000, 1, 1, 1)],
    pa.decimal128(9, 2): [Decimal("0.01"), Decimal("1.00")],
    pa.decimal256(60, 2): [Decimal("0.01"), Decimal("1.00")],
}
TEXTS = st.none() | st.sampled_from(["", "a", "b", "aé" * 9])


def values(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type, few of them, so that equal ones are common."""
    if pa.types.is_null(kind):
        return st.none()
    if pa.types.is_list(kind):
        return st.none() | st.lists(values(kind.value_type), max_size=2)
    if pa.types.is_struct(kind):
        return st.none() | st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    if pa.types.is_string(kind):
        return TEXTS
    return st.none() | st.sampled_from(SAMPLES[kind])


@given(st.data())
def test_columns_compare_as_their_values_do(data: st.DataObject) -> None:
    kinds = data.draw(st.sampled_from(NARROW_AND_WIDE))
    rows = data.draw(st.lists(st.tuples(values(kinds[0]), values(kinds[0])), max_size=6))
    one, other = ([row[side] for row in rows] for side in (0, 1))
    columns = (
        pa.chunked_array([pa.array(half, kind) for half in (side[:2], side[2:])], kind)
        for side, kind in ((one, kinds[0]), (other, kinds[1]))
    )
    assert _unequal(*columns, None, None).tolist() == [a != b for a, b in rows]


@given(st.text("ab é\u0301\n🧑‍🚀", max_size=12), st.text("ab é\u0301\n🧑‍🚀", max_size=12))
def test_pieces_give_both_texts(a: str, b: str) -> None:
    pieces = text_pieces(a, b)
    assert "".join(kept + before for kept, before, _ in pieces) == a
    assert "".join(kept + after for kept, _, after in pieces) == b
    assert all(bool(kept) != bool(before or after) for kept, before, after in pieces)
    assert a != b or all(kept for kept, _, _ in pieces)


def test_pieces_are_those_that_a_reader_would_mark() -> None:
    assert text_pieces("The quick fox", "The slow fox") == [("The ", "", ""), ("", "quick", "slow"), (" fox", "", "")]
    assert text_pieces("helo", "hello")[0] == ("hel", "", "")
    assert text_pieces("cafe\u0301 au lait", "cafe au lait")[1] == ("", "e\u0301", "e")
    assert len(text_pieces("Paris is the capital.", "I do not know it, sorry!")) == 1


def test_long_texts_are_not_aligned() -> None:
    one, other = (" ".join(str(i * step % 7919) for i in range(20_000)) for step in (3, 5))
    assert text_pieces(f"the same {one}", f"the same {other}") == [("", f"the same {one}", f"the same {other}")]
