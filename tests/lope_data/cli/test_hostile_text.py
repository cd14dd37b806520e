"""Text that steers, reorders or hides reaches the terminal raw in no verb, from rows, names, paths or arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import regex

Cli = Callable[..., Any]

HOSTILE = "a\x1b[2J\u202eb\u3164c\U000e0041\u200b\u2028\x9b31m\u00add"
RAW = regex.compile(r"[\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}--[\n]]", regex.VERSION1)


@pytest.fixture
def store(tmp_path: Path, lope_data: Cli) -> Path:
    """A store with a version whose texts, labels, other columns and source's name are hostile, and noise on it."""
    source = tmp_path / "na\u202eme\u3164\x1b.jsonl"
    rows = [
        {"text": f"row {i} {HOSTILE} with words to change", "label": f"{'ab'[i % 2]}{HOSTILE}", "more": HOSTILE}
        for i in range(40)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    where = tmp_path / "store"
    for name, mix in (("one", "char=1"), ("two", "char.delete=1,label=1")):
        done = lope_data("build", "--source", source, "--ratio", "0.5", "--mix", mix, "--name", name, "--store", where)
        assert done.code == 0, done.err
        assert not RAW.search(done.out + done.err)
    return where


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["show", "one", "--samples", "5"],
        ["diff", "one", "two", "--rows", "5"],
        ["verify", "one"],
        ["report", "one", "--samples", "3"],
        ["gc", "--dry-run"],
        ["export", "one", "--to", "jsonl", "--out", f"out{HOSTILE}"],
        ["tag", "one", "paper"],
        ["tag", "one", HOSTILE],
        ["show", HOSTILE],
        ["show", f"one@{HOSTILE}"],
        ["show", f"./{HOSTILE}"],
        ["list", HOSTILE],
        ["diff", "one", HOSTILE],
        ["import", HOSTILE],
        ["build", "--source", f"{HOSTILE}.jsonl"],
        ["build", "--name", HOSTILE],
        ["build", "--mix", f"{HOSTILE}=1"],
        ["build", "--recipe", HOSTILE],
        ["build", f"--{HOSTILE}"],
        ["push", "one", HOSTILE],
        [HOSTILE],
    ],
    ids=lambda words: " ".join(words).replace(HOSTILE, "HOSTILE"),
)
def test_no_verb_lets_it_through(store: Path, lope_data: Cli, words: list[str]) -> None:
    done = lope_data(*words, *([] if words == [HOSTILE] else ["--store", store]))
    assert done.out or done.err
    assert not RAW.search(done.out + done.err)
    if done.code == 2:
        assert len(done.err.splitlines()) == 1


def test_a_preview_and_the_ops_too(store: Path, lope_data: Cli, tmp_path: Path) -> None:
    (source,) = tmp_path.glob("*.jsonl")
    for words in (["preview", "--source", source, "-n", "5"], ["ops", HOSTILE], ["preview", HOSTILE]):
        done = lope_data(*words)
        assert not RAW.search(done.out + done.err)
