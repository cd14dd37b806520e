"""Many processes in one store: builds, `gc`, tags and readers at once."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.soak.reliability.runs import Run, Running, digests, listed, run, table, write_rows, wrong

_WATCH = (sys.executable, "-m", "benchmarks.soak.reliability.watch")
_ROUNDS = 3
_SHARD_ROWS = 500
_UNTIL_THEY_WAIT = 6  # seconds; the one that works is halted meanwhile


def together(folder: Path, rows: int, count: int, seed: int) -> Iterator[str]:
    """The tables: `count` processes with one recipe, with as many recipes, and in a crowd; and when one is killed."""
    source = write_rows(folder / "rows.jsonl", rows, seed)
    store = folder / "store"
    run(*_build(source, store, 0))
    expected = digests(store)
    yield _one_recipe(source, store, count, expected)
    yield _recipes(source, store, count)
    yield _crowd(source, store, count)
    yield _killed(source, store, expected)


def _build(source: Path, store: Path, number: int) -> list[str | Path]:
    seed = ("--seed", str(614 + number))
    return ["build", "--source", source, "--name", "n", "--ratio", "0.2", *seed, "--store", store, "--json"]


def _one_recipe(source: Path, store: Path, count: int, expected: dict[str, str]) -> str:
    said: dict[str, object] = {}
    faults = []
    for processes in (2, count):
        workers = []
        waited = 0
        for number in range(_ROUNDS):
            shutil.rmtree(store)
            done = _all([Running(*_build(source, store, 0)) for _ in range(processes)])
            faults += _failed(done) + wrong(store, expected)
            made = sum(not run_.json["existed"] for run_ in done if not run_.code)
            workers.append(made)
            waited += sum("waiting for it" in run_.err for run_ in done)
            if made != 1:
                faults.append(f"{processes} at once, round {number}: {made} made the version")
        said[f"{processes} at once, {_ROUNDS} rounds: who made it; waited"] = f"{workers}; {waited} processes"
    return table("builds of one recipe at once", said) + listed(faults)


def _recipes(source: Path, store: Path, count: int) -> str:
    shutil.rmtree(store)
    alone: dict[str, str] = {}
    for number in range(count):
        faults = _failed([run(*_build(source, store, number))])
        alone |= digests(store)
    shutil.rmtree(store)
    done = _all([Running(*_build(source, store, number)) for number in range(count)])
    faults += _failed(done) + wrong(store, alone)
    made = sum(not run_.json["existed"] for run_ in done if not run_.code)
    said = {
        "builds; versions made; versions in the store": f"{count}; {made}; {len(digests(store))}",
        "digests as when built one after another": digests(store) == alone,
    }
    return table("builds of different recipes at once", said) + listed(faults)


def _crowd(source: Path, store: Path, count: int) -> str:
    """Builds of different recipes, some tagged at once, while `gc` and readers run all the time."""
    shutil.rmtree(store)
    faults = []
    watching = Running(str(store), command=_WATCH)
    building = {number: Running(*_build(source, store, number)) for number in range(count)}
    removals = refused = tags = 0
    while not all(one.ended for one in building.values()):
        cleaning = run("gc", "--store", store)
        removals += cleaning.code == 0
        refused += "is being written" in cleaning.err
        if cleaning.code and "is being written" not in cleaning.err:
            faults.append(f"gc: {cleaning.err}")
        tagging = run("tag", "n", "moving", "--force", "--store", store)
        tags += tagging.code == 0
        if tagging.code and "no dataset" not in tagging.err and "no version" not in tagging.err:
            faults.append(f"tag: {tagging.err}")
    faults += _failed([one.wait() for one in building.values()])
    run("gc", "--store", store)
    (store.parent / "stop").write_text("")
    watched = watching.wait()
    (store.parent / "stop").unlink()
    looks = json.loads(watched.out)
    faults += looks["faults"] + wrong(store, digests(store))
    said = {
        "builds; gc that removed, that was refused; tags moved": f"{count}; {removals}, {refused}; {tags}",
        "versions verified and opened by readers meanwhile": looks["looks"],
        "half versions seen": len(looks["faults"]),
        "versions left after gc (parent, latest, tagged)": len(digests(store)),
    }
    return table("builds, gc, tags and readers at once", said) + listed(faults)


def _killed(source: Path, store: Path, expected: dict[str, str]) -> str:
    """One that works, three that wait for it: one of these is killed, then the one that works."""
    faults: list[str] = []
    waited = resumed = 0
    for _ in range(_ROUNDS):
        shutil.rmtree(store)
        args = (*_build(source, store, 0), "--shard-rows", str(_SHARD_ROWS), "--workers", "1")
        working = Running(*args)
        while not list(store.glob("n/.*.partial/notes/*.json")) and not working.ended:
            time.sleep(0.001)
        working.pause()
        waiting = [Running(*args) for _ in range(3)]
        time.sleep(_UNTIL_THEY_WAIT)
        waiting.pop().kill()
        working.kill()
        done = [one.wait() for one in waiting]
        waited += sum("waiting for it" in run_.err for run_ in done)
        resumed += sum("resuming n" in run_.err for run_ in done)
        faults += _failed(done) + wrong(store, expected)
    said = {"rounds; waited to the end; went on with the dead one's shards": f"{_ROUNDS}; {waited}; {resumed}"}
    if resumed != _ROUNDS:
        faults.append(f"{resumed} of {_ROUNDS} went on with the shards")
    return table("a waiting process killed, then the working one", said) + listed(faults)


def _all(running: list[Running]) -> list[Run]:
    return [one.wait() for one in running]


def _failed(done: list[Run]) -> list[str]:
    return [f"exit code {run_.code}: {run_.err[-500:]}" for run_ in done if run_.code]
