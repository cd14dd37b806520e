"""Versions made again from their source: what comes out the same, and what cannot be made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lope_common.files import canonical, described
from lope_data.builds.obtain import Options, build, ingest
from lope_data.builds.replay import replay
from lope_data.errors import StoreError
from lope_data.recipe import Recipe
from lope_data.store import (
    NAME,
    Finding,
    Store,
    Version,
    as_manifest,
    content_digest,
    expected_id,
    seal,
    verify_version,
)

GOLDEN = Path(__file__).parents[2] / "golden"


def again(version: Version, source: str) -> list[Finding]:
    return replay(version, source, 1, lambda *_: None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [{"text": f"a text with number {n} and words", "label": str(n % 3)} for n in range(60)]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def chain(source: Path, options: Options, make_recipe: Callable[..., Recipe]) -> Version:
    """Noise on noise on a sample of 50 rows of the source."""
    clean = ingest(str(source), Recipe(seed=3), 50, options)
    nois = build(clean, make_recipe(ratio=0.5, mix={"char": 1, "label.flip": 1}), "nois", options)
    return build(nois, make_recipe(seed=5, ratio=0.5, level=0.3, mix={"word": 1}), "hynoise", options)


def test_the_golden_version_comes_out_the_same() -> None:
    assert again(Store(GOLDEN / "store").resolve("golden"), str(GOLDEN / "rows.jsonl")) == []


def test_a_chain_comes_out_the_same_wherever_the_source_is(chain: Version, source: Path) -> None:
    assert again(chain, str(source)) == []
    moved = source.rename(source.with_name("another.jsonl"))
    assert again(chain, str(moved)) == []


def test_the_command(lope_data: Callable[..., Any], store: Store, chain: Version, source: Path) -> None:
    run = lope_data("verify", "hynoise", "--replay", "--store", store.root)
    assert run.code == 0
    assert "comes out the same when built again" in run.out
    moved = source.rename(source.with_name("moved.jsonl"))
    assert lope_data("verify", "hynoise", "--replay", "--store", store.root).code == 2
    assert lope_data("verify", "hynoise", "--replay", "--source", moved, "--store", store.root).code == 0
    assert lope_data("verify", "hynoise", "--source", moved, "--store", store.root).code == 2
    moved.write_text(moved.read_text().replace("number 7 ", "number 8 "))
    other = lope_data("verify", "hynoise", "--replay", "--source", moved, "--store", store.root)
    assert other.code == 2
    assert "fingerprint" in other.err


def test_a_version_whose_parent_is_missing(lope_data: Callable[..., Any], store: Store, chain: Version) -> None:
    shutil.rmtree(store.root / "nois")
    run = lope_data("verify", "hynoise", "--replay", "--store", store.root)
    assert run.code == 2
    assert "nois@" in run.err


def forged(version: Version, **facts: Any) -> Version:
    """The version with everything that hashes can tell made to fit."""
    manifest = version.manifest.plain | facts
    manifest["version"] = expected_id(as_manifest(manifest, version.folder))
    names = [entry["path"] for entry in manifest["files"]]
    manifest["files"] = [described(version.folder, name) for name in names]
    folder = version.folder.rename(version.folder.with_name(manifest["version"]))
    (folder / NAME).write_bytes(canonical(seal(manifest)))
    return Version.at(folder)


def test_rows_that_no_hash_gives_away(chain: Version, source: Path) -> None:
    path = next(chain.folder.glob("data-*.arrow"))
    rows = pa.ipc.open_stream(path.read_bytes()).read_all()
    texts = rows["text"].to_pylist()
    rows = rows.set_column(rows.column_names.index("text"), "text", pa.array([texts[0] + "!", *texts[1:]]))
    with pa.ipc.new_stream(str(path), rows.schema) as writer:
        writer.write_table(rows)
    digest = content_digest(rows, chain.edits, chain.layout)
    state = chain.folder / "state.json"
    state.write_text(state.read_text().replace(chain.manifest.content_digest[7:23], digest[7:23]))
    version = forged(chain, content_digest=digest)
    assert verify_version(version.folder, lambda *_: None)[1] == []
    said = again(version, str(source))
    assert [(finding.ref, finding.where) for finding in said] == [(version.ref, "rows and edits")]


def test_an_op_of_another_version(chain: Version, source: Path) -> None:
    ops = chain.manifest.ops
    version = forged(chain, ops=ops | {next(iter(ops)): "99"})
    with pytest.raises(StoreError, match="version 99"):
        again(version, str(source))
