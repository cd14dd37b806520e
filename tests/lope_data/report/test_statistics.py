"""The numbers of the HTML report: each computed again here in plain Python, row by row."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lope_data.builds import Options, build, ingest
from lope_data.recipe import Recipe
from lope_data.report.distribution import Distribution
from lope_data.report.sample_rows import undone, version_samples
from lope_data.report.statistics import column_statistics, edit_statistics
from lope_data.rows import plain_rows, value_at
from lope_data.store import Store, Version

GOLDEN = Path(__file__).parents[2] / "golden" / "store"
STEPS = [
    {"name": "typos", "ratio": 0.4, "level": 0.2, "mix": {"char": 2, "word.shuffle": 1, "word.repeat": 1}},
    {"name": "form", "ratio": 0.4, "mix": "structure"},
    {"name": "words", "ratio": 0.4, "level": 0.3, "mix": "word"},
    {"name": "labels", "ratio": 0.3, "mix": "label"},
    {"name": "again", "ratio": 0.3, "mix": "label"},
]


def _chat(i: int) -> dict[str, Any]:
    turns = [
        [
            {"role": "user", "content": f"Tell me, friend, of number {i + j} 👩‍👩‍👧 please"},
            {"role": "assistant", "content": f"It is {i * j}, a fine one\nñandú"},
        ]
        for j in range(1 + i % 3)
    ]
    return {"messages": [message for turn in turns for message in turn], "note": "x" * (i % 5), "more": None}


@pytest.fixture
def many_steps(options: Options) -> Callable[[str], Version]:
    """A version on which five steps wrote over each other: of the sample, which mixes three shapes, or of chats."""

    def make(what: str, shard_rows: int = 1000) -> Version:
        source = what
        if what == "chats":
            path = options.store.root.parent / "chats.jsonl"
            path.write_text("".join(json.dumps(_chat(i)) + "\n" for i in range(150)))
            source = str(path)
        mine = replace(options, shard_rows=shard_rows)
        parent = ingest(source, Recipe(), 300 if what == "sample" else None, mine)
        recipe = Recipe.model_validate({"seed": 5, "steps": STEPS})
        return build(parent, recipe, f"{what}-many-{shard_rows}", mine, allow_shortfall=True)

    return make


def _golden() -> Version:
    return Store(GOLDEN).resolve("golden")


def _check_edits(version: Version) -> None:
    """Compares the statistics with those of a loop over all edits."""
    found = edit_statistics(version)
    edits = version.edits.to_pylist()
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    by_op: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    by_path: dict[str, list[str]] = defaultdict(list)
    first: dict[str, list[str]] = defaultdict(list)
    for edit in edits:
        path = re.sub(r"\[\d+\]", "[]", edit["path"])
        rows[edit["row_id"]].append(edit | {"path": path})
        by_op[edit["step"], edit["op"], path].append(edit["row_id"])
        by_path[path].append(edit["row_id"])
        if edit["row_id"] not in first[edit["op"]]:
            first[edit["op"]].append(edit["row_id"])
    assert asdict(found.all) == {"edits": len(edits), "rows": len(rows)}
    assert found.all.rows == version.manifest.touched
    assert {k: asdict(v) for k, v in found.by_op.items()} == _uses(by_op)
    assert {k: asdict(v) for k, v in found.by_path.items()} == _uses(by_path)
    assert dict(found.first) == {op: ids[:50] for op, ids in first.items()}

    a_row: dict[str, Counter[int]] = defaultdict(Counter)
    length: dict[str, Counter[int]] = defaultdict(Counter)
    flips: Counter[tuple[str, str]] = Counter()
    for mine in rows.values():
        a_row[""][len(mine)] += 1
        for level, count in Counter(edit["op"].split(".")[0] for edit in mine).items():
            a_row[level][count] += 1
        change: dict[str, int] = defaultdict(int)
        for edit in mine:
            if edit["path"] != "answer":
                for key in ("", edit["path"]):
                    change[key] += len(edit["after"]) - len(edit["before"])
        for key, characters in change.items():
            length[key][characters] += 1
        labels = [edit for edit in mine if edit["path"] == "label"]
        if labels:
            flips[labels[0]["before"], labels[-1]["after"]] += 1
    assert _counts(found.a_row) == a_row
    assert _counts(found.length) == length
    assert found.flips == flips


def _uses(ids: dict[Any, list[str]]) -> dict[Any, dict[str, int]]:
    return {key: {"edits": len(found), "rows": len(set(found))} for key, found in ids.items()}


def _counts(found: dict[str, Distribution]) -> dict[str, Counter[int]]:
    return {k: Counter(dict(zip(d.values.tolist(), d.counts.tolist(), strict=True))) for k, d in found.items()}


def test_of_the_golden_version() -> None:
    _check_edits(_golden())


@pytest.mark.parametrize("what", ["sample", "chats"])
def test_of_versions_of_many_steps(many_steps: Callable[..., Version], what: str) -> None:
    version = many_steps(what)
    _check_edits(version)
    assert sum(len(ops) > 1 for ops in version.rows["lope_ops"].to_pylist()) > 20


def test_lengths_are_those_of_the_texts(many_steps: Callable[..., Version]) -> None:
    version = many_steps("sample")
    assert version.parent is not None
    columns = ("instruction", "input", "output", "question", "text", "label")
    pairs = zip(version.parent.rows.to_pylist(), version.rows.to_pylist(), strict=True)
    change = sum(len(after[name] or "") - len(before[name] or "") for before, after in pairs for name in columns)
    assert edit_statistics(version).length[""].sum == change


def test_shards_change_nothing(many_steps: Callable[..., Version]) -> None:
    one, other = many_steps("sample", 1000), many_steps("sample", 45)
    assert len(list((other.folder / "edits").iterdir())) > 5
    mine, theirs = edit_statistics(one), edit_statistics(other)
    assert (mine.all, mine.by_op, mine.flips, mine.first) == (theirs.all, theirs.by_op, theirs.flips, theirs.first)
    assert _counts(mine.a_row) == _counts(theirs.a_row)
    assert _counts(mine.length) == _counts(theirs.length)
    assert version_samples(one, mine, 40) == version_samples(other, theirs, 40)


@pytest.mark.parametrize("what", ["sample", "chats", "golden"])
def test_columns(many_steps: Callable[..., Version], what: str) -> None:
    version = _golden() if what == "golden" else many_steps(what)
    rows = version.rows.to_pylist()
    found = {column.name: column for column in column_statistics(version)}
    assert list(found) == [name for name in version.rows.column_names if not name.startswith("lope_")]
    for name, column in found.items():
        values = [row[name] for row in rows]
        assert column.nulls == sum(value is None for value in values)
        texts = [len(text) for value in values for text in _texts(value)]
        assert (column.lengths is None) == (name == "answer")
        if column.lengths is not None:
            assert _counts({"": column.lengths})[""] == Counter(texts)


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, dict):
        return _texts(value["content"])
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("what", ["sample", "chats", "golden"])
def test_every_row_is_undone_to_its_parent(many_steps: Callable[..., Version], what: str) -> None:
    version = _golden() if what == "golden" else many_steps(what)
    assert version.parent is not None
    clean = {row["lope_row_id"]: row for row in plain_rows(version.parent.rows)}
    noisy = {row["lope_row_id"]: row for row in plain_rows(version.rows)}
    edits: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for edit in version.edits.to_pylist():
        edits[edit["row_id"], edit["path"]].append(edit)
    for (row_id, path), mine in edits.items():
        pieces = undone(str(value_at(noisy[row_id], path)), mine)
        assert "".join(kept + before for kept, before, _ in pieces) == str(value_at(clean[row_id], path))
        assert "".join(kept + after for kept, _, after in pieces) == str(value_at(noisy[row_id], path))
        assert all(bool(kept) != bool(before or after) for kept, before, after in pieces)


def test_samples_take_the_levels_in_turn(noisy: Callable[..., Version]) -> None:
    version = noisy(ratio=0.5, mix={"char": 1, "word": 1, "label": 1, "structure": 1})
    found = version_samples(version, edit_statistics(version), 8)
    assert [sample.ops[0].split(".")[0] for sample in found] == ["char", "label", "structure", "word"] * 2
    assert len({op for sample in found for op in sample.ops}) == 8
    assert len(version_samples(version, edit_statistics(version), 900)) == 900
    assert version_samples(version, edit_statistics(version), 0) == []


def test_a_row_whose_target_alone_changed_says_what_it_asks(noisy: Callable[..., Version]) -> None:
    version = noisy(ratio=1.0, mix={"label": 4, "char": 1})
    rows = {row["lope_row_id"]: row for row in version.rows.to_pylist()}
    kinds = set()
    for sample in version_samples(version, edit_statistics(version), 100):
        row = rows[sample.row_id]
        asked = [row[name] for name in ("instruction", "input", "question", "text") if row[name]]
        labels_only = sample.ops[0].startswith("label.")
        assert sample.prompt == ("\n".join(asked) if labels_only else "")
        kinds.add((row["lope_shape"], labels_only))
    assert len(kinds) == 6


@pytest.mark.parametrize("spread", [3, 40, 5_000])
def test_a_distribution_is_that_of_its_numbers(spread: int) -> None:
    draw = np.random.default_rng(spread)
    numbers = np.concatenate([draw.integers(-spread, spread, 999), [10 * spread * spread]])
    cuts = np.array_split(numbers, 4)
    found = Distribution.merged(Distribution.of(part) for part in cuts)
    assert (found.total, found.sum, found.least, found.most) == (1000, numbers.sum(), numbers.min(), numbers.max())
    assert found.mean == pytest.approx(numbers.mean())
    for share in (0.01, 0.5, 0.95, 1.0):
        assert found.quantile(share) == np.quantile(numbers, share, method="inverted_cdf")
    assert found.between(-2, 2) == sum(-2 <= number <= 2 for number in numbers)
    bars = found.bars(24)
    assert len(bars) <= 24
    assert sum(bar.count for bar in bars) == 1000
    for bar in bars:
        low = -np.inf if bar.below else bar.low
        high = np.inf if bar.above else bar.high
        assert bar.count == found.between(low, high)
    assert bars[-1].above  # one number far out does not crowd the others into one bar
    assert max(bar.count for bar in bars) < 500


def test_a_distribution_of_nothing_has_no_bars() -> None:
    assert Distribution.merged([]).bars() == []
    assert [(bar.label, bar.count) for bar in Distribution.of(np.array([7, 7])).bars()] == [("7", 2)]
