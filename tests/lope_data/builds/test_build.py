"""`python -m lope_data build`: what it writes, and that nothing but its inputs decides it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest

from lope_common.files import canonical
from lope_data.builds.obtain import Options, build, ingest
from lope_data.errors import StoreError
from lope_data.recipe import Recipe
from lope_data.store import Store, Version

Cli = Callable[..., Any]


def test_the_main_call(lope_data: Cli, tmp_path: Path) -> None:
    run = lope_data("build", "--ratio", "0.2", "--json")
    assert run.code == 0, run.err
    said = run.json
    assert {"path", "name", "version", "rows", "touched", "realised"} <= said.keys()
    assert said["touched"] == round(0.2 * said["rows"])
    rows = datasets.load_from_disk(said["path"])
    assert len(rows) == said["rows"]
    assert sum(bool(ops) for ops in rows["lope_ops"]) == said["touched"]
    assert len(set(rows["lope_row_id"])) == len(rows)
    manifest = json.loads((Path(said["path"]) / "manifest.json").read_text())
    assert manifest["parents"][0]["name"] == "sample"
    parent = datasets.load_from_disk(str(tmp_path / "lope-store/sample" / manifest["parents"][0]["version"]))
    assert parent["lope_row_id"] == rows["lope_row_id"]
    same = [a == b for a, b in zip(parent.remove_columns("lope_ops"), rows.remove_columns("lope_ops"), strict=True)]
    assert same == [not ops for ops in rows["lope_ops"]]
    assert (tmp_path / "lope-store/sample-heldout/refs/latest").is_file()


def test_it_says_what_it_did(lope_data: Cli) -> None:
    run = lope_data("build", "--ratio", "0.2")
    for op in ("char.insert", "word.shuffle", "label.swap_response"):
        assert op in run.out
    assert run.out.count("clean:") >= 5
    assert run.out.count("noisy:") >= 5
    assert "480 of 2,400 rows touched, 1,920 left as they were" in run.out
    assert "ranked rows: it needs" in run.out
    assert "±" in run.out


def test_the_same_call_again_answers_from_what_exists(lope_data: Cli) -> None:
    first = lope_data("build", "--ratio", "0.2", "--json").json
    stamp = (Path(first["path"]) / "manifest.json").stat().st_mtime_ns
    second = lope_data("build", "--ratio", "0.2", "--json").json
    assert (first.pop("existed"), second.pop("existed")) == (False, True)
    assert first == second
    assert (Path(first["path"]) / "manifest.json").stat().st_mtime_ns == stamp


def test_manifest_lists_and_hashes_every_file(noisy: Callable[..., Version]) -> None:
    version = noisy(ratio=0.2)
    listed = {file.path: file for file in version.manifest.files}
    found = {p.relative_to(version.folder).as_posix(): p for p in version.folder.rglob("*") if p.is_file()}
    assert found.keys() - {"manifest.json"} == listed.keys()
    for path, file in listed.items():
        data = found[path].read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)
    body = {key: value for key, value in version.manifest.plain.items() if key != "manifest_sha256"}
    assert version.manifest.manifest_sha256 == hashlib.sha256(canonical(body)).hexdigest()
    assert (version.folder / "manifest.json").read_bytes() == canonical(version.manifest.plain)


def test_nothing_of_the_machine_is_in_a_version(noisy: Callable[..., Version], tmp_path: Path) -> None:
    version = noisy(ratio=0.2)
    for file in version.folder.rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes()


@pytest.mark.parametrize(("workers", "shard_rows"), [(1, 37), (2, 700), (3, 1000)])
def test_shards_and_workers_change_no_content(
    sample: Version, noisy: Callable[..., Version], tmp_path: Path, workers: int, shard_rows: int
) -> None:
    one = noisy(ratio=0.3)
    other = Options(Store(tmp_path / "other"), workers, shard_rows)
    again = ingest("sample", Recipe(), None, other)
    assert again.manifest.content_digest == sample.manifest.content_digest
    two = build(again, Recipe.model_validate({"steps": [{"ratio": 0.3}]}), None, other)
    assert two.manifest.content_digest == one.manifest.content_digest
    assert two.manifest.version == one.manifest.version
    assert len(list(two.folder.glob("*.arrow"))) == -(-2400 // shard_rows)
    assert datasets.load_from_disk(str(two.folder))[:] == datasets.load_from_disk(str(one.folder))[:]


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_python_hash_seed_changes_nothing(noisy: Callable[..., Version], tmp_path: Path, hash_seed: str) -> None:
    command = [sys.executable, "-m", "lope_data", "build", "--ratio", "0.3", "--store", str(tmp_path / "s"), "--json"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["content_digest"] == noisy(ratio=0.3).manifest.content_digest


def test_the_content_digest_covers_rows_and_edits(noisy: Callable[..., Version]) -> None:
    version = noisy(ratio=0.2)
    others = [noisy(ratio=0.2, seed=1), noisy(ratio=0.21), noisy(ratio=0.2, level=0.2)]
    assert len({v.manifest.content_digest for v in (version, *others)}) == 4
    renamed = noisy(ratio=0.2, name="other")
    assert renamed.manifest.version == version.manifest.version
    assert renamed.manifest.content_digest == version.manifest.content_digest


def test_the_chain_from_source_over_nois_to_hynoise(lope_data: Cli, tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    rows = [{"instruction": f"Say the number {i} aloud", "input": "", "output": f"{i}"} for i in range(300)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    nois = lope_data("build", "--source", source, "--name", "nois", "--ratio", "0.1", "--json").json
    both = lope_data("build", "--from", "nois", "--ratio", "0.1", "--json").json
    assert both["name"] == "nois-hynoise"
    assert both["parent"] == f"nois@{nois['version']}"
    manifest = json.loads((Path(both["path"]) / "manifest.json").read_text())
    assert manifest["depth"] == 2
    assert manifest["source"]["name"] == "rows"
    first, second = (datasets.load_from_disk(said["path"]) for said in (nois, both))
    assert first["lope_row_id"] == second["lope_row_id"]
    assert sum(bool(ops) for ops in second["lope_ops"]) == 30
    assert first["lope_ops"] != second["lope_ops"]
    edits = pq.read_table(Path(both["path"]) / "edits")
    clean = dict(zip(first["lope_row_id"], first["instruction"], strict=True))
    for edit in edits.to_pylist():
        if edit["path"] == "instruction":
            assert clean[edit["row_id"]].encode()[edit["start"] : edit["end"]].decode() == edit["before"]


def test_limit_is_a_keyed_sample_and_a_version_of_its_own(lope_data: Cli, tmp_path: Path) -> None:
    small = lope_data("build", "--limit", "100", "--json").json
    larger = lope_data("build", "--limit", "300", "--json").json
    assert (small["rows"], larger["rows"]) == (100, 300)
    ids = [set(datasets.load_from_disk(said["path"])["lope_row_id"]) for said in (small, larger)]
    assert ids[0] < ids[1]
    assert small["parent"].startswith("sample-100@")


def test_a_failed_build_leaves_nothing(
    sample: Version, noisy: Callable[..., Version], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lope_data.store.draft.Draft.write", fail)
    with pytest.raises(Exception, match="No space left on device"):
        noisy(ratio=0.2)
    assert sorted(p.name for p in store.root.iterdir()) == [".sources", "sample"]


def test_two_builds_of_one_version_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lope_data", "build", "--ratio", "0.2", "--store", str(tmp_path / "s"), "--json"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    said = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    assert said[0]["content_digest"] == said[1]["content_digest"]
    assert sorted(p.name for p in (tmp_path / "s/sample-hynoise").iterdir()) == sorted([said[0]["version"], "refs"])


def test_the_depth_is_part_of_the_id(sample: Version, noisy: Callable[..., Version]) -> None:
    """A version without noise has its parent's content, but noise on it is other noise: it is keyed by depth."""
    nothing = noisy(ratio=0.0)
    assert nothing.manifest.content_digest == sample.manifest.content_digest
    one, two = noisy(ratio=0.2, name="one"), noisy(parent=nothing, ratio=0.2, name="one")
    assert one.manifest.version != two.manifest.version
    assert one.manifest.content_digest != two.manifest.content_digest


