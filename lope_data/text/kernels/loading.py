"""Loading kernels, and compiling them where no process before has: who is told, and what Numba may do without."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from lope_common.extras import absent
from lope_common.progress import Notice, silent

ONCE = "compiling the noise kernels, once on this machine (about 10 s)"
ALWAYS = (
    "compiling the noise kernels, as every process must here (about 10 s): there is no folder that can be written to "
    "keep them in; name one in NUMBA_CACHE_DIR"
)

_notice: Notice = silent
_told: set[str] = set()
_needless: tuple[str, ...] = ()


def without_scipy() -> None:
    """From now on Numba is loaded without SciPy, which takes half the time.

    It imports SciPy for linear algebra in compiled functions, and kernels have none. Only for a process in which
    nobody else's functions are compiled.
    """
    global _needless
    _needless = ("scipy",)


@contextmanager
def telling(notice: Notice) -> Iterator[None]:
    """Within the context `notice` is called once before kernels are compiled, in whatever thread."""
    global _notice
    before, _notice = _notice, notice
    try:
        yield
    finally:
        _notice = before


def tell(text: str) -> None:
    """Calls the notice of `telling`, if it has not been called yet."""
    global _notice
    notice, _notice = _notice, silent
    if text not in _told:
        _told.add(text)
        notice(text)


def load(module: str) -> ModuleType:
    """The module of that name beside this one, its kernels loaded from where they are kept, or compiled now."""
    with absent(*_needless):
        return importlib.import_module(f"lope_data.text.kernels.{module}")
