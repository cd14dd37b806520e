"""Packages that export names of their modules without importing these before a name is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, homes: Mapping[str, str], before: Callable[[str], None] | None = None) -> Callable[[str], Any]:
    """A package's `__getattr__`: each public name is imported from its module when it is first used.

    So a command line or `--help` need not wait for libraries that it does not use. The package lists the same names
    in `__all__`, and imports them under TYPE_CHECKING, which tests/architecture holds together.

    Args:
        homes: public name -> module inside the package.
        before: is told the name of each, and may raise.
    """

    def getattr_(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if before is not None:
            before(name)
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return getattr_
