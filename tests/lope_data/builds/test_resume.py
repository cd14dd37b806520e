"""A build that was cut off goes on with the shards it has, and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lope_data.builds.obtain import Options, build
from lope_data.errors import NoiseError
from lope_data.recipe import Recipe
from lope_data.store import Draft, Store, Version, verify_version

NAME = "sample-hynoise"


@pytest.fixture
def recipe(make_recipe: Callable[..., Recipe]) -> Recipe:
    return make_recipe(ratio=0.2)


@pytest.fixture
def fine(options: Options) -> Options:
    """Ten shards."""
    return dataclasses.replace(options, shard_rows=240)


@pytest.fixture
def whole(tmp_path: Path, sample: Version, recipe: Recipe) -> Version:
    """The version as a build makes it that nobody disturbs, in another store."""
    return build(sample, recipe, None, Options(Store(tmp_path / "undisturbed"), shard_rows=240))


def cut_after(options: Options, shards: int, error: type[BaseException] = KeyboardInterrupt) -> Options:
    """Options whose build is interrupted when it has so many shards."""

    def progress(_: str, done: int, __: int) -> None:
        if done == shards:
            raise error("cut")

    return dataclasses.replace(options, progress=progress)


def hidden(store: Store) -> list[str]:
    return sorted(path.name for path in store.root.rglob(".*") if path.name != ".sources")


def draft_of(store: Store, whole: Version) -> Path:
    return store.draft(NAME, whole.manifest.version)


@pytest.mark.parametrize("shards", [1, 4, 10])
def test_it_goes_on_with_what_it_has(
    sample: Version, recipe: Recipe, fine: Options, store: Store, whole: Version, shards: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(sample, recipe, None, cut_after(fine, shards))
    assert store.versions(NAME) == []
    assert hidden(store) == [draft_of(store, whole).name]
    notices: list[str] = []
    written: list[int] = []
    again = dataclasses.replace(fine, notice=notices.append, progress=lambda _, done, __: written.append(done))
    made = build(sample, recipe, None, again)
    assert notices == [f"resuming {NAME}: {shards} of 10 shards are there"]
    assert written == list(range(shards, 11))
    assert made.manifest == whole.manifest
    assert verify_version(made.folder, lambda *_: None)[1] == []
    assert hidden(store) == []


def test_before_the_first_shard_there_is_nothing_to_keep(
    sample: Version, recipe: Recipe, fine: Options, store: Store
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(sample, recipe, None, cut_after(fine, 0))
    assert not (store.root / NAME).exists()


def test_a_damaged_shard_is_made_again(
    sample: Version, recipe: Recipe, fine: Options, store: Store, whole: Version
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(sample, recipe, None, cut_after(fine, 6))
    draft = Draft(draft_of(store, whole), whole.manifest.rows, fine.shard_rows or 0)
    data, edits, note = draft.version / draft.data_name(0), draft.version / draft.edits_name(1), "notes/00002.json"
    data.write_bytes(data.read_bytes()[:-1] + b"\xff")
    edits.unlink()
    (draft.folder / note).write_text("{")
    notices: list[str] = []
    made = build(sample, recipe, None, dataclasses.replace(fine, notice=notices.append))
    assert notices == [f"resuming {NAME}: 3 of 10 shards are there"]
    assert made.manifest == whole.manifest


def test_a_draft_with_other_shards_is_begun_anew(
    sample: Version, recipe: Recipe, fine: Options, store: Store, whole: Version
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(sample, recipe, None, cut_after(fine, 6))
    notices: list[str] = []
    other = dataclasses.replace(fine, shard_rows=1000, notice=notices.append)
    made = build(sample, recipe, None, other)
    assert notices == []
    assert made.manifest.content_digest == whole.manifest.content_digest
    assert len(list(made.folder.glob("data-*.arrow"))) == 3
    assert hidden(store) == []


def test_what_fails_leaves_nothing(sample: Version, recipe: Recipe, fine: Options, store: Store) -> None:
    with pytest.raises(NoiseError):
        build(sample, recipe, None, cut_after(fine, 6, NoiseError))
    assert not (store.root / NAME).exists()
    assert hidden(store) == []


def test_a_build_killed_between_its_rename_and_its_end(
    sample: Version, recipe: Recipe, fine: Options, store: Store, whole: Version
) -> None:
    build(sample, recipe, None, fine)
    (store.root / NAME / "refs" / "latest").unlink()
    (draft_of(store, whole) / "notes").mkdir(parents=True)
    built = build(sample, recipe, None, fine)
    assert built.existed
    assert hidden(store) == []
    assert store.resolve(NAME).ref == whole.ref


def test_a_killed_process(store: Store) -> None:
    command = [sys.executable, "-m", "lope_data", "build", "--workers", "1", "--shard-rows", "40", "--ratio", "0.5"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def start(root: Path) -> subprocess.Popen[str]:
        whole = [*command, "--store", str(root)]
        return subprocess.Popen(whole, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)

    killed = start(store.root)
    while not list(store.root.glob(f"{NAME}/.*/notes/*3.json")) and killed.poll() is None:
        time.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert store.versions(NAME) == []
    resumed = start(store.root)
    said = resumed.communicate(timeout=60)[1]
    assert resumed.returncode == 0
    assert f"resuming {NAME}: " in said
    assert hidden(store) == []
    assert verify_version(store.resolve(NAME).folder, lambda *_: None)[1] == []
