"""Where an op of a user's own is defined, and a hash of its source: its module, and what of the user's that imports.

What is hashed is what was loaded: `recording` is the context in which a user's modules are imported, from bytes that
are kept with them. Of a module that a program imported by itself, the bytes are those of its file.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import lope_common
from lope_common.files import canonical
from lope_data.noise.op import Origin

BUILT_IN = "lope_data.noise.ops"
FILE = "lope_import_"
"""How the names of modules begin that are imported as files."""
_INSTALLED = ("site-packages", "dist-packages")
_STDLIB = [Path(path).resolve() for key, path in sysconfig.get_paths().items() if "stdlib" in key]
_LOPE = [Path(lope_common.__path__[0]).resolve(), Path(__file__).resolve().parents[1]]


class Source(SourceFileLoader):
    """Runs the bytes that are hashed, whatever the file or its cache hold by then."""

    def __init__(self, name: str, file: Path) -> None:
        super().__init__(name, str(file))
        self.source = file.read_bytes()

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self.source_to_code(self.source, self.path)


class _Recorder(MetaPathFinder):
    """Finds a user's modules where Python does, and loads them by `Source`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or not spec.origin or not isinstance(spec.loader, SourceFileLoader):
            return None
        if not _is_users(Path(spec.origin)):
            return None
        spec.loader = Source(name, Path(spec.origin))
        return spec


@contextmanager
def recording() -> Iterator[None]:
    """A context in which a user's modules are loaded from bytes that are kept."""
    finder = _Recorder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def origin_of(caller: str, functions: Sequence[Callable[..., Any]]) -> Origin | None:
    """Where an op is defined, its source as it is now; None for one of lope_data.

    Args:
        caller: the name of the module that registers the op.
        functions: those that it is made of; where another module defines them, that is part of the source too.
    """
    if f"{caller}.".startswith(f"{BUILT_IN}."):
        return None
    file = _file_of(caller)
    if file is None:
        return Origin(caller, None, None)
    roots = [caller, *(getattr(function, "__module__", None) or caller for function in functions)]
    name = file.name if caller == "__main__" or caller.startswith(FILE) else caller
    return Origin(name, file.resolve(), _hash(caller, sources(roots)), tuple(dict.fromkeys(roots)))


def complete(origin: Origin) -> Origin:
    """The origin after its modules were imported whole: what they import inside of functions is imported now, and is
    part of the source.
    """
    for name in sources(origin.roots):
        if name not in sys.modules:
            with suppress(Exception):  # as the user's code may
                importlib.import_module(name)
    return Origin(origin.module, origin.file, _hash(origin.roots[0], sources(origin.roots)), origin.roots)


def has_changed(origin: Origin) -> bool:
    """Whether a source is not what it was when it was imported."""
    return origin.sha256 is None or _hash(origin.roots[0], sources(origin.roots, now=True)) != origin.sha256


def is_recorded(name: str) -> bool:
    """Whether a module was loaded by `recording`."""
    return isinstance(getattr(sys.modules.get(name), "__loader__", None), Source)


def sources(roots: Sequence[str], *, now: bool = False) -> dict[str, bytes]:
    """The sources of modules and of those of the user's that they import, by name; packages that hold nothing do not
    count. Of an installed module its own package counts, too.

    Args:
        now: as their files are now, not as they were loaded.
    """
    own = {name.partition(".")[0] for name in roots}
    found: dict[str, bytes] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        file = None if name in found else _file_of(name)
        if file is None or _is_lope(file):
            continue
        if not _is_users(file) and not (_is_installed(file) and name.partition(".")[0] in own):
            continue
        found[name] = file.read_bytes() if now else _bytes_of(name, file)
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for parts in _imported(found[name], tuple(package.split(".")) if package else ()):
            waiting += [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
        waiting += [name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]
    return {name: source for name, source in found.items() if source.strip() or name in roots}


def _hash(own: str, found: dict[str, bytes]) -> str:
    """sha256 of a source, whatever its line ends: git on Windows writes its own. Of several, that of the canonical JSON
    of {module: sha256}, in which the module that registers the op has no name: it may be imported as a file.
    """
    hashes = {"" if name == own else name: _sha256(source) for name, source in found.items()}
    return hashes[""] if list(hashes) == [""] else hashlib.sha256(canonical(hashes)).hexdigest()


def _sha256(source: bytes) -> str:
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()


def _file_of(name: str) -> Path | None:
    """The source file of a module that is loaded, or could be without importing anything."""
    module = sys.modules.get(name)
    path = getattr(module, "__file__", None)
    if module is None:
        parent = name.rpartition(".")[0]
        try:
            spec = find_spec(name) if not parent or parent in sys.modules else None
        except (ImportError, ValueError, AttributeError):
            spec = None
        path = spec.origin if spec is not None and spec.has_location else None
    return Path(path) if isinstance(path, str) and path.endswith(".py") and Path(path).is_file() else None


def _bytes_of(name: str, file: Path) -> bytes:
    loader = getattr(sys.modules.get(name), "__loader__", None)
    return loader.source if isinstance(loader, Source) else file.read_bytes()


def _is_users(file: Path) -> bool:
    """Whether a file is of a user's own: neither installed, nor of the standard library or of LoPE."""
    return not _is_installed(file) and not any(file.resolve().is_relative_to(place) for place in (*_STDLIB, *_LOPE))


def _is_installed(file: Path) -> bool:
    return any(part in _INSTALLED for part in file.resolve().parts)


def _is_lope(file: Path) -> bool:
    return any(file.resolve().is_relative_to(place) for place in _LOPE)


def _imported(source: bytes, package: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The parts of the names that a source imports, wherever in it; each may be a module, or something in one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # importing it says so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, alias.name) for alias in node.names)
