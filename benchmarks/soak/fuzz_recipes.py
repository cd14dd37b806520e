"""Random recipes through the real path: each must give a version that holds, or a clear error.

    python -m benchmarks.soak.fuzz_recipes [--count 10000] [--seed 0] [--workers 2] [--typed 200]
        [--only N] [--json FILE]

Trial N of a seed is the same in every run; `--only N` runs it alone and prints its recipe. `--typed` trials are run as
`python -m lope_data build` too, in a process of their own. What is random is in random_recipes.py, what is checked in
recipe_trial.py. A trial has 30 seconds. Exits with 1 if there was a failure.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.soak.random_recipes import Trial, random_trial
from benchmarks.soak.recipe_trial import Outcome, attempt, write_sources
from lope_data.errors import LopeDataError
from lope_data.store import Store, verify_version

LIMIT_S = 30
SHRINKS = 60  # trials that making one failure smaller may take


class TooLongError(Exception):
    """A trial that ran past its time."""


def _alarm(*_: object) -> None:
    raise TooLongError(f"more than {LIMIT_S} s")


def trial_of(seed: int, number: int) -> Trial:
    """A trial by its number."""
    return random_trial(Random(f"{seed}/{number}"))  # noqa: S311


def run(trial: Trial, folder: Path) -> Outcome:
    """The outcome of a trial, whatever it raises; in native code that does not return the process ends with a trace."""
    faulthandler.dump_traceback_later(3 * LIMIT_S, exit=True)
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(LIMIT_S)
    try:
        return attempt(trial, folder / "sources", folder / "store", folder / "recipe.toml")
    except Exception as error:
        return Outcome("FAILURE", _brief(error))
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()


def _brief(error: Exception) -> str:
    """What was raised, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = [f for f in traceback.extract_tb(error.__traceback__) if "/lope_data/" in f.filename] or [last]
    message = " ".join(str(error).split())
    return f"{type(error).__name__} in {Path(ours[-1].filename).name}:{ours[-1].lineno}: {message[:300]}"


def shrunk(trial: Trial, failure: Outcome, folder: Path) -> Trial:
    """The trial without the lines, and the options, that its failure does not need."""
    told = blanked(failure.message)[:60]
    left = SHRINKS

    def fails(smaller: Trial) -> bool:
        nonlocal left
        left -= 1
        outcome = run(smaller, folder)
        return outcome.kind == "FAILURE" and blanked(outcome.message)[:60] == told

    for name in list(trial.typed):
        fewer = replace(trial, typed={key: text for key, text in trial.typed.items() if key != name})
        trial = fewer if fails(fewer) else trial
    lines = trial.recipe.split(b"\n")
    size = len(lines)
    while size and left > 0:
        for start in range(0, len(lines), size):
            fewer = replace(trial, recipe=b"\n".join(lines[:start] + lines[start + size :]))
            if left > 0 and fewer.recipe != trial.recipe and fails(fewer):
                trial, lines = fewer, fewer.recipe.split(b"\n")
                break
        else:
            size //= 2
    return trial


def typed_again(trial: Trial, outcome: Outcome, folder: Path) -> Outcome | None:
    """The trial as a user types it; None if the command line does as it should."""
    recipe, store = folder / "recipe.toml", folder / "typed store 🙂"  # the recipe is there from the trial itself
    shutil.rmtree(store, ignore_errors=True)
    command = [sys.executable, "-m", "lope_data", "build", "--source", str(folder / "sources" / trial.source), "--json"]
    command += ["--recipe", str(recipe), "--store", str(store), "--name", "noisy", "--workers", "1"]
    command += [f"--shard-rows={trial.shard_rows}", *(f"--{name}={text}" for name, text in trial.typed.items())]
    command += ["--allow-shortfall"] if trial.allow_shortfall else []
    done = subprocess.run(command, capture_output=True, timeout=4 * LIMIT_S, cwd=folder)
    said = done.stderr.decode("utf-8", "replace")
    wrong = ""
    if b"Traceback" in done.stderr or done.returncode != (0 if outcome.kind == "version" else 2):
        wrong = f"exit code {done.returncode}, where the trial ended with {outcome.kind}: {said[-300:]}"
    elif done.returncode == 0:
        shown = json.loads(done.stdout.splitlines()[-1])
        if f"{shown['name']}@{shown['version']}" != outcome.version:
            wrong = f"{shown['version']}, where the trial made {outcome.version}"
    elif not (said.strip().startswith("error: ") and said.strip().isprintable()):
        wrong = f"an error that is not one printable line: {said[:300]!r}"
    else:
        wrong = _left_behind(store, outcome)
    return Outcome("FAILURE", f"typed: {wrong}") if wrong else None


def _left_behind(store: Path, outcome: Outcome) -> str:
    """What a failed command should not have left: anything at all, but for the whole parent of what cannot be built."""
    files = [path for path in store.rglob("*") if path.is_file()] if store.exists() else []
    if outcome.kind != "NoiseError":
        return f"left {files[0] if files else store}" if store.exists() else ""
    try:
        parents = [Store(store).resolve(name).folder for name in Store(store).names()]
    except LopeDataError as error:
        return f"left a store that cannot be read: {error}"
    if any(verify_version(parent, lambda *_: None)[1] for parent in parents) or len(parents) > 1:
        return f"left {parents}"
    stray = [file for file in files if not {"refs", ".sources"} & set(file.relative_to(store).parts)]
    stray = [file for file in stray if not any(file.is_relative_to(parent) for parent in parents)]
    return f"left {stray[0]}" if stray else ""


