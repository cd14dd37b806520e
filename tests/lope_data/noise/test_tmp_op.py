"""What every text op must hold, over the whole registry: a new op is tested by being registered.

`PYTHONPATH=. python tests/lope_data/noise/test_every_op.py` commits the golden output of ops that have none yet, or
whose version has changed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lope_data.noise.op import Params, TextOp
from lope_data.noise.registry import all_ops, op_version
from lope_data.text import Cells, Draw, Edits, cells_text, row_hashes, splice

GOLDEN = Path(__file__).parent / "golden_ops.json"
PARAMS = {"word.synonym": {"wordnet": str(Path(__file__).parent / "wordnet")}}  # the others take their defaults
TEXT_OPS = [op for op in all_ops().values() if isinstance(op, TextOp)]
every_text_op = pytest.mark.parametrize("op", TEXT_OPS, ids=lambda op: op.name)

CORPUS = [
    "The quick brown fox jumps over the lazy dog.",
    "Name three primary colours,\nand say why they are called so!",
    "def f(x):\n    return x + 1  # keep\tmy  spaces\r\n",
    "Ärger über öffentliche Gebäude: naïve café, cafe\u0301.",
    "👨\u200d👩\u200d👧 family 🇩🇪 flag 日本語 テキスト العربية",
    "aaaa aaaa bbbb",
    "to be or not to be, that is the question",
]

messy = st.text(st.sampled_from("ab \n\r\t\0é\u0301\u200d👩👧🇩🇪日ا가가\u00a0\u3000!"), max_size=30) | st.text(
    max_size=30
)


def params_of(op: TextOp) -> Params:
    return op.params(**PARAMS.get(op.name, {}))


def cells_of(op: TextOp, texts: list[str]) -> Cells:
    """The texts as rows of one cell, for an op on fields of a cell for each part between spaces."""
    fields = [text.split(" ") if op.unit == "field" else [text] for text in texts]
    bounds = np.cumsum([0, *map(len, fields)])
    return Cells.of(pa.array([field for row in fields for field in row], pa.string()), bounds)


def rows_of(cells: Cells, values: list[str]) -> list[str]:
    """The texts of rows whose cells have these values."""
    return [" ".join(values[low:high]) for low, high in pairwise(cells.row_bounds.tolist())]


def corrupt(op: TextOp, texts: list[str], level: float, ids: list[str] | None = None) -> tuple[list[str], Edits, Cells]:
    """The op on the texts that it can change."""
    cells = cells_of(op, texts)
    draw = Draw((614, 1, "test", op.name), row_hashes(pa.array(ids or [str(i) for i in range(len(texts))])))
    edits, _ = op.apply(cells, draw, level, params_of(op))
    return rows_of(cells, splice(cells, edits).to_pylist()), edits, cells


def changeable(op: TextOp, texts: list[str]) -> list[int]:
    return np.flatnonzero(op.ground(cells_of(op, texts), params_of(op)).room).tolist()


pieces = st.lists(
    st.sampled_from(
        [
            *"abI.,!? \n\r\t\0",
            " ",
            " the ",
            " the the",
            "teh ",
            "1l0",
            "\u0301",
            "\u200d",
            "👩",
            "日",
            "\u00a0",
            "é",
            "12 34 ",
            "aa",
        ]
    ),
    max_size=40,
).map("".join)


@every_text_op
@settings(max_examples=2500, deadline=None)
@given(data=st.data())
def test_a_look_at_the_head_says_what_the_whole_says(op: TextOp, data: st.DataObject) -> None:
    """Of rows of no, one or several cells, with bytes that are barred or without."""
    rows = data.draw(st.lists(st.lists(pieces, max_size=2), max_size=6))
    bounds = np.cumsum([0, *map(len, rows)])
    cells = Cells.of(pa.array([text for row in rows for text in row], pa.large_string()), bounds)
    if data.draw(st.booleans()):
        barred = np.random.default_rng(data.draw(st.integers(0, 99))).random(len(cells.data)) < 0.05
        cells = replace(cells, barred=barred)
    assert op.can(cells, params_of(op)).tolist() == (op.ground(cells, params_of(op)).room > 0).tolist()


@every_text_op
def test_output_is_golden(op: TextOp) -> None:
    """The committed digest of each op's output: when it changes, the op's version must."""
    assert json.loads(GOLDEN.read_text())[op.name] == golden(op)


def golden(op: TextOp) -> dict[str, str]:
    """The version of the op, a digest of what it makes of the corpus, and the first of that to look at."""
    texts = [CORPUS[i] for i in changeable(op, CORPUS)]
    noisy, _, _ = corrupt(op, texts, 0.2)
    digest = hashlib.sha256("\x1e".join(noisy).encode()).hexdigest()[:16]
    return {"version": op_version(op, params_of(op)), "digest": digest, "first": noisy[0]}


@every_text_op
@settings(max_examples=60)
@given(texts=st.lists(messy, max_size=12), level=st.sampled_from([0.01, 0.1, 0.3, 0.7, 1.0]))
def test_changes_every_row_and_replays_both_ways(op: TextOp, texts: list[str], level: float) -> None:
    texts = [texts[i] for i in changeable(op, texts)]
    noisy, edits, cells = corrupt(op, texts, level)
    old, new = ([text.encode() for text in values.to_pylist()] for values in (cells_text(cells), splice(cells, edits)))
    forward, backward = list(old), list(new)
    shift = 0
    for i, after in enumerate(edits.after.to_pylist()):
        cell = int(edits.cell[i])
        if i == 0 or cell != edits.cell[i - 1]:
            shift = 0
        start, end = (int(edge[i] - cells.bounds[cell]) for edge in (edits.start, edits.end))
        before = old[cell][start:end]
        assert 0 <= start <= end <= len(old[cell])
        forward[cell] = forward[cell][: start + shift] + after + forward[cell][end + shift :]
        shift += len(after) - (end - start)
        backward[cell] = backward[cell][:start] + before + backward[cell][start + len(after) :]
    assert rows_of(cells, [text.decode() for text in forward]) == noisy
    assert rows_of(cells, [text.decode() for text in backward]) == texts
    assert all(before != after for before, after in zip(texts, noisy, strict=True))


@every_text_op
def test_rows_do_not_depend_on_their_neighbours(op: TextOp) -> None:
    rows = changeable(op, CORPUS)
    texts, ids = [CORPUS[i] for i in rows], [str(i) for i in rows]
    whole, _, _ = corrupt(op, texts, 0.3, ids)
    backwards, _, _ = corrupt(op, texts[::-1], 0.3, ids[::-1])
    assert backwards[::-1] == whole
    assert [corrupt(op, [text], 0.3, [i])[0][0] for text, i in zip(texts, ids, strict=True)] == whole


@every_text_op
def test_different_rows_get_different_noise(op: TextOp) -> None:
    """NL-Augmenter re-seeded in every call, so each row got the same noise; recode's seeds changed nothing."""
    noisy, _, _ = corrupt(op, [" ".join(CORPUS[:4])] * 50, 0.3)
    assert len(set(noisy)) > (1 if op.pick == "last" else 20)  # only how many were hit is drawn


