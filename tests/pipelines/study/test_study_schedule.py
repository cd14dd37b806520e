"""The pool of a study: each command once ever, failures stay local, a kill loses only what was running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lope_common.locks import acquire
from pipelines.study.cells import Cell
from pipelines.study.jobs import Job, Results
from pipelines.study.schedule import Finished, Pool

ROOT = Path(__file__).parents[3]
COMMAND = """
import json, os, sys, time
from pathlib import Path
name, *rest = [word for word in sys.argv[1:] if not word.startswith(("--", "/"))]
with open("calls.txt", "a") as calls:
    calls.write(f"{name} {os.environ.get('SLOT')}\\n")
if "--out" in sys.argv:
    out = Path(sys.argv[sys.argv.index("--out") + 1])
    out.mkdir(parents=True)
    (out / "adapter_model.safetensors").touch()
    (out / "run.json").write_text('{"method": "lora", "stages": [{"seconds": 5}]}')
if "--quiet" in sys.argv:
    sys.exit()
if "--fail" in sys.argv:
    print("working", file=sys.stderr)
    sys.exit("error: no luck with " + name)
if "--wait" in sys.argv:
    Path(name + ".began").touch()
    while not Path("go").exists():
        time.sleep(0.02)
print("talk")
print(json.dumps({"path": os.getcwd(), "said": name, "saw": rest}))
"""
WAITS = """
import signal
from pathlib import Path
from tests_schedule import job, pool, Quiet
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test runner may have started this with it ignored
pool(Path.cwd()).run([job("first"), job("second", "first", "--wait")], Quiet())
"""
KILLED = """
from pathlib import Path
from tests_schedule import job, pool, Quiet
pool(Path.cwd(), 1).run([job("first"), job("second", "first", "--wait")], Quiet())
"""


class Quiet:
    def started(self, job: Job) -> None: ...
    def finished(self, finished: Finished) -> None: ...
    def tick(self) -> None: ...


def job(name: str, needs: str = "", *flags: str) -> Job:
    wanted = tuple(needs.split())

    def words(results: Results) -> list[str]:
        return ["command", name, *(results[need]["said"] for need in wanted), *flags]

    return Job(name, "build", name, wanted, words)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "command.py").write_text(COMMAND)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    return tmp_path


def calls(place: Path) -> list[str]:
    file = place / "calls.txt"
    return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []


def pool(place: Path, slots: int = 2) -> Pool:
    return Pool(place / "pool", place / "store", tuple({"SLOT": str(i)} for i in range(slots)))


def test_results_reach_what_needs_them_and_are_kept(place: Path) -> None:
    jobs = [job("c", "a b"), job("a"), job("b", "a")]  # in no order
    first = pool(place).run(jobs, Quiet())
    assert list(first) == ["c", "a", "b"]
    assert {f.state for f in first.values()} == {"done"}
    assert first["c"].result["saw"] == ["a", "b"]
    assert calls(place) == ["a", "b", "c"]
    second = pool(place).run(jobs, Quiet())
    assert {f.state for f in second.values()} == {"kept"}
    assert [f.result for f in second.values()] == [f.result for f in first.values()]
    assert len(calls(place)) == 3


def test_a_command_that_two_jobs_share_runs_once(place: Path) -> None:
    twins = [Job(name, "build", name, (), job("same").words) for name in ("one", "two")]
    done = pool(place).run(twins, Quiet())
    assert sorted(f.state for f in done.values()) == ["done", "kept"]
    assert calls(place) == ["same"]


def test_a_changed_input_makes_what_comes_after_it_again(place: Path) -> None:
    pool(place).run([job("a"), job("b", "a")], Quiet())
    changed = Job("a", "build", "a", (), job("other").words)
    done = pool(place).run([changed, job("b", "a")], Quiet())
    assert [f.state for f in done.values()] == ["done", "done"]


def test_a_failure_stops_only_what_needs_it(place: Path) -> None:
    jobs = [job("bad", "", "--fail"), job("after", "bad"), job("later", "after"), job("good")]
    done = pool(place, 1).run(jobs, Quiet())
    assert {name: f.state for name, f in done.items()} == {
        "bad": "failed",
        "after": "not run",
        "later": "not run",
        "good": "done",
    }
    assert done["bad"].reason.startswith("no luck with bad (exit code 1; ")
    assert done["after"].reason == "needs: bad (build)"
    again = pool(place, 1).run(jobs, Quiet())
    assert again["bad"].state == "failed"  # tried again: what was wrong may be right by now
    assert calls(place).count("bad") == 2


def test_jobs_run_at_once_in_slots_of_their_own(place: Path) -> None:
    (place / "release.py").write_text(
        "import pathlib, time, sys\n"
        "while not all(pathlib.Path(n + '.began').exists() for n in 'ab'):\n    time.sleep(0.02)\n"
        "pathlib.Path('go').touch()\n"
    )
    release = subprocess.Popen([sys.executable, "release.py"], cwd=place)
    try:
        pool(place).run([job("a", "", "--wait"), job("b", "", "--wait")], Quiet())
    finally:
        release.kill()
    assert sorted(line.split()[1] for line in (place / "calls.txt").read_text().splitlines()) == ["0", "1"]


def test_a_result_whose_folder_is_gone_is_made_again(place: Path) -> None:
    pool(place).run([job("a")], Quiet())
    (file,) = (place / "pool" / "results").glob("build-*.json")
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "result": {**record["result"], "path": str(place / "gone")}}))
    assert pool(place).run([job("a")], Quiet())["a"].state == "done"


def test_after_a_kill_what_was_done_is_kept(place: Path) -> None:
    (place / "tests_schedule.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    (place / "killed.py").write_text(KILLED)
    process = subprocess.Popen([sys.executable, "killed.py"], cwd=place, start_new_session=True)
    until = time.monotonic() + 60
    while not (place / "second.began").exists() and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (place / "go").touch()
    done = pool(place).run([job("first"), job("second", "first", "--wait")], Quiet())
    assert {name: f.state for name, f in done.items()} == {"first": "kept", "second": "done"}
    assert calls(place) == ["first", "second", "second"]


def test_a_command_that_outlives_its_study_is_waited_for(place: Path) -> None:
    (place / "tests_schedule.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    (place / "killed.py").write_text(KILLED)
    process = subprocess.Popen([sys.executable, "killed.py"], cwd=place)
    until = time.monotonic() + 60
    while not (place / "second.began").exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()  # alone: the command goes on
    process.wait()
    release = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1); open('go', 'w')"], cwd=place)
    started = time.monotonic()
    done = pool(place).run([job("first"), job("second", "first", "--wait")], Quiet())
    assert time.monotonic() - started > 0.5
    release.wait()
    assert done["second"].state == "done"


def trains(name: str) -> Job:
    return Job(name, "train", name, (), job(name).words, cell=Cell("m", "lora", "nois", 614))


def test_a_run_that_was_whole_when_the_study_was_killed_is_taken(place: Path) -> None:
    out = pool(place).run([trains("a")], Quiet())["a"].command.split("--out ")[1].split()[0]
    for file in (place / "pool" / "results").glob("train-*.json"):
        file.unlink()
    again = pool(place).run([trains("a")], Quiet())["a"]
    assert (again.state, again.seconds) == ("kept", 5)
    assert again.result == {"path": out, "method": "lora", "stages": [{"seconds": 5}]}


def test_a_run_of_which_something_is_missing_is_trained_again(place: Path) -> None:
    out = Path(pool(place).run([trains("a")], Quiet())["a"].command.split("--out ")[1].split()[0])
    (out / "adapter_model.safetensors").unlink()
    (out / "run.json").unlink()
    out.rmdir()
    assert pool(place).run([trains("a")], Quiet())["a"].state == "done"
    assert calls(place) == ["a", "a"]


def test_changed_contents_of_what_is_read_make_it_again(place: Path) -> None:
    def reading(content: str) -> Job:
        return Job("a", "evaluate", "a", (), job("a").words, reads=lambda _: [content])

    states = [pool(place).run([reading(c)], Quiet())["a"].state for c in ("old", "old", "new", "old")]
    assert states == ["done", "kept", "done", "kept"]


@pytest.mark.parametrize("text", ["[]", '{"result": null, "seconds": 1}', '{"result": {}}', '{"result"', "5"])
def test_a_damaged_result_is_made_again(place: Path, text: str) -> None:
    pool(place).run([job("a")], Quiet())
    (file,) = (place / "pool" / "results").glob("build-*.json")
    file.write_text(text)
    assert pool(place).run([job("a")], Quiet())["a"].state == "done"


def test_a_command_that_says_nothing_has_failed(place: Path) -> None:
    done = pool(place).run([job("a", "", "--quiet"), job("b")], Quiet())
    assert (done["a"].state, done["b"].state) == ("failed", "done")
    assert "its last line is no JSON" in done["a"].reason


def test_interrupted_while_it_waits_for_another_study_it_ends_and_starts_nothing(place: Path) -> None:
    pool(place).run([job("first")], Quiet())
    command = pool(place)._command(job("second", "first", "--wait"), {"first": {"said": "first"}})
    (place / "tests_schedule.py").write_text(Path(__file__).read_text(encoding="utf-8"))
    (place / "waits.py").write_text(WAITS)
    lock = command.file.with_suffix(".lock")
    held = acquire(lock)
    assert held is not None
    process = subprocess.Popen([sys.executable, "waits.py"], cwd=place, stderr=subprocess.PIPE)
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=20)
    held.give_back()
    assert "second" not in calls(place)