def work(arguments: argparse.Namespace, folder: Path) -> None:
    """Runs the trials from `arguments.start` on, every `arguments.stride`-th, a line of JSON each, on stdout."""
    write_sources(folder / "sources")
    typed_every = arguments.typed and max(arguments.count // arguments.typed - 1, 0) | 1  # odd: every worker has some
    for number in range(arguments.start, arguments.count, arguments.stride):
        trial = trial_of(arguments.seed, number)
        print(json.dumps({"begun": number}), flush=True)
        start = time.monotonic()
        outcome = run(trial, folder)
        seconds = time.monotonic() - start
        if outcome.kind != "FAILURE" and typed_every and number % typed_every == 0:
            outcome = typed_again(trial, outcome, folder) or replace(outcome, kind=f"{outcome.kind} (typed)")
        recipe = trial.recipe
        if outcome.kind == "FAILURE" and seconds < LIMIT_S / 10:  # a hang is too slow to make smaller
            recipe = shrunk(trial, outcome, folder).recipe
        line = {"number": number, "kind": outcome.kind, "message": outcome.message, "seconds": seconds}
        print(json.dumps(line | {"recipe": recipe[:3000].decode("utf-8", "backslashreplace")}), flush=True)


def supervise(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Runs the workers; one that dies is a failure of the trial it had begun, and is started again behind it."""
    lines: list[dict[str, Any]] = []
    running: list[tuple[int, Path, subprocess.Popen[bytes]]] = []

    def begin(start: int) -> None:
        home = folder / f"worker-{start}"
        home.mkdir()
        options = ["--start", str(start), "--stride", str(arguments.workers), "--folder", str(home)]
        options += [f"--{name}={getattr(arguments, name)}" for name in ("count", "seed", "typed")]
        with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
            command = [sys.executable, "-m", "benchmarks.soak.fuzz_recipes", *options]
            environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
            running.append((start, home, subprocess.Popen(command, stdout=out, stderr=err, env=environment)))

    for start in range(arguments.workers):
        begin(start)
    while running:
        _, home, process = running.pop(0)
        code = process.wait()
        said = [json.loads(line) for line in (home / "out").read_bytes().splitlines()]
        lines += [line for line in said if "kind" in line]
        if code and said:
            number, trace = said[-1].get("begun", said[-1].get("number")), (home / "err").read_text(errors="replace")
            recipe = trial_of(arguments.seed, number).recipe[:3000].decode("utf-8", "backslashreplace")
            died = {"number": number, "kind": "FAILURE", "message": f"the process died, code {code}: {trace[-2000:]}"}
            lines.append(died | {"seconds": 0.0, "recipe": recipe})
            if number + arguments.workers < arguments.count:
                begin(number + arguments.workers)
        elif code:
            raise SystemExit((home / "err").read_text(errors="replace"))
    return lines


def blanked(message: str) -> str:
    """A message without its values, so that those that say the same are counted as one."""
    message = re.sub(r"/\S*/(recipe\.toml|sources|store)", r"\1", message)
    message = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "'…'", message)
    return re.sub(r"-?\d[\d.,e+-]*", "#", message)[:400]


def report(lines: list[dict[str, Any]], seconds: float) -> bool:
    """Prints the counts; gives whether there was no failure."""
    kinds = Counter(line["kind"] for line in lines)
    print(f"{len(lines):,} recipes in {seconds:.0f} s")
    for kind, count in sorted(kinds.items(), key=lambda item: -item[1]):
        print(f"{count:7,}  {kind}")
    slowest = sorted(lines, key=lambda line: -line["seconds"])[:5]
    print("slowest: " + ", ".join(f"{line['seconds']:.1f} s ({line['number']})" for line in slowest))
    messages = Counter((line["kind"].removesuffix(" (typed)"), blanked(line["message"])) for line in lines)
    for (kind, message), count in sorted(messages.items()):
        if kind not in ("version", "FAILURE"):
            print(f"{count:7,}  {kind}: {ascii(message)[1:-1]}")
    failures = sorted((line for line in lines if line["kind"] == "FAILURE"), key=lambda line: len(line["recipe"]))
    alike: dict[str, list[dict[str, Any]]] = {}
    for line in failures:
        alike.setdefault(blanked(line["message"])[:100], []).append(line)
    for same in alike.values():  # the shortest recipe of each kind
        numbers = ", ".join(str(line["number"]) for line in same[:8])
        print(
            f"{len(same)} FAILURES ({numbers}): {ascii(same[0]['message'])[1:-1][:1500]}",
            ascii(same[0]["recipe"])[:600],
            sep="\n",
        )
    return not failures


def alone(trial: Trial, folder: Path) -> None:
    """Runs one trial and says everything of it."""
    write_sources(folder / "sources")
    print(f"{trial.recipe!r}\n{replace(trial, recipe=b'')}")
    outcome = attempt(trial, folder / "sources", folder / "store", folder / "recipe.toml")
    print(outcome, typed_again(trial, outcome, folder) or "typed: the same", sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"count": 10_000, "seed": 0, "workers": 2, "typed": 200}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", type=int, help="run this trial alone")
    parser.add_argument("--json", type=Path, help="write a line of JSON for each trial to this file")
    parser.add_argument("--start", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stride", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.start is not None:
        work(arguments, arguments.folder)
        return
    with tempfile.TemporaryDirectory(prefix="fuzz-recipes-") as name:
        if arguments.only is not None:
            alone(trial_of(arguments.seed, arguments.only), Path(name))
            return
        start = time.monotonic()
        lines = supervise(arguments, Path(name))
    if arguments.json is not None:
        arguments.json.write_text("".join(json.dumps(line) + "\n" for line in sorted(lines, key=lambda i: i["number"])))
    sys.exit(0 if report(lines, time.monotonic() - start) else 1)


if __name__ == "__main__":
    main()
