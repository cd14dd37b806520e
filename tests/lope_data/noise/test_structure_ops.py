"""Structure ops on rows of several cells, on protected text, and on white space and marks beyond ASCII."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from lope_data.noise.op import Ground, TextOp
from lope_data.noise.registry import get_op
from lope_data.text import Cells, Draw, row_hashes, splice

NAMES = ["truncate", "whitespace", "punctuation", "drop_field", "duplicate_field"]
FLAG, FAMILY = "🇩🇪", "👨\u200d👩\u200d👧"
pieces = ["a", "ß", "ı", ".", "!", "?\u0301", "¿", "\u0301", " ", "  ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u3000"]
pieces += ["\0", "日本", "שלום", FLAG, FAMILY, "e\u0301", "\u0600", " \u0301"]
rows = st.lists(
    st.lists(st.lists(st.sampled_from(pieces), max_size=8).map("".join), min_size=1, max_size=3), max_size=5
)


def cells_of(texts: list[list[str]], barred: str = "") -> Cells:
    """Rows of cells; the letter `barred` is barred wherever it stands."""
    values = pa.array([text for row in texts for text in row], pa.string())
    cells = Cells.of(values, np.cumsum([0, *map(len, texts)]))
    mask = np.isin(cells.data, [ord(letter) for letter in barred]) if barred else None
    return Cells(cells.data, cells.bounds, cells.row_bounds, mask)


def applied(name: str, cells: Cells, level: float = 1.0, seed: int = 1) -> tuple[list[list[str]], Ground]:
    op = get_op(f"structure.{name}")
    assert isinstance(op, TextOp)
    draw = Draw((seed, name), row_hashes(pa.array([str(row) for row in range(cells.rows)])))
    edits, ground = op.apply(cells, draw, level, op.params())
    texts = splice(cells, edits).to_pylist()
    if cells.barred is not None:
        assert not any(cells.barred[low:high].any() for low, high in zip(edits.start, edits.end, strict=True))
    return [texts[low:high] for low, high in zip(cells.row_bounds[:-1], cells.row_bounds[1:], strict=True)], ground


def test_truncate_cuts_the_tail() -> None:
    texts = [["one two  three\tfour \n"], ["日本 語"], [f"a {FAMILY} {FLAG}e\u0301 ß"], ["alone"], [" "], []]
    cut, ground = applied("truncate", cells_of(texts), 0.5)
    assert cut == [["one two \n"], ["日本"], [f"a {FAMILY}"], ["alone"], [" "], []]
    assert ground.size.tolist() == [4, 2, 4, 1, 0, 0]
    assert ground.room.tolist() == [3, 1, 3, 0, 0, 0]


def test_truncate_goes_from_the_last_field_to_the_first() -> None:
    cells = cells_of([["Say it twice.", " in full"], ["", "x y", ""], ["a", "", "b"]])
    assert applied("truncate", cells)[0] == [["Say", ""], ["", "x", ""], ["a", "", ""]]
    assert applied("truncate", cells, 0.4)[0] == [["Say it twice.", ""], ["", "x", ""], ["a", "", ""]]


def test_truncate_stops_at_protected_text() -> None:
    cells = cells_of(
        [["a b X c d e"], ["X b c", "d"], ["a", "b X"], ["a b c"], ["a aXa\u3000b c"], ["a X", "b c"]], "X"
    )
    cut, ground = applied("truncate", cells)
    assert ground.size.tolist() == [3, 3, 0, 3, 2, 2]
    assert cut == [["a b X c"], ["X b", ""], ["a", "b X"], ["a"], ["a aXa\u3000b"], ["a X", "b"]]


def test_truncate_leaves_white_space_that_is_barred() -> None:
    """A pattern bars the byte beside its match too, even where that is the first of three."""
    cells = Cells.of(pa.array(["a\u3000b c"]))
    barred = np.zeros(len(cells.data), np.bool_)
    barred[:2] = True
    op = get_op("structure.truncate")
    assert isinstance(op, TextOp)
    shut = Cells(cells.data, cells.bounds, cells.row_bounds, barred)
    word = op.units(shut, op.params()).select(np.array([True, False]))
    assert cells.text(word.start, word.end).to_pylist() == [b"b"]
    assert applied("truncate", shut)[0] == [["a\u3000b"]]


@given(rows, st.sampled_from([0.1, 0.5, 1.0]))
def test_truncate_leaves_a_beginning(texts: list[list[str]], level: float) -> None:
    cells = cells_of(texts)
    cut, ground = applied("truncate", cells, level)
    for before, after, room in zip(texts, cut, ground.room, strict=True):
        words = [word for text in before for word in words_of(text)]
        left = [word for text in after for word in words_of(text)]
        assert left == words[: len(left)]
        assert (len(left) < len(words)) == (room > 0)
        assert left or not words


def words_of(text: str) -> list[str]:
    cells = Cells.of(pa.array([text], pa.string()))
    return [word.decode() for word in cells.text(cells.words.start, cells.words.end).to_pylist()]


def test_whitespace_becomes_other_white_space() -> None:
    pattern = r"[ \t\n\u00a0]| {2}"
    for white in (" ", "  ", "\t", "\n", "\u00a0", "\r\n", "\u3000", " \n "):
        seen = set()
        for seed in range(40):
            [[text]], _ = applied("whitespace", cells_of([[f" a{white}日 "]]), seed=seed)
            assert text[:2] == " a"
            assert text[-2:] == "日 "
            assert regex.fullmatch(pattern, text[2:-2])
            seen.add(text[2:-2])
        assert seen == {" ", "  ", "\t", "\n", "\u00a0"} - {white}


@given(rows, st.sampled_from([0.1, 0.5, 1.0]))
def test_whitespace_keeps_every_word(texts: list[list[str]], level: float) -> None:
    cells = cells_of(texts)
    after, ground = applied("whitespace", cells, level)
    for old, new, room in zip(texts, after, ground.room, strict=True):
        assert [words_of(text) for text in new] == [words_of(text) for text in old]
        assert room <= sum(max(len(words_of(text)) - 1, 0) for text in old)
        assert (old != new) == (room > 0)


def test_whitespace_does_not_make_a_mark_join() -> None:
    assert applied("whitespace", cells_of([["a\n\u0301b c"]]))[1].size.tolist() == [1]
    assert applied("whitespace", cells_of([["a\u0600\nb c"]]))[1].size.tolist() == [1]


def test_whitespace_between_fields_is_no_unit() -> None:
    cells = cells_of([["a ", " b"], ["a\0", "b c"], ["X a", "b"]], "X")
    assert applied("whitespace", cells)[1].size.tolist() == [0, 1, 1]


def test_punctuation_units_are_ascii_marks() -> None:
    cells = cells_of([["a!\"#%&'()*,-./:;?@[\\]_{}z"], ["$+<=>^`|~ ¿。؟ ?\u0301 \0"]])
    _, ground = applied("punctuation", cells)
    assert ground.size.tolist() == [23, 0]


def test_punctuation_is_deleted_or_becomes_another_mark() -> None:
    outcomes = [applied("punctuation", cells_of([["ß.\r\n"]]), seed=seed)[0][0][0] for seed in range(400)]
    assert set(outcomes) == {f"ß{mark}\r\n" for mark in ["", *",;:!?-"]}
    assert 150 < outcomes.count("ß\r\n") < 250


def test_punctuation_never_empties_a_field() -> None:
    for seed in range(30):
        [row], _ = applied("punctuation", cells_of([["?!", ".", "..."]]), seed=seed)
        assert all(row)


@given(rows, st.sampled_from([0.1, 1.0]), st.integers(0, 5))
def test_punctuation_changes_nothing_but_marks(texts: list[list[str]], level: float, seed: int) -> None:
    after, ground = applied("punctuation", cells_of(texts), level, seed)
    for old, new, room in zip(texts, after, ground.room, strict=True):
        assert (old != new) == (room > 0)
        strip = [[regex.sub(r"[.,;:!?-](?!\p{Mn})", "", text) for text in row] for row in (old, new)]
        assert strip[0] == strip[1]


def test_drop_field_leaves_one_field_with_text() -> None:
    texts = [["a b", "c\r\n"], ["alone"], ["alone", "", " \n"], [], ["a", "", "b", "日"]]
    left = set()
    for seed in range(20):
        dropped, ground = applied("drop_field", cells_of(texts), seed=seed)
        assert ground.size.tolist() == [2, 1, 1, 0, 3]
        assert ground.room.tolist() == [1, 0, 0, 0, 2]
        left.add("|".join(dropped[0]))
        assert dropped[1:4] == texts[1:4]
        assert len("".join(dropped[4])) == 1
    assert left == {"a b|", "|c\r\n"}


def test_duplicate_field_says_it_twice() -> None:
    texts = [["Was ist ß?", "日本"], ["", " "], [f"{FAMILY}\r\n", "\u0301"]]
    said, ground = applied("duplicate_field", cells_of(texts))
    assert ground.size.tolist() == [2, 0, 2]
    assert said == [[text + "\n" + text if text.strip() else text for text in row] for row in texts]
    one, _ = applied("duplicate_field", cells_of(texts), 0.1)
    assert [sum(old != new for old, new in zip(*pair, strict=True)) for pair in zip(texts, one, strict=True)] == [
        1,
        0,
        1,
    ]


@pytest.mark.parametrize("name", NAMES)
def test_fields_with_protected_text_keep_it(name: str) -> None:
    cells = cells_of([["a. X. b", "c, d", "e f!"], ["X"], ["a b. c", "Xx"]], "X")
    for seed in range(10):
        after, _ = applied(name, cells, seed=seed)
        assert [sum(text.count("X") for text in row) for row in after] == [1, 1, 1]
    if name.endswith("_field"):
        assert [row[0] for row in after[:2]] == ["a. X. b", "X"]
        assert after[2][1] == "Xx"


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_and_no_text_are_no_units(name: str) -> None:
    for texts in ([], [[]], [[""], ["", ""]], [["\n"]]):
        after, ground = applied(name, cells_of(texts))
        assert after == texts
        assert ground.size.sum() == 0


@pytest.mark.parametrize("name", NAMES)
def test_rows_without_cells_move_no_edit(name: str) -> None:
    """As many cells as rows need not be one cell a row."""
    row = ["a, b", "c. d"]
    alone, _ = applied(name, cells_of([row]))
    assert applied(name, cells_of([row, []]))[0] == [*alone, []]
