"""What an op of a user's own gives wrongly is one line that names it, and reaches no row."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from lope_data.errors import NoiseError, RecipeError
from lope_data.inject import Corrupted, corrupt_rows, plan
from lope_data.noise import import_ops
from lope_data.recipe import Recipe, load_recipe, validated
from lope_data.rows import ROW_ID
from lope_data.text import row_hashes

Own = Callable[..., str]
Rows = Callable[..., pa.Table]

ROWS = [
    {"text": "naïve words, said twice: words", "label": "a"},
    {"text": "ein Wort für zwei", "label": "b"},
    {"text": "  ", "label": "a"},
    {"text": "see https://example.org/a%20b now", "label": "c"},
]
CHOICES = [
    {"question": "which one", "choices": ["x", "y", "z"], "answer": 1},
    {"question": "q", "choices": ["x"], "answer": 0},
]


def noisy(rows: pa.Table, recipe: Recipe) -> Corrupted:
    deals, _ = plan(rows, recipe, (recipe.seed, 1), allow_shortfall=True)
    return corrupt_rows(rows, row_hashes(rows[ROW_ID]), deals, (recipe.seed, 1), recipe.guard)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ("return 5", "gives units that are int, not Spans"),
        ("return Spans(w.first[1:], w.start, w.end)", "gives units for 3 rows, where there are 4"),
        ("return Spans(w.first + 1, w.start, w.end)", "gives units whose `first` does not count up from 0"),
        ("return Spans(w.first, w.start[1:], w.end)", "starts and"),
        ("return Spans(w.first, w.start - 90, w.end)", "gives units that reach beyond their text"),
        ("return Spans(w.first, w.start, w.end + 900)", "gives units that reach beyond their text"),
        ("return Spans(w.first, w.end, w.start)", "gives units that reach beyond their text"),
        ("return Spans(w.first, w.start, np.minimum(w.end + 1, cells.row_edges[-1]))", "units that"),
        ("return Spans(w.first, w.start, w.start + 3)", "gives units that"),
        ("return Spans(w.first, w.start.astype(float), w.end)", "units: start that is ndarray of float64"),
        ("return Spans(w.first.tolist(), w.start, w.end)", "units: first that is list, not a NumPy array"),
        ("raise KeyError('abc')", "word.shout failed (shout.py, line 10: KeyError: 'abc')"),
        ("raise SystemExit(0)", "word.shout failed (shout.py, line 10: SystemExit: 0)"),
        ("raise GeneratorExit", "word.shout failed (shout.py, line 10: GeneratorExit"),
        ("raise ValueError('x' * 10_000)", "ValueError: xxx"),
        ("cells.data[:] = 65; return w", "word.shout failed (shout.py, line 10: ValueError: "),
        ("return np.zeros(3)[cells.nothing]", "word.shout failed (shout.py, line 10: AttributeError: "),
    ],
)
def test_units_that_cannot_be_are_named(own_ops: Own, ingest_rows: Rows, units: str, message: str) -> None:
    import_ops(own_ops("shout.py", units=units))
    with pytest.raises(NoiseError) as error:
        noisy(ingest_rows(ROWS), load_recipe(None, {"ratio": 1.0, "level": 1.0, "mix": "word.shout"}))
    assert message in str(error.value)
    assert "shout.py" in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("return None", "gives edits that are NoneType, not Edits"),
        ("return hits.replace(hits.text().slice(1))", "gives edits whose parts differ in length"),
        ("return hits.replace(pa.nulls(len(hits.row), pa.string()))", "or put nothing in a text's place"),
        ("return hits.replace(['x'] * len(hits.row))", "edits: after that are list, not an Arrow array of texts"),
        (
            "return hits.replace(pa.array([[1]] * len(hits.row)))",
            "edits: after that are ListArray of list<item: int64>",
        ),
        ("return hits.replace(pa.array([b'\\xff'] * len(hits.row)))", "gives edits whose text is not UTF-8"),
        ("return hits.replace(hits.text(), pa.array([['d']] * len(hits.row)))", "edits: detail that are ListArray"),
        ("return Edits(hits.row, hits.cell, hits.start - 1, hits.end, hits.text())", "gives edits that"),
        ("return Edits(hits.row, hits.cell, hits.start, hits.end + 999, hits.text())", "reach beyond their text"),
        (
            "return Edits(hits.row + 9, hits.cell, hits.start, hits.end, hits.text())",
            "in rows that it was not told to change",
        ),
        ("return Edits(hits.row, hits.cell + 1, hits.start, hits.end, hits.text())", "gives edits "),
        (
            "back = [x[::-1] for x in (hits.row, hits.cell, hits.start, hits.end)]; return Edits(*back, hits.text())",
            "overlap or are out of order",
        ),
        (
            "two = [np.repeat(x, 2) for x in (hits.row, hits.cell, hits.start, hits.start)]; "
            "return Edits(*two, pa.array([b'x'] * len(two[0])))",
            "more edits than the units",
        ),
        ("return Edits(hits.row, hits.cell, hits.start + 1, hits.end, hits.text())", "cut a character in two"),
        (
            "hits.cells.data[:] = 65; return 5",
            "word.shout failed (shout.py, line 16: ValueError: ",
        ),
        ("hits.row[:] = 0; return hits.replace(hits.text())", "word.shout failed (shout.py, line 16: ValueError: "),
        ("import sys; sys.exit()", "word.shout failed (shout.py, line 16: SystemExit: "),
        ("return 1 / 0", "word.shout failed (shout.py, line 16: ZeroDivisionError: division by zero)"),
    ],
)
def test_edits_that_cannot_be_are_named(own_ops: Own, ingest_rows: Rows, edit: str, message: str) -> None:
    import_ops(own_ops("shout.py", edit=edit))
    rows = ingest_rows([*ROWS, {"text": "ämter über öl", "label": "a"}])
    with pytest.raises(NoiseError) as error:
        noisy(rows, load_recipe(None, {"ratio": 1.0, "level": 1.0, "mix": "word.shout"}))
    assert message in str(error.value)
    assert "shout.py" in str(error.value)


def test_protected_text_cannot_be_edited(own_ops: Own, ingest_rows: Rows) -> None:
    edit = "return Edits(hits.row, hits.cell, cells.bounds[hits.cell], cells.bounds[hits.cell + 1], hits.text())"
    import_ops(own_ops("shout.py", more=", keep=0", edit=f"cells = hits.cells; {edit}"))
    recipe = Recipe.model_validate(
        {"protect": [{"name": "url"}], "steps": [{"ratio": 1.0, "level": 0.01, "mix": "word.shout"}]}
    )
    with pytest.raises(NoiseError, match=r"word.shout \(shout.py\) gives edits of text that is protected"):
        noisy(ingest_rows(ROWS), recipe)


def test_an_op_may_give_strings_and_its_own_error(own_ops: Own, ingest_rows: Rows) -> None:
    import_ops(own_ops("shout.py"))
    done = noisy(ingest_rows(ROWS), load_recipe(None, {"ratio": 1.0, "level": 1.0, "mix": "word.shout"}))
    assert done.rows["text"].to_pylist()[1] == "EIN WORT FÜR ZWEI"
    import_ops(own_ops("shout.py", top="from lope_data import LopeDataError", units="raise LopeDataError('not today')"))
    with pytest.raises(Exception, match=r"^not today$"):
        noisy(ingest_rows(ROWS), load_recipe(None, {"ratio": 1.0, "mix": "word.shout"}))


def test_what_an_op_leaves_as_it_is_counts_as_no_edit(own_ops: Own, ingest_rows: Rows) -> None:
    import_ops(own_ops("shout.py", more=", certain=True"))  # which is not so of a word in capitals
    rows = ingest_rows([{"text": "LOUD", "label": "a"}, {"text": "loud LOUD", "label": "b"}])
    done = noisy(rows, load_recipe(None, {"ratio": 1.0, "level": 1.0, "mix": "word.shout"}))
    assert done.edits["before"].to_pylist() == ["loud"]


def test_what_an_op_writes_into_its_batch_reaches_no_other(own_ops: Own, ingest_rows: Rows) -> None:
    edit = "return hits.replace(hits.nothing())"
    import_ops(own_ops("shout.py", units="w.end[:] = w.start; return Spans(w.first, w.start, w.start)", edit=edit))
    recipe = load_recipe(None, {"ratio": 1.0, "level": 1.0, "mix": {"word.swap": 1.0, "word.shout": 1.0}})
    rows = ingest_rows([{"text": f"some words of text {i}", "label": "a"} for i in range(20)])
    assert noisy(rows, recipe).edits["op"].to_pylist().count("word.swap") >= 10


LABEL = """import pyarrow as pa
import pyarrow.compute as pc

