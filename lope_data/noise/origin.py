"""Where an op of a user's own is defined, and a hash of its source: its file, and what that imports from beside it."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lope_common.files import canonical
from lope_data.noise.op import Origin

BUILT_IN = "lope_data.noise.ops"
_FLOOR = ("lope_common", "lope_data")  # what every op imports; it has versions of its own
_INSTALLED = ("site-packages", "dist-packages")


def origin_of(function: Callable[..., Any]) -> Origin | None:
    """Where a function is defined, its source as it is now; None for one of lope_data."""
    name = function.__module__
    if f"{name}.".startswith(f"{BUILT_IN}."):
        return None
    module = sys.modules.get(name)
    if isinstance(known := getattr(module, "__lope_origin__", None), Origin):  # imported as a file
        return known
    path = getattr(module, "__file__", None)
    file = Path(path).resolve() if path else None
    try:
        source = None if file is None else file.read_bytes()
    except OSError:
        source = None
    if file is None or source is None:
        return Origin(name, None, None)
    own = () if name == "__main__" else tuple(name.split("."))
    return Origin(file.name if name == "__main__" else name, file, source_hash(file, source, own))


def source_hash(file: Path, source: bytes, own: tuple[str, ...] = ()) -> str:
    """sha256 of a source, whatever its line ends: git on Windows writes its own. Where it imports files beside it, that
    of the canonical JSON of {path: sha256} of all of them, see `sources`.

    Args:
        source: what the file holds.
        own: the parts of the module's dotted name; none for a file that is no module.
    """
    hashes = {place.as_posix(): _sha256(held) for place, held in sources(file, source, own).items()}
    return next(iter(hashes.values())) if len(hashes) == 1 else hashlib.sha256(canonical(hashes)).hexdigest()


def sources(file: Path, source: bytes, own: tuple[str, ...] = ()) -> dict[Path, bytes]:
    """A source and those that it imports, and so on, by their paths from the folder in which its imports are looked up:
    that of the file, or of its top-level package. Of an installed module only its own package counts.
    """
    root = file.parents[len(own) - (file.name != "__init__.py")] if own else file.parent
    installed = any(part in _INSTALLED for part in root.parts)
    found, waiting = {file.relative_to(root): source}, [file.relative_to(root)]
    while waiting:
        place = waiting.pop()
        for name in _imported(found[place], place.parts[:-1]):
            if name[0] in _FLOOR or (installed and name[:1] != own[:1]):
                continue
            for other in _files(root, name):
                if other not in found:
                    found[other] = (root / other).read_bytes()
                    waiting.append(other)
    return found


def _sha256(source: bytes) -> str:
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()


def _imported(source: bytes, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The parts of the names that a source imports, wherever in it; each may be a module, or something in one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # importing it says so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, alias.name) for alias in node.names)


def _files(root: Path, name: tuple[str, ...]) -> Iterator[Path]:
    """The files of a module that are there, with those of the packages that it is in."""
    for i in range(1, len(name) + 1):
        place = Path(*name[:i])
        yield from (path for path in (place / "__init__.py", place.with_suffix(".py")) if (root / path).is_file())
