"""A version of each split, noise on those that are named; from the command line and in Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

import lope_data as package
from lope_data.store import Store

Cli = Callable[..., Any]
RECIPE = {"steps": [{"ratio": 0.5, "mix": "char.case"}]}
MIX = ("--ratio", "0.5", "--mix", "char.case")
SPLITS = {"train": 20, "validation": 6, "test": 4}


@pytest.fixture
def imdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `imdb` of a file for each split, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for split, count in SPLITS.items():
        write(tmp_path / "imdb" / f"{split}.jsonl", split, count)
    return tmp_path / "imdb"


def write(path: Path, says: str, count: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ({"text": f"sentence {i} of {says}", "label": "xy"[i % 2]} for i in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def latest(store: str = "lope-store") -> dict[str, str]:
    found = Store(Path(store))
    return {name: found.refs(name)["latest"] for name in found.names()}


def test_several_splits_are_refused_in_every_verb(lope_data: Cli, imdb: Path) -> None:
    for verb in (("ingest", "imdb"), ("build", "--source", "imdb"), ("preview", "--source", "imdb")):
        assert "imdb: holds the splits train, validation, test, and a version holds one" in lope_data(*verb).refusal
        assert "did you mean 'train'?" in lope_data(*verb, "--split", "trian").refusal
    assert not Path("lope-store").exists()


def test_one_split_in_every_verb(lope_data: Cli, imdb: Path) -> None:
    said = lope_data("ingest", "imdb", "--split", "test", "--json").json
    assert (said["name"], said["rows"]) == ("imdb-test", 4)
    said = lope_data("build", "--source", "imdb", "--split", "train", *MIX, "--json").json
    assert (said["name"], said["rows"], said["touched"]) == ("imdb-train-hynoise", 20, 10)
    assert "3 of 6 rows would be touched" in lope_data("preview", "--source", "imdb", "--split", "dev", *MIX).out
    manifest = package.open("imdb-test").manifest
    assert manifest.recipe.plain["source"] == {"split": "test"}
    assert package.ingest("imdb", split="test").ref == manifest.ref
    assert package.build(RECIPE, source="imdb", split="train").manifest.touched == 10
    assert package.preview(RECIPE, source="imdb", split="validation").rows == 6


def test_a_recipe_may_name_the_split(lope_data: Cli, imdb: Path) -> None:
    Path("r.toml").write_text('[source]\nsplit = "test"\n[[steps]]\nratio = 0.5\nmix = "char.case"\n')
    assert lope_data("build", "--source", "imdb", "--recipe", "r.toml", "--json").json["rows"] == 4
    assert lope_data("build", "--source", "imdb", "--recipe", "r.toml", "--split", "train", "--json").json["rows"] == 20
    Path("all.toml").write_text('[source]\nsplit = "all"\n')
    assert lope_data("ingest", "imdb", "--recipe", "all.toml", "--json").json["splits"].keys() == SPLITS.keys()


def test_a_split_is_read_again_by_a_replay(lope_data: Cli, imdb: Path) -> None:
    for split in ("train", "test"):  # of one folder; the second is not remembered in place of the first
        assert lope_data("build", "--source", "imdb", "--split", split, *MIX).code == 0
    for split in ("train", "test"):
        assert lope_data("verify", f"imdb-{split}-hynoise", "--replay").code == 0
    moved = imdb.rename(imdb.with_name("moved"))
    assert lope_data("verify", "imdb-test-hynoise", "--replay", "--source", moved).code == 0
    write(moved / "train.jsonl", "another train")
    assert lope_data("verify", "imdb-test-hynoise", "--replay", "--source", moved).code == 0
    assert "fingerprint" in lope_data("verify", "imdb-train-hynoise", "--replay", "--source", moved).refusal


def test_ingest_makes_a_version_of_each(lope_data: Cli, imdb: Path) -> None:
    run = lope_data("ingest", "imdb", "--split", "all", "--json")
    said = run.json["splits"]
    assert {split: (one["name"], one["rows"]) for split, one in said.items()} == {
        split: (f"imdb-{split}", count) for split, count in SPLITS.items()
    }
    assert run.err.count("classification)") == 3
    found = package.ingest_splits("imdb")
    assert {split: version.ref for split, version in found.items()} == {
        split: f"{one['name']}@{one['version']}" for split, one in said.items()
    }
    assert all(version.existed for version in found.values())
    assert package.ingest("imdb", split="test").ref == found["test"].ref
    assert [version.ref for version in package.ingest_splits("imdb", name="films", limit=3).values()] == [
        package.open(f"films-{split}").ref for split in SPLITS
    ]


def test_build_puts_noise_on_those_that_are_named(lope_data: Cli, imdb: Path) -> None:
    run = lope_data("build", "--source", "imdb", "--split", "all", *MIX, "--json")
    said = run.json["splits"]
    assert {split: (one["name"], one.get("touched")) for split, one in said.items()} == {
        "train": ("imdb-train-hynoise", 10),
        "validation": ("imdb-validation", None),
        "test": ("imdb-test", None),
    }
    assert said["train"]["parent"] == package.open("imdb-train").ref
    more = ("--noise-splits", "train, dev", "--name", "films")
    said = lope_data("build", "--source", "imdb", "--split", "all", *MIX, *more, "--json").json["splits"]
    assert {split: (one["name"], one.get("touched")) for split, one in said.items()} == {
        "train": ("films-train", 10),
        "validation": ("films-validation", 3),
        "test": ("films-test", None),
    }
    found = package.build_splits("imdb", RECIPE, noise_splits=("train", "validation"), name="films")
    assert [version.manifest.kind for version in found.values()] == ["build", "build", "ingest"]
    assert all(version.existed for version in found.values())
    assert package.build_splits("imdb", RECIPE)["train"].ref == package.open("imdb-train-hynoise").ref
    assert package.build_splits("imdb", RECIPE, noise_splits="test")["test"].manifest.touched == 2


def test_a_saved_dict_from_end_to_end(lope_data: Cli, imdb: Path) -> None:
    rows = {split: datasets.Dataset.from_json(str(imdb / f"{split}.jsonl")) for split in SPLITS}
    datasets.DatasetDict(rows).save_to_disk("saved")
    said = lope_data("build", "--source", "saved", "--split", "all", *MIX, "--json").json["splits"]
    assert {split: one["rows"] for split, one in said.items()} == SPLITS
    assert lope_data("verify", "saved-train-hynoise", "--replay").code == 0


def test_what_is_wrong_with_one_split_stops_all(lope_data: Cli, imdb: Path) -> None:
    (imdb / "validation.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": null, "label": "x"}\n')
    for verb in (("ingest", "imdb"), ("build", "--source", "imdb")):
        assert "validation.jsonl, row 1: 'text' is null" in lope_data(*verb, "--split", "all").refusal
        assert latest() == {}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--source", "imdb", "--split", "all", "--noise-splits", "tets"), "noise for the split 'tets'"),
        (("--source", "imdb", "--split", "all", "--noise-splits", "tets"), "did you mean 'test'?"),
        (("--source", "imdb", "--split", "all", "--name", "imdb"), "'imdb-train' is the parent's name"),
        (("--source", "imdb", "--split", "all", "--name", "../x"), "cannot be the name of a dataset"),
        (("--source", "imdb", "--split", "train", "--noise-splits", "train"), "--noise-splits is for --split all"),
        (("--source", "imdb/train.jsonl", "--split", "all"), "imdb/train.jsonl: has no splits; leave --split out"),
        (("--source", "imdb/train.jsonl", "--split", "train"), "imdb/train.jsonl: has no splits; leave --split out"),
        (("--source", "imdb", "--split", "train", "--config", "main"), "--config is for a dataset on the hub"),
        (("--split", "train"), "split (--split) is for a source that has several; say which (--source)"),
        (("--split", "all"), "split (--split) is for a source that has several; say which (--source)"),
        (("--from", "x", "--split", "all"), "split (--split) is for a source that has several"),
        (("--revision", "main"), "revision (--revision) is for a source"),
    ],
)
def test_what_cannot_be_asked_for(lope_data: Cli, imdb: Path, args: tuple[str, ...], message: str) -> None:
    assert message in lope_data("build", *args).refusal
    assert not Path("lope-store").exists()


def test_what_cannot_be_asked_for_in_python(imdb: Path) -> None:
    with pytest.raises(package.LopeDataError, match="where one is needed; name it, or call ingest_splits"):
        package.ingest("imdb", split="all")
    with pytest.raises(package.LopeDataError, match="where one is needed; name it, or call build_splits"):
        package.build(source="imdb", split="all")
    with pytest.raises(package.LopeDataError, match=r"where one is needed; name it$"):
        package.preview(source="imdb", split="all")
    with pytest.raises(package.LopeDataError, match="split must be text, not 3"):
        package.ingest("imdb", split=3)  # type: ignore[arg-type]
    with pytest.raises(package.LopeDataError, match="noise_splits must hold names of splits, not 3"):
        package.build_splits("imdb", noise_splits=3)  # type: ignore[arg-type]
    with pytest.raises(package.LopeDataError, match=r"split .* is for a source that has several"):
        package.build({"source": {"split": "test"}})
    with pytest.raises(package.LopeDataError, match="'' cannot be the name"):
        package.ingest("imdb", split="test", name="")
    assert not Path("lope-store").exists()


def test_two_splits_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("a b", "a-b"):
        write(tmp_path / "imdb" / "data" / f"{split}-00000-of-00001.jsonl", split)
    with pytest.raises(package.LopeDataError, match="two splits would be called 'imdb-a-b'"):
        package.ingest_splits("imdb")
    assert not Path("lope-store").exists()
