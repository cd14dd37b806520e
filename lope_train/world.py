"""The processes that train together, as torchrun and accelerate launch start them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from lope_train.errors import SettingsError

_PATIENCE = 30.0
_TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class World:
    """How many processes there are, and which one this is; the first is the main one, which alone writes and speaks."""

    size: int
    rank: int

    @classmethod
    def here(cls) -> World:
        return cls(int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0")))

    @property
    def main(self) -> bool:
        return self.rank == 0

    @property
    def on_cpu(self) -> bool:
        """Whether to train on CPUs, of which accelerate and Trainer must be told: no accelerator can be used."""
        import torch

        device = torch.accelerator.current_accelerator(check_available=True)
        return device is None or (device.type == "mps" and self.size > 1)

    @property
    def launched_for(self) -> str | None:
        """`fsdp` or `deepspeed`, where accelerate's own configuration asks for it."""
        return next(
            (name for name in ("fsdp", "deepspeed") if os.environ.get(f"ACCELERATE_USE_{name.upper()}") == "true"), None
        )

    def join(self) -> None:
        """Connect this process with the others. Raises SettingsError where that cannot be."""
        if self.size > 1:
            from accelerate import PartialState

            if PartialState(cpu=self.on_cpu, timeout=_TIMEOUT).num_processes != self.size:
                raise SettingsError(f"{self.size} processes were started, but accelerate connects none on this machine")

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Within the context the main process is alone, and then the others: they find what it left."""
        if not self.main:
            self.wait()
        yield
        if self.main:
            self.wait()


@contextmanager
def one_voice() -> Iterator[None]:
    """Within the context an error is the main process's to tell: once it has, the launcher ends the others."""
    try:
        yield
    except Exception:
        if not World.here().main:
            time.sleep(_PATIENCE)  # then it is this process's alone, and the main one waits for it
        raise
