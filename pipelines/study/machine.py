"""What a study runs on: cores, free memory, and the date, commit and hardware that its record keeps."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from pipelines.study.record import Sitting

MEMORY_A_JOB = 6 * 2**30
"""Bytes that training a small model takes; a large one is told by --jobs."""


def sitting_here() -> Sitting:
    """Today, with this code, on this machine."""
    return Sitting(datetime.now(UTC).date().isoformat(), commit_here(), hardware())


def commit_here() -> str:
    """The commit of the code that runs; empty where it is in no checkout."""
    root = Path(__file__).parents[2]

    def said(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        if said("rev-parse", "--show-toplevel") != str(root.resolve()):
            return ""
        return said("rev-parse", "--short=12", "HEAD") + "+" * bool(
            said("status", "--porcelain", "--untracked-files=no")
        )
    except OSError:
        return ""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory that are free for use."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 2 * MEMORY_A_JOB


def hardware() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return f"{model}, {cores()} cores"
