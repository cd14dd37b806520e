"""Rows kept on the disk while a source is read: what would have to be read twice, at more cost than that."""

from __future__ import annotations

import mmap
import tempfile
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

_ALIGNED = 64  # bytes: Arrow's buffers are used where they lie


class Spool:
    """Files without a name, which go with the process, however it ends."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        """`folder`: gives the one whose disk they are on, when they are needed."""
        self._folder = folder
        self._lock = Lock()
        self._files = ExitStack()  # closed with the last that could read them
        weakref.finalize(self, self._files.close)
        self._tables: IO[bytes] | None = None
        self._mapped: memoryview | None = None
        self._digests: IO[bytes] | None = None

    def keep(self, table: pa.Table) -> Callable[[], pa.Table]:
        """Writes a table, in any thread; gives back what reads it, from the disk as its values are used.

        Raises:
            OSError: the disk is full, or cannot be written to.
        """
        import pyarrow as pa

        with self._lock:
            file = self._tables = self._tables or self._file()
            low = -(-file.tell() // _ALIGNED) * _ALIGNED
            file.seek(low)
            with pa.ipc.new_stream(pa.PythonFile(file, mode="w"), table.schema) as writer:
                writer.write_table(table)
            high = file.tell()
        return lambda: pa.ipc.open_stream(pa.BufferReader(pa.py_buffer(self._map()[low:high]))).read_all()

    def add_digests(self, digests: bytes) -> None:
        """Keeps what is known of each row, after what is there. Raises OSError."""
        if not digests:
            return
        file = self._digests = self._digests or self._file()
        file.write(digests)

    def digests(self) -> npt.NDArray[np.uint64]:
        """All of them, two numbers a row."""
        if self._digests is None:
            return np.empty((0, 2), np.uint64)
        self._digests.flush()
        mapped: Any = np.memmap(self._digests, np.uint64, "r")
        return np.asarray(mapped).reshape(-1, 2)

    def _map(self) -> memoryview:
        assert self._tables is not None
        if self._mapped is None:
            self._tables.flush()
            self._mapped = memoryview(mmap.mmap(self._tables.fileno(), 0, access=mmap.ACCESS_READ))
        return self._mapped

    def _file(self) -> IO[bytes]:
        return self._files.enter_context(tempfile.TemporaryFile(dir=self._folder()))