def test_another_hint_on_what_exists_is_refused(sample: Version, options: Options) -> None:
    build(sample, Recipe(), None, options)
    with pytest.raises(StoreError, match="exists with the hints"):
        build(sample, Recipe.model_validate({"embedding": {"alpha": 1.0}}), None, options)


def test_examples_of_several_steps(lope_data: Cli, tmp_path: Path) -> None:
    rows = [{"text": f"Ärger über öffentliche Gebäude {i}", "label": "ab"[i % 2]} for i in range(20)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    steps = [f"[[steps]]\nname = '{name}'\nratio = 1.0\nlevel = 0.5\nmix = {{'char.delete' = 1}}\n" for name in "ab"]
    (tmp_path / "two.toml").write_text("".join(steps))
    run = lope_data("build", "--source", "rows.json", "--recipe", "two.toml", "--json")
    assert run.code == 0
    assert run.json["realised"].keys() == {"a/char.delete", "b/char.delete"}


def test_other_columns_are_kept(lope_data: Cli, tmp_path: Path) -> None:
    row = {"instruction": "Say it twice", "output": "it it", "text": ["x", "y"], "meta": {"n": 1.5, "tags": ["a"]}}
    (tmp_path / "rows.json").write_text(json.dumps([row | {"input": str(i)} for i in range(9)]))
    run = lope_data("build", "--source", "rows.json", "--ratio", "0.5", "--json")
    kept = datasets.load_from_disk(run.json["path"])
    assert kept["text"][:] == [["x", "y"]] * 9
    assert kept["meta"][0] == row["meta"]


def test_markup_in_names_is_text(lope_data: Cli, tmp_path: Path) -> None:
    run = lope_data("build", "--limit", "50", "--store", tmp_path / "st[/b]x")
    assert run.code == 0
    assert "st[/b]x" in run.out.replace("\n", "")


def test_the_order_of_a_source_with_ids_changes_nothing(lope_data: Cli, tmp_path: Path) -> None:
    rows = [{"key": f"k{i}", "text": f"some words of row {i}, more than one", "label": "ab"[i % 2]} for i in range(60)]
    (tmp_path / "r.toml").write_text("[columns]\nid = 'key'\n[[steps]]\nratio = 0.5\nmix = { char = 1, label = 1 }\n")
    digests = set()
    for name, ordered in (("one", rows), ("two", rows[::-1])):
        (tmp_path / f"{name}.json").write_text(json.dumps(ordered))
        run = lope_data("build", "--source", f"{name}.json", "--recipe", "r.toml", "--json")
        digests.add(run.json["content_digest"])
    assert len(digests) == 1
