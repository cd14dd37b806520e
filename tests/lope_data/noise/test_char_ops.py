"""Character ops on text where bytes, code points and characters differ."""

from __future__ import annotations

import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from lope_data.noise.data.confusables import HOMOGLYPHS
from lope_data.noise.data.tables import ocr_table
from lope_data.noise.op import TextOp
from lope_data.noise.registry import get_op, op_version
from lope_data.text import Cells, Draw, row_hashes, splice

NEW = ["char.substitute", "char.ocr", "char.case", "char.repeat", "char.homoglyph"]
FLAG, FAMILY = "🇩🇪", "👨\u200d👩\u200d👧"

pieces = [
    "a",
    "B",
    "o",
    "0",
    " ",
    "\t",
    "\r\n",
    "\r",
    "\n",
    "\0",
    "é",
    "e\u0301",
    "\u0301",
    "\u200d",
    FLAG,
    "🇫",
    FAMILY,
]
pieces += [
    "ß",
    "ı",
    "İ",
    "Σ",
    "ς",
    "ǅ",
    "ⓐ",
    "日",
    "ا",
    "ש",
    "가",
    "ᄀ",
    "ᅡ",
    "ᆨ",
    "क्",
    "षि",
    "\u0600",
    "👩\u200d",
    "Ж",
    "𐐀",
]
tricky = st.lists(st.sampled_from(pieces), max_size=12).map("".join)


def text_op(name: str) -> TextOp:
    op = get_op(name)
    assert isinstance(op, TextOp)
    return op


def units(name: str, text: str, **params: object) -> list[str]:
    """The units that the op finds in a text."""
    op = text_op(name)
    cells = Cells.of(pa.array([text], pa.string()))
    spans = op.units(cells, op.params(**params))
    assert spans.first.tolist() == [0, len(spans.start)]
    return [unit.decode() for unit in cells.text(spans.start, spans.end).to_pylist()]


def noisy(name: str, text: str, level: float = 1.0, seed: int = 1, **params: object) -> str:
    op = text_op(name)
    cells = Cells.of(pa.array([text], pa.string()))
    edits, _ = op.apply(cells, Draw((seed, name), row_hashes(pa.array(["row"]))), level, op.params(**params))
    return str(splice(cells, edits)[0].as_py())


def graphemes(text: str) -> list[str]:
    return regex.findall(r"\X", text)


@pytest.mark.parametrize("name", NEW)
@settings(max_examples=100)
@given(text=tricky, level=st.sampled_from([0.1, 0.5, 1.0]))
def test_graphemes_are_never_torn(name: str, text: str, level: float) -> None:
    """What is hit is a whole grapheme, and the graphemes beside it are there afterwards."""
    op = text_op(name)
    cells = Cells.of(pa.array([text], pa.string()))
    edits, ground = op.apply(cells, Draw((1, name), row_hashes(pa.array(["row"]))), level, op.params())
    assert set(ground.spans.start.tolist()) <= set(cells.graphemes.start.tolist())
    assert set(ground.spans.end.tolist()) <= set(cells.graphemes.end.tolist())
    parts = graphemes(text)
    place = np.searchsorted(cells.graphemes.start, edits.start)
    for i, after in zip(place.tolist(), edits.after.to_pylist(), strict=True):
        parts[i] = after.decode() + (parts[i] if name == "char.repeat" else "")
    after = splice(cells, edits)[0].as_py()
    assert after == "".join(parts)
    if name == "char.repeat":
        assert graphemes(after) == [part for whole in parts for part in graphemes(whole)]
        assert len(graphemes(after)) == len(graphemes(text)) + len(edits)
    elif name != "char.substitute":  # it may replace the line break that keeps a mark from joining
        assert len(graphemes(after)) == len(graphemes(text))


def test_case_switches_letters_that_switch_back() -> None:
    assert units("char.case", "aZ1ß ıİſ\u212a ŉǅ Σς Éé e\u0301 ⓐ Жж 𐐀 日 \0") == [*"aZΣÉéⓐЖж𐐀"]
    assert noisy("char.case", "Straße, ΑΣ\r\nÉt\u0301é ⱥ𐐀") == "sTRAßE, ασ\r\nét\u0301É Ⱥ𐐨"
    assert noisy("char.case", "Plain ASCII, no. 1") == "pLAIN ascii, NO. 1"


def test_case_is_its_own_inverse_over_all_of_unicode() -> None:
    everything = "\n".join(map(chr, [*range(0x20, 0xD800), *range(0xE000, sys.maxunicode + 1)]))
    letters = "\n".join(units("char.case", everything))
    switched = noisy("char.case", letters)
    assert len(letters) > 5000
    assert not set(letters[::2]) & {old for old, new in zip(letters[::2], switched[::2], strict=True) if old == new}
    assert noisy("char.case", switched) == letters


