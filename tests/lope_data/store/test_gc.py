"""gc: removes what nothing needs and what killed processes left, and never anything else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lope_data.api import build, ingest
from lope_data.errors import StoreError
from lope_data.recipe import Recipe
from lope_data.store.gc import find_garbage, remove_garbage
from lope_data.store.locks import locked
from lope_data.store.manifest import NAME
from lope_data.store.store import Store
from lope_data.store.version import Version


def tree(store: Store) -> list[Path]:
    return sorted(store.root.rglob("*"))


def test_what_latest_or_a_tag_or_their_children_need_stays(store: Store, noisy: Callable[..., Version]) -> None:
    nois = noisy(ratio=0.1, name="nois")
    child = noisy(nois, "hynoise", ratio=0.1)
    noisy(ratio=0.2, name="nois")  # now latest; the first is needed by its child alone
    assert find_garbage(store) == []
    assert remove_garbage(store) == []
    store.set_ref("hynoise", "paper", child.manifest.version)
    other = noisy(ratio=0.3, name="hynoise")
    assert remove_garbage(store) == []
    store.drop_ref("hynoise", "paper")
    assert [piece.path for piece in remove_garbage(store)] == [child.folder, nois.folder]
    assert store.resolve("hynoise").ref == other.ref
    assert other.parent is not None


def test_a_version_whose_rows_were_left_out_stays_while_it_is_needed(store: Store) -> None:
    """As a parent does: without it a replay could not leave out the same again."""
    rows = [{"text": f"a question {n} ?", "label": "a"} for n in range(20)]
    quiz = ingest(rows[:5], name="quiz", store=store.root)
    clean = ingest(rows, name="lessons", without=quiz, store=store.root)
    ingest(rows[:6], name="quiz", store=store.root)  # now latest
    assert find_garbage(store) == []
    noisy = build({"steps": [{"ratio": 0.5}]}, parent=clean, name="nois", store=store.root)
    store.drop_ref("lessons", "latest")
    assert remove_garbage(store) == []
    store.drop_ref("nois", "latest")
    assert {piece.path for piece in remove_garbage(store)} == {quiz.folder, clean.folder, noisy.folder}


def test_a_dry_run_removes_nothing_and_says_what_would_go(
    lope_data: Callable[..., Any], store: Store, noisy: Callable[..., Version]
) -> None:
    old = noisy(ratio=0.1)
    noisy(ratio=0.2)
    before = tree(store)
    dry = lope_data("gc", "--dry-run", "--store", store.root)
    assert dry.code == 0
    assert tree(store) == before
    wet = lope_data("gc", "--store", store.root)
    for run in (dry, wet):
        assert f"sample-hynoise/{old.folder.name}  (" in run.out
    assert not old.folder.exists()
    assert "nothing to remove" in lope_data("gc", "--store", store.root).out


def test_what_killed_processes_left_goes(store: Store, sample: Version) -> None:
    before = tree(store)
    home = store.home("sample")
    for path in (f".{'0' * 16}.partial/notes", f".{'1' * 16}.removing/edits"):
        (home / path).mkdir(parents=True)
    (home / "refs" / ".latest-1-0a").write_text("0")
    (home / "refs" / "gone").write_text("3" * 16)
    assert len(remove_garbage(store)) == 3
    assert tree(store) == before


def test_an_empty_folder_stays(tmp_path: Path) -> None:
    assert remove_garbage(Store(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_ours_stays(store: Store, sample: Version) -> None:
    for path in (f"other/{'2' * 16}/edits", "other/.mine.partial", "sample/.git"):
        (store.root / path).mkdir(parents=True)
    assert remove_garbage(store) == []
    assert (store.root / "other" / ("2" * 16) / "edits").is_dir()


def test_it_waits_for_no_one_and_removes_nothing_meanwhile(store: Store, noisy: Callable[..., Version]) -> None:
    old = noisy(ratio=0.1)
    noisy(ratio=0.2)
    with locked(store, "another", "0" * 16, print), pytest.raises(StoreError, match="is being written"):
        remove_garbage(store)
    assert old.folder.is_dir()
    remove_garbage(store)
    assert not old.folder.exists()
    assert not (store.root / ".locks").exists()


def test_a_manifest_that_cannot_be_read_stops_it(store: Store, noisy: Callable[..., Version]) -> None:
    old, new = noisy(ratio=0.1), noisy(ratio=0.2)
    (new.folder / NAME).write_text("{}")
    with pytest.raises(StoreError):
        remove_garbage(store)
    assert old.folder.is_dir()


def test_links_are_not_followed_out_of_the_store(store: Store, sample: Version, tmp_path: Path) -> None:
    refs = (store.home("sample") / "refs").rename(tmp_path / "refs")
    (refs / ".hidden").write_text("")
    (store.home("sample") / "refs").symlink_to(refs)
    for use in (
        remove_garbage,
        lambda store: store.set_ref("sample", "x", "0" * 16),
        lambda store: store.refs("sample"),
    ):
        with pytest.raises(StoreError, match="is a link"):
            use(store)
    assert sorted(path.name for path in refs.iterdir()) == [".hidden", "latest"]


def test_a_store_that_is_not_there(lope_data: Callable[..., Any], store: Store) -> None:
    assert lope_data("gc", "--store", store.root).code == 0
    assert not store.root.exists()


def test_what_a_build_has_found_is_not_removed(
    store: Store, sample: Version, make_recipe: Callable[..., Recipe]
) -> None:
    """Two versions built in turns, each unneeded until it is found again, while gc removes what is unneeded."""
    recipes = [make_recipe(seed=seed, ratio=0.1, mix={"char.swap": 1}) for seed in (1, 2)]
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            with suppress(StoreError):  # something is being written
                remove_garbage(store)

    thread = threading.Thread(target=clean)
    thread.start()
    try:
        for turn in range(40):
            assert (build(recipes[turn % 2], parent=sample, store=store.root).folder / NAME).is_file()
    finally:
        done.set()
        thread.join()
