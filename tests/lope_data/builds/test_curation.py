"""Rows are left out of a version, or get other targets, by lists of ids: recorded, replayable, refused by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

import lope_data as library
from lope_common.progress import silent
from lope_data.builds.replay import replay
from lope_data.errors import LopeDataError, SourceError, StoreError
from lope_data.store import Version, as_manifest, verify_version
from tests.lope_data.conftest import Run

Row = Mapping[str, Any]
CLASSES = [{"text": f"text {number}", "label": "abc"[number % 3]} for number in range(30)]
CHAT = [
    {"messages": [{"role": "user", "content": f"ask {n}"}, {"role": "assistant", "content": f"answer {n}"}]}
    for n in range(6)
]
CHOICES = [{"question": f"q {n}?", "choices": ["x", "y", "z"], "answer": n % 3} for n in range(6)]
ALPACA = [{"instruction": f"say {n}", "output": f"it is {n}"} for n in range(6)]
PAIRS = [{"prompt": f"p {n}", "completion": f"c {n}"} for n in range(6)]
MIXED = [*ALPACA, *CLASSES[:6], *CHOICES]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOPE_STORE", str(tmp_path / "lope-store"))
    return tmp_path / "lope-store"


def ids(version: Version) -> list[str]:
    found: list[str] = version.rows["lope_row_id"].to_pylist()
    return found


def listed(version: Version, rows: list[int], **more: list[Any]) -> list[dict[str, Any]]:
    """A list of these rows, with more columns."""
    own = ids(version)
    return [{"row_id": own[row], **{k: v[n] for k, v in more.items()}} for n, row in enumerate(rows)]


def test_what_is_dropped_is_left_out_and_the_rest_is_as_it_was() -> None:
    source = library.ingest(CLASSES, name="some")
    made = library.curate("some", drop=listed(source, [3, 17, 29]))
    assert made.manifest.name == "some-curated"
    left = [row for number, row in enumerate(ids(source)) if number not in (3, 17, 29)]
    assert ids(made) == left
    by_id = {row["lope_row_id"]: row for row in source.rows.to_pylist()}
    assert made.rows.to_pylist() == [by_id[row] for row in left]
    assert made.rows.schema.equals(source.rows.schema)
    curated = made.manifest.plain["curated"]
    assert (curated["name"], curated["version"], curated["dropped"], curated["relabelled"]) == (
        *("some", source.manifest.version),
        *(3, 0),
    )
    assert made.manifest.plain["source"] == {"name": "some", "fingerprint": source.manifest.content_digest}
    assert (made.manifest.kind, made.manifest.depth, made.manifest.parents) == ("ingest", 0, [])
    assert not verify_version(made.folder, silent)[1]


def test_the_id_is_of_what_the_list_says_not_of_how_it_is_written(tmp_path: Path) -> None:
    source = library.ingest(CLASSES, name="some")
    rows = listed(source, [5, 2], score=[0.5, 0.25])
    (tmp_path / "l.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "l.json").write_text(json.dumps(rows[::-1]))
    pl.DataFrame(rows).write_parquet(tmp_path / "l.parquet")
    with (tmp_path / "l.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["rank", "row_id"])
        writer.writeheader()
        writer.writerows({"rank": n, "row_id": row["row_id"]} for n, row in enumerate(rows))
    table = pa.Table.from_pylist(rows)
    made = [library.curate(source, drop=given) for given in (rows, table, pl.DataFrame(rows))]
    made += [library.curate(source, drop=tmp_path / f"l.{suffix}") for suffix in ("csv", "jsonl", "json", "parquet")]
    assert len({one.manifest.version for one in made}) == 1
    assert [one.existed for one in made] == [False] + [True] * 6
    other = library.curate(source, drop=listed(source, [5, 3]))
    assert other.manifest.version != made[0].manifest.version


@pytest.mark.parametrize(
    ("rows", "target", "read"),
    [
        (CLASSES, "b", lambda row: row["label"]),
        (CHOICES, "2", lambda row: str(row["answer"])),
        (ALPACA, "another", lambda row: row["output"]),
        (PAIRS, "another", lambda row: row["completion"]),
        (CHAT, "another", lambda row: row["messages"][-1]["content"]),
        ([{"text": "a", "label": n % 2} for n in range(4)], "1", lambda row: str(row["label"])),
    ],
    ids=["labels", "choices", "responses", "completions", "chats", "numbers"],
)
def test_a_target_of_every_shape_is_replaced(rows: list[Row], target: str, read: Any) -> None:
    source = library.ingest(rows, name="some")
    made = library.curate(source, relabel=listed(source, [0, 3], target=[target, target]))
    before, after = source.rows.to_pylist(), made.rows.to_pylist()
    changed = [number for number in range(len(rows)) if before[number] != after[number]]
    assert changed == [number for number in (0, 3) if read(before[number]) != target]
    assert [read(after[number]) for number in (0, 3)] == [target, target]
    assert made.rows.schema.equals(source.rows.schema)
    assert made.manifest.plain["curated"]["relabelled"] == len(changed)
    again = replay(made, "", 1, silent)
    assert again == []


def test_shapes_may_be_mixed_and_both_lists_given() -> None:
    source = library.ingest(MIXED, name="some")
    own = {row["lope_row_id"]: row for row in source.rows.to_pylist()}
    shapes = {
        kind: [r for r, row in own.items() if row["lope_shape"] == kind] for kind in ("instruction", "classification")
    }
    drop = [{"row_id": shapes["instruction"][0]}, {"row_id": shapes["classification"][1]}]
    relabel = [
        {"row_id": shapes["instruction"][2], "target": "new"},
        {"row_id": shapes["classification"][0], "target": "c"},
    ]
    made = library.curate(source, drop=drop, relabel=relabel, name="both")
    after = {row["lope_row_id"]: row for row in made.rows.to_pylist()}
    assert after.keys() == own.keys() - {row["row_id"] for row in drop}
    assert after[shapes["instruction"][2]]["output"] == "new"
    assert after[shapes["classification"][0]]["label"] == "c"
    assert made.manifest.shapes == {"instruction": 5, "classification": 5, "multiple_choice": 6}
    assert replay(made, "", 1, silent) == []


def test_noise_below_it_and_on_it() -> None:
    """Of a noisy version the rows keep their noise, which is its source's now; noise on top is recorded as on any."""
    library.ingest(CLASSES, name="some")
    noisy = library.build({"steps": [{"ratio": 0.4, "mix": "label.flip"}]}, parent="some", name="noisy")
    touched = [number for number, row in enumerate(noisy.rows["lope_ops"].to_pylist()) if row]
    made = library.curate(noisy, drop=listed(noisy, touched[:5]), name="kept")
    assert made.rows["lope_ops"].to_pylist() == [[]] * 25
    assert made.manifest.touched == 0
    assert len(made.edits) == 0
    labels = dict(zip(ids(noisy), noisy.rows["label"].to_pylist(), strict=True))
    assert made.rows["label"].to_pylist() == [labels[row] for row in ids(made)]
    child = library.build({"steps": [{"ratio": 0.2, "mix": "char"}]}, parent=made, name="child")
    assert child.manifest.parents[0].ref == made.ref
    assert replay(child, "", 1, silent) == []


