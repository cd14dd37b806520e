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
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
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
_HOME = Path(lope_common.__path__[0]).resolve().parent
_LOPE = [_HOME / name for name in ("lope_common", "lope_data", "lope_train", "pipelines")]
_STARTED = time.time()


class Source(SourceFileLoader):
    """Runs the bytes that are hashed, whatever the file or its cache hold by then."""

    def __init__(self, name: str, file: Path) -> None:
        super().__init__(name, str(file))
        self.source = file.read_bytes()

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self.source_to_code(self.source, self.path)


class Recorder(MetaPathFinder):
    """Finds a user's modules where Python does, and loads them by `Source`; notes what is asked for, and loaded."""

    def __init__(self) -> None:
        self.loaded: dict[str, None] = {}
        self.roots: list[str] = []  # of what is imported

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or not spec.origin or not isinstance(spec.loader, SourceFileLoader):
            return None
        if not _is_users(Path(spec.origin)):
            return None
        spec.loader = Source(name, Path(spec.origin))
        self.loaded[name] = None
        return spec


@contextmanager
def recording() -> Iterator[Recorder]:
    """A context in which a user's modules are loaded from bytes that are kept."""
    finder = Recorder()
    sys.meta_path.insert(0, finder)
    try:
        yield finder
    finally:
        sys.meta_path.remove(finder)


def origin_of(caller: str, functions: Sequence[Callable[..., Any]]) -> Origin | None:
    """Where an op is defined, its source as it is now; None for one of lope_data.

    Args:
        caller: the name of the module that registers the op: that of a decorator around ours, where the op has one.
        functions: those that it is made of, that of the edits first; where that is a user's, its module defines the op.
    """
    if f"{caller}.".startswith(f"{BUILT_IN}."):
        return None
    modules = [getattr(function, "__module__", None) or caller for function in functions]
    first = _file_of(modules[0])
    own = caller if first is None or not _counts(modules[0], first, modules[:1]) else modules[0]
    file = _file_of(own)
    if file is None:
        return Origin(own, None, None)
    roots = tuple(dict.fromkeys([own, caller, *modules]))
    name = file.name if own == "__main__" or own.startswith(FILE) else own
    found = sources(roots)
    return Origin(name, file.resolve(), _hash(own, found), roots, tuple(found))


def complete(origin: Origin, recorder: Recorder) -> Origin:
    """The origin after its modules were imported whole. What they import inside of functions is imported now, and what
    was imported in some way that no import statement says is part of the source too.
    """
    for name in sources(origin.roots):
        if name in sys.modules:
            continue
        try:
            importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: S110  # as the user's code may, which catches it or never comes there
            pass
    stated = sources([*origin.roots, *recorder.roots])
    roots = tuple(dict.fromkeys([*origin.roots, *(name for name in recorder.loaded if name not in stated)]))
    found = sources(roots)
    return Origin(origin.module, origin.file, _hash(origin.roots[0], found), roots, tuple(found))


def has_changed(origin: Origin) -> bool:
    """Whether a source is not what it was when it was imported."""
    if origin.sha256 is None or any(_file_of(name) is None for name in origin.modules):
        return True
    return _hash(origin.roots[0], sources(origin.roots, now=True)) != origin.sha256


def stale(origin: Origin) -> str | None:
    """A module of a source that the user's own program imported before it was last written: what runs is not known."""
    for name in origin.modules:
        file = _file_of(name)
        if file is None or not _is_users(file) or name not in sys.modules or is_recorded(name):
            continue
        if file.stat().st_mtime > _STARTED:
            return name
    return None


def is_recorded(name: str) -> bool:
    """Whether a module was loaded by `recording`."""
    return isinstance(getattr(sys.modules.get(name), "__loader__", None), Source)


def sources(roots: Sequence[str], *, now: bool = False) -> dict[str, bytes]:
    """The sources of modules and of those of the user's that they import, by name. Of an installed module its own
    package counts, too.

    Args:
        now: as their files are now, not as they were loaded.
    """
    own = {name.partition(".")[0] for name in roots}
    found: dict[str, bytes] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        file = None if name in found else _file_of(name)
        if file is None or not _counts(name, file, own):
            continue
        found[name] = file.read_bytes() if now else _bytes_of(name, file)
        package = getattr(sys.modules.get(name), "__package__", None)
        if package is None:
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for parts in _imported(found[name], tuple(package.split(".")) if package else ()):
            waiting += [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
        waiting += [name.rsplit(".", i)[0] for i in range(1, name.count(".") + 1)]
    return found


def _counts(name: str, file: Path, own: Collection[str]) -> bool:
    return _is_users(file) or (_is_installed(file) and not _is_lope(file) and name.partition(".")[0] in own)


def _hash(own: str, found: dict[str, bytes]) -> str:
    """sha256 of a source, whatever its line ends: git on Windows writes its own. Of several, that of the canonical JSON
    of {module: sha256}, in which the module that defines the op has no name: it may be imported as a file. Modules that
    hold nothing, as many packages, are left out.
    """
    hashes = {
        "" if name == own else name: _sha256(source) for name, source in found.items() if source.strip() or name == own
    }
    return hashes[""] if list(hashes) == [""] else hashlib.sha256(canonical(hashes)).hexdigest()


def _sha256(source: bytes) -> str:
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()


def _file_of(name: str) -> Path | None:
    """The source file of a module that is loaded, or would be if it were imported; nothing is."""
    path = getattr(sys.modules[name], "__file__", None) if name in sys.modules else _located(name)[0]
    return Path(path) if isinstance(path, str) and path.endswith(".py") and Path(path).is_file() else None


def _located(name: str) -> tuple[str | None, list[str]]:
    """The file of a module that is not loaded, and the folders of a package's modules."""
    parent, _, leaf = name.rpartition(".")
    if not parent:
        try:
            spec = find_spec(name)
        except (ImportError, ValueError, AttributeError):
            spec = None
        return (spec.origin, list(spec.submodule_search_locations or ())) if spec is not None else (None, [])
    places = getattr(sys.modules[parent], "__path__", ()) if parent in sys.modules else _located(parent)[1]
    folders = [Path(place) / leaf for place in places]
    for folder in folders:
        if (folder / "__init__.py").is_file():
            return str(folder / "__init__.py"), [str(folder)]
        if folder.with_name(f"{leaf}.py").is_file():
            return str(folder.with_name(f"{leaf}.py")), []
    return None, [str(folder) for folder in folders if folder.is_dir()]


def _file_in(place: str, name: str) -> Path | None:
    """The file of a top-level module in a folder, if there is one."""
    spec = PathFinder.find_spec(name, [place])
    return Path(spec.origin) if spec is not None and spec.origin and spec.has_location else None


def conflict(modules: Iterable[str], place: str) -> str | None:
    """What to say where a module of a source was loaded from elsewhere, and its own folder has another of that name."""
    for name in modules:
        beside, used = _file_in(place, name), _file_of(name)
        if "." not in name and beside and used and _is_users(used) and not beside.samefile(used):
            return f"{name} was imported from {used} before, and {beside} is another; rename one of them"
    return None


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
    for node in _walked(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            yield from ((*base, alias.name) for alias in node.names)


def _walked(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those of `if __name__ == "__main__":`, which no import runs."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "__name__" in ast.dump(node.test) and "__main__" in ast.dump(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
