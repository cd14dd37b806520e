"""`python -m lope_data list`: what is in a store, whatever state it is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_common.files import canonical
from lope_data.report.listing import entries, unfinished
from lope_data.store import Store, Version, seal

ROOT = Path(__file__).parents[3]
Cli = Callable[..., Any]
Noisy = Callable[..., Version]


def heavy_modules(*args: str) -> set[str]:
    """Which heavy packages a call of the command line has loaded."""
    code = "import sys; from lope_data.cli.run import main; main(); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code, *args]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    return {"pyarrow", "polars", "datasets", "numba", "pandas", "jinja2"} & set(done.stderr.split())


@pytest.fixture
def chain(store: Store, noisy: Noisy) -> list[Version]:
    """sample -> nois -> hynoise; two versions of the last, of which the first has a tag."""
    nois = noisy(ratio=0.05, name="nois")
    made = [noisy(nois, "hynoise", ratio=0.2), noisy(nois, "hynoise", ratio=0.25)]
    store.set_ref("hynoise", "paper", made[0].manifest.version)
    assert nois.parent is not None
    return [nois.parent, nois, *made]


def test_a_chain(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    run = lope_data("list", "--store", store.root)
    assert run.code == 0
    assert "\x1b" not in run.out
    assert all(len(line) <= 80 for line in run.out.splitlines())
    lines = run.out.splitlines()
    paper, nois = chain[2].manifest.version, chain[1].manifest.version
    at = next(i for i, line in enumerate(lines) if f"hynoise@{paper[:8]}" in line)
    assert lines[at].split()[1:5] == ["build", "2,400", "480", "0.2"]
    assert lines[at + 1].strip() == "tags: paper"
    assert lines[at + 2].strip() == f"parent: nois@{nois[:8]}"
    assert [line.split("@")[0] for line in lines if "kB" in line] == sorted(
        line.split("@")[0] for line in lines if "kB" in line
    )


def test_every_reference_that_is_printed_means_its_version(store: Store, chain: list[Version]) -> None:
    for entry in entries(store):
        assert store.resolve(entry.ref).manifest.version == entry.version
        if entry.parent:
            assert store.resolve(entry.parent[0]).manifest.version


def test_more_digits_where_eight_fit_several(store: Store, sample: Version) -> None:
    twin = sample.manifest.version[:11] + ("00000" if sample.manifest.version[11] != "0" else "11111")
    folder = sample.folder.with_name(twin)
    folder.mkdir()
    (folder / "manifest.json").write_bytes(canonical(seal(sample.manifest.plain | {"version": twin})))
    refs = [entry.ref for entry in entries(store, sample.manifest.name)]
    assert sorted(len(ref.partition("@")[2]) for ref in refs) == [12, 12]
    for ref in refs:
        store.resolve(ref)


def test_json(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    run = lope_data("list", "hynoise", "--store", store.root, "--json")
    found = {entry["version"]: entry for entry in json.loads(run.out)}
    paper = found[chain[2].manifest.version]
    assert len(found) == 2
    assert paper["tags"] == ["paper"]
    assert paper["ratios"] == [0.2]
    assert paper["parents"] == [chain[1].ref, chain[0].ref]
    assert paper["bytes"] == sum(path.stat().st_size for path in chain[2].folder.rglob("*") if path.is_file())
    assert paper["damage"] is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff", b'{"format":99}', b"[" * 100_000])
def test_a_broken_manifest_stops_nobody(lope_data: Cli, store: Store, sample: Version, content: bytes) -> None:
    broken = sample.folder.with_name("0123456789abcdef")
    broken.mkdir()
    (broken / "manifest.json").write_bytes(content)
    run = lope_data("list", "--store", store.root)
    assert run.code == 0
    assert "sample@01234567" in run.out
    assert "  damaged: manifest.json " in run.out
    assert f"sample@{sample.manifest.version[:8]}" in run.out


def test_a_version_of_an_older_format_is_shown_as_what_it_is(lope_data: Cli, old_store: Store) -> None:
    old_store.set_ref("golden", "paper", "2ae7db431eacc5f9")
    run = lope_data("list", "--store", old_store.root)
    assert run.code == 0
    assert "damaged" not in run.out
    lines = run.out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("golden@2ae7db43"))
    assert lines[at].split()[1:6] == ["format", "1", "24", "12", "0.5"]
    assert lines[at + 1 : at + 3] == ["  tags: latest, paper", "  parent: rows@e534932c"]
    said = " ".join(" ".join(lines[at + 3 :]).partition("rows@e534932c")[0].split())
    assert said.startswith("build it again: python -m lope_data build --from rows --name golden --recipe ")
    assert "ingest" not in said, "the parent says how it is built again, in its own place"
    assert "  build it again, SOURCE being where rows is now:" in run.out


def test_an_older_format_in_json(lope_data: Cli, old_store: Store) -> None:
    golden, rows = json.loads(lope_data("list", "--store", old_store.root, "--json").out)
    facts = {"format": 1, "kind": "build", "rows": 24, "touched": 12, "depth": 1, "damage": None}
    assert facts.items() <= golden.items()
    assert (golden["tags"], golden["ratios"], golden["parents"]) == (["latest"], [0.5], ["rows@e534932ca4cb1b3c"])
    assert golden["bytes"] > 5000
    assert [command.split()[3] for command in golden["again"]["commands"]] == ["ingest", "build"]
    assert rows["again"]["needs"] == ["SOURCE being where rows is now"]


def test_newer_versions_of_a_name_come_first(lope_data: Cli, old_store: Store) -> None:
    known = json.loads((old_store.folder("rows", "e534932ca4cb1b3c") / "manifest.json").read_bytes())
    folders = [old_store.folder("rows", digit * 16) for digit in "0f"]  # before the new one, and after it
    for folder in folders:
        folder.mkdir()
        (folder / "manifest.json").write_bytes(canonical(seal(known | {"version": folder.name})))
    assert lope_data("ingest", "rows.jsonl", "--store", old_store.root).code == 0
    new, *old = entries(old_store, "rows")
    assert (new.again, new.record["again"], new.tags) == (None, None, ["latest"])
    assert [(entry.version, entry.tags) for entry in old] == [
        ("0" * 16, []),
        ("e534932ca4cb1b3c", []),
        ("f" * 16, []),
    ]


def test_an_old_manifest_of_another_place_is_damage(old_store: Store) -> None:
    old_store.folder("golden", "2ae7db431eacc5f9").rename(old_store.folder("golden", "0" * 16))
    (entry,) = entries(old_store, "golden")
    assert entry.damage == "its manifest is that of golden@2ae7db431eacc5f9"
    assert entry.again is None


def test_other_damage(lope_data: Cli, store: Store, sample: Version, noisy: Noisy) -> None:
    built = noisy(ratio=0.1, name="built")
    empty = built.folder.with_name("0" * 16)
    empty.mkdir()
    stranger = built.folder.with_name("f" * 16)
    stranger.mkdir()
    (stranger / "manifest.json").write_bytes((sample.folder / "manifest.json").read_bytes())
    found = {entry.version: entry for entry in entries(store, "built")}
    assert "no manifest.json" in found["0" * 16].damage
    assert sample.ref in found["f" * 16].damage
    assert found[built.manifest.version].damage == ""


def test_hostile_names_and_unknown_files_are_not_printed(lope_data: Cli, store: Store, sample: Version) -> None:
    for name in ("\x1b[31mred", "[red]x", "a b", "..."):
        (store.root / name / ("a" * 16)).mkdir(parents=True)
    (store.root / "link").symlink_to(sample.folder.parent)
    (sample.folder.parent / "refs" / "\x1b]0;x\x07").write_text(sample.manifest.version)
    (sample.folder.parent / "refs" / "dangling").write_text("\x1b[31m")
    run = lope_data("list", "--store", store.root)
    assert run.code == 0
    assert "\x1b" not in run.out
    assert "red" not in run.out
    assert "link" not in run.out
    assert "dangling" not in run.out


def test_a_missing_parent_is_named_in_full(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    chain[1].folder.rename(store.root / "elsewhere")
    run = lope_data("list", "hynoise", "--store", store.root)
    assert f"parent: {chain[1].ref}, not in this store" in run.out


def test_a_long_name_is_whole(lope_data: Cli, store: Store, noisy: Noisy) -> None:
    built = noisy(ratio=0.1, name="n" * 100)
    run = lope_data("list", "--store", store.root)
    assert f"{'n' * 100}@{built.manifest.version[:8]}\n" in run.out


def test_unfinished_builds_are_counted(lope_data: Cli, store: Store, sample: Version) -> None:
    for version in ("0" * 16, "1" * 16):
        (sample.folder.parent / f".{version}.partial").mkdir()
    (sample.folder.parent / ".other").mkdir()
    assert unfinished(store) == 2
    assert "2 unfinished builds" in lope_data("list", "--store", store.root).out


def test_an_empty_store(lope_data: Cli, tmp_path: Path) -> None:
    run = lope_data("list", "--store", tmp_path / "none")
    assert run.code == 0
    assert "python -m lope_data build" in run.out
    assert lope_data("list", "--store", tmp_path / "none", "--json").out == "[]\n"
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["sampel", "../x", "a b", "\x1b[31m", "", "x" * 300])
def test_what_is_no_name(lope_data: Cli, store: Store, sample: Version, name: str) -> None:
    run = lope_data("list", name, "--store", store.root)
    assert run.code == 2
    assert run.err.startswith("error: ")
    assert "\x1b" not in run.err


def test_it_starts_light(store: Store, sample: Version) -> None:
    assert heavy_modules("list", "--store", str(store.root)) == set()
    assert heavy_modules("show", "sample", "--store", str(store.root)) == set()
