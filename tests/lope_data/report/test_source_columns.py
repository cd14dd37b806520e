"""show, report, diff and preview of rows in the source's own columns: the right words, whatever these are called."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_data.report.statistics import column_statistics, edit_statistics
from lope_data.rows import place_of, plain_rows, value_at
from lope_data.store import Store, Version

Cli = Callable[..., Any]
ROWS = 24
_NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def _said(i: int, what: str) -> str:
    return f"{what} {_NUMBERS[i % 12]} of {_NUMBERS[i // 12]} things, with {i + 100} parts"


@dataclass(frozen=True)
class Case:
    """A kind of source.

    Attributes:
        row: row i of it.
        text: where text noise goes in a row, and `target` where label noise goes.
        before: what label noise changes in row i.
        asked: what row i asks, on one line.
        page: what stands on the page of the clean version, of row 0.
        columns: as `--columns` has it.
        lengths: of how many texts a column has the lengths, where it has any.
    """

    row: Callable[[int], dict[str, Any]]
    text: str
    target: str
    before: Callable[[int], str]
    asked: Callable[[int], str]
    page: list[str]
    columns: str | None = None
    lengths: dict[str, int] = field(default_factory=dict)


def _sharegpt(i: int) -> dict[str, Any]:
    turns = [("Human", "Hello"), ("gpt", "Hi"), ("human", _said(i, "Tell me")), ("GPT", _said(i, "It is"))]
    return {"conversations": [{"from": role, "value": text} for role, text in turns], "id": i}


def _tools(i: int) -> dict[str, Any]:
    call = {"id": f"c{i}", "function": {"name": "count", "arguments": {"of": i, "deep": {}}}}
    parts = [{"type": "text", "text": _said(i, "Count")}, {"type": "image", "url": "x.png"}]
    said = [
        {"role": "user", "content": parts},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "12", "tool_call_id": f"c{i}"},
        {"role": "assistant", "content": _said(i, "It is")},
    ]
    return {"messages": said, "tools": [{"name": "count", "parameters": {}}]}


def _pair(i: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": _said(i, "Ask")}, {"role": "assistant", "content": _said(i, "It is")}]


def _called_like_paths(i: int) -> dict[str, Any]:
    return {"messages": _pair(i), "messages[0]": "other", "messages[0].content": {"n": i}, "messages[1].content": [i]}


CASES = {
    "columns called like paths": Case(
        _called_like_paths,
        "messages[0].content",
        "messages[1].content",
        lambda i: _said(i, "It is"),
        lambda i: _said(i, "Ask"),
        ["messages[0].content", '{"n": 0}'],
        lengths={"messages": 2 * ROWS, "messages[0]": ROWS},
    ),
    "sharegpt": Case(
        _sharegpt,
        "conversations[2].value",
        "conversations[3].value",
        lambda i: _said(i, "It is"),
        lambda i: _said(i, "Tell me"),
        ["Human: Hello\ngpt: Hi\nhuman: Tell me one of one things", "list of {from, value}"],
        lengths={"conversations": 4 * ROWS},
    ),
    "dolly": Case(
        lambda i: {
            "instruction": "Explain",
            "context": _said(i, "Of"),
            "response": _said(i, "It is"),
            "category": "qa",
        },
        "context",
        "response",
        lambda i: _said(i, "It is"),
        lambda i: f"Explain⏎{_said(i, 'Of')}",
        ["context\nOf one of one things", "response\nIt is one"],
        lengths={"instruction": ROWS, "context": ROWS, "response": ROWS, "category": ROWS},
    ),
    "tools": Case(
        _tools,
        "messages[0].content[0].text",
        "messages[3].content",
        lambda i: _said(i, "It is"),
        lambda i: _said(i, "Count"),
        [
            'user: Count one of one things, with 100 parts\n{"type": "image", "url": "x.png"}\n',
            'assistant: tool_calls: [{"id": "c0", "function": {"name": "count", "arguments": {"of": 0, "deep": {}}}}]',
            "tool: 12\n  tool_call_id: c0",
            '{"name": "count", "parameters": {}}',
            "messages\nJSON",
        ],
        lengths={"messages": 3 * ROWS, "tools": 0},
    ),
    "written": Case(
        lambda i: {"messages": json.dumps([_pair(i)])},
        "messages[0][0].content",
        "messages[0][1].content",
        lambda i: _said(i, "It is"),
        lambda i: _said(i, "Ask"),
        ["user: Ask one of one things, with 100 parts\nassistant: It is one"],
        lengths={"messages": 2 * ROWS},
    ),
    "lists": Case(
        lambda i: {"messages": {key: [one[key] for one in _pair(i)] for key in ("role", "content")}},
        "messages.content[0]",
        "messages.content[1]",
        lambda i: _said(i, "It is"),
        lambda i: _said(i, "Ask"),
        ["user: Ask one of one things, with 100 parts\nassistant: It is one", "{role, content}"],
        lengths={"messages": 2 * ROWS},
    ),
    "bool": Case(
        lambda i: {"text": _said(i, "Of"), "label": i % 2 == 0},
        "text",
        "label",
        lambda i: "true" if i % 2 == 0 else "false",
        lambda i: _said(i, "Of"),
        ["label\ntrue", "label\nbool"],
        lengths={"text": ROWS},
    ),
    "names": Case(
        lambda i: {"text": _said(i, "Of"), "label": i % 3, "tags": [i % 2], "note": "x"},
        "text",
        "label",
        lambda i: ["<low>", "mid", "high"][i % 3],
        lambda i: _said(i, "Of"),
        ["label\n<low>", 'tags\n["even"]', "label\none of 3 classes", "tags\nlist of 2 classes"],
        lengths={"text": ROWS, "note": ROWS},
    ),
    "mixed": Case(
        lambda i: {"text": _said(i, "Of"), "label": [3, "3", True][i % 3]},
        "text",
        "label",
        lambda i: ["3", '"3"', "true"][i % 3],
        lambda i: _said(i, "Of"),
        ["label\n3", "label\nJSON"],
        lengths={"text": ROWS},
    ),
    "choices": Case(
        lambda i: {"q": _said(i, "Which"), "a": f"left {i}", "b": f"right {i}", "key": str(i % 2), "user.text": "x"},
        "q",
        "key",
        lambda i: f"{['left', 'right'][i % 2]} {i}",
        lambda i: _said(i, "Which"),
        ["a\nleft 0", "b\nright 0", "key\n0"],
        "question=q,choices=a,choices=b,answer=key",
        lengths={"q": ROWS, "a": ROWS, "b": ROWS, "key": ROWS, "user.text": ROWS},
    ),
    "dots": Case(
        lambda i: {"user": {"text": "no"}, "user.text": _said(i, "Of"), "user.text[0]": "yn"[i % 2]},
        "user.text",
        "user.text[0]",
        lambda i: "yn"[i % 2],
        lambda i: _said(i, "Of"),
        ["user.text\nOf one of one things", "user.text[0]\ny", "user\nno"],
        "text=user.text,label=user.text[0]",
        lengths={"user": ROWS, "user.text": ROWS, "user.text[0]": ROWS},
    ),
    "completion": Case(
        lambda i: {"prompt": _said(i, "Say"), "completion": _said(i, "It is")},
        "prompt",
        "completion",
        lambda i: _said(i, "It is"),
        lambda i: _said(i, "Say"),
        ["prompt\nSay one of one things", "completion\nIt is one"],
        lengths={"prompt": ROWS, "completion": ROWS},
    ),
    "completion_of_messages": Case(
        lambda i: {"prompt": [_pair(0)[0], _pair(i)[0]] if i % 2 else _said(i, "Ask"), "completion": _pair(i)[1:]},
        "prompt[1].content",
        "completion[0].content",
        lambda i: _said(i, "It is"),
        lambda i: _said(i, "Ask"),
        ["prompt\nAsk one of one things", "completion\nassistant: It is one"],
        lengths={"prompt": ROWS // 2 * 3, "completion": ROWS},
    ),
}


@pytest.fixture
def made(lope_data: Cli, store: Store, tmp_path: Path) -> Callable[[str], tuple[Path, list[str]]]:
    """Writes a source; its file or folder and how to read it."""

    def make(name: str) -> tuple[Path, list[str]]:
        case = CASES[name]
        rows = [case.row(i) for i in range(ROWS)]
        path = tmp_path / f"{name}.jsonl"
        if name == "names":
            path = tmp_path / name
            label = datasets.ClassLabel(names=["<low>", "mid", "high"])
            tags = datasets.List(datasets.ClassLabel(names=["even", "odd"]))
            string = datasets.Value("string")
            features = datasets.Features({"text": string, "label": label, "tags": tags, "note": string})
            datasets.Dataset.from_list(rows, features=features).save_to_disk(str(path))
        elif name == "lists":
            path = tmp_path / f"{name}.parquet"
            pq.write_table(pa.Table.from_pylist(rows), path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path, ["--columns", case.columns] if case.columns else []

    return make


def _words(text: str) -> str:
    return " ".join(text.split())


def _page(path: Path) -> str:
    """The text of a page, a line for each of its parts."""
    body = re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"(?:<[^<>]+>)+", "\n", re.sub(r"</?(?:del|ins|span|b)\b[^>]*>", "", body))
    return html.unescape(re.sub(r"\s*\n(?!  \S+: )\s*", "\n", text))


def _built(lope_data: Cli, store: Store, source: tuple[Path, list[str]], mix: str) -> tuple[Version, Version]:
    path, columns = source
    made = lope_data("ingest", path, *columns, "--name", "clean", "--store", store.root)
    assert made.code == 0, made.err
    built = lope_data("build", "--from", "clean", "--name", "noisy", "--ratio", 1, "--mix", mix, "--store", store.root)
    assert built.code == 0, built.err
    return store.resolve("clean"), store.resolve("noisy")


@pytest.mark.parametrize("name", CASES)
def test_label_noise_says_what_was_asked_and_what_changed(
    name: str, lope_data: Cli, store: Store, made: Callable[[str], Any]
) -> None:
    case, source = CASES[name], made(name)
    op = "label.choice" if name == "choices" else "label.flip"
    op = op if case.target in ("key", "label", "user.text[0]") else "label.near_miss_number"
    _, noisy = _built(lope_data, store, source, f"{op}=1")
    assert set(noisy.edits["path"].to_pylist()) == {case.target}
    preview = lope_data("preview", "--source", source[0], *source[1], "-n", ROWS, "--ratio", 1, "--mix", f"{op}=1")
    shown = lope_data("show", "noisy", "--samples", ROWS, "--store", store.root)
    assert lope_data("report", "noisy", "--samples", ROWS, "--out", "noisy.html", "--store", store.root).code == 0
    page = _words(_page(Path("noisy.html")))
    for out in (_words(preview.out), _words(shown.out)):
        for i in range(ROWS):
            assert f"of: {case.asked(i)} {case.target}, clean: {case.before(i)} {case.target}, noisy: " in out
    for i in range(ROWS):
        assert f"prompt {case.asked(i).replace('⏎', ' ')} {case.target} clean " in page
        assert case.before(i) in page
    found = edit_statistics(noisy)
    flips = found.flips
    assert bool(found.length) == (name not in ("choices", "bool", "names", "mixed"))  # whose targets are no text
    if op == "label.flip":
        assert sum(flips.values()) == ROWS
        assert {before for before, _ in flips} == {case.before(i) for i in range(ROWS)}
        assert "rows by their label before" in page
    else:
        assert not flips


@pytest.mark.parametrize("name", CASES)
def test_text_noise_is_shown_where_it_is(name: str, lope_data: Cli, store: Store, made: Callable[[str], Any]) -> None:
    case = CASES[name]
    clean, noisy = _built(lope_data, store, made(name), "char.delete=1")
    assert case.text in noisy.edits["path"].to_pylist()
    columns = clean.layout.noisy
    rows = [
        {row["lope_row_id"]: {name: row[name] for name in columns} for row in plain_rows(version.rows)}
        for version in (clean, noisy)
    ]
    shown = _words(lope_data("show", "noisy", "--samples", ROWS, "--store", store.root).out)
    for edit in noisy.edits.to_pylist():
        if edit["path"] == case.text:
            before, after = (value_at(row[edit["row_id"]], case.text) for row in rows)
            assert before.startswith(("Of", "Ask", "Say", "Tell", "Which", "Count"))
            assert len(after) < len(before)
            assert f"{case.text}, clean: " in shown
    found = edit_statistics(noisy)
    assert found.length[place_of(case.text, columns).pattern].most < 0
    assert case.target not in found.length
    difference = lope_data("diff", "clean", "noisy", "--rows", ROWS, "--store", store.root)
    assert difference.code == 1
    assert f"  {case.text}: " in difference.out
    assert f"{ROWS} with others" in difference.out


@pytest.mark.parametrize("name", CASES)
def test_the_page_of_clean_rows(name: str, lope_data: Cli, store: Store, made: Callable[[str], Any]) -> None:
    case = CASES[name]
    clean, _ = _built(lope_data, store, made(name), "char.delete=1")
    assert lope_data("report", "clean", "--samples", ROWS, "--out", "clean.html", "--store", store.root).code == 0
    page = _page(Path("clean.html"))
    for said in case.page:
        assert said in page
    found = {column.name: column.lengths for column in column_statistics(clean)}
    assert list(found) == [name for name in clean.rows.column_names if not name.startswith("lope_")]
    assert {column: lengths.total for column, lengths in found.items() if lengths} == case.lengths


def test_text_alone(lope_data: Cli, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "plain.jsonl"
    path.write_text("".join(json.dumps({"text": _said(i, "Of")}) + "\n" for i in range(ROWS)))
    clean, _ = _built(lope_data, store, (path, []), "char.delete=1")
    assert clean.manifest.shapes == {"text": ROWS}
    shown = _words(lope_data("show", "noisy", "--samples", ROWS, "--store", store.root).out)
    assert shown.count("text, clean: Of") == shown.count("text, noisy: ") == ROWS
    assert lope_data("report", "clean", "--samples", 3, "--out", "clean.html", "--store", store.root).code == 0
    assert "text\nOf one of one things" in _page(Path("clean.html"))
    assert f"text: {ROWS}\n" in lope_data("diff", "clean", "noisy", "--store", store.root).out
    assert "text, clean: Of" in lope_data("preview", "--source", path, "--mix", "char.delete=1").out


def test_rows_with_their_own_keys_show_no_column_of_ours(lope_data: Cli, store: Store, tmp_path: Path) -> None:
    rows = [{"text": _said(i, "Of"), "label": "a", "meta": {"x": i}} for i in range(0, ROWS, 2)]
    rows += [{"label": "b", "text": _said(i, "Of"), "meta": [1, {"y": None}]} for i in range(1, ROWS, 2)]
    path = tmp_path / "keys.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    clean, _ = _built(lope_data, store, (path, []), "label.flip=1")
    assert "lope_keys" in clean.rows.column_names
    assert lope_data("report", "clean", "--samples", ROWS, "--out", "clean.html", "--store", store.root).code == 0
    page = _page(Path("clean.html"))
    assert 'meta\n{"x": 0}' in page
    assert 'meta\n[1, {"y": null}]' in page
    assert "lope_keys" not in page
    (meta,) = [column for column in column_statistics(clean) if column.name == "meta"]
    assert (meta.kind, meta.lengths) == ("JSON", None)


def test_json_that_is_hostile_stays_text(lope_data: Cli, store: Store, tmp_path: Path) -> None:
    bad = "<script>x</script>\x1b[31m\u202e\ud800"
    said = [
        {"role": "user", "content": "Hello there", bad: {bad: [bad, {}]}},
        {"role": "assistant", "content": "Hi 12"},
    ]
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps({"messages": said, "n": i}) + "\n" for i in range(8)))
    _built(lope_data, store, (path, []), "label.near_miss_number=1")
    for ref in ("clean", "noisy"):
        assert lope_data("report", ref, "--out", f"{ref}.html", "--store", store.root).code == 0
        text = Path(f"{ref}.html").read_text(encoding="utf-8")
        assert not set(text) & set("\x1b\u202e")
        assert "<script" not in text
    assert "⟨U+202E⟩" in Path("clean.html").read_text(encoding="utf-8")
    for verb in (("show", "noisy", "--samples", 3), ("diff", "clean", "noisy")):
        run = lope_data(*verb, "--store", store.root)
        assert run.code in (0, 1)
        assert not set(run.out) & set("\x1b\u202e")
