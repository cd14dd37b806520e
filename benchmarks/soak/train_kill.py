"""SIGKILL at random moments of a training, which then goes on: does it end in the weights of one that was not killed?

    python -m benchmarks.soak.train_kill --data sample-60-hynoise --model smollm2-135m --trials 10

Every second trial is killed twice or three times. Prints a line a trial; the exit code is 1 if one differs.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console


def command(arguments: argparse.Namespace, out: Path) -> list[str]:
    words = ["--data", arguments.data, "--model", arguments.model, "--method", arguments.method, "--out", str(out)]
    words += ["--batch-size", "4", "--max-length", "128", "--save-every", "2", "--lora-dropout", "0.1"]
    return [sys.executable, "-m", "lope_train", "train", *words]


def weights(run: Path) -> str:
    return hashlib.sha256((run / "adapter_model.safetensors").read_bytes()).hexdigest()


def where(out: Path) -> str:
    """How far a run that was killed had come."""
    stages = out.with_name(f".{out.name}.partial") / "stages"
    checkpoints = sorted(stages.glob("*/checkpoints/checkpoint-*/whole.json"), key=lambda path: path.stat().st_mtime)
    done = len(list(stages.glob("*/result")))
    if not checkpoints:
        return f"{done} stages done"
    return f"stage {checkpoints[-1].parts[-4]}, {checkpoints[-1].parts[-2]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--method", default="lope")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source, console = random.Random(arguments.seed), Console(highlight=False)  # noqa: S311
    differ = 0
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole"
        start = time.monotonic()
        subprocess.run(command(arguments, whole), check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - start
        console.print(f"whole: {seconds:.0f} s, sha256 {weights(whole)[:16]}")
        for trial in range(arguments.trials):
            out = Path(folder) / "run"
            kills = []
            for _ in range(1 if trial % 2 == 0 else source.choice((2, 3))):
                process = subprocess.Popen(
                    command(arguments, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )
                try:
                    process.wait(source.uniform(0.2, 0.95) * seconds)
                    kills.append("finished")
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    kills.append(where(out))
            if not out.exists():
                subprocess.run(
                    command(arguments, out), check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
                )
            same = weights(out) == weights(whole)
            differ += not same
            console.print(f"trial {trial + 1}: killed at {'; '.join(kills)}: {'same weights' if same else 'DIFFERENT'}")
            shutil.rmtree(out)
    console.print(f"{arguments.trials} trials, {differ} with other weights")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
