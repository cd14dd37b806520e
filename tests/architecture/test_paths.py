"""`~` is the home folder in every option and argument that is a path, wherever a shell leaves it as it is."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lope_data import cli as data_cli
from lope_train import cli as train_cli

DATA = [
    ["list", "--store=~/x"],
    ["show", "n", "--store=~/x"],
    ["build", "--recipe=~/x"],
    ["build", "--source=~/x"],
    ["build", "--from=~/x"],
    ["ingest", "~/x"],
    ["ingest", "sample", "--recipe=~/x"],
    ["preview", "~/x"],
    ["import", "~/x"],
    ["verify", "~/x"],
]
TRAIN = [
    ["train", "--recipe=~/x"],
    ["train", "--data=~/x", "--model=m", "--out=o"],
    ["train", "--data=n", "--store=~/x", "--model=m", "--out=o"],
    ["evaluate", "~/x"],
    ["generate", "~/x", "--prompt=p"],
    ["score", "~/x", "--data=n"],
    ["export", "~/x", "--out=o"],
    ["items", "piqa", "--data-dir=~/x", "--out=o"],
]


@pytest.mark.parametrize("words", [*DATA, *TRAIN], ids=" ".join)
def test_a_tilde_is_the_home_folder(
    words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr(sys, "argv", ["lope", *words])
    with suppress(SystemExit):
        (data_cli if words in DATA else train_cli).main()
    out, err = capsys.readouterr()
    assert str(tmp_path / "home" / "x") in out + err
    assert "~" not in out + err
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("~")]
