"""Locks on files that processes share, by `portalocker`: exclusive or shared, given back however a process ends.

Who gives a lock back takes its file away, so that nothing is left behind; a lock counts only while its file is still
the one at its path.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lock:
    """A lock that is held. `handle`: the open file; a process that inherits it holds the lock too."""

    path: Path
    handle: int

    def give_back(self) -> None:
        """Releases it, and takes its file away unless others share it."""
        import portalocker

        with suppress(OSError, portalocker.LockException):  # a shared lock's file is the last holder's to take away
            portalocker.lock(self.handle, portalocker.LOCK_EX | portalocker.LOCK_NB)
            self.path.unlink()
        os.close(self.handle)
        if os.name == "nt":  # where an open file cannot be taken away
            with suppress(OSError):
                self.path.unlink()

    def let_go(self) -> None:
        """Closes the file and leaves it there: a process that has inherited the lock keeps it."""
        os.close(self.handle)


def acquire(path: Path, *, shared: bool = False, wait: bool = True) -> Lock | None:
    """The lock of the file at `path`, which is made with its folder; None where another has it and we do not wait.

    Raises:
        OSError: the file cannot be made or locked.
    """
    import portalocker  # needs fcntl or its like, which `--help` does not

    flags = portalocker.LOCK_SH if shared else portalocker.LOCK_EX
    how = flags if wait else flags | portalocker.LOCK_NB
    lost = 0
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | _CLOEXEC | _NOFOLLOW, 0o666)
        except (FileNotFoundError, FileExistsError):  # the folder came or went; again and again only where none can be
            lost += 1
            if lost > 1000:
                raise
            continue
        try:
            portalocker.lock(handle, how)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return Lock(path, handle)
        except portalocker.AlreadyLocked:
            os.close(handle)
            return None
        except portalocker.LockException as error:
            os.close(handle)
            raise OSError(f"{path} cannot be locked ({error})") from error
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


_CLOEXEC = getattr(os, "O_CLOEXEC", 0)  # not on every system
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
