"""One writer for a version at a time, and none while versions are removed.

The kernel gives a lock back when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lope_data.errors import StoreError
from lope_data.progress import Notice

if TYPE_CHECKING:
    from lope_data.store.store import Store


_ALL = "store"


@contextmanager
def locked(store: Store, name: str, version: str, notice: Notice) -> Iterator[None]:
    """Holds the lock of a version, and keeps `gc` away; says to `notice` if it has to wait for another.

    Raises:
        StoreError: the store cannot be written to.
    """
    everything, path = _path(store, _ALL), _path(store, f"{name}@{version}")
    with ExitStack() as held:
        for lock, how, holder in (
            (everything, fcntl.LOCK_SH, "gc is at work in the store"),
            (path, fcntl.LOCK_EX, f"another process is writing {name}@{version}"),
        ):
            try:
                handle = _try(lock, how)
                if handle is None:
                    notice(f"{holder}: waiting for it")
                    handle = _acquire(lock, how)
            except OSError as error:
                raise StoreError(
                    f"cannot write to the store {store.root} ({error.strerror}); choose another with --store"
                ) from error
            held.callback(_give_back, lock, handle)
        yield


@contextmanager
def in_use(store: Store, notice: Notice) -> Iterator[None]:
    """Keeps `gc` away from what is found in the store. Where that cannot be written to, nothing is removed either."""
    path = _path(store, _ALL)
    try:
        handle = _try(path, fcntl.LOCK_SH)
        if handle is None:
            notice("gc is at work in the store: waiting for it")
            handle = _acquire(path, fcntl.LOCK_SH)
    except OSError:
        handle = None
    try:
        yield
    finally:
        if handle is not None:
            _give_back(path, handle)


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Holds the store while nothing is being written to it.

    Raises:
        StoreError: something is, or the store cannot be written to.
    """
    path = _path(store, _ALL)
    try:
        handle = _try(path, fcntl.LOCK_EX)
    except OSError as error:
        raise StoreError(f"cannot write to the store {store.root} ({error.strerror})") from error
    if handle is None:
        raise StoreError(f"a version is being written to the store {store.root}; try again when that is done")
    try:
        yield
    finally:
        _give_back(path, handle, found=True)


@contextmanager
def locked_if_free(store: Store, name: str, version: str) -> Iterator[bool]:
    """Holds the lock of a version if nobody does and the store can be written to; gives whether it does."""
    path = _path(store, f"{name}@{version}")
    try:
        handle = _try(path, fcntl.LOCK_EX)
    except OSError:
        handle = None
    try:
        yield handle is not None
    finally:
        if handle is not None:
            _give_back(path, handle)


def left_locked(store: Store, name: str, version: str) -> bool:
    """Whether the lock is held, or was when its process was killed."""
    return _path(store, f"{name}@{version}").exists()


def _path(store: Store, what: str) -> Path:
    folder = store.root / ".locks"
    if folder.is_symlink():
        raise StoreError(f"{folder} is a link; a store holds its locks itself")
    return folder / what


def _try(path: Path, how: int) -> int | None:
    """A handle that holds the lock, or None if another keeps it from that."""
    try:
        return _acquire(path, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _acquire(path: Path, how: int) -> int:
    """Who gives a lock back takes its file away, so a lock counts only if its file is still the one at the path."""
    lost = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except (FileNotFoundError, FileExistsError):  # the folder came or went; again and again only where none can be
            lost += 1
            if lost > 1000:
                raise
            continue
        try:
            fcntl.flock(handle, how)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _give_back(path: Path, handle: int, *, found: bool = False) -> None:
    """`found`: the store was there before, and stays even if it is empty."""
    with suppress(OSError):  # a shared lock's file is the last holder's to take away
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    os.close(handle)
    with suppress(OSError):  # others' locks are in it, or versions
        path.parent.rmdir()
        if not found:
            path.parent.parent.rmdir()
