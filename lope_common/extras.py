"""Libraries that only some commands need: which are missing and what to install, in one line, and doing without one."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

_US = "lope"


def check_installed(who_needs: str, modules: Iterable[str], error: type[Exception]) -> None:
    """That all modules can be imported; none is.

    Args:
        who_needs: how the message begins: `training needs`.
        modules: names to import, top-level.

    Raises:
        error: some are missing; says which, and the pip command that installs them.
    """
    missing = sorted(module for module in modules if not _is_there(module))
    if not missing:
        return
    wanted = _requirements(missing)
    *most, last = (name for name, _ in wanted)
    names = f"{', '.join(most)} and {last}, which are" if most else f"{last}, which is"
    command = shlex.join(["pip", "install", *(f"{name}{versions}" for name, versions in wanted)])
    raise error(f"{who_needs} {names} missing: {command}")


@contextmanager
def absent(*modules: str) -> Iterator[None]:
    """Within the context modules that are not imported yet count as not installed, for libraries that can do without
    them. Of the whole process: other threads cannot import them either.
    """
    finder = _Absent(modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Absent:
    def __init__(self, modules: Iterable[str]) -> None:
        self._modules = frozenset(modules)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if name in self._modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def _is_there(module: str) -> bool:
    """Whether it is installed. A folder of that name in the working directory does not count."""
    spec = find_spec(module)
    return spec is not None and spec.origin is not None


def _requirements(modules: Iterable[str]) -> list[tuple[str, str]]:
    """Name and versions of what a module comes in, as our extras state them; without versions where none does.

    Not the extras themselves: `pip install lope[train]` would ask an index for a `lope` that it may not have, or that
    is not ours.
    """
    from importlib import metadata  # needed when something is missing only, as is packaging

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    try:
        stated = [Requirement(text) for text in metadata.requires(_US) or ()]
    except metadata.PackageNotFoundError:  # run from a source tree that is not installed
        stated = []
    versions = {canonicalize_name(one.name): str(one.specifier) for one in stated}
    names = [canonicalize_name(module) for module in modules]
    return [(name, versions.get(name, "")) for name in names]