def test_garbage_collection_keeps_what_it_is_made_of(lope_data: Callable[..., Run], own_store: Path) -> None:
    first = library.ingest(CLASSES, name="some", store=own_store)
    library.curate(first, drop=listed(first, [1]), name="kept", store=own_store)
    library.ingest(CLASSES[:20], name="some", store=own_store)  # takes `latest`
    assert "nothing to remove" in lope_data("gc", "--store", own_store).out


def test_a_replay_sees_what_the_list_did_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    source = library.ingest(CLASSES, name="some")
    made = library.curate(source, drop=listed(source, [3]))
    from lope_data.builds import replay as module

    real = module.derived
    monkeypatch.setattr(
        module, "derived", lambda one, other: real(library.curate(other, drop=listed(other, [4])), other)
    )
    (finding,) = replay(made, "", 1, silent)
    assert "made again its digest is" in finding.what


def test_a_replay_without_the_version_says_which_is_missing(own_store: Path) -> None:
    import shutil

    source = library.ingest(CLASSES, name="some")
    made = library.curate(source, drop=listed(source, [3]))
    shutil.rmtree(own_store / "some")
    with pytest.raises(StoreError, match=f"cannot replay: .* is made of rows of {source.ref}, which is not in the"):
        replay(made, "", 1, silent)
    assert not verify_version(made.folder, silent)[1]


