"""Starting fast: what a process of our own leaves out, and a library may not, since whoever imports it could need it.

pyarrow imports pandas when it is first given a list, to know its series, and Numba imports SciPy for linear algebra.
No verb has either, and both take as long as a small build. The threads of OpenBLAS would only start and idle, and
Python's collector would look through all that is imported again and again.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lope_data.recipe.recipe import Recipe

_NEW_OBJECTS = 100_000  # that the collector waits for, instead of 700


@contextmanager
def process() -> Iterator[None]:
    """Within the context a verb runs: nothing collects garbage early, and linear algebra has one thread by default."""
    thresholds = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *thresholds[1:])
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.freeze()  # else Python looks through all of it once more when it ends


def without_pandas(source: str | None, parent: str | None, imports: list[str] | None) -> None:
    """From now on pyarrow takes pandas for not installed, until it is asked for a frame.

    Not so where that could be seen: ops of a user's own may use both, and times in nanoseconds, which text has none
    of, become pandas' in Python.
    """
    if imports or parent is not None or not _has_no_nanoseconds(source):
        return
    import pyarrow as pa

    from lope_common.extras import absent

    with absent("pandas"):
        pa.array([])


def settle(recipe: Recipe) -> None:
    """Leaves out SciPy too, or puts pandas back, as the ops of a recipe are ours or of an installed package."""
    if all(op.origin is None for step in recipe.steps for op in step.ops.values()):
        from lope_data.text import kernels

        kernels.without_scipy()
        return
    import pyarrow as pa

    pa.array([]).to_pandas()


def _has_no_nanoseconds(source: str | None) -> bool:
    """Whether a source is the sample, or one file of text or whose schema has no such times."""
    from lope_data.sources.formats import FORMATS
    from lope_data.sources.text import suffix_of

    if source is None or source == "-":
        return True
    path = Path(source)
    suffix = suffix_of(path)
    found = FORMATS.get(suffix) or FORMATS.get(Path(suffix).stem)
    try:
        if found is None or path.is_dir():
            return False
        if not path.is_file():  # a pipe, for one, which may be opened only once
            return found.text
        return found.text or (found.schema is not None and "[ns" not in str(found.schema(path)))
    except (OSError, ValueError):  # who reads it says what is wrong
        return False
