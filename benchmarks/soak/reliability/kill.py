"""Builds that are killed: at random moments, and before each single step that they take in the store."""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from statistics import mean

from benchmarks.soak.reliability.runs import (
    Run,
    Running,
    digests,
    listed,
    run,
    table,
    visible,
    write_rows,
    wrong,
)

_LONGEST_CHAIN = 3
_STEP_ROWS, _STEP_SHARD = 300, 100


@dataclass
class _Tally:
    """What came of the trials."""

    kills: Counter[str] = field(default_factory=Counter)
    late: int = 0  # kills that came when the build was done
    shares: dict[str, list[float]] = field(
        default_factory=dict
    )  # of the shards, found again, by stage of the last kill
    times: dict[str, list[float]] = field(default_factory=dict)  # of the processor, for the resumed build, by the same
    written: int = 0  # shards that were whole when the last kill came
    reused: int = 0
    faults: list[str] = field(default_factory=list)


def kill(folder: Path, rows: int, count: int, seed: int) -> Iterator[str]:
    """The tables: `count` trials at random moments, half of them chains of kills; then one before every step."""
    source = write_rows(folder / "rows.jsonl", rows, seed)
    run(*_build(source, folder / "warm"))  # page cache and Numba's
    full = [_measured(_build(source, folder / f"full-{i}")) for i in range(3)]
    expected = digests(folder / "full-0")
    seconds = mean(done.seconds for done, _ in full)
    shards = _shards(folder / "full-0")
    moments = random.Random(seed)  # noqa: S311
    tally = _Tally()
    for trial in range(count):
        store = folder / "store"
        if trial % 10 == 9:  # the machine may not be as fast all the time
            full.append(_measured(_build(source, store)))
            shutil.rmtree(store)
        chain = 1 if trial % 2 == 0 else moments.randint(2, _LONGEST_CHAIN)
        for _ in range(chain):
            building = Running(*_build(source, store))
            time.sleep(moments.uniform(0, seconds))
            done = building.kill()
            tally.late += done.code == 0
            stage = _stage(store)
            tally.kills[stage] += 1
            tally.faults += [f"trial {trial}, killed: {fault}" for fault in wrong(store)]
        written = _written(store)
        resumed, work = _measured(_build(source, store))
        tally.faults += [f"trial {trial}, after it: {fault}" for fault in wrong(store, expected)]
        if resumed.code:
            tally.faults.append(f"trial {trial}, exit code {resumed.code}: {resumed.err}")
        reused = shards * sum(stage == at for at in ("noise", "done")) / 2 + shards / 2 * (stage == "done")
        reused += sum(int(n) for n in re.findall(r"resuming \S+: (\d+) of", resumed.err))
        tally.written += written
        tally.reused += int(reused)
        tally.shares.setdefault(stage, []).append(reused / shards)
        tally.times.setdefault(stage, []).append(work)
        shutil.rmtree(store)
    yield _table(tally, count, rows, shards, mean(work for _, work in full))
    yield _steps(folder, seed)


def _build(source: Path, store: Path) -> list[str]:
    return ["build", "--source", str(source), "--name", "n", "--ratio", "0.2", "--store", str(store), "--json"]


def _measured(args: list[str]) -> tuple[Run, float]:
    """A run and the seconds of processor time that it took, which other processes on the machine change least."""
    before = getrusage(RUSAGE_CHILDREN)
    done = run(*args)
    after = getrusage(RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _shards(store: Path) -> int:
    return len(list(store.glob("*/*/data-*.arrow")))


def _written(store: Path) -> int:
    """Shards that are whole: of versions, and those of drafts that have a note."""
    return _shards(store) + len(list(store.glob("*/.*.partial/notes/*.json")))


def _stage(store: Path) -> str:
    names = {path.parent.name for path in visible(store)}
    if not store.exists():
        return "start-up"
    if not names:
        return "ingest"
    return "done" if "n" in names else "noise"


def _table(tally: _Tally, count: int, rows: int, shards: int, seconds: float) -> str:
    stages = [stage for stage in ("start-up", "ingest", "noise", "done") if stage in tally.kills]
    said: dict[str, object] = {
        "trials; kills in all; of them after the end": f"{count}; {sum(tally.kills.values())}; {tally.late}",
        "kills by stage": ", ".join(f"{stage} {tally.kills[stage]}" for stage in stages),
        "faults (half versions, leftovers, other digests, exit codes)": len(tally.faults),
        "shards whole at the last kill, and used again": f"{tally.written}, {tally.reused}",
        "full build": f"{seconds:.2f} s of processor time, {shards} shards",
    }
    for stage in stages:
        if stage in tally.times:
            share, time_ = mean(tally.shares[stage]), mean(tally.times[stage])
            said[f"resumed after a kill in: {stage}"] = (
                f"{len(tally.times[stage])} builds, {share:.0%} of the shards used again, {time_:.2f} s of "
                f"processor time, {time_ / seconds:.0%} of a full build"
            )
    return table(f"killed at random moments of a build of {rows:,} rows", said) + listed(tally.faults)


def _steps(folder: Path, seed: int) -> str:
    """A build of few rows, killed before its first, second, ... step in the store."""
    source = write_rows(folder / "few.jsonl", _STEP_ROWS, seed)
    where = folder / "steps"
    where.mkdir()
    args = (*_build(source, where / "store"), "--shard-rows", str(_STEP_SHARD), "--workers", "1")
    done = Running(str(where), *args, command=(sys.executable, "-m", "benchmarks.soak.reliability.steps")).wait()
    assert not done.code, done.err
    count, kills, faults = json.loads(done.out)
    said = {
        "steps in the store; kills": f"{count}; {kills}",
        "faults (half versions, leftovers, other digests, exit codes)": len(faults),
    }
    return table(f"killed before each step of a build of {_STEP_ROWS} rows", said) + listed(faults)
