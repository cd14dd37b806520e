"""One writer for a version at a time, and none while versions are removed.

The system gives a lock back when its process ends, however it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.locks import Lock, acquire
from lope_common.progress import Notice
from lope_data.errors import StoreError

if TYPE_CHECKING:
    from lope_data.store.store import Store


_ALL = "store"


@contextmanager
def locked(store: Store, name: str, version: str, notice: Notice) -> Iterator[None]:
    """Holds the lock of a version, and keeps `gc` away; says to `notice` if it has to wait for another.

    Raises:
        StoreError: the store cannot be written to.
    """
    with ExitStack() as held:
        for path, shared, holder in (
            (_path(store, _ALL), True, "gc is at work in the store"),
            (_path(store, f"{name}@{version}"), False, f"another process is writing {name}@{version}"),
        ):
            try:
                lock = _waited_for(path, shared, holder, notice)
            except OSError as error:
                raise StoreError(
                    f"cannot write to the store {store.root} ({error.strerror or error}); choose another with --store"
                ) from error
            held.callback(_give_back, lock)
        yield


@contextmanager
def in_use(store: Store, notice: Notice) -> Iterator[None]:
    """Keeps `gc` away from what is found in the store. Where that cannot be written to, nothing is removed either."""
    try:
        lock = _waited_for(_path(store, _ALL), True, "gc is at work in the store", notice)
    except OSError:
        lock = None
    try:
        yield
    finally:
        if lock is not None:
            _give_back(lock)


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Holds the store while nothing is being written to it.

    Raises:
        StoreError: something is, or the store cannot be written to.
    """
    try:
        lock = acquire(_path(store, _ALL), wait=False)
    except OSError as error:
        raise StoreError(f"cannot write to the store {store.root} ({error.strerror or error})") from error
    if lock is None:
        raise StoreError(f"a version is being written to the store {store.root}; try again when that is done")
    try:
        yield
    finally:
        _give_back(lock, found=True)


@contextmanager
def locked_if_free(store: Store, name: str, version: str) -> Iterator[bool]:
    """Holds the lock of a version if nobody does and the store can be written to; gives whether it does."""
    try:
        lock = acquire(_path(store, f"{name}@{version}"), wait=False)
    except OSError:
        lock = None
    try:
        yield lock is not None
    finally:
        if lock is not None:
            _give_back(lock)


def left_locked(store: Store, name: str, version: str) -> bool:
    """Whether the lock is held, or was when its process was killed."""
    return _path(store, f"{name}@{version}").exists()


def _path(store: Store, what: str) -> Path:
    folder = store.root / ".locks"
    if folder.is_symlink():
        raise StoreError(f"{folder} is a link; a store holds its locks itself")
    return folder / what


def _waited_for(path: Path, shared: bool, holder: str, notice: Notice) -> Lock:
    lock = acquire(path, shared=shared, wait=False)
    if lock is None:
        notice(f"{holder}: waiting for it")
        lock = acquire(path, shared=shared)
    assert lock is not None
    return lock


def _give_back(lock: Lock, *, found: bool = False) -> None:
    """`found`: the store was there before, and stays even if it is empty."""
    lock.give_back()
    with suppress(OSError):  # others' locks are in it, or versions
        lock.path.parent.rmdir()
        if not found:
            lock.path.parent.parent.rmdir()
