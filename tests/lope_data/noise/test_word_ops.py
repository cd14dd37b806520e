"""What each word op makes of a text, exactly."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lope_data
from lope_data.noise.data.lexicon import Lexicon
from lope_data.noise.data.tables import misspellings, vocabulary_file
from lope_data.noise.op import Ground, TextOp
from lope_data.noise.registry import all_ops, get_op
from lope_data.text import I64, Cells, Draw, Edits, Mask, row_hashes, splice

TINY = str(Path(__file__).parent / "wordnet")
PARAMS = {"word.synonym": {"wordnet": TINY}}
WORD_OPS = [name for name, op in all_ops().items() if name.startswith("word.") and isinstance(op, TextOp)]

messy = st.text(st.sampled_from("ab \n\r\t\0é\u0301\u200d👩👧🇩🇪日ا가가\u00a0\u3000!"), max_size=30)


def run(name: str, cells: Cells, level: float) -> tuple[list[str], Edits, Ground]:
    op = get_op(name)
    assert isinstance(op, TextOp)
    draw = Draw((614, "test", name), row_hashes(pa.array([str(i) for i in range(cells.rows)])))
    edits, ground = op.apply(cells, draw, level, op.params(**PARAMS.get(name, {})))
    return splice(cells, edits).to_pylist(), edits, ground


def every(name: str, texts: list[str], row_bounds: I64 | None = None) -> list[str]:
    """The texts after the op at level 1."""
    return run(name, Cells.of(pa.array(texts), row_bounds), 1.0)[0]


def words_and_white(text: str) -> list[str]:
    """White space, word, white space, ..., word, white space."""
    cells = Cells.of(pa.array([text]))
    edges = np.stack((cells.words.start, cells.words.end), 1).ravel().tolist()
    raw = text.encode()
    return [raw[low:high].decode() for low, high in zip([0, *edges], [*edges, len(raw)], strict=True)]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("word.repeat", "Hi, you!", "Hi, Hi, you! you!"),
        ("word.repeat", " a\tb\r\n", " a a\tb b\r\n"),
        ("word.repeat", "日本語 cafe\u0301", "日本語 日本語 cafe\u0301 cafe\u0301"),
        ("word.repeat", "a\0b", "a\0b a\0b"),
        ("word.repeat", "👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧 👨\u200d👩\u200d👧"),
        ("word.swap", "Hi,  you!", "you!  Hi,"),
        ("word.swap", "\ta\r\nbc ", "\tbc\r\na "),
        ("word.swap", "日本\u3000語", "語\u3000日本"),
        ("word.swap", "e\u0301 xyz", "xyz e\u0301"),
        ("word.swap", "a\0 b", "b a\0"),
        ("word.swap", "same same other", "same other same"),
        ("word.split", "ab", "a b"),
        ("word.split", " of\r\n日本 ", " o f\r\n日 本 "),
        ("word.split", "e\u0301x é!", "e\u0301 x é !"),
        ("word.split", "🇩🇪🇫🇷 👩\u200d👧.", "🇩🇪 🇫🇷 👩\u200d👧 ."),
        ("word.split", "a e\u0301 日 a\0", "a e\u0301 日 a \0"),
        ("word.merge", " Hi, you! ", " Hi,you! "),
        ("word.merge", "a \r\n\tb\rc", "abc"),
        ("word.merge", "日本\u3000語\u00a0x", "日本語x"),
        ("word.merge", "e\u0301 x\0 y", "e\u0301x\0y"),
        ("word.merge", "a \u0301b c", "a \u0301bc"),
        ("word.delete", "a b", {"a", "b"}),
        ("word.shuffle", "a,  b\r\n", "b  a,\r\n"),
    ],
)
def test_before_and_after(name: str, before: str, after: str | set[str]) -> None:
    assert every(name, [before])[0] in ({after} if isinstance(after, str) else after)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("word.repeat", " \r\n\u3000"),
        ("word.repeat", ""),
        ("word.swap", "same same"),
        ("word.swap", "alone"),
        ("word.split", "a b e\u0301 👨\u200d👩\u200d👧 🇩🇪"),
        ("word.merge", " alone\r\n"),
        ("word.merge", "a \u0301b"),  # a space that carries a mark is ink
        ("word.misspell", "zzzz -- ... \u00a0' 日本語"),
        ("word.synonym", "dogs -- !? 日本語"),
    ],
)
def test_what_has_no_unit_is_left_alone(name: str, text: str) -> None:
    values, edits, ground = run(name, Cells.of(pa.array([text])), 1.0)
    assert values == [text]
    assert not len(edits)
    assert ground.room.tolist() == [0]


def test_words_of_different_texts_of_a_row_are_no_neighbours() -> None:
    texts, bounds = ["a", "", "b", "c d", "e", "f"], np.array([0, 4, 6])
    assert every("word.merge", texts, bounds) == ["a", "", "b", "cd", "e", "f"]
    assert every("word.swap", texts, bounds) == ["a", "", "b", "d c", "e", "f"]
    assert every("word.repeat", texts, bounds) == ["a a", "", "b b", "c c d d", "e e", "f f"]
    _, _, ground = run("word.swap", Cells.of(pa.array(texts), bounds), 1.0)
    assert ground.size.tolist() == [4, 2]
    assert ground.room.tolist() == [1, 0]


@given(text=messy)
def test_all_words_repeated_and_all_gaps_closed(text: str) -> None:
    before, *rest = words_and_white(text)
    twice = before + "".join(f"{w} {w}{white}" for w, white in zip(rest[::2], rest[1::2], strict=True))
    assert every("word.repeat", [text]) == [twice]
    assert every("word.merge", [text]) == [before + "".join(rest[::2]) + "".join(rest[-1:])]


@given(text=messy)
def test_a_split_cuts_no_grapheme(text: str) -> None:
    cells = Cells.of(pa.array([text]))
    _, edits, ground = run("word.split", cells, 1.0)
    graphemes = set(cells.graphemes.start.tolist())
    edges = set(cells.words.start.tolist()) | set(cells.words.end.tolist())
    assert len(edits) == ground.room[0]
    assert set(edits.start.tolist()) <= graphemes - edges


@pytest.mark.parametrize("word", ["abcde", "日本語日本", "ae\u0301ió🇩🇪"])
def test_a_word_is_split_at_each_place(word: str) -> None:
    places = {text.index(" ") for text in every("word.split", [word] * 300)}
    assert len(places) == 4


def misspellings_of(word: str) -> set[str]:
    lines = [line.lower().split() for line in vocabulary_file().decode().splitlines()]
    wrong = {other for line in lines if line[:1] == [word] for other in line[1:]}
    return {other for other in wrong if re.fullmatch("[a-z]+(['-][a-z]+)*", other)} - {word}


@pytest.mark.parametrize(
    ("before", "shape"),
    [("because", "{}"), ("Because", "{}"), ("BECAUSE", "{}"), ("\u00a0(becausE)...\r\n", "\u00a0({})...\r\n")],
)
def test_a_misspelling_keeps_case_and_punctuation(before: str, shape: str) -> None:
    case = {"Because": str.capitalize, "BECAUSE": str.upper}.get(before, str.lower)
    expected = {shape.format(case(wrong)) for wrong in misspellings_of("because")}
    assert len(expected) > 10
    assert set(every("word.misspell", [before] * 4000)) == expected


def test_one_letter_is_capitalised_and_not_upper() -> None:
    wrong = misspellings_of("a")
    assert wrong
    assert set(every("word.misspell", ["A"] * 500)) == {word.capitalize() for word in wrong}


@pytest.mark.parametrize("word", ["be\u0301cause", "because\u0301", "because\0", "be-cause", "becausé", "日because"])
def test_what_only_looks_like_a_known_word_is_none(word: str) -> None:
    assert every("word.misspell", [word]) == [word]


def test_every_misspelling_is_one_other_plain_word() -> None:
    table = misspellings()
    words, variants = (values.to_pylist() for values in (table.words, table.variants))
    own = np.repeat(np.arange(len(words)), np.diff(table.first)).tolist()
    assert len(words) > 9_000
    assert words == sorted(set(words))
    assert all(variant != words[i] and variant == variant.lower() for i, variant in zip(own, variants, strict=True))
    assert set(b"".join(variants)) <= set(b"abcdefghijklmnopqrstuvwxyz'-")


@given(st.lists(st.text(st.sampled_from("ab.,('\"_ \u00a0\u3000é\u0301\0AB日"), max_size=20), max_size=5))
def test_a_word_is_found_as_a_plain_search_finds_it(texts: list[str]) -> None:
    known = {"a", "ab", "b", "ab'a"}
    cells = Cells.of(pa.array(texts, pa.string()))
    found = Lexicon.of({word: ["x"] for word in known}).units(cells)
    plain = [
        core
        for text in texts
        for word in words_and_white(text)[1::2]
        if (core := word.strip(string.punctuation)).isascii() and core.lower() in known
    ]
    assert [core.decode() for core in cells.text(found.start, found.end).to_pylist()] == plain
    assert int(found.count.sum()) == len(plain)


@pytest.mark.parametrize("name", ["word.misspell", "word.synonym"])
def test_every_known_word_is_hit(name: str) -> None:
    text = "The quick brown fox, a lazy dog; name the family and the question!"
    _, edits, ground = run(name, Cells.of(pa.array([text] * 400)), 0.2)
    units = ground.spans.count[0]
    assert units >= 7
    assert len(set((edits.start % len(text)).tolist())) == units


def shuffled(texts: list[str], level: float) -> tuple[Cells, Edits]:
    cells = Cells.of(pa.array(texts))
    return cells, run("word.shuffle", cells, level)[1]


def test_no_word_moves_to_an_equal_one() -> None:
    cells, edits = shuffled(["the a the b the c the d", "x x y y z z", "the of the of the"] * 100, 1.0)
    assert len(edits) == 100 * (8 + 6 + 4)  # of "the of the of the" one must stay: a word has more than half
    noisy = splice(cells, edits).to_pylist()
    assert all(sorted(old.split()) == sorted(new.split()) for old, new in zip(noisy[:3], noisy[3:6], strict=True))


def test_a_shuffle_names_the_place_that_each_word_came_from() -> None:
    text = "the a the b the c the d"
    _, edits = shuffled([text] * 50, 0.6)
    assert edits.detail is not None
    said = [text.split()[int(place)] for place in edits.detail.to_pylist()]
    assert said == [after.decode() for after in edits.after.to_pylist()]


def test_a_shuffle_moves_as_many_words_as_asked() -> None:
    """Of words as frequent as English ones, where each twentieth is the same."""
    rng = np.random.default_rng(5)
    frequency = 1 / np.arange(1, 2001)
    drawn = rng.choice(2000, (3000, 40), p=frequency / frequency.sum())
    texts = [" ".join(f"w{word}" for word in row) for row in drawn.tolist()]
    for level in (0.05, 0.1, 0.3):
        _, edits = shuffled(texts, level)
        assert len(edits) == pytest.approx(level * drawn.size, rel=0.007)


def barred_words(cells: Cells, which: Mask) -> Cells:
    mask = np.zeros(len(cells.data), np.bool_)
    for start, end in zip(cells.words.start[which].tolist(), cells.words.end[which].tolist(), strict=True):
        mask[start:end] = True
    return replace(cells, barred=mask)


@pytest.mark.parametrize("name", WORD_OPS)
@pytest.mark.parametrize("level", [0.2, 1.0])
def test_barred_words_are_never_inside_an_edit(name: str, level: float) -> None:
    text = "Name the quick brown fox, their family: a lazy dog because of the question! Ärger e\u0301t\r\n日本 over"
    cells = Cells.of(pa.array([text] * 60))
    which = np.random.default_rng(3).random(len(cells.words.start)) < 0.3
    guarded = barred_words(cells, which)
    values, edits, _ = run(name, guarded, level)
    assert len(edits)
    assert guarded.barred is not None
    for start, end in zip(edits.start.tolist(), edits.end.tolist(), strict=True):
        assert not guarded.barred[start:end].any()
        assert start < end or not guarded.barred[max(start - 1, 0) : start + 1].all()
    per_row = which.reshape(60, -1)
    words = text.split()
    for value, kept in zip(values, per_row, strict=True):
        assert all(words[i] in value for i in np.flatnonzero(kept))


def test_a_barred_word_makes_no_difference_to_a_shuffle() -> None:
    """The two words that may move are equal; a third one, barred, once passed for the difference."""
    cells = Cells.of(pa.array(["same same other"]))
    values, edits, ground = run("word.shuffle", barred_words(cells, np.array([False, False, True])), 1.0)
    assert values == ["same same other"]
    assert not len(edits)
    assert ground.room.tolist() == [0]


def test_edits_name_the_word_without_its_punctuation() -> None:
    _, edits = lope_data.corrupt(["(Dog)!"], "word.synonym", 1.0, edits=True, params={"wordnet": TINY})
    assert edits.select(["start", "end", "before"]).to_pylist() == [{"start": 1, "end": 4, "before": "Dog"}]