def test_a_replay_takes_the_same_rows_under_any_name(own_store: Path) -> None:
    import shutil

    source = library.ingest(CLASSES, name="some")
    library.ingest(CLASSES, name="kept")
    made = library.curate(source, drop=listed(source, [3]), name="kept")
    shutil.rmtree(own_store / "some")
    assert replay(made, "", 1, silent) == []


def test_a_manifest_that_says_two_things_is_refused() -> None:
    source = library.ingest(CLASSES, name="some")
    plain = library.curate(source, drop=listed(source, [3])).manifest.plain
    for wrong in (
        {"curated": {**plain["curated"], "list": "sha256:" + "0" * 64}},
        {"curated": {**plain["curated"], "content_digest": "sha256:" + "0" * 64}},
        {"curated": {**plain["curated"], "dropped": -1}},
        {"recipe": {**plain["recipe"], "curated": None}},
    ):
        with pytest.raises(StoreError, match=r"is not a manifest: .*curated"):
            as_manifest({**plain, **wrong}, Path("m"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"drop": []}, "drop (--drop): the list: is empty, and has no rows"),
        ({"drop": [{"id": "a"}]}, "drop (--drop): the list has no column 'row_id'; known: id"),
        ({"drop": [{"row_id": None}]}, "drop (--drop): the list, row 1: has no 'row_id'"),
        ({"drop": 7}, "drop (--drop): must be a file, a table, a frame or a list of dicts, not 7"),
        ({"drop": "rows.txt"}, "'rows.txt' is not a .csv, .jsonl, .json or .parquet file"),
        ({"drop": "none.csv"}, "drop (--drop): there is no file 'none.csv'"),
        ({"drop": "https://lope.test/rows.csv"}, "drop (--drop): there is no file 'https:/lope.test/rows.csv'"),
        ({"drop": [{"row_id": ""}]}, "drop (--drop): the list, row 1: has no 'row_id'"),
        ({"drop": [0, 1, 0]}, "the list, row 3: the id '"),
        ({"drop": range(30)}, "lists all 30 rows of some@"),
        ({"relabel": [0]}, "relabel (--relabel): the list has no column 'target'"),
        ({"relabel": [(0, "d")]}, "no row has the label 'd'"),
        ({"relabel": [(0, None)]}, "the list, row 1: has no 'target'"),
        ({"relabel": [(0, "a"), (1, "b")]}, "--relabel: all rows listed are in some@"),
        ({"drop": [0], "relabel": [(0, "b")]}, "is dropped too; list it once"),
        ({}, "give drop (--drop), relabel (--relabel) or weight (--weight)"),
    ],
)
def test_a_list_that_cannot_be_followed_is_one_line(asked: dict[str, Any], said: str, own_store: Path) -> None:
    source = library.ingest(CLASSES, name="some")

    def given(rows: Any) -> Any:
        if isinstance(rows, range) or (rows and isinstance(rows, list) and isinstance(rows[0], int)):
            return listed(source, [*rows])
        if rows and isinstance(rows, list) and isinstance(rows[0], tuple):
            return listed(source, [row for row, _ in rows], target=[target for _, target in rows])
        return rows

    with pytest.raises(LopeDataError) as raised:
        library.curate(source, **{name: given(rows) for name, rows in asked.items()})
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in own_store.iterdir() if not path.name.startswith(".")) == ["some"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", "", "drop (--drop): l.csv: the file is empty"),
        ("l.csv", "row_id\n", "drop (--drop): l.csv lists no row"),
        ("l.csv", "row_id,score\na,1\nb,2,3\n", "drop (--drop): l.csv, line 3: 3 fields, where the header has 2"),
        ("l.jsonl", '{"row_id": "a"}\n{"row_id"\n', "drop (--drop): l.jsonl, line 2: not valid JSON"),
        ("l.parquet", "nothing", "drop (--drop): l.parquet: cannot be read as parquet"),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    name: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = library.ingest(CLASSES, name="some")
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    with pytest.raises(SourceError) as raised:
        library.curate(source, drop=name)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_other_columns_may_hold_anything_and_a_name_is_no_pattern(tmp_path: Path) -> None:
    """Of a ranked list the scores may be whole for hundreds of rows, and then not; texts may come late."""
    rows = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(300)]
    source = library.ingest(rows, name="many")
    ranked = listed(source, [*range(250)])
    for number, row in enumerate(ranked):
        row |= {"score": 1 if number < 200 else 0.5, "reason": None if number < 200 else "why"}
    path = tmp_path / "worst[1].jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ranked))
    made = library.curate(source, drop=path)
    assert ids(made) == ids(source)[250:]
    assert library.curate(source, drop=ranked).existed


