"""Ops of a user's own: from a file or module that is named, or from an installed package when a recipe names its op.

Only what a user types or writes into a recipe causes an import. What a version's manifest says never does.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import RLock

from lope_common.errors import did_you_mean, shown
from lope_common.places import typed_path
from lope_data.errors import LopeDataError, RecipeError
from lope_data.names import MODULE_NAMES, is_module
from lope_data.noise.checked import failure
from lope_data.noise.op import Op, Origin
from lope_data.noise.origin import (
    FILE,
    Recorder,
    Source,
    complete,
    conflict,
    has_changed,
    is_recorded,
    recording,
    stale,
)
from lope_data.noise.registry import all_ops, registering

GROUP = "lope_data.ops"
"""The entry points by which an installed package offers ops: the name of an op, and the module that registers it."""

_one_at_a_time = RLock()
_under_way: list[str] = []
_NONE = "it registers no op; decorate a function with text_op or label_op"
Imports = str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None


def import_ops(imports: Imports) -> None:
    """Imports files (FILE.py) and modules (by their dotted names) that register ops of a user's own.

    A file that has changed since it was imported, it or a module of the user's that it imports, is imported again. If
    one fails, the ops are those that there were.

    Raises:
        RecipeError: one is not there, fails, registers no op, or one that exists.
    """
    try:
        targets: list[object] = [] if imports is None else [imports] if isinstance(imports, str) else [*imports]  # type: ignore[misc]
    except TypeError:
        targets = [imports]  # one, or what is said to be none
    for target in targets:
        text = os.fspath(target) if isinstance(target, str | os.PathLike) else None
        if not isinstance(text, str):
            raise RecipeError(f"imports must hold files and names of modules, not {shown(target)}")
        if not is_module(Path(text).name):  # a manifest holds the name
            raise RecipeError(f"cannot import {shown(text)}: {MODULE_NAMES}, and a file ends with .py")
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
        if len(offers) > 1:
            packages = ", ".join(sorted(f"{offer.package} ({offer.module})" for offer in offers))
            raise RecipeError(f"the op {name} is offered by several packages: {packages}; uninstall all but one")
        (offer,) = offers
        if not is_module(offer.module):
            raise RecipeError(
                f"{offer.package} says that {name} is in {shown(offer.module)}, which is not the name of a module"
            )
        _import_module(offer.module, f"{offer.package}, which has the op {name}")
        if name not in all_ops():
            raise RecipeError(f"{offer.package} has no op {name}, though it says so; importing it registers none")
    return all_ops().get(name)


def named_op(name: str) -> Op:
    """The op of that name, as `find_op`.

    Raises:
        RecipeError: as `find_op`; also if there is no such op.
    """
    found = find_op(name)
    if found is None:
        raise RecipeError(f"unknown op {shown(name)}{hint(name)}")
    return found


def hint(name: str, more: Iterable[str] = ()) -> str:
    """What to do about an op that is unknown; `more` are other names that could have been meant."""
    near = did_you_mean(name, [*all_ops(), *installed_ops(), *more])
    return (near or "; `python -m lope_data ops` lists them") + " (an op of your own: --import FILE.py, or imports=)"


def installed_ops() -> dict[str, list[Offer]]:
    """What installed packages offer, by op, without importing any. A package that is damaged offers none."""
    found: dict[str, list[Offer]] = {}
    for package in distributions():
        try:
            offers = [
                Offer(entry.name, entry.value.partition(":")[0].strip(), f"{package.name} {package.version}")
                for entry in package.entry_points
                if entry.group == GROUP
            ]
        except Exception:  # noqa: S112  # whatever its files hold
            continue
        for offer in offers:
            if offer not in found.setdefault(offer.op, []):  # it may lie on the path twice
                found[offer.op].append(offer)
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Offer:
    """An op, the module that registers it, and the name and version of the package that has it."""

    op: str
    module: str
    package: str


def _import_file(path: Path) -> None:
    try:
        file = path.resolve()
        if file.exists() and not file.is_file():
            raise RecipeError(f"cannot import {path}: it is not a file")
        name = f"{FILE}{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}"
        loader = Source(name, path.absolute())
    except (OSError, ValueError, RuntimeError) as error:
        raise RecipeError(f"cannot import {path}: {getattr(error, 'strerror', None) or error}") from error
    mine = [op.origin for op in all_ops().values() if op.origin and op.origin.file == file]
    if mine and all(not has_changed(origin) for origin in mine):  # imported here, or by the user's own program
        return
    spec = spec_from_file_location(name, path.absolute(), loader=loader)
    assert spec is not None
    module = module_from_spec(spec)

    def run() -> None:
        sys.modules[name] = module  # dataclasses and pydantic look their module up
        loader.exec_module(module)

    place = str(path.absolute().parent)
    with _importing(name, str(path), Origin(path.name, file, None), place) as recorder:
        _run(run, name, recorder, place, mine, file)


def _import_module(name: str, about: str) -> None:
    mine = [op.origin for op in all_ops().values() if op.origin and _is_within(op.origin.module, name)]
    changed = [origin for origin in mine if has_changed(origin)]

    def run() -> None:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not _is_within(name, error.name or ""):
                raise
            raise RecipeError("there is no such module; a file is named with its .py") from error

    place = str(Path.cwd())
    with _importing(name, about, Origin(name, None, None), place, last=True) as recorder:
        if not mine or changed:
            _run(run, name, recorder, place, changed)
        elif said := conflict([name.partition(".")[0]], place):
            raise RecipeError(said)


def _run(
    run: Callable[[], None],
    name: str,
    recorder: Recorder,
    place: str,
    changed: Collection[Origin],
    file: Path | None = None,
) -> None:
    """Imports what registers ops, again where its source has changed, and then what shares the modules that are new."""
    recorder.roots.append(name)
    forgotten = {module for origin in changed for module in origin.modules}
    with _forgetting(forgotten), registering(lambda origin: _whole(origin, recorder, place), file) as registered:
        run()
        if not registered():
            raise RecipeError(_NONE)
    new = registered()
    for other in [op.origin for op in all_ops().values() if op.name not in new and op.origin is not None]:
        if forgotten.intersection(other.modules) and other.file is not None and has_changed(other):
            target = other.file if other.roots[0].startswith(FILE) else other.module
            import_ops(target)


def _whole(origin: Origin, recorder: Recorder, place: str) -> Origin:
    found = complete(origin, recorder)
    if said := conflict(found.modules, place):
        raise RecipeError(said)
    if module := stale(found):
        raise RecipeError(f"{module} was changed after this program imported it; start the program again")
    return found


@contextmanager
def _importing(name: str, about: str, origin: Origin, place: str, *, last: bool = False) -> Iterator[Recorder]:
    """A context in which one thread imports one thing of a user's; whatever it raises is one line, with the place.

    Args:
        place: a folder in which modules are looked for, first, as Python does for a script, or `last`, where it hides
            none that is installed.
    """
    with _one_at_a_time:
        if name in _under_way:
            raise RecipeError(f"cannot import {about}: it imports itself")
        _under_way.append(name)
        sys.path.insert(len(sys.path) if last else 0, place)
        try:
            with recording() as recorder:
                yield recorder
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            said = str(error) if isinstance(error, LopeDataError) else failure(error, origin)
            raise RecipeError(f"cannot import {about}: {said}") from error
        finally:
            sys.path[:] = [other for other in sys.path if other is not place]  # what a user's code put there stays
            _under_way.remove(name)


@contextmanager
def _forgetting(names: Collection[str]) -> Iterator[None]:
    """A context in which the modules of a source that were imported here are imported again; if it raises, those that
    were there are there again, and no others of the user's.
    """
    before = dict(sys.modules)
    forgotten = [name for name in names if is_recorded(name)]
    for name in forgotten:
        parent, _, leaf = name.rpartition(".")
        if hasattr(before.get(parent), leaf):
            delattr(before[parent], leaf)  # else `from package import module` would find it there
        del sys.modules[name]
    try:
        yield
    except BaseException:
        for name in [name for name in sys.modules if name not in before and is_recorded(name)]:
            del sys.modules[name]
        for name in forgotten:
            sys.modules[name] = before[name]
            parent, _, leaf = name.rpartition(".")
            if parent in before:
                setattr(before[parent], leaf, before[name])
        raise


def _is_within(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")
