"""`lope_data.corrupt`: noise on plain texts, in the type they come in, and a function of the texts alone."""

from __future__ import annotations

import doctest
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from lope_data import ShortfallWarning, corrupt
from lope_data.errors import RecipeError
from lope_data.inject import texts
from lope_data.noise import TextOp, all_ops, newest_edition
from lope_data.sources import sample_rows

SENTENCES = list(
    dict.fromkeys(
        row[key] for row in sample_rows("sample-heldout") for key in ("instruction", "question", "text") if key in row
    )
)
TEXT_OPS = [
    name for name, op in all_ops().items() if isinstance(op, TextOp) and name in newest_edition().ops
]  # named: needs more than us
MESSY = [
    "Ärger über  öffentliche\tGebäude",
    "",
    "👨\u200d👩\u200d👧 family 🇩🇪",
    None,
    "日本語 テキスト",
    "x",
    "def f(x):\n    return x\r\n",
]


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ShortfallWarning)
        yield


def sliced(kind: pa.DataType) -> pa.Array:
    return pa.array(["left out", "Say it twice, please", None, "", "Ärger über Gebäude", "left out"], kind)[1:5]


def chunked(kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array(
        [sliced(kind), pa.array([], kind), pa.array(["and", None, "once more and more"], kind)], kind
    )


TYPES: dict[str, Callable[[], Any]] = {
    **{f"{kind} array": lambda kind=kind: sliced(kind) for kind in (pa.string(), pa.large_string(), pa.string_view())},
    **{
        f"{kind} chunks": lambda kind=kind: chunked(kind) for kind in (pa.string(), pa.large_string(), pa.string_view())
    },
    "no chunks": lambda: pa.chunked_array([], pa.string()),
    "nulls": lambda: pa.nulls(3),
    "empty": lambda: pa.array([], pa.string()),
    "series": lambda: pl.Series("named", ["Say it twice, please", None, "", "and once more"]),
    "sliced series": lambda: pl.Series("named", ["left out", "Say it twice, please", None, "left out"])[1:3],
    "list": lambda: ["Say it twice, please", None, "", "and once more"],
}


def plain(values: Any) -> list[str | None]:
    return list(values.to_list() if isinstance(values, pl.Series) else getattr(values, "to_pylist", lambda: values)())


@pytest.mark.parametrize("name", TYPES)
def test_type_in_is_type_out(name: str) -> None:
    values = TYPES[name]()
    noisy = corrupt(values, "char.delete", 0.3)
    assert type(noisy) is type(values)
    assert plain(noisy) == corrupt(plain(values), "char.delete", 0.3)
    if isinstance(values, pl.Series):
        assert (noisy.name, noisy.dtype) == (values.name, values.dtype)
    elif not isinstance(values, list):
        assert noisy.type == values.type
        noisy.validate(full=True)
    assert [text is None for text in plain(noisy)] == [text is None for text in plain(values)]
    if "Say it twice, please" in plain(values):
        assert plain(noisy) != plain(values)


@pytest.mark.parametrize("op", [*TEXT_OPS, "human", "char", "word"])
@pytest.mark.parametrize("values", [[], [""], [None], [None, ""], ["", "", None, ""]])
def test_nothing_in_nothing_out(op: str, values: list[str | None]) -> None:
    noisy, edits = corrupt(values, op, 0.5, edits=True)
    assert noisy == values
    assert len(edits) == 0
    assert edits.schema == texts._EDITS


@pytest.mark.parametrize("op", TEXT_OPS)
def test_level_zero_gives_equal_texts(op: str) -> None:
    noisy, edits = corrupt(MESSY, op, 0, edits=True)
    assert noisy == MESSY
    assert len(edits) == 0


def replayed(before: list[str | None], edits: list[dict[str, Any]], *, back: bool = False) -> list[str | None]:
    """The records applied, or undone, with plain string work."""
    found = [None if text is None else text.encode() for text in before]
    shift: Counter[int] = Counter()
    for edit in edits:
        text, row = found[edit["row"]], edit["row"]
        assert text is not None
        old, new = edit["before"].encode(), edit["after"].encode()
        start = edit["start"] + (0 if back else shift[row])
        old, new = (new, old) if back else (old, new)
        assert text[start : start + len(old)] == old
        found[row] = text[:start] + new + text[start + len(old) :]
        shift[row] += len(new) - len(old)
    return [None if text is None else text.decode() for text in found]


@pytest.mark.parametrize("op", [*TEXT_OPS, "human", "paper"])
def test_edits_replay_and_invert(op: str) -> None:
    values = [*MESSY, *SENTENCES[:60], *SENTENCES[:3]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShortfallWarning)
        noisy, table = corrupt(values, op, 0.4, edits=True)
    edits = table.to_pylist()
    assert edits or op == "structure.drop_field"  # a text alone is a row of one field, which stays
    assert replayed(values, edits) == noisy
    assert noisy == corrupt_quietly(values, op, 0.4)  # asking for edits changes no text
    starts = [(edit["row"], edit["start"]) for edit in edits]
    assert starts == sorted(starts)
    inverse: list[dict[str, Any]] = []
    shift: Counter[int] = Counter()
    for edit in edits:
        assert edit["before"] != edit["after"]
        assert edit["new_end"] == edit["start"] + len(edit["after"].encode())
        inverse.append(edit)
        shift[edit["row"]] += edit["new_end"] - edit["end"]
    assert replayed(noisy, inverse, back=True) == values


def corrupt_quietly(*args: Any, **keys: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ShortfallWarning)
        return corrupt(*args, **keys)


@pytest.mark.parametrize("op", ["char.swap", "word.delete", "human"])
def test_shuffled_texts_get_the_same_noise(op: str) -> None:
    order = np.random.default_rng(0).permutation(len(SENTENCES))
    straight = corrupt(SENTENCES, op, 0.2, 7)
    assert corrupt([SENTENCES[i] for i in order], op, 0.2, 7) == [straight[i] for i in order]


def test_a_texts_noise_does_not_depend_on_its_neighbours() -> None:
    whole = corrupt(SENTENCES, "char.delete", 0.2)
    assert [corrupt([text], "char.delete", 0.2)[0] for text in SENTENCES[:20]] == whole[:20]


def test_equal_texts_get_different_noise() -> None:
    twins = [SENTENCES[0]] * 100
    noisy = corrupt(twins, "char.delete", 0.2)
    assert len(set(noisy)) > 90
    mingled = corrupt([SENTENCES[1], *twins, SENTENCES[2]], "char.delete", 0.2)
    assert mingled[1:-1] == noisy


@pytest.mark.parametrize("op", ["char.delete", "word.shuffle", "char.swap", "human"])
def test_batches_change_nothing(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [*MESSY, *SENTENCES[:200], SENTENCES[0], ""]
    whole, table = corrupt_quietly(values, op, 0.3, edits=True)
    for size in (1, 97, 1000):
        monkeypatch.setattr(texts, "_BATCH", size)
        noisy, edits = corrupt_quietly(values, op, 0.3, edits=True)
        assert noisy == whole
        assert edits.equals(table)


def test_texts_around_the_size_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_BATCH", 64)
    values = ["ab" * (size // 2) + "c" * (size % 2) for size in (1, 63, 64, 65, 0, 200, 64, 64, 1)]
    noisy = corrupt_quietly(values, "char.swap", 0.5)
    assert [Counter(text) for text in noisy] == [Counter(text) for text in values]
    monkeypatch.undo()
    assert corrupt_quietly(values, "char.swap", 0.5) == noisy


def test_one_text_of_ten_megabytes() -> None:
    book = "The quick brown fox jumps over the lazy dog. " * 222_222
    start = time.perf_counter()
    noisy, edits = corrupt([book], "char.delete", 0.01, edits=True)
    assert time.perf_counter() - start < 10
    assert len(edits) == pytest.approx(0.01 * len(book), abs=1)
    assert len(noisy[0]) == len(book) - len(edits)


@pytest.mark.parametrize("op", ["char.delete", "char.insert", "word.delete", "word.replace"])
@pytest.mark.parametrize("level", [0.05, 0.3])
def test_the_level_holds_for_short_texts(op: str, level: float) -> None:
    values = [f"Texts {i} of a few short words here" for i in range(3000)]
    _, edits = corrupt(values, op, level, edits=True)
    units = sum(len(text.split()) if op.startswith("word") else len(text) for text in values)
    assert len(edits) / units == pytest.approx(level, rel=0.05)


def test_mixes_are_dealt_in_exact_shares() -> None:
    values = [f"Sentence number {i} is one of those that are long enough for any noise at all" for i in range(1000)]
    _, edits = corrupt(values, {"char.insert": 0.5, "char.delete": 0.3, "word.delete": 0.2}, 0.3, edits=True)
    pairs = set(zip(edits["row"].to_pylist(), edits["op"].to_pylist(), strict=True))
    assert Counter(op for _, op in pairs) == {"char.insert": 500, "char.delete": 300, "word.delete": 200}


def test_presets_and_levels_are_mixes() -> None:
    values = SENTENCES[:300]
    human = {"char.insert": 0.235, "char.delete": 0.422, "char.keyboard": 0.227, "char.swap": 0.116}
    assert corrupt(values, "human", 0.2) == corrupt(values, human, 0.2)
    assert corrupt(values, "word", 0.2) == corrupt(values, {"word": 3}, 0.2)
    _, edits = corrupt(values, "paper", 0.3, edits=True)
    assert set(edits["op"].to_pylist()) == {"word.shuffle", "char.insert", "char.delete"}
    single = corrupt(values, "char.delete", 0.2)
    assert corrupt(values, {"char.delete": 2, "char.insert": 0}, 0.2) == single


@pytest.mark.parametrize(
    ("op", "params"),
    [
        ("char.insert", {"alphabet": "Ж"}),
        ({"char.insert": 1, "word.delete": 1}, {"char.insert": {"alphabet": "Ж"}}),
        ("human", {"char.insert": {"alphabet": "Ж"}}),
        ("char", {"char.insert": {"alphabet": "Ж"}}),
    ],
)
def test_params_reach_their_op(op: Any, params: dict[str, Any]) -> None:
    _, edits = corrupt_quietly(SENTENCES[:200], op, 0.3, params=params, edits=True)
    inserted = [edit["after"] for edit in edits.to_pylist() if edit["op"] == "char.insert"]
    assert set(inserted) == {"Ж"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((("a", "b"), "char.delete"), r"texts: a string, a list, .* is needed, not tuple; make it a list"),
        ((pa.array([1, 2]), "char.delete"), r"Int64Array of int64"),
        ((pl.Series([1, 2]), "char.delete"), r"not Series of Int64"),
        ((["a", None, 3], "char.delete"), r"texts\[2\]: int, where a string or None is needed"),
        ((["a", b"b"], "char.delete"), r"texts\[1\]: bytes"),
        ((["fine", "\ud800"], "char.delete"), r"not valid Unicode"),
        ((["a"], "char.delte"), r"unknown op 'char.delte'; did you mean 'char.delete'"),
        ((["a"], {"char.delte": 1}), r"did you mean 'char.delete'"),
        ((["a"], {}), r"no weight above 0"),
        ((["a"], {"char.delete": -1}), r"a weight is a number from 0"),
        ((["a"], 3), r"must be a table"),
        ((["a"], "label.flip"), r"label.flip changes a row's target"),
        ((["a"], "label"), r"changes a row's target"),
        ((["a"], {"char.delete": 1, "label.flip": 1}), r"label.flip changes a row's target"),
        ((["a"], "char.delete", -0.1), r"level: must be 0 or more"),
        ((["a"], "char.delete", 1.7), r"level: must be 1 or less"),
        ((["a"], "char.delete", float("nan")), r"level"),
        ((["a"], "char.delete", float("inf")), r"level"),
        ((["a"], "char.delete", None), r"level"),
        ((["a"], "char.delete", 0.1, -1), r"seed: must be from 0"),
        ((["a"], "char.delete", 0.1, 2**63), r"seed: must be from 0"),
        ((["a"], "char.delete", 0.1, 1.5), r"seed: an integer is needed, not 1.5"),
        ((["a"], "char.delete", 0.1, "1"), r"seed: an integer is needed, not '1'"),
    ],
)
def test_what_is_wrong_is_said(args: tuple[Any, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        corrupt(*args)


@pytest.mark.parametrize(
    ("op", "params"),
    [
        ("char.insert", {"alphabt": "x"}),
        ("char.insert", {"alphabet": ""}),
        ("char.insert", {"alphabet": "e\u0301"}),
        ("char.delete", {"alphabet": "x"}),
        ("human", {"word.delete": {}}),
        ("char.insert", 3),
    ],
)
def test_bad_params_are_refused(op: str, params: Any) -> None:
    with pytest.raises(RecipeError):
        corrupt(["some text"], op, params=params)


def test_a_seed_is_its_value() -> None:
    assert corrupt(SENTENCES, "char.delete", 0.2, np.int64(7)) == corrupt(SENTENCES, "char.delete", 0.2, 7)
    assert corrupt(SENTENCES, "char.delete", 0.2, 2**63 - 1) != corrupt(SENTENCES, "char.delete", 0.2, 7)


@pytest.mark.parametrize(
    ("values", "op", "level", "share"),
    [
        (["a", "b", "c"], "char.delete", 0.5, "0.0%"),
        (["word"] * 3, "word.shuffle", 0.5, "0.0%"),
        (["Привет, мир"], "char.keyboard", 0.5, r"\d"),
        (["Привет"], "char.keyboard", 0.5, "0.0%"),
        (["two words"], "word.delete", 1.0, "50.0%"),
    ],
)
def test_a_shortfall_is_warned_of(values: list[str], op: str, level: float, share: str) -> None:
    with pytest.warns(ShortfallWarning, match=f"can take {share}.* level {level:g}: {op} needs") as caught:
        corrupt(values, op, level)
    assert caught[0].filename == __file__


def test_the_docstrings_example_holds() -> None:
    (example,) = doctest.DocTestFinder(recurse=False).find(corrupt, "corrupt", globs={})
    assert doctest.DocTestRunner().run(example).failed == 0
    assert example.examples


def test_words_that_only_find_their_like_are_warned_of() -> None:
    """Where one word has most of the places there is no shuffle that moves them all."""
    with pytest.warns(ShortfallWarning, match=r"word.shuffle needs two words that differ"):
        corrupt(["no no no no no no no yes"] * 200, "word.shuffle", 0.5)
