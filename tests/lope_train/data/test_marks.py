"""Where edits lie in the final text: one op, several on one value, a chain of versions, and the golden records."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lope_train.data import Version, resolve
from lope_train.data import edits as data_edits
from lope_train.data.edits import Edit, Mark, level_of, place, read_marks
from lope_train.errors import VersionError

STORE = Path(__file__).parents[2] / "golden" / "store"


def edit(start: int, end: int, after: int, op: str = "char.a", step: int = 0, path: str = "text") -> Edit:
    """An edit that puts `after` bytes for those from `start` to `end`."""
    return Edit((0, f"step{step}"), path, op, start, end, start + after)


def spans(edits: list[Edit]) -> list[tuple[int, int]]:
    return [(mark.start, mark.end) for mark in place(edits)]


def test_edits_of_one_op_move_those_to_their_right() -> None:
    assert spans([edit(1, 1, 2), edit(5, 6, 0), edit(8, 9, 1)]) == [(1, 3), (7, 7), (9, 10)]


def test_a_later_op_moves_what_is_right_of_it_and_not_what_is_left() -> None:
    assert spans([edit(4, 5, 1), edit(0, 0, 3, "char.b", 1)]) == [(7, 8), (0, 3)]
    assert spans([edit(4, 5, 1), edit(9, 9, 3, "char.b", 1)]) == [(4, 5), (9, 12)]


def test_what_a_later_op_puts_in_beside_a_mark_is_not_of_the_mark() -> None:
    assert spans([edit(4, 5, 2), edit(4, 4, 3, "char.b", 1)]) == [(7, 9), (4, 7)]
    assert spans([edit(4, 5, 2), edit(6, 6, 3, "char.b", 1)]) == [(4, 6), (6, 9)]


def test_what_a_later_op_puts_into_a_mark_is() -> None:
    assert spans([edit(4, 5, 2), edit(5, 5, 3, "char.b", 1)]) == [(4, 9), (5, 8)]
    assert spans([edit(4, 5, 2), edit(0, 9, 3, "char.b", 1)]) == [(0, 3), (0, 3)]
    assert spans([edit(4, 5, 2), edit(4, 6, 0, "char.b", 1)]) == [(4, 4), (4, 4)]


def test_a_deletion_stays_where_it_was() -> None:
    assert spans([edit(4, 6, 0), edit(0, 1, 3, "char.b", 1)]) == [(6, 6), (0, 3)]
    assert spans([edit(4, 6, 0), edit(4, 4, 2, "char.b", 1)]) == [(4, 4), (4, 6)]


def test_a_deletion_in_what_a_later_op_replaces_is_in_the_replacement() -> None:
    for later, where in ((edit(4, 8, 3, "char.b", 1), (4, 7)), (edit(4, 8, 0, "char.b", 1), (4, 4))):
        assert spans([edit(5, 6, 0), later]) == [where, where]
    mark, _ = place([edit(5, 6, 0), edit(4, 8, 3, "char.b", 1)])
    assert not mark.touches(7, 9)
    assert spans([edit(4, 6, 0), edit(4, 8, 3, "char.b", 1)]) == [(4, 4), (4, 7)]
    assert spans([edit(8, 9, 0), edit(4, 8, 3, "char.b", 1)]) == [(7, 7), (4, 7)]


def test_values_are_apart_and_so_are_steps_with_the_same_op() -> None:
    assert spans([edit(0, 0, 3, path="input"), edit(4, 5, 1, path="text")]) == [(0, 3), (4, 5)]
    assert spans([edit(4, 5, 1, step=0), edit(2, 2, 5, step=1)]) == [(9, 10), (2, 7)]


def test_a_deletion_touches_both_neighbours_and_an_insertion_what_it_overlaps() -> None:
    gone, there = Mark("text", "char.a", 4, 4), Mark("text", "char.a", 4, 6)
    assert [gone.touches(*at) for at in ((0, 3), (0, 4), (4, 5), (5, 6), (3, 6), (4, 4))] == [
        *(False, True, True, False, True, False)
    ]
    assert [there.touches(*at) for at in ((0, 4), (3, 5), (5, 9), (6, 9))] == [False, True, True, False]
    assert level_of("char.insert") == "char"


@given(st.data())
def test_every_byte_that_an_op_wrote_and_no_other_op_touched_is_in_its_mark(data: st.DataObject) -> None:
    """Replayed on a list of bytes that know their writer."""
    text: list[str | None] = [None] * data.draw(st.integers(0, 12))
    edits: list[Edit] = []
    for step in range(data.draw(st.integers(1, 4))):
        op, at, made = f"char.{step}", 0, []
        while at <= len(text) and len(made) < 3:
            start = data.draw(st.integers(at, len(text)))
            end = data.draw(st.integers(start, min(len(text), start + 3)))
            after = data.draw(st.integers(0 if end > start else 1, 3))
            made.append(edit(start, end, after, op, step))
            at = end + 1
        for one in reversed(made):
            text[one.start : one.end] = [op] * (one.new_end - one.start)
        edits += made
    marks = place(edits)
    assert len(marks) == len(edits)
    assert all(0 <= mark.start <= mark.end <= len(text) for mark in marks)
    for at, op in enumerate(text):
        own = any(mark.op == op and mark.start <= at < mark.end for mark in marks)
        assert own == (op is not None)


def test_the_golden_records_lie_where_their_text_is() -> None:
    noisy = resolve("golden", STORE)
    rows = {row["lope_row_id"]: row for row in noisy.dataset()}
    marks = read_marks(noisy, STORE)
    assert marks.keys() == {row for row, own in rows.items() if own["lope_ops"]}
    files = sorted((noisy.path / "edits").glob("*.parquet"))
    records = [record for file in files for record in pq.read_table(file).to_pylist()]
    for row in marks:
        own = [record for record in records if record["row_id"] == row]
        for record, mark in zip(own, marks[row], strict=True):
            assert (mark.op, mark.path) == (record["op"], record["path"])
            assert str(rows[row][mark.path]).encode()[mark.start : mark.end].decode() == record["after"]


def version(folder: Path, parents: int, *edits: Edit) -> Version:
    """A version as far as its edits go, all on row `a`."""
    (folder / "edits").mkdir(parents=True)
    records = [
        {
            "row_id": "a",
            "step": one.application[1],
            "path": one.path,
            "op": one.op,
            "start": one.start,
            "end": one.end,
            "new_end": one.new_end,
        }
        for one in edits
    ]
    pq.write_table(pa.Table.from_pylist(records), folder / "edits/00000-of-00001.parquet")
    return Version(folder, {"kind": "build", "parents": [{}] * parents})


def test_the_noise_of_a_noisy_parent_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same step, same op, and yet two applications."""
    older = version(tmp_path / "older", 1, edit(4, 5, 1))
    newer = version(tmp_path / "newer", 2, edit(2, 2, 5))
    monkeypatch.setattr(data_edits, "parent", lambda one, store: {newer.path: older}[one.path])
    assert read_marks(newer) == {"a": [Mark("text", "char.a", 9, 10), Mark("text", "char.a", 2, 7)]}
    (older.path / "edits/00000-of-00001.parquet").write_bytes(b"no table")
    with pytest.raises(VersionError, match="edit records cannot be read"):
        read_marks(newer)
