"""What is known of sources, kept beside the versions: fingerprints of large ones, where each was, what it is called.

Nothing here decides what a version is. A fingerprint is believed only while no file of the source can have changed
unseen: same size, times and inode, and so long quiet before they were noted that a later write has another time.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lope_common.files import write_whole

FOLDER = ".sources"
SCRATCH = ".scratch-"
"""How folders of copies begin."""
LARGE = 50_000_000  # bytes; smaller sources are hashed again, which takes no time
_QUIET = 2_000_000_000  # nanoseconds; as coarse as file systems' times are


@dataclass(frozen=True)
class Stamp:
    """What a file's `stat` says that changes when the file does."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        found = path.stat()
        return cls(os.path.realpath(path), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


@dataclass(frozen=True)
class Place:
    """Where a source is.

    Attributes:
        source: a path made absolute, or the name of a sample or of a dataset on the hub.
        part: what of it is read, if not all: a split, a configuration.
        stamps: its files, as they were before they were hashed.
    """

    source: str
    part: str = ""
    stamps: tuple[Stamp, ...] = ()

    @property
    def known(self) -> frozenset[str]:
        """By any of these it is known again: the path as it was given, where that leads, and what files it is."""
        if not self.stamps:
            return frozenset({self.source})
        files = hashlib.sha256("\0".join(stamp.path for stamp in self.stamps).encode("utf-8", "surrogateescape"))
        return frozenset({self.source, os.path.realpath(self.source), files.hexdigest()})


@dataclass(frozen=True)
class Holder:
    """The source that a name in the store is of, and by what it is known again."""

    source: str
    known: frozenset[str]


class SourceIndex:
    """The records in `<store>/.sources/`, a file for each source and for each name that a source holds."""

    def __init__(self, root: Path) -> None:
        """`root`: the store's folder."""
        self._folder = root / FOLDER

    def known(self, place: Place) -> str | None:
        """The fingerprint of a large source, if it was recorded and no file has changed since."""
        now = [vars(stamp) for stamp in place.stamps]
        if sum(stamp["size"] for stamp in now) <= LARGE:
            return None
        record = self._read(self._file(place))
        if record.get("files") != now or not all(_is_quiet(stamp, record.get("made_ns")) for stamp in now):
            return None
        fingerprint = record.get("fingerprint")
        return fingerprint if isinstance(fingerprint, str) else None

    def record(self, place: Place, fingerprint: str) -> None:
        """Notes a source. Where the store cannot be written to, nothing is noted."""
        files = [vars(stamp) for stamp in place.stamps]
        record = {"source": place.source, "fingerprint": fingerprint, "files": files}
        path = self._file(place)
        if record.items() <= self._read(path).items() and (not files or self.known(place)):
            return
        self._write(path, record | {"made_ns": time.time_ns()})

    def holder(self, name: str, version: str) -> Holder | None:
        """The source that made a version the latest of a name; None where that is not known.

        Args:
            version: the latest. What was noted of another one says nothing of this one, which came from elsewhere.
        """
        record = self._read(self._name(name))
        source, known = record.get("source"), record.get("known")
        if record.get("version") != version or not isinstance(source, str) or not isinstance(known, list):
            return None
        return Holder(source, frozenset(map(str, known)))

    def hold(self, name: str, version: str, place: Place) -> None:
        """Notes that a source made a version the latest of a name."""
        record = {"version": version, "source": place.source, "known": sorted(place.known)}
        path = self._name(name)
        if self._read(path) != record:
            self._write(path, record)

    def find(self, fingerprint: str) -> str | None:
        """A source that had this fingerprint when it was last read; it may have changed or gone since."""
        try:
            files = sorted(self._folder.glob("*.json"))
        except OSError:
            return None
        records = [self._read(path) for path in files]
        found = [r for r in records if r.get("fingerprint") == fingerprint and isinstance(r.get("source"), str)]
        there = [r for r in found if not r.get("files") or os.path.exists(r["source"])]  # noqa: PTH110  # never raises
        return next((str(record["source"]) for record in [*there, *found]), None)

    def scratch(self) -> Path | None:
        """A new folder on the store's disk for a copy of a source; None where the store cannot be written to."""
        if self._folder.is_symlink():
            return None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self._folder))
        except OSError:
            return None

    def _file(self, place: Place) -> Path:
        key = place.source + (f"\0{place.part}" if place.part else "")
        return self._folder / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.json"

    def _name(self, name: str) -> Path:
        return self._folder / f"name-{name}.json"

    def _write(self, path: Path, record: dict[str, Any]) -> None:
        if self._folder.is_symlink():
            return  # it may lead out of the store
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(record))
            for left in path.parent.glob(f".{path.name}-*"):  # by a process that was killed; a living one's is no loss
                left.unlink(missing_ok=True)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def _is_quiet(stamp: dict[str, Any], made_ns: object) -> bool:
    """Whether a write after the record would have changed the file's times, however coarse they are."""
    return isinstance(made_ns, int) and max(stamp["mtime_ns"], stamp["ctime_ns"]) + _QUIET < made_ns
