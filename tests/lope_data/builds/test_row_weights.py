"""Rows are given weights by lists of ids: a column that versions made of them keep, and that no source may bring."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lope_data as library
from lope_common.progress import silent
from lope_data.builds.replay import replay
from lope_data.errors import LopeDataError, SourceError
from lope_data.store import Version, verify_version
from tests.lope_data.conftest import Run

Row = Mapping[str, Any]
ROWS = [{"text": f"text {number}", "label": "abc"[number % 3]} for number in range(30)]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOPE_STORE", str(tmp_path / "lope-store"))
    return tmp_path / "lope-store"


def listed(version: Version, weights: Mapping[int, Any]) -> list[dict[str, Any]]:
    ids = version.rows["lope_row_id"].to_pylist()
    return [{"row_id": ids[row], "weight": weight} for row, weight in weights.items()]


def weights(version: Version) -> list[float]:
    found: list[float] = version.rows["lope_weight"].to_pylist()
    return found


def test_the_listed_rows_have_their_weights_and_the_others_one() -> None:
    source = library.ingest(ROWS, name="some")
    made = library.curate(source, weight=listed(source, {3: 0, 7: 0.1, 9: 2}))
    assert weights(made) == [{3: 0.0, 7: float(np.float32(0.1)), 9: 2.0}.get(row, 1.0) for row in range(30)]
    assert made.rows.schema.field("lope_weight").type == pa.float32()
    assert made.rows.drop_columns("lope_weight").equals(source.rows)
    curated = made.manifest.plain["curated"]
    assert (curated["dropped"], curated["relabelled"], curated["weighted"]) == (0, 0, 3)
    assert verify_version(made.folder, silent)[1] == []
    assert replay(made, "", 1, silent) == []


def test_what_is_made_of_it_keeps_the_weights(tmp_path: Path) -> None:
    """Noise, other lists, and a version that was exported and read again; a form of people's own has no such column."""
    source = library.ingest(ROWS, name="some")
    made = library.curate(source, weight=listed(source, {3: 0, 7: 0.5}), drop=listed(source, {0: 1}))
    noisy = library.build({"steps": [{"ratio": 0.4, "mix": "label.flip"}]}, parent=made, name="noisy")
    assert weights(noisy) == weights(made)
    assert replay(noisy, "", 1, silent) == []
    again = library.curate(noisy, weight=listed(noisy, {2: 1, 5: 4}), name="again")
    assert weights(again) == [1.0] * 5 + [4.0] + [0.5] + [1.0] * 22
    assert again.manifest.plain["curated"]["weighted"] == 2
    assert replay(again, "", 1, silent) == []
    dropped = library.curate(noisy, drop=listed(noisy, {2: 1}), name="dropped")
    assert weights(dropped) == [1.0] * 5 + [0.5] + [1.0] * 22
    assert "lope_weight" not in made.to_dataset("source").column_names
    assert made.to_dataset("source", lope_columns=True)["lope_weight"][2] == 0.0


def test_the_id_hangs_on_the_weights_and_not_on_how_they_are_written(tmp_path: Path) -> None:
    source = library.ingest(ROWS, name="some")
    made = library.curate(source, weight=listed(source, {3: 0.5, 7: 0}))
    ids = source.rows["lope_row_id"].to_pylist()
    (tmp_path / "w.csv").write_text(f"row_id,weight,rank\n{ids[7]}, -0.0 ,1\n{ids[3]},5e-1,2\n{ids[4]},1,3\n")
    again = library.curate(source, weight=tmp_path / "w.csv")
    assert again.existed
    assert again.ref == made.ref
    other = library.curate(source, weight=listed(source, {3: 0.5, 7: 0.25}))
    assert other.manifest.version != made.manifest.version


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({1: -0.5}, "weight (--weight): row 1 of the list: the weight '-0.5' is not a finite number from 0 on"),
        ({1: 1, 2: "nan"}, "row 2 of the list: the weight 'nan' is not"),
        ({1: "1e39"}, "the weight '1e39' is not"),
        ({1: "much"}, "the weight 'much' is not"),
        ({1: "1_0"}, "the weight '1_0' is not"),
        ({1: True}, "the weight 'true' is not"),
        ({1: None}, "row 1: has no 'weight'"),
        ({1: 1, 2: "1.0"}, "--weight: all rows listed are in some@"),
        (dict.fromkeys(range(30), 0), "weight (--weight): all 30 rows that are left weigh 0, so none counts"),
    ],
)
def test_what_cannot_be_a_weight_is_one_line(given: dict[int, Any], said: str, own_store: Path) -> None:
    source = library.ingest(ROWS, name="some")
    with pytest.raises(LopeDataError) as raised:
        library.curate(source, weight=listed(source, given))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in own_store.iterdir() if not path.name.startswith(".")) == ["some"]


def test_a_row_that_is_dropped_has_no_weight_and_one_must_be_left() -> None:
    source = library.ingest(ROWS, name="some")
    with pytest.raises(SourceError, match=r"weight \(--weight\): row '\w+' is dropped too"):
        library.curate(source, drop=listed(source, {3: 1}), weight=listed(source, {3: 0.5}))
    made = library.curate(source, weight=listed(source, dict.fromkeys(range(1, 30), 0)), name="one")
    with pytest.raises(SourceError, match=r"drop \(--drop\): all 29 rows that are left weigh 0"):
        library.curate(made, drop=listed(made, {0: 1}))


def test_a_source_may_not_bring_the_column() -> None:
    with pytest.raises(LopeDataError, match="lope_weight"):
        library.ingest([{**row, "lope_weight": 1.0} for row in ROWS])


def test_the_command_line(lope_data: Callable[..., Run], tmp_path: Path, own_store: Path) -> None:
    source = library.ingest(ROWS, name="some", store=own_store)
    path = tmp_path / "weights.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in listed(source, {1: 0.5, 2: 0})))
    at = ("--store", own_store)
    said = json.loads(lope_data("build", "--from", "some", "--weight", path, "--json", *at).out.splitlines()[-1])
    assert said["curated"] == {"ref": source.ref, "dropped": 0, "relabelled": 0, "weighted": 2}
    assert "2 weighted" in " ".join(lope_data("show", "some-curated", *at).out.split())
    assert "--ratio does not go with" in lope_data("build", "--from", "some", "--weight", path, "--ratio", "1").refusal
    assert "name it with --from" in lope_data("build", "--weight", path).refusal
    card = (library.open("some-curated", store=own_store).folder / "README.md").read_text()
    assert "what the row counts for in training" in card