from lope_data.noise import label_op

@label_op("label.mine", version=1, kind="{kind}", needs="a target"{more})
def mine(rows, population, draw, params):
    "Another target."
    {propose}
"""


@pytest.fixture
def own_label(own_ops: Own) -> Callable[..., str]:
    def write(propose: str, kind: str = "class", more: str = "") -> str:
        own_ops("mine.py")  # for the folder
        with open("mine.py", "w") as file:  # noqa: PTH123
            file.write(LABEL.format(kind=kind, propose=propose, more=more))
        return "mine.py"

    return write


@pytest.mark.parametrize(
    ("propose", "kind", "message"),
    [
        ("return 5", "class", "gives int, where a pair of new targets and details is needed"),
        ("return pa.array(['x']), pa.array(['y'])", "class", "gives 1 new targets and 1 details for 4 rows"),
        ("return ['x'] * len(rows), ['y'] * len(rows)", "class", "gives new targets that are list, not an Arrow array"),
        (
            "return pa.array(['x'] * len(rows)), pa.nulls(len(rows))",
            "choice",
            "answers that are not the numbers of choices",
        ),
        (
            "return pa.array(['7'] * len(rows)), pa.nulls(len(rows))",
            "choice",
            "answers that are the number of no choice",
        ),
        (
            "return pa.array(['-1'] * len(rows)), pa.nulls(len(rows))",
            "choice",
            "answers that are the number of no choice",
        ),
        ("raise KeyError('abc')", "class", "label.mine failed (mine.py, line 9: KeyError: 'abc')"),
    ],
)
def test_targets_that_cannot_be_are_named(
    own_label: Callable[..., str], ingest_rows: Rows, propose: str, kind: str, message: str
) -> None:
    import_ops(own_label(propose, kind))
    with pytest.raises(NoiseError) as error:
        noisy(
            ingest_rows(CHOICES if kind == "choice" else ROWS), load_recipe(None, {"ratio": 1.0, "mix": "label.mine"})
        )
    assert message in str(error.value)
    assert "mine.py" in str(error.value)


def test_a_target_that_stays_is_not_one_that_the_op_can_change(
    own_label: Callable[..., str], ingest_rows: Rows
) -> None:
    import_ops(own_label("return pa.array(['b'] * len(rows)), pa.nulls(len(rows))", more=", able=lambda *_: 1 / 0"))
    done = noisy(ingest_rows(ROWS), load_recipe(None, {"ratio": 1.0, "mix": "label.mine"}))
    assert done.rows["label"].to_pylist() == ["b"] * 4
    assert len(done.edits) == 3


def test_an_op_that_changes_its_mind_is_named(own_label: Callable[..., str], ingest_rows: Rows) -> None:
    import_ops(
        own_label(
            "mine.n = getattr(mine, 'n', 0) + 1; new = 'x' if mine.n == 1 else None; "
            "return pa.array([new] * len(rows)), pa.nulls(len(rows))"
        )
    )
    with pytest.raises(NoiseError, match=r"label.mine gives no new target for a row that it said it could change"):
        noisy(ingest_rows(ROWS), load_recipe(None, {"ratio": 1.0, "mix": "label.mine"}))


def test_an_answer_is_the_number_that_it_is(own_label: Callable[..., str], ingest_rows: Rows) -> None:
    import_ops(
        own_label("return pa.array(['0' + t for t in rows['target'].to_pylist()]), pa.nulls(len(rows))", kind="choice")
    )
    done = noisy(ingest_rows(CHOICES), load_recipe(None, {"ratio": 1.0, "mix": "label.mine"}))
    assert sorted(done.rows["answer"].to_pylist()) == [0, 1]  # 01 is 1, which it was
    assert len(done.edits) == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (", least=0", "word.shout: least must be a whole number of 1 or more, not 0"),
        (", least=1.5", "word.shout: least must be a whole number of 1 or more, not 1.5"),
        (", keep=-5", "word.shout: keep must be a whole number of 0 or more, not -5"),
        (", keep='a'", "word.shout: keep must be a whole number"),
        (", per_hit=0", "word.shout: per_hit must be a whole number of 1 or more, not 0"),
        (", per_hit=True", "word.shout: per_hit must be a whole number of 1 or more, not True"),
    ],
)
def test_numbers_of_an_op_that_cannot_be_are_named(own_ops: Own, more: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"cannot import shout.py: {message}"):
        import_ops(own_ops("shout.py", more=more))


PARAMS = """from typing import Any
from pydantic import Field, field_validator