def test_repeat_leaves_out_what_a_copy_would_merge_with() -> None:
    assert units("char.repeat", f"a \t\r\n\u00a0\u3000{FLAG}🇫") == ["a", FLAG]
    assert units("char.repeat", "\u0301e\u0301 x \u0301") == [
        "e\u0301",
        "x",
        " \u0301",
    ]  # a mark of its own is left out
    assert units("char.repeat", "가ᄀ") == ["가"]
    assert units("char.repeat", f"{FAMILY}!👩\u200d") == [FAMILY, "!"]
    assert units("char.repeat", "\r\r\n\0") == ["\0"]
    assert noisy("char.repeat", f"né {FAMILY}日") == f"nnéé {FAMILY}{FAMILY}日日"


def test_substitute_never_draws_the_character_itself() -> None:
    assert noisy("char.substitute", "abba", alphabet="ab") == "baab"
    assert noisy("char.substitute", f"e\u0301\r\n{FLAG}", alphabet="é") == "ééé"
    assert units("char.substitute", "axbx\u0301x", alphabet="xx") == ["a", "b", "x\u0301"]
    assert units("char.substitute", "日x本", alphabet="日") == ["x", "本"]
    drawn = noisy("char.substitute", "a" * 3000)
    counts = [drawn.count(letter) for letter in "bcdefghijklmnopqrstuvwxyz"]
    assert "a" not in drawn
    assert sum(counts) == 3000
    assert min(counts) > 70  # 120 expected
    assert max(counts) < 170


def test_substitute_has_no_unit_in_a_row_of_its_only_letter() -> None:
    op = text_op("char.substitute")
    cells = Cells.of(pa.array(["xxx", "xyx"]))
    assert op.ground(cells, op.params(alphabet="x")).room.tolist() == [0, 1]


def test_ocr_table_reads_both_ways() -> None:
    table = ocr_table()
    assert all(letter in table[other] for letter, others in table.items() for other in others)
    assert all(len(c) == 1 and c.isascii() and c not in others for c, others in table.items())
    assert table["0"] == "89DOo"
    assert table["o"] == "0u"
    assert table["8"] == "&05@Ss"
    assert units("char.ocr", "o\u0301 o日Ox~\u0660") == ["o", "O"]
    assert noisy("char.ocr", "kkk b") == "rrr 6"


def test_homoglyphs_are_letters_that_stand_alone() -> None:
    for letter, alike in HOMOGLYPHS.items():
        assert len(letter) == 1
        assert letter.isascii()
        assert letter.isalpha()
        assert alike
        assert len(set(alike)) == len(alike)
        for other in alike:
            assert other.isalpha()
            assert other != letter
            assert not other.isascii()
            assert other.isupper() == letter.isupper()
            assert unicodedata.name(other).split()[0] in ("CYRILLIC", "GREEK", "LATIN")
            assert regex.fullmatch(r"\p{GCB=Other}", other)


def test_homoglyph_keeps_the_look() -> None:
    text = "SPEcial caf\u00e9, e\u0301xpo"
    after = noisy("char.homoglyph", text)
    back = {other: letter for letter, alike in HOMOGLYPHS.items() for other in alike}
    assert "".join(back.get(char, char) for char in after) == text
    assert [char for char in after if char.isascii()] == list(" f, e")  # f has none, e carries a mark
    assert {noisy("char.homoglyph", "o", seed=seed) for seed in range(20)} == set(HOMOGLYPHS["o"])


def test_a_change_of_a_table_is_a_change_of_version(monkeypatch: pytest.MonkeyPatch) -> None:
    op = text_op("char.homoglyph")
    before = op_version(op, op.params())
    monkeypatch.setitem(HOMOGLYPHS, "a", "α")
    assert op_version(op, op.params()) != before
    assert before.startswith("1+")
    assert op_version(text_op("char.ocr"), text_op("char.ocr").params()).startswith("1+")


@pytest.mark.parametrize("name", NEW)
def test_barred_bytes_are_left_alone(name: str) -> None:
    text = "éo kB8 é日 ao" * 20
    cells = Cells.of(pa.array([text]))
    barred = np.arange(len(cells.data)) % 40 < 23
    shut = Cells(cells.data, cells.bounds, cells.row_bounds, barred)
    op = text_op(name)
    edits, ground = op.apply(shut, Draw((1, name), row_hashes(pa.array(["row"]))), 1.0, op.params())
    assert len(edits) == ground.spans.count[0] > 20
    assert not any(barred[start:end].any() for start, end in zip(edits.start, edits.end, strict=True))
    assert not barred[edits.start].any()
