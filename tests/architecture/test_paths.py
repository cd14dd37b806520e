"""`~` is the home folder in every option that is a path; a URL is refused where something is written."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pytest

import lope_data
from lope_data import cli as data_cli
from lope_data.errors import StoreError
from lope_train import cli as train_cli
from lope_train.data import resolve
from lope_train.errors import RunError, VersionError
from lope_train.runs import RunFolder

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
    ["score", "--run=~/x", "--data=n"],
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


DATA_PLACES = [
    ["build", "--store=URL"],
    ["ingest", "sample", "--store=URL"],
    ["list", "--store=URL"],
    ["gc", "--store=URL"],
    ["import", "URL"],
    ["export", "n", "--out=URL"],
    ["export", "n", "--as=version", "--out=URL"],
    ["report", "n", "--out=URL"],
]
TRAIN_PLACES = [
    ["train", "--data=n", "--model=m", "--out=URL"],
    ["train", "--data=n", "--model=m", "--out=o", "--store=URL"],
    ["score", "run", "--data=n", "--store=URL"],
    ["export", "run", "--out=URL"],
    ["items", "piqa", "--data-dir=d", "--out=URL"],
    ["get-model", "smollm2-135m", "--cache=URL"],
]


@pytest.mark.parametrize(
    "url", ["s3://me:word@bucket/x?token=word", "hf://datasets/me/x", "https://example.com/x", "file:///x"]
)
@pytest.mark.parametrize("words", [*DATA_PLACES, *TRAIN_PLACES], ids=" ".join)
def test_a_place_to_write_to_is_no_url(
    words: list[str], url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lope", *(word.replace("URL", url) for word in words)])
    with pytest.raises(SystemExit) as stopped:
        (data_cli if words in DATA_PLACES else train_cli).main()
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (2, "")
    (line,) = err.splitlines()
    assert f"{url.replace('me:word@', '').partition('?')[0]} is a URL" in line
    assert "word" not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variable", "words"), [("LOPE_STORE", DATA[0][:1]), ("LOPE_CACHE", ["get-model", "smollm2-135m"])]
)
def test_variables_are_no_urls_either(
    variable: str, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "s3://bucket/x")
    monkeypatch.setattr(sys, "argv", ["lope", *words])
    with pytest.raises(SystemExit):
        (data_cli if variable == "LOPE_STORE" else train_cli).main()
    assert f"{variable}: s3://bucket/x is a URL" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_in_python_neither(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"^store: https://example\.com/x is a URL"):
        lope_data.build(store="https://example.com/x")
    with pytest.raises(VersionError, match=r"^store: s3://bucket/x is a URL"):
        resolve("n", Path("s3://bucket/x"))
    with pytest.raises(RunError, match=r"^out: s3://bucket/x is a URL"):
        RunFolder(Path("s3://bucket/x"))
    assert not list(tmp_path.iterdir())