class Mine(Params):
    x: {field}

    @field_validator("x", mode="before")
    @classmethod
    def check(cls, value):
        {check}
"""


@pytest.mark.parametrize(
    ("field", "check", "value", "message"),
    [
        ("int = 1", "return value", 2, ""),
        ("tuple[str, ...] = ()", "return value", ["b", "a"], ""),
        ("int = Field(3, exclude=True)", "return value", 9, "its params do not come back from JSON as they were"),
        ("int = Field(3, alias='y')", "return value", None, "its params do not come back from JSON"),
        ("frozenset[str] = frozenset()", "return value", ["b", "a"], "its params hold a set, which has no order"),
        ("int = 1", "raise KeyError('abc')", 2, "word.shout: its params fail (shout.py, line 15: KeyError: 'abc')"),
        ("Any = b'\\xff'", "return value", None, "word.shout: its params fail (shout.py: UnicodeDecodeError"),
        ("Any = object()", "return value", None, "word.shout: its params fail (shout.py: PydanticSerializationError"),
        ("int", "return value", None, "params of word.shout: x: Field required"),
    ],
)
def test_params_that_a_manifest_cannot_hold_are_named(
    own_ops: Own, field: str, check: str, value: object, message: str
) -> None:
    own_ops("shout.py", top=PARAMS.format(field=field, check=check), more=", params=Mine")
    import_ops("shout.py")
    step = {"mix": "word.shout", "params": {} if value is None else {"word.shout": {"x": value}}}
    if message:
        with pytest.raises(RecipeError) as error:
            validated(Recipe, {"steps": [step]}, "recipe")
        assert message in str(error.value)
    else:
        recipe = validated(Recipe, {"steps": [step]}, "recipe")
        assert recipe.resolved()["steps"][0]["params"]["word.shout"] == {"x": value}
