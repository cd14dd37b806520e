"""Randomness from a key: no global generator is read, and none stays moved."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from transformers import set_seed


def generator(seed: int, *names: str) -> torch.Generator:
    """A CPU generator whose state is a function of the seed and the names, and of nothing else."""
    return torch.Generator().manual_seed(_state(seed, names))


@contextmanager
def drawn(seed: int, *names: str) -> Iterator[None]:
    """As `generator`, but the state of torch's global one on CPUs, for what draws from it; restored at the end."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_state(seed, names))
        yield


def _state(seed: int, names: tuple[str, ...]) -> int:
    key = "\0".join([str(seed), *names]).encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Seed the global generators, for libraries that draw from them (peft, Trainer); restored at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        set_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
