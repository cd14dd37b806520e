"""Compiling kernels, and what they share.

What is kept of a compiled kernel does not see changes in other modules, so `mixed` must stay what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import int64, types, uint8, uint64
from numba.core import event
from numba.extending import register_jitable

from lope_data.text.kernels.loading import ALWAYS, ONCE, tell

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

F = TypeVar("F", bound=Callable[..., Any])

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ONES, HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
"""To find a byte in eight at once: with x the eight, each xor the byte, (x - ONES) & ~x & HIGH has a bit for it."""


def reads(kind: Any) -> Any:
    """The type of an array that is only read; it takes writable ones too."""
    return types.Array(kind, 1, "C", readonly=True)


U8_IN, U64_IN, I64_IN = reads(uint8), reads(uint64), reads(int64)

U8_MATRIX_IN = types.Array(uint8, 2, "C", readonly=True)
I64_OUT = types.Array(int64, 1, "C")
U8_OUT = types.Array(uint8, 1, "C")
WORDS_IN = types.Array(uint64, 1, "A", readonly=True, aligned=False)
WORDS_OUT = types.Array(uint64, 1, "A", aligned=False)


def words_of(data: Bytes) -> U64:
    """The eight bytes from each place on as one number, without a copy; as many as there are whole ones."""
    return np.ndarray((max(len(data) - 7, 0),), np.dtype("<u8"), data if len(data) else b"", strides=(1,))


def kernel(*signature: Any) -> Callable[[F], F]:
    """Compiles a function for one signature, to run beside other threads, and keeps the result where possible."""

    def decorate(function: F) -> F:
        try:
            with event.install_listener("numba:compile", _Compiling()):
                compiled: Any = numba.njit(signature, cache=True, nogil=True)(function)
        except (RuntimeError, OSError):  # no folder to keep it in can be written, or its disk is full
            tell(ALWAYS)
            compiled = numba.njit(signature, nogil=True)(function)
        return cast("F", compiled)

    return decorate


def part_of_kernels(function: F) -> F:
    """For a function that kernels call: it becomes part of each of them, and need not be loaded on its own."""
    return register_jitable(inline="never")(function)


class _Compiling(event.Listener):
    """Is told when Numba compiles, and so has found nothing that was kept."""

    def on_start(self, event: event.Event) -> None:  # noqa: ARG002
        tell(ONCE)

    def on_end(self, event: event.Event) -> None:
        pass


@kernel(uint64)
def mixed(x: Any) -> Any:
    """SplitMix64's finaliser."""
    x = (x ^ (x >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> uint64(27))) * uint64(0x94D049BB133111EB)
    return x ^ (x >> uint64(31))
