"""A name stands for one source: `latest` moves to another only where that is asked for, or nothing is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lope_data as package
from lope_data.builds import make
from lope_data.store import Store

Cli = Callable[..., Any]


def write(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ({"text": f"sentence {i} of {says}", "label": "xy"[i % 2]} for i in range(8))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def latest(store: Path | str = "lope-store") -> dict[str, str]:
    found = Store(Path(store))
    return {name: found.refs(name)["latest"] for name in found.names()}


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files a/rows.jsonl and b/rows.jsonl, which differ, in the working directory."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a" / "rows.jsonl", "a")
    write(tmp_path / "b" / "rows.jsonl", "b")


def test_a_name_is_not_taken_by_another_source(lope_data: Cli, tmp_path: Path) -> None:
    package.ingest("a/rows.jsonl")
    before = latest()
    expected = (
        f"error: b/rows.jsonl: 'rows' is the name of {tmp_path}/a/rows.jsonl in this store; ingest this one under "
        "another --name, or --name rows if it is the same data in a new place"
    )
    for verb in (("ingest", "b/rows.jsonl"), ("build", "--source", "b/rows.jsonl")):
        assert lope_data(*verb).refusal == expected
        assert latest() == before
    assert package.ingest("b/rows.jsonl", name="other").manifest.name == "other"
    assert latest()["rows"] == before["rows"]


def test_a_name_that_is_given_is_meant(lope_data: Cli) -> None:
    package.ingest("a/rows.jsonl")
    moved = lope_data("ingest", "b/rows.jsonl", "--name", "rows", "--json").json
    assert latest() == {"rows": moved["version"]}
    assert "'rows' is the name of" in lope_data("ingest", "a/rows.jsonl").refusal
    write(Path("b/rows.jsonl"), "b again")
    assert package.ingest("b/rows.jsonl").manifest.name == "rows"


def test_an_edited_source_is_a_new_version_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = package.ingest("a/rows.jsonl")
    write(tmp_path / "a" / "rows.jsonl", "a again")
    second = package.ingest(tmp_path / "a" / "rows.jsonl")  # the same file by another path
    assert (first.manifest.name, second.manifest.name) == ("rows", "rows")
    assert latest() == {"rows": second.manifest.version}
    write(tmp_path / "a" / "rows.jsonl", "a a third time")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path / "b")
    third = package.ingest("../link/rows.jsonl", store=tmp_path / "lope-store")
    assert latest(tmp_path / "lope-store") == {"rows": third.manifest.version}


def test_a_folder_is_known_again_however_it_is_reached(tmp_path: Path) -> None:
    package.ingest("a", name="a")
    write(tmp_path / "a" / "more.jsonl", "more")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "a").symlink_to(tmp_path / "a")
    assert package.ingest("c/a").manifest.name == "a"


def test_a_copy_has_the_same_version_and_does_not_take_the_name(lope_data: Cli) -> None:
    shutil.copy("a/rows.jsonl", "b/rows.jsonl")
    assert package.ingest("a/rows.jsonl").ref == package.ingest("b/rows.jsonl").ref
    write(Path("b/rows.jsonl"), "b again")
    assert "'rows' is the name of" in lope_data("ingest", "b/rows.jsonl").refusal
    write(Path("a/rows.jsonl"), "a again")
    assert package.ingest("a/rows.jsonl").manifest.name == "rows"


def test_what_is_not_known_stops_nobody(lope_data: Cli) -> None:
    package.ingest("a/rows.jsonl")
    shutil.rmtree("lope-store/.sources")
    assert lope_data("ingest", "b/rows.jsonl").code == 0
    assert lope_data("export", "rows", "--as", "version", "--out", "out").code == 0
    assert lope_data("import", "out", "--store", "other").code == 0
    assert package.ingest("a/rows.jsonl", store="other").manifest.name == "rows"


def test_data_that_has_moved_takes_its_name_with_it() -> None:
    package.ingest("a/rows.jsonl")
    Path("a/rows.jsonl").rename("b/rows.jsonl")
    assert package.ingest("b/rows.jsonl", name="rows").existed
    write(Path("b/rows.jsonl"), "b again")
    assert not package.ingest("b/rows.jsonl").existed


def test_a_latest_that_was_imported_stops_nobody(lope_data: Cli) -> None:
    package.ingest("a/rows.jsonl")
    imported = package.ingest("b/rows.jsonl", store="other").manifest.version
    assert lope_data("export", "rows", "--as", "version", "--out", "out", "--store", "other").code == 0
    assert lope_data("import", "out").code == 0
    assert latest() == {"rows": imported}
    write(Path("b/rows.jsonl"), "b again")
    assert package.ingest("b/rows.jsonl").manifest.name == "rows"


@pytest.mark.parametrize("damage", [{"version": "0"}, {"source": 5}, {"known": 5}, None])
def test_a_damaged_note_stops_nobody(damage: dict[str, Any] | None) -> None:
    package.ingest("a/rows.jsonl")
    (note,) = Path("lope-store/.sources").glob("name-*")
    note.write_text("{" if damage is None else json.dumps(json.loads(note.read_text()) | damage))
    assert package.ingest("b/rows.jsonl").manifest.name == "rows"


def test_a_damaged_latest_stops_nobody() -> None:
    package.build(name="rows", limit=50)
    (manifest,) = Path("lope-store/rows").glob("*/manifest.json")
    manifest.write_text("{")
    assert package.ingest("a/rows.jsonl").manifest.name == "rows"


def test_a_clean_source_does_not_take_the_name_of_noise(lope_data: Cli) -> None:
    package.build(name="rows", limit=50)
    before = latest()
    assert "'rows' is the name of a noisy version in this store" in lope_data("ingest", "a/rows.jsonl").refusal
    assert latest() == before


def test_a_name_that_another_process_takes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make.make_clean

    def slow(clean: Any, options: Any) -> Any:
        if clean.opened.where == "b/rows.jsonl":
            package.ingest("a/rows.jsonl")
        return plain(clean, options)

    monkeypatch.setattr(make, "make_clean", slow)
    with pytest.raises(package.LopeDataError, match="'rows' is the name of"):
        package.ingest("b/rows.jsonl")
    assert latest() == {"rows": package.ingest("a/rows.jsonl").manifest.version}


def test_the_sample_is_a_source_like_others(lope_data: Cli) -> None:
    write(Path("sample.jsonl"), "a")
    package.ingest("sample.jsonl")
    assert "'sample' is the name of" in lope_data("build", "--ratio", "0.1").refusal


def test_each_split_of_another_dataset_is_refused_before_one_is_made(lope_data: Cli) -> None:
    for place in ("a", "b"):
        for split in ("train", "test"):
            write(Path(place) / "imdb" / f"{split}.jsonl", place + split)
    package.ingest("a/imdb/test.jsonl")
    before = latest()
    assert "'imdb-test' is the name of" in lope_data("ingest", "b/imdb", "--split", "all").refusal
    assert latest() == before
    assert package.ingest("a/imdb", split="test").manifest.name == "imdb-test"  # the same file, by its split
    assert package.ingest_splits("b/imdb", name="films").keys() == {"train", "test"}


def test_a_limit_has_a_name_of_its_own(lope_data: Cli) -> None:
    assert package.ingest("a/rows.jsonl", limit=3).manifest.name == "rows-3"
    assert package.ingest("b/rows.jsonl").manifest.name == "rows"
    assert "'rows-3' is the name of" in lope_data("ingest", "b/rows.jsonl", "--limit", "3").refusal
    assert package.ingest("b/rows.jsonl", limit=3, name="three").manifest.name == "three"
