"""Protected text and constraints: what noise must leave alone, over every text op."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lope_data.errors import NoiseError
from lope_data.inject import Corrupted, corrupt_rows, plan
from lope_data.noise import TextOp, all_ops, newest_edition
from lope_data.recipe.guard import PATTERNS, Constraints, Guard, Protect
from lope_data.recipe.recipe import Recipe
from lope_data.rows import ROW_ID
from lope_data.text import Cells, row_hashes

Ingest = Callable[..., pa.Table]

OPS = [name for name, op in all_ops().items() if isinstance(op, TextOp) and name in newest_edition().ops]

HITS = {
    "code": ["```py\nx = 1\n```", "`ls -l`", "~~~\na\n~~~"],
    "email": ["a.b+c@mail.example.org", "x_1@y-z.co"],
    "math": ["$x^2 + y$", "$$\\int_0^1$$", "\\(a\\)", "\\[b\nc\\]", "\\frac{1}{2}", "\\alpha"],
    "number": ["7", "-3.5", "1,204", "12:30", "6.02e23", "50%", "1/2"],
    "template": ["{{ user }}", "{% if x %}", "{name}", "<|im_start|>", "[INST]", "[/INST]", "</s>", "%(x)s"],
    "url": ["https://a.example/b?c=d#e", "HTTP://X.Y", "www.example.org/a", "ftp://h/f"],
}
MISSES = {
    "code": ["a ` b", "''"],
    "email": ["a@b", "@here", "a @ b.c"],
    "math": ["it costs $5 and", "a $ b $ c"],
    "number": ["one", "x"],
    "template": ["{ a b }", "a < b > c", "[1]"],
    "url": ["http:/x", "ww.x.y", "example.org"],
}


def corrupt(table: pa.Table, recipe: Recipe, **how: Any) -> Corrupted:
    deals, _ = plan(table, recipe, (recipe.seed, 1), **how)
    return corrupt_rows(table, row_hashes(table[ROW_ID]), deals, (recipe.seed, 1), recipe.guard)


def test_every_built_in_pattern_has_cases() -> None:
    assert set(PATTERNS) == set(HITS) == set(MISSES)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in HITS.items() for text in texts])
def test_built_in_patterns_find(name: str, text: str) -> None:
    cells = Cells.of(pa.array([f"say {text} now"]))
    barred = Guard((Protect(name=name),)).bar(cells).barred
    assert barred is not None
    start, size = len("say "), len(text.encode())
    assert barred[start : start + size].all()
    assert not barred[: start - 1].any()  # but for the byte on either side
    assert not barred[start + size + 1 :].any()


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in MISSES.items() for text in texts])
def test_built_in_patterns_let_be(name: str, text: str) -> None:
    barred = Guard((Protect(name=name),)).bar(Cells.of(pa.array([text]))).barred
    assert barred is not None
    assert not barred.any()


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("level", [0.1, 1.0])
def test_no_op_touches_protected_text(ingest_rows: Ingest, name: str, level: float) -> None:
    """The protected pieces stand in the noisy row, whole, in order, and grown by nothing."""
    piece = re.compile(r"https?://[^\s<>\"]+|`[^`\n]+`|KEEP-\d+")
    rows = [
        {
            "instruction": f"Plese see https://a.example/x{i} now, then run `rm -r x{i}` in the the house number five.",
            "input": f"Some other words here: beleive KEEP-{i} or the end of it all, my Friend, is near.",
            "output": "ok",
        }
        for i in range(40)
    ]
    table = ingest_rows(rows)
    protect = [{"name": "url"}, {"name": "code"}, {"pattern": r"KEEP-\d+"}]
    mix = {"steps": [{"ratio": 1.0, "level": level, "mix": {name: 1.0}}], "protect": protect}
    noisy = corrupt(table, Recipe.model_validate(mix), allow_shortfall=True)
    changed = 0
    for before, after in zip(table.to_pylist(), noisy.rows.to_pylist(), strict=True):
        for column in ("instruction", "input"):
            assert set(piece.findall(before[column])) <= set(piece.findall(after[column])), (before, after)
        changed += before["instruction"] != after["instruction"] or before["input"] != after["input"]
    if name in ("structure.drop_field", "structure.duplicate_field"):  # both fields hold protected text
        assert changed == 0
    else:
        assert changed == len(rows)


def test_what_a_step_changes_cannot_unprotect(ingest_rows: Ingest) -> None:
    """A step that turns a line break into a space would let a stray backtick pair with that of the code."""
    table = ingest_rows([{"text": f"tick ` one\ntwo `code{i}` end", "label": "a"} for i in range(30)])
    steps = [
        {"name": "one", "ratio": 1.0, "level": 1.0, "mix": "structure.whitespace"},
        {"name": "two", "ratio": 1.0, "level": 1.0, "mix": "char.substitute"},
    ]
    noisy = corrupt(table, Recipe.model_validate({"steps": steps, "protect": [{"name": "code"}]})).rows
    assert all(f"`code{i}`" in text for i, text in enumerate(noisy["text"].to_pylist()))


def test_protected_white_space_stays(ingest_rows: Ingest) -> None:
    table = ingest_rows([{"text": f"one two {i} foo \n\n bar baz", "label": "a"} for i in range(30)])
    recipe = {"steps": [{"ratio": 1.0, "level": 0.6, "mix": "word.delete"}], "protect": [{"pattern": r"\n\n"}]}
    noisy = corrupt(table, Recipe.model_validate(recipe)).rows
    assert all("\n\n" in text for text in noisy["text"].to_pylist())


@pytest.mark.timeout(60)  # minutes, where one pattern's failure is met again behind each match of another
@pytest.mark.parametrize("text", ["{{<b>", "\\[\\a ", "`", "$x ", "<|"])
def test_no_text_makes_the_built_in_patterns_slow(text: str) -> None:
    cells = Cells.of(pa.array([text * (400_000 // len(text))]))
    assert Guard(tuple(Protect(name=name) for name in PATTERNS)).bar(cells).barred is not None


def test_protected_text_stays_through_all_steps(ingest_rows: Ingest) -> None:
    table = ingest_rows([{"text": f"call 555-{i} or write to us today", "label": "a"} for i in range(30)])
    steps = [{"name": n, "ratio": 1.0, "level": 0.3, "mix": {"char": 1, "word.shuffle": 1}} for n in ("one", "two")]
    noisy = corrupt(table, Recipe.model_validate({"steps": steps, "protect": [{"name": "number"}]})).rows
    for i, text in enumerate(noisy["text"].to_pylist()):
        assert "555" in text
        assert str(i) in text


def test_short_words_are_left_alone(ingest_rows: Ingest) -> None:
    text = "an ox is in the mud again, señor ni\u00f1o é"
    table = ingest_rows([{"text": text, "label": "a"}])
    short = [match.span() for match in re.finditer(rb"\S+", text.encode()) if len(match[0].decode()) < 5]
    assert len(short) == 8
    for name in OPS:
        if name.startswith(("char", "word")) and name != "word.merge":
            recipe = Recipe.model_validate(
                {"steps": [{"ratio": 1.0, "level": 1.0, "mix": {name: 1}}], "constraints": {"min_word_length": 5}}
            )
            noisy = corrupt(table, recipe, allow_shortfall=True)
            for edit in noisy.edits.to_pylist():
                for low, high in short:
                    outside = edit["end"] <= low or edit["start"] >= high
                    assert outside or edit["start"] == edit["end"] == high, (name, edit)


def test_words_of_the_least_length_are_not_short() -> None:
    guard = Guard(constraints=Constraints(min_word_length=4))
    barred = guard.bar(Cells.of(pa.array(["abc abcd e\u0301e\u0301e\u0301 éééé"]))).barred
    assert barred is not None
    text = "abc abcd e\u0301e\u0301e\u0301 éééé".encode()
    assert bytes(b if m else 0x2D for b, m in zip(text, barred.tolist(), strict=True)).decode() == (
        "abc------e\u0301e\u0301e\u0301" + "-" * (1 + len("éééé".encode()))
    )


@pytest.mark.parametrize("ceiling", [0.05, 0.2])
def test_no_row_changes_more_than_the_ceiling(ingest_rows: Ingest, ceiling: float) -> None:
    texts = ["word " * n for n in range(2, 60)]
    table = ingest_rows([{"text": f"{i} {text}", "label": "a"} for i, text in enumerate(texts)])
    steps = [{"name": n, "ratio": 1.0, "level": 0.5, "mix": {"word.delete": 1}} for n in ("one", "two")]
    recipe = Recipe.model_validate({"steps": steps, "constraints": {"max_modification": ceiling}})
    noisy = corrupt(table, recipe, allow_shortfall=True)
    for before, after in zip(table["text"].to_pylist(), noisy.rows["text"].to_pylist(), strict=True):
        words, left = len(before.split()), len(after.split())
        assert words - left <= ceiling * words + 1e-9
    assert (noisy.spent <= ceiling + 1e-9).all()
    assert noisy.spent.max() > ceiling * 0.8


def test_rows_below_the_ceiling_are_refused_or_counted(ingest_rows: Ingest) -> None:
    table = ingest_rows(
        [{"text": "two words" if i % 2 else "one two three four five", "label": "a"} for i in range(20)]
    )
    recipe = Recipe.model_validate(
        {"steps": [{"ratio": 1.0, "mix": {"word.delete": 1}}], "constraints": {"max_modification": 0.2}}
    )
    with pytest.raises(NoiseError, match=r"change only 10; lower the ratio.*--allow-shortfall"):
        corrupt(table, recipe)
    _, plans = plan(table, recipe, (614, 1), allow_shortfall=True)
    assert (plans[0][0].dealt, plans[0][0].examined, plans[0][0].eligible) == (10, 20, 10)
    assert "under the ceiling of 0.2" in plans[0][0].needs


def test_the_command_line_counts_a_shortfall(lope_data: Callable[..., Any], tmp_path: Any) -> None:
    rows = "\n".join(f'{{"text": "{"some words" if i % 2 else "7"}", "label": "a"}}' for i in range(10))
    (tmp_path / "rows.jsonl").write_text(rows)
    args = ("build", "--source", "rows.jsonl", "--mix", "word.delete", "--ratio", "0.8")
    refused = lope_data(*args)
    assert refused.code == 2
    assert "asks for 8 rows (ratio 0.8 of 10), but its mix can change only 5" in refused.err
    run = lope_data(*args, "--allow-shortfall", "--json")
    assert run.code == 0
    assert (run.json["touched"], run.json["shortfall"]) == (5, 3)
    assert "3 rows fewer than asked" in run.err
    plain = lope_data("build", "--from", "rows", "--mix", "word.delete", "--ratio", "0.5", "--json")
    assert (plain.json["touched"], plain.json["shortfall"]) == (5, 0)
