"""Follows a pipeline: each step is a command that a user could type, and one whose result exists is not run again.

Builds are always called: they answer at once from what exists. The key of any other step is a hash of its command with
every reference filled in; references to versions carry their ids and references to runs their keys, so a key changes
with the data and settings of everything before it. It does not cover the code: after changing that, use another --out.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lope_common.files import write_whole
from pipelines.errors import PipelineError
from pipelines.steps.recipe import REFERENCE, Pipeline, Step


@dataclass(frozen=True)
class Done:
    """A step that has run: the command for it, the JSON it printed, the seconds it took (0 if it was there)."""

    step: Step
    command: str
    result: dict[str, Any]
    seconds: float


def run(pipeline: Pipeline, out: Path, store: Path | None, console: Console) -> list[Done]:
    """Runs every step that has no result in `out` yet.

    Raises:
        PipelineError: a step failed; the ones before it are kept, and the next run goes on from there.
    """
    done: dict[str, Done] = {}
    results = out / "results"
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipelineError(f"cannot write to {out} ({error.strerror}); choose another with --out") from error
    for number, step in enumerate(pipeline.steps, start=1):
        words = [*step.run.split(), *_words(step, {name: d.result for name, d in done.items()})]
        key = hashlib.sha256("\0".join([*words, str(store)]).encode()).hexdigest()[:10]
        if store is not None and step.run != "lope_train get-model":
            words += ["--store", str(store)]
        if step.run == "lope_train train":
            words += ["--out", str(out / "runs" / f"{step.id}-{key}")]
        command = shlex.join(["python", "-m", *words])
        console.print(f"\n{number}/{len(pipeline.steps)}  {step.title}", style="bold", markup=False)
        console.print(f"$ {command}", style="dim", markup=False, soft_wrap=True)
        file = results / f"{step.id}-{key}.json"
        if file.is_file() and step.run != "lope_data build":  # builds know best what exists
            kept = json.loads(file.read_text(encoding="utf-8"))
            if Path(kept["result"].get("path", out)).exists():
                done[step.id] = Done(step, command, kept["result"], kept["seconds"])
                console.print(f"done before, in {kept['seconds']:.0f} s")
                continue
        started = time.monotonic()
        result = _call(words, step)
        seconds = time.monotonic() - started
        write_whole(file, json.dumps({"command": command, "result": result, "seconds": seconds}))
        done[step.id] = Done(step, command, result, seconds)
    return list(done.values())


def _words(step: Step, results: dict[str, dict[str, Any]]) -> list[str]:
    """The arguments and options as words, references filled in."""

    def fill(text: str) -> str:
        return REFERENCE.sub(lambda match: _look_up(results, match[1], match[2], step), text)

    words = [fill(argument) for argument in step.arguments]
    for name, value in step.options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words += [flag] if value else []
            continue
        for item in value if isinstance(value, list) else [str(value)]:
            words += [flag, fill(item)]
    return words


def _look_up(results: dict[str, dict[str, Any]], name: str, key: str | None, step: Step) -> str:
    result = results[name]
    if key is None:
        return f"{result['name']}@{result['version']}" if "version" in result else str(result["path"])
    if key not in result:
        raise PipelineError(f"step {step.id!r} uses {{{name}.{key}}}; the result of {name!r} has: {', '.join(result)}")
    return str(result[key])


def _call(words: list[str], step: Step) -> dict[str, Any]:
    """Runs a command with --json, which puts what it tells people on stderr, and reads the last line of stdout."""
    process = subprocess.Popen([sys.executable, "-m", *words, "--json"], stdout=subprocess.PIPE, text=True)
    try:
        stdout, _ = process.communicate()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.returncode:
        raise PipelineError(f"step {step.id!r} failed with exit code {process.returncode}; what came before it is kept")
    *_, last = stdout.strip().splitlines()
    result: dict[str, Any] = json.loads(last)
    return result
