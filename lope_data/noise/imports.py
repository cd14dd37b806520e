"""Ops of a user's own: from a file or module that is named, or from an installed package when a recipe names its op.

Only what a user types or writes into a recipe causes an import. What a version's manifest says never does.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

from lope_common.errors import did_you_mean, shown
from lope_common.places import typed_path
from lope_data.errors import LopeDataError, RecipeError
from lope_data.names import MODULE
from lope_data.noise.checked import failure
from lope_data.noise.op import Op, Origin
from lope_data.noise.origin import source_hash, sources
from lope_data.noise.registry import FILE_NAMES, all_ops, registering

GROUP = "lope_data.ops"
"""The entry points by which an installed package offers ops: the name of an op, and the module that registers it."""

_NONE = "it registers no op; decorate a function with text_op or label_op"
Imports = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def import_ops(imports: Imports) -> None:
    """Imports files (FILE.py) and modules (by their dotted names) that register ops of a user's own.

    A file that has changed since it was imported is imported again. If one fails, the ops are those that there were.

    Raises:
        RecipeError: one is not there, fails, registers no op, or one that exists.
    """
    for target in [imports] if isinstance(imports, str) or not isinstance(imports, Iterable) else imports:
        text = os.fspath(target) if isinstance(target, str | os.PathLike) else None
        if not isinstance(text, str):
            raise RecipeError(f"imports must hold files and names of modules, not {shown(target)}")
        if not re.fullmatch(MODULE, Path(text).name):  # a manifest holds the name
            raise RecipeError(f"cannot import {shown(text)}: {FILE_NAMES}, and a file ends with .py")
        if text.endswith(".py"):
            _import_file(typed_path(text))
        elif Path(text).name != text:
            raise RecipeError(f"cannot import {shown(text)}: a file ends with .py, and a module is named with dots")
        else:
            _import_module(text, text)


def find_op(name: str) -> Op | None:
    """The op of that name; one of an installed package is imported now.

    Raises:
        RecipeError: the package that offers it fails or does not register it, or two packages do.
    """
    if name not in all_ops() and (offers := installed_ops().get(name)):
        packages = sorted(map(package_of, offers))
        if len(offers) > 1:
            raise RecipeError(f"several packages have an op {name}: {', '.join(packages)}; uninstall all but one")
        _import_module(offers[0].module, f"{packages[0]}, which has the op {name}")
        if name not in all_ops():
            raise RecipeError(f"{packages[0]} has no op {name}, though it says so; importing it registers none")
    return all_ops().get(name)


def named_op(name: str) -> Op:
    """The op of that name, as `find_op`.

    Raises:
        RecipeError: there is none, too.
    """
    found = find_op(name)
    if found is None:
        raise RecipeError(f"unknown op {shown(name)}{hint(name)}")
    return found


def hint(name: str, more: Iterable[str] = ()) -> str:
    """What to do about an op that is unknown; `more` are other names that could have been meant."""
    near = did_you_mean(name, [*all_ops(), *installed_ops(), *more])
    return (near or "; `python -m lope_data ops` lists them") + " (an op of your own: --import FILE.py, or imports=)"


def installed_ops() -> dict[str, list[EntryPoint]]:
    """What installed packages offer, by op, without importing any."""
    found: dict[str, list[EntryPoint]] = {}
    for offer in entry_points(group=GROUP):
        found.setdefault(offer.name, []).append(offer)
    return dict(sorted(found.items()))


def package_of(offer: EntryPoint) -> str:
    """The name and version of the package that offers an op."""
    return f"{offer.dist.name} {offer.dist.version}" if offer.dist else offer.module


class _Source(SourceFileLoader):
    """Runs the bytes that were hashed, whatever the file or its cache hold by then."""

    def __init__(self, name: str, file: Path, source: bytes) -> None:
        super().__init__(name, str(file))
        self._source = source

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self.source_to_code(self._source, self.path)


def _import_file(path: Path) -> None:
    file = path.resolve()
    try:
        if file.exists() and not file.is_file():
            raise RecipeError(f"cannot import {path}: it is not a file")
        source = file.read_bytes()
    except (OSError, ValueError) as error:
        raise RecipeError(f"cannot import {path}: {getattr(error, 'strerror', None) or error}") from error
    origin = Origin(path.name, file, source_hash(file, source))
    mine = [op.origin for op in all_ops().values() if op.origin and op.origin.file == file]
    if mine and all(known.sha256 == origin.sha256 for known in mine):  # here, or by the user's own program
        return
    name = f"lope_import_{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}"
    loader = _Source(name, file, source)
    spec = spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    vars(module)["__lope_origin__"] = origin
    if mine:  # what it imports may have changed too
        _forget([file.parent / other for other in sources(file, source)])
    with _working_directory(), _one_line(str(path), origin), registering(file):
        before = sys.modules.get(name)
        sys.modules[name] = module  # dataclasses and pydantic look their module up
        try:
            loader.exec_module(module)
            if not any(op.origin == origin for op in all_ops().values()):
                raise RecipeError(_NONE)
        except BaseException:
            _put_back(name, before)
            raise


def _forget(files: Collection[Path]) -> None:
    """Modules of these files are read again when they are imported the next time."""
    for name, module in list(sys.modules.items()):
        if (held := getattr(module, "__file__", None)) and name != "__main__" and Path(held).resolve() in files:
            del sys.modules[name]


def _put_back(name: str, before: ModuleType | None) -> None:
    if before is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = before


def _import_module(name: str, about: str) -> None:
    there, known = set(sys.modules), set(all_ops())
    with _working_directory(), _one_line(about, Origin(name, None, None)), registering():
        try:
            importlib.import_module(name)
            mine = [op for op in all_ops().values() if op.origin and f"{op.origin.module}.".startswith(f"{name}.")]
            if not mine and set(all_ops()) == known:
                raise RecipeError(_NONE)
        except BaseException as error:
            for new in set(sys.modules) - there:  # else it would count as imported the next time
                if _is_within(new, name.partition(".")[0]):
                    del sys.modules[new]
            if isinstance(error, ModuleNotFoundError) and _is_within(name, error.name or ""):
                raise RecipeError("there is no such module; a file is named with its .py") from error
            raise


def _is_within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


@contextmanager
def _one_line(about: str, origin: Origin) -> Iterator[None]:
    """Raises RecipeError for whatever a user's code raises, with the place."""
    try:
        yield
    except (Exception, SystemExit) as error:
        said = str(error) if isinstance(error, LopeDataError) else failure(error, origin)
        raise RecipeError(f"cannot import {about}: {said}") from error


@contextmanager
def _working_directory() -> Iterator[None]:
    """The working directory as the last place where modules are looked for: it hides none that is installed."""
    place = str(Path.cwd())
    if place in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(place)
    try:
        yield
    finally:
        sys.path.remove(place)