@every_text_op
@pytest.mark.parametrize("level", [0.05, 0.1, 0.3])
def test_realised_level_is_the_expected_one(op: TextOp, level: float) -> None:
    texts = [f"{CORPUS[i % 2]} Row {i} says {CORPUS[(i + 1) % 2]}" for i in range(2000)]
    _, edits, cells = corrupt(op, texts, level)
    changed, expected = len(edits) * op.per_hit, op.expected(op.ground(cells, params_of(op)), level).sum()
    assert changed == pytest.approx(expected, rel=0.02)


@every_text_op
def test_every_place_is_hit(op: TextOp) -> None:
    """butter_fingers never hit 83 of the first 90 places."""
    text = "abcdefghij klmnopqrst uvwxyzabcd efghijklmn opqrstuvwx yzabcdefgh ijklmnopqr stuvwxyzab cd"
    spans = op.ground(cells_of(op, [text]), params_of(op)).spans
    _, edits, many = corrupt(op, [text] * 600, 0.2)
    begin = many.bounds[many.row_bounds[edits.row]]
    starts, ends = set((edits.start - begin).tolist()), set((edits.end - begin)[edits.end > edits.start].tolist())
    inner = np.sort((edits.start - begin)[edits.end == edits.start])
    split = np.searchsorted(inner, spans.end) > np.searchsorted(inner, spans.start, side="right")
    hit = split | np.isin(spans.start, list(starts)) | np.isin(spans.end, list(ends))
    reach = int(np.ceil(0.2 * len(hit))) if op.pick == "last" else len(hit)
    assert hit[len(hit) - reach :].all()
    assert not hit[: len(hit) - reach].any()


if __name__ == "__main__":
    committed = json.loads(GOLDEN.read_text())
    for op in TEXT_OPS:
        if committed.get(op.name, {}).get("version") != golden(op)["version"]:
            committed[op.name] = golden(op)
    GOLDEN.write_text(json.dumps(committed, indent=2, ensure_ascii=False) + "\n")