def test_a_label_that_is_a_list_is_given_as_one_or_as_its_text(tmp_path: Path) -> None:
    source = library.ingest([{"text": f"t {n}", "label": [["a", "b"], ["c"]][n % 2]} for n in range(6)], name="some")
    made = library.curate(source, relabel=listed(source, [0], target=[["c"]]))
    assert made.rows["label"].to_pylist()[0] == ["c"]
    assert library.curate(source, relabel=listed(source, [0], target=['["c"]'])).existed


def test_rows_of_another_version_are_counted_and_the_first_named() -> None:
    source = library.ingest(CLASSES, name="some")
    rows = [*listed(source, [0]), {"row_id": "nobody"}, {"row_id": "noone"}]
    with pytest.raises(SourceError, match=r"2 of 3 rows are not in some@\w+, the first of them 'nobody' \(row 2 of"):
        library.curate(source, drop=rows)


@pytest.mark.parametrize(
    ("rows", "target", "said"),
    [
        (CHOICES, "3", "the answer '3' is not the number of a choice, 0 to 2"),
        (CHOICES, "x", "the answer 'x' is not the number of a choice"),
        (ALPACA, " ", "an empty target"),
        ([{"text": f"t {n}"} for n in range(4)], "a", "has no target to replace"),
    ],
)
def test_a_target_that_a_row_cannot_have_is_refused(rows: list[Row], target: str, said: str) -> None:
    source = library.ingest(rows, name="some")
    with pytest.raises(SourceError, match=said):
        library.curate(source, relabel=listed(source, [0], target=[target]))


def test_its_own_name_is_refused() -> None:
    source = library.ingest(CLASSES, name="some")
    with pytest.raises(StoreError, match="'some' is the name of the version that rows are taken from"):
        library.curate(source, drop=listed(source, [0]), name="some")


