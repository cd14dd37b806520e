"""One writer for a version, none while versions are removed, and nothing left of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lope_data.errors import StoreError
from lope_data.store.locks import alone, locked, locked_if_free
from lope_data.store.store import Store

ONE, TWO = "0" * 16, "1" * 16


def test_the_second_waits_and_says_so(store: Store) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def notice(text: str) -> None:
        order.append(text)
        waiting.set()

    def second() -> None:
        with locked(store, "n", ONE, notice):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(store, "n", ONE, order.append):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == [f"another process is writing n@{ONE}: waiting for it", "first", "second"]
    assert not store.root.exists()


def test_other_versions_are_written_at_the_same_time(store: Store) -> None:
    with locked(store, "n", ONE, pytest.fail), locked(store, "n", TWO, pytest.fail):
        with locked_if_free(store, "n", ONE) as free:
            assert not free
        with locked_if_free(store, "m", ONE) as free:
            assert free
    assert not store.root.exists()


def test_nothing_is_removed_while_something_is_written(store: Store) -> None:
    with locked(store, "n", ONE, pytest.fail), pytest.raises(StoreError, match="is being written"), alone(store):
        pytest.fail("both hold the store")
    with alone(store), pytest.raises(StoreError, match="is being written"), alone(store):
        pytest.fail("both hold the store")
    assert list(store.root.iterdir()) == []


def test_many_at_once_never_hold_it_together(store: Store) -> None:
    held = most = done = 0

    def work() -> None:
        nonlocal held, most, done
        for _ in range(30):
            with locked(store, "n", ONE, lambda _: None):
                held += 1
                most = max(most, held)
                held -= 1
                done += 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, done) == (1, 240)
    assert not store.root.exists()


def test_a_dead_process_holds_nothing(store: Store) -> None:
    script = (
        "import os, sys; from pathlib import Path\n"
        "from lope_data.store.locks import locked; from lope_data.store.store import Store\n"
        f"with locked(Store(Path(sys.argv[1])), 'n', '{ONE}', print): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(store.root)], check=False)
    assert done.returncode == -9
    assert (store.root / ".locks" / f"n@{ONE}").exists()
    with locked(store, "n", ONE, pytest.fail):
        pass
    assert not store.root.exists()


def test_a_store_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    for lock in (locked(store, "n", ONE, print), alone(store)):
        with pytest.raises(StoreError, match="cannot write to the store"), lock:
            pytest.fail("locked a file")
    with locked_if_free(store, "n", ONE) as free:
        assert not free


def test_processes_with_one_recipe_make_one_version(store: Store) -> None:
    command = [sys.executable, "-m", "lope_data", "build", "--store", str(store.root), "--json", "--ratio", "0.5"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        for _ in range(3)
    ]
    said = [json.loads(process.communicate(timeout=120)[0].splitlines()[-1]) for process in processes]
    assert sorted(one["existed"] for one in said) == [False, True, True]
    assert len({(one["version"], one["content_digest"]) for one in said}) == 1
    assert sorted(path.name for path in store.root.iterdir() if path.name != ".sources") == [
        *("sample", "sample-heldout", "sample-hynoise"),
    ]
