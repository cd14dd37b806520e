"""Damage to a version is found, and the file is named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lope_common.files import canonical, described
from lope_data.store.manifest import NAME, seal
from lope_data.store.store import Store
from lope_data.store.verify import verify_version
from lope_data.store.version import Version


@pytest.fixture
def version(noisy: Callable[..., Version]) -> Version:
    return noisy(ratio=0.2)


def found(version: Version) -> list[str]:
    """Where something is wrong."""
    return [finding.where for finding in verify_version(version.folder, lambda *_: None)[1]]


def names(version: Version) -> list[str]:
    return sorted(path.relative_to(version.folder).as_posix() for path in version.folder.rglob("*") if path.is_file())


def sealed(version: Version, /, **facts: Any) -> None:
    """Makes all hashes of a changed version anew, and exchanges facts of the manifest."""
    manifest = json.loads((version.folder / NAME).read_text())
    files = [described(version.folder, name) for name in names(version) if name != NAME]
    (version.folder / NAME).write_bytes(canonical(seal(manifest | {"files": files} | facts)))


def test_a_version_as_it_was_written(version: Version) -> None:
    assert found(version) == []


def test_a_flipped_bit_in_any_file(version: Version) -> None:
    draw = random.Random(7)  # noqa: S311
    for name in names(version):
        path = version.folder / name
        data = path.read_bytes()
        for place in (0, len(data) - 1, *(draw.randrange(len(data)) for _ in range(6))):
            harmed = bytearray(data)
            harmed[place] ^= 1 << draw.randrange(8)
            path.write_bytes(harmed)
            assert found(version) == [name], (name, place)
        path.write_bytes(data)
    assert found(version) == []


@pytest.mark.parametrize("keep", [lambda size: size - 1, lambda size: size // 2, lambda size: 0])
def test_a_file_cut_short(version: Version, keep: Callable[[int], int]) -> None:
    for name in names(version):
        path = version.folder / name
        data = path.read_bytes()
        path.write_bytes(data[: keep(len(data))])
        assert found(version) == [name]
        path.write_bytes(data)


def test_a_file_removed_or_replaced(version: Version, tmp_path: Path) -> None:
    for name in names(version):
        path = version.folder / name
        moved = path.rename(tmp_path / "moved")
        assert found(version) == [name]
        path.symlink_to(moved)
        assert found(version) == [name]
        path.unlink()
        path.mkdir()
        assert found(version) == [name]
        path.rmdir()
        moved.rename(path)


@pytest.mark.parametrize("name", ["more.txt", ".hidden", "a/b/c", "edits/more.parquet", "cache-0f.arrow"])
def test_a_file_added(version: Version, name: str) -> None:
    (version.folder / name).parent.mkdir(parents=True, exist_ok=True)
    (version.folder / name).write_bytes(b"")
    assert found(version) == [name]


def test_a_link_or_an_empty_folder_added(version: Version, tmp_path: Path) -> None:
    (version.folder / "link").symlink_to(tmp_path)
    (version.folder / "empty").mkdir()
    assert found(version) == ["empty", "link"]


@pytest.mark.parametrize(
    ("facts", "where"),
    [
        ({"rows": 3000}, NAME),
        ({"touched": 1}, NAME),
        ({"shapes": {"chat": 2400}}, NAME),
        ({"content_digest": "sha256:" + "0" * 64}, "rows and edits"),
        ({"version": "0" * 16}, NAME),
        ({"seed": 1}, NAME),
        ({"ops": {"char.swap": "99"}}, NAME),
    ],
)
def test_facts_exchanged_and_sealed_anew(version: Version, facts: dict[str, Any], where: str) -> None:
    sealed(version, **facts)
    assert where in found(version)


def test_rows_exchanged_and_hashed_anew(version: Version) -> None:
    path = next(version.folder.glob("data-*.arrow"))
    rows = pa.ipc.open_stream(path.read_bytes()).read_all()
    with pa.ipc.new_stream(str(path), rows.schema) as writer:
        writer.write_table(rows.slice(1))
        writer.write_table(rows.slice(0, 1))
    sealed(version)
    assert found(version) == ["rows and edits"]


def test_a_folder_that_reads_otherwise_than_the_rows_say(version: Version, tmp_path: Path) -> None:
    shard = next(version.folder.glob("data-*.arrow"))
    (tmp_path / "outside.arrow").write_bytes(shard.read_bytes())
    kept = {name: (version.folder / name).read_text() for name in ("state.json", "dataset_info.json")}
    outside = kept["state.json"].replace(shard.name, "../../../outside.arrow")
    renamed = kept["dataset_info.json"].replace('"output"', '"outcome"')
    for name, text in (("state.json", outside), ("dataset_info.json", renamed)):
        assert text != kept[name]
        (version.folder / name).write_text(text)
        sealed(version)
        assert found(version) == [name]
        (version.folder / name).write_text(kept[name])


def test_an_edit_record_dropped_and_hashed_anew(version: Version) -> None:
    path = next(version.folder.glob("edits/*.parquet"))
    pq.write_table(pq.read_table(path).slice(1), path)
    sealed(version)
    assert found(version) == ["rows and edits"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda edits: edits.take([*range(1, len(edits)), 0]), "not in the order of the rows"),
        (lambda edits: edits.slice(0, 1).set_column(0, "row_id", pa.array(["nobody"])), "of a row that is not there"),
        (lambda edits: edits.drop_columns(["row_id"]), "row_id"),
        (lambda edits: edits.set_column(3, "path", pa.array(["output"] * len(edits))), "their digest is"),
    ],
)
def test_edits_of_no_row_are_a_finding(
    version: Version, change: Callable[[pa.Table], pa.Table], said: str, lope_data: Callable[..., Any]
) -> None:
    for path in version.folder.glob("edits/*.parquet"):
        pq.write_table(change(pq.read_table(path)), path)
    sealed(version)
    assert found(version) == ["rows and edits"]
    run = lope_data("verify", version.folder)
    assert run.code == 1
    assert said in " ".join(run.out.split())


def test_rows_without_a_column_that_the_layout_names(version: Version) -> None:
    for path in version.folder.glob("data-*.arrow"):
        rows = pa.ipc.open_stream(path.read_bytes()).read_all().drop_columns(["output"])
        with pa.ipc.new_stream(str(path), rows.schema) as writer:
            writer.write_table(rows)
    sealed(version)
    (finding,) = verify_version(version.folder, lambda *_: None)[1]
    assert finding.where == "rows and edits"
    assert "there is no column 'output'" in finding.what


def test_the_command_names_the_file_in_parents_too(
    lope_data: Callable[..., Any], store: Store, sample: Version, version: Version
) -> None:
    well = lope_data("verify", "sample-hynoise", "--store", store.root)
    assert well.code == 0
    assert well.out.count("files as they were written") == 2
    (sample.folder / "state.json").write_text("{}")
    harmed = lope_data("verify", "sample-hynoise", "--store", store.root)
    assert harmed.code == 1
    assert f"{sample.ref}  state.json" in harmed.out
    assert harmed.out.count("files as they were written") == 1
    assert lope_data("verify", "nope", "--store", store.root).code == 2
    assert lope_data("verify", store.root / "nope", "--store", store.root).code == 2


def test_a_missing_parent_is_said_and_is_no_damage(
    lope_data: Callable[..., Any], store: Store, sample: Version, version: Version
) -> None:
    sample.folder.rename(store.root / "away")
    run = lope_data("verify", "sample-hynoise", "--store", store.root)
    assert run.code == 0
    assert "not checked" in run.out