def test_an_interrupted_one_leaves_nothing_that_is_seen(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = library.ingest(CLASSES, name="some")
    rows = listed(source, [3])
    with monkeypatch.context() as patch:
        patch.setattr("lope_data.builds.curation._rows", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            library.curate(source, drop=rows)
    assert not [path for path in own_store.rglob("manifest.json") if "some-curated" in str(path)]
    assert library.curate(source, drop=rows).rows.num_rows == 29


def test_the_command_line(lope_data: Callable[..., Run], tmp_path: Path, own_store: Path) -> None:
    source = library.ingest(CLASSES, name="some", store=own_store)
    path = tmp_path / "worst.csv"
    path.write_text("rank,row_id,score\n" + "".join(f"{n},{ids(source)[n]},1\n" for n in (4, 9)))
    at = ("--store", own_store)
    said = json.loads(lope_data("build", "--from", "some", "--drop", path, "--json", *at).out.splitlines()[-1])
    assert said["curated"] == {"ref": source.ref, "dropped": 2, "relabelled": 0, "weighted": 0}
    assert f"of {source.ref}, 2 rows dropped" in " ".join(lope_data("show", "some-curated", *at).out.split())
    assert "comes out the same when built again" in lope_data("verify", "some-curated", "--replay", *at).out
    assert f"rows of: some@{source.manifest.version[:8]}" in lope_data("list", *at).out
    assert f"{library.open('some-curated').ref}  was made from it" in lope_data("show", "some", *at).out


def test_card_croissant_and_page_say_of_which_version_the_rows_are(
    lope_data: Callable[..., Run], tmp_path: Path, own_store: Path
) -> None:
    """And not that they are clean, or that a digest of rows is one of bytes."""
    source = library.ingest(CLASSES, name="some", store=own_store)
    made = library.curate(source, drop=listed(source, [3]), store=own_store)
    card = (made.folder / "README.md").read_text()
    assert f"| rows of `{source.ref}` | `{source.manifest.content_digest}` |" in card
    assert f"built again from {source.ref}, the digests compared" in card
    assert "- curated\n" in card
    assert "fingerprint" not in card
    croissant = json.loads((made.folder / "croissant.json").read_text())
    assert croissant["keywords"] == ["lope", "curated"]
    (derived,) = croissant["prov:wasDerivedFrom"]
    assert (derived["@id"], derived["identifier"]) == (source.ref, source.manifest.content_digest)
    page = tmp_path / "page.html"
    lope_data("report", "some-curated", "--out", page, "--store", own_store)
    assert "A curated version, written by" in page.read_text()


@pytest.mark.parametrize("form", ["parquet", "jsonl", "hf"])
def test_it_is_exported_and_imported(form: str, lope_data: Callable[..., Run], tmp_path: Path, own_store: Path) -> None:
    source = library.ingest(CLASSES, name="some", store=own_store)
    made = library.curate(source, drop=listed(source, [3]), store=own_store)
    out = tmp_path / "out"
    lope_data("export", "some-curated", "--as", "version", "--to", form, "--out", out, "--store", own_store)
    assert lope_data("import", out, "--store", tmp_path / "other").code == 0
    again = library.open("some-curated", store=tmp_path / "other")
    assert again.manifest == made.manifest
    assert again.rows.equals(made.rows)
    assert verify_version(again.folder, silent)[1] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--drop", "l.csv"], "act on a version; name it with --from"),
        (["--from", "some", "--drop", "l.csv", "--ratio", "0.1"], "--ratio does not go with --drop"),
        (["--from", "some", "--drop", "l.csv", "--seed", "0"], "--seed does not go with --drop"),
        (["--from", "some", "--relabel", "l.csv", "--source", "d.jsonl"], "--source does not go with --drop"),
        (["--from", "some", "--relabel", "l.csv", "--allow-shortfall"], "--allow-shortfall does not go with"),
        (["--from", "some", "--relabel", "l.csv", "--encoding", "latin-1"], "--encoding does not go with"),
    ],
)
def test_what_does_not_go_with_a_list_is_refused(words: list[str], said: str, lope_data: Callable[..., Run]) -> None:
    assert said in lope_data("build", *words).refusal
