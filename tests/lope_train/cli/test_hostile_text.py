"""Text that steers, reorders or hides reaches the terminal raw in no verb, from arguments, models, runs or answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import regex

from lope_common.shown import SafeConsole
from lope_train.cli import run as cli

HOSTILE = "a\x1b[2J\u202eb\u3164c\U000e0041\u200b\u2028\x9b31m\u00add"
RAW = regex.compile(r"[\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}--[\n]]", regex.VERSION1)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_store: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOPE_STORE", str(tiny_store))
    monkeypatch.setenv("LOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data", HOSTILE, "--model", "MODEL", "--out", "run"],
        ["train", "--data", f"./{HOSTILE}", "--model", "MODEL", "--out", "run"],
        ["train", "--data", "tiny-noisy", "--model", f"./{HOSTILE}", "--out", "run"],
        ["train", "--data", "tiny-noisy", "--model", "MODEL", "--out", "run", "--method", HOSTILE],
        ["train", "--data", "tiny-noisy", "--model", "MODEL", "--out", "run", "--target-modules", HOSTILE],
        ["train", "--recipe", HOSTILE],
        ["train", f"--{HOSTILE}"],
        ["evaluate", HOSTILE],
        ["evaluate", "--base", "--model", "MODEL", "--data", HOSTILE],
        ["evaluate", "--base", "--model", "MODEL", "--tasks", HOSTILE],
        ["score", "--run", HOSTILE, "--data", "tiny-noisy"],
        ["generate", HOSTILE, "--prompt", "x"],
        ["export", HOSTILE, "--out", "out"],
        ["params", "--model", f"./{HOSTILE}"],
        ["get-model", HOSTILE],
        ["items", HOSTILE, "--data-dir", ".", "--out", "x.jsonl"],
        [HOSTILE],
    ],
    ids=lambda words: " ".join(words).replace(HOSTILE, "HOSTILE"),
)
def test_no_verb_lets_it_through(words: list[str], tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(tiny_model) if word == "MODEL" else word for word in words])
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert not RAW.search(out + err)


def test_names_of_a_run_and_its_model_are_shown_safely(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole, from training to the tables: the folders have hostile names."""
    Path(f"model{HOSTILE}").symlink_to(tiny_model)
    run = f"run{HOSTILE}"
    for words in (
        ["train", "--data", "tiny-noisy", "--model", f"./model{HOSTILE}", "--out", run, "--batch-size", "4"],
        ["evaluate", run, "--base", "--data", "tiny", "--limit", "2"],
        ["generate", run, "--prompt", f"Say {HOSTILE}", "--max-new-tokens", "2", "--json"],
    ):
        cli.main(words)
        out, err = capsys.readouterr()
        assert out
        if "--json" in words:
            assert json.loads(out)["prompt"] == f"Say {HOSTILE}"  # a file or pipe gets the text itself
        else:
            assert not RAW.search(out + err)


def test_an_answer_is_shown_safely(capsys: pytest.CaptureFixture[str]) -> None:
    from lope_train.cli.generate import _show

    _show(f"{HOSTILE}\n")
    SafeConsole().print(HOSTILE, markup=False)
    assert not RAW.search(capsys.readouterr().out)
