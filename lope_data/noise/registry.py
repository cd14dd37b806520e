"""The registry of noise ops. An op is one decorated function, in a file of `lope_data.noise.ops` or of a user's own."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

from lope_common.errors import shown, suggest
from lope_data.errors import NoiseError, RecipeError
from lope_data.names import MODULE_NAMES, is_module
from lope_data.noise.checked import checked_label, checked_text
from lope_data.noise.op import PICKS, Able, Hits, LabelOp, Op, Origin, Params, Propose, TextOp
from lope_data.noise.origin import BUILT_IN, origin_of
from lope_data.text.cells import Cells
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans

LEVELS = ("char", "word", "label", "structure", "nlpaug")
_OF_TEXTS = ("char", "word", "structure", "nlpaug")
_NAME = re.compile(r"[a-z]+(\.[a-z][a-z0-9_]{0,99})?")


@dataclass(frozen=True)
class _Definition:
    """Which function an op was made of, and by which import of `registering`, if by any."""

    function: str
    by: object | None


_ops: dict[str, Op] = {}
_definitions: dict[str, _Definition] = {}
_imports: list[object] = []  # those of `registering` that are under way
_lock = RLock()


def _register(new: Op, function: Callable[..., Any]) -> None:
    level, ours = level_of(new.name), new.origin is None
    levels = ("label",) if isinstance(new, LabelOp) else _OF_TEXTS if ours else _OF_TEXTS[:-1]
    if not _NAME.fullmatch(new.name) or level not in levels or (new.name == level and not ours):
        raise RecipeError(
            f"an op cannot be called {shown(new.name)}: its name is LEVEL.NAME, in small letters, digits and _, and "
            f"its level one of {', '.join(levels)}"
        )
    if new.origin is not None:
        if not is_module(new.origin.module):  # a manifest holds it
            raise RecipeError(f"{new.name}: rename {shown(new.origin.module)}; {MODULE_NAMES}")
        all_ops()  # ours come first, also where a program imports its ops before it uses any
    with _lock:
        definition = _Definition(getattr(function, "__qualname__", ""), _imports[-1] if _imports else None)
        if new.name in _ops and not _is_again(new, definition):
            there = _ops[new.name].origin
            whose = "an op of lope_data" if there is None else f"an op of {there.module}"
            raise RecipeError(f"there is an op {new.name} already, {whose}; give yours another name")
        _ops[new.name], _definitions[new.name] = new, definition
        all_ops.cache_clear()


def _is_again(new: Op, definition: _Definition) -> bool:
    """Whether an op is defined once more, by a file that is imported again or a notebook's cell that is run again: two
    ops of one name in one file are a mistake.
    """
    old, before = _ops[new.name].origin, _definitions[new.name]
    if old is None or new.origin is None or old.file != new.origin.file:
        return False
    if old.file is None and old.module != new.origin.module:
        return False
    return before.by is not definition.by or (definition.by is None and before.function == definition.function)


def text_op(
    name: str,
    *,
    version: int,
    unit: str,
    units: Callable[[Cells, Any], Spans],
    needs: str,
    params: type[Params] = Params,
    least: int = 1,
    keep: int = 0,
    per_hit: int = 1,
    pick: str = "anywhere",
    counted: Callable[[Cells, Any], Spans] | None = None,
    table: Callable[[Any], bytes] | None = None,
    certain: bool = False,
    local: bool = False,
) -> Callable[[Callable[[Hits, Any], Edits]], Callable[[Hits, Any], Edits]]:
    """Registers a text op; see `TextOp`. The first line of the function's docstring is its summary.

    Raises:
        RecipeError: there is an op of that name, or it cannot be one.
    """

    caller = sys._getframe(1).f_globals.get("__name__", "")

    def decorate(function: Callable[[Hits, Any], Edits]) -> Callable[[Hits, Any], Edits]:
        summary, details = _docs(name, function)
        if pick not in PICKS:
            raise RecipeError(f"{name}: pick cannot be {shown(pick)}{suggest(str(pick), PICKS)}")
        new = TextOp(
            name=name,
            version=version,
            summary=summary,
            details=details,
            unit=unit,
            units=units,
            edit=function,
            params=params,
            needs=needs,
            least=least,
            keep=keep,
            per_hit=per_hit,
            pick=pick,
            counted=counted,
            table=table,
            certain=certain,
            local=local,
            origin=origin_of(caller, [function, units, counted or units]),
        )
        _register(new if new.origin is None else checked_text(new), function)
        return function

    return decorate


def label_op(
    name: str, *, version: int, kind: str, needs: str, params: type[Params] = Params, able: Able | None = None
) -> Callable[[Propose], Propose]:
    """Registers a label op; see `LabelOp`.

    Raises:
        RecipeError: there is an op of that name, or it cannot be one.
    """

    caller = sys._getframe(1).f_globals.get("__name__", "")

    def decorate(function: Propose) -> Propose:
        summary, details = _docs(name, function)
        if kind not in (kinds := ("response", "choice", "class")):
            raise RecipeError(f"{name}: kind cannot be {shown(kind)}{suggest(str(kind), kinds)}")
        origin = origin_of(caller, [function])
        new = LabelOp(name, version, summary, details, kind, function, able, params, needs, origin)
        _register(new if new.origin is None else checked_label(new), function)
        return function

    return decorate


def _docs(name: str, function: Callable[..., Any]) -> tuple[str, str]:
    """The first line of a docstring, and the rest of it as one paragraph a blank line."""
    if not (function.__doc__ or "").strip():
        raise RecipeError(f"{name}: its function has no docstring, whose first line says what the op does")
    first, _, rest = inspect.cleandoc(function.__doc__ or "").partition("\n")
    return first.rstrip("."), "\n\n".join(" ".join(part.split()) for part in rest.strip().split("\n\n") if part)


@cache
def all_ops() -> Mapping[str, Op]:
    """Every registered op, level after level, by name within a level."""
    importlib.import_module(BUILT_IN)
    return dict(sorted(_ops.items(), key=lambda item: (LEVELS.index(level_of(item[0])), item[0])))


@contextmanager
def registering(whole: Callable[[Origin], Origin], again: Path | None = None) -> Iterator[Callable[[], list[str]]]:
    """A context in which one thread registers ops of a user's, those of one file again; if it raises, all ops are as
    they were. It gives a function that says which were registered.

    Args:
        whole: the origin of an op once everything is imported.
    """
    with _lock:
        before, definitions, token = dict(all_ops()), dict(_definitions), object()
        _imports.append(token)
        try:
            yield lambda: [name for name in _ops if name in _definitions and _definitions[name].by is token]
            for name, op in list(_ops.items()):
                if op.origin is None:
                    continue
                if _definitions[name].by is not token:
                    if op.origin.file is not None and op.origin.file == again:
                        del _ops[name], _definitions[name]  # it is no longer in the file
                elif op.origin.sha256 is not None:
                    _ops[name] = replace(op, origin=whole(op.origin))
        except BaseException:
            _ops.clear()
            _ops.update(before)
            _definitions.clear()
            _definitions.update(definitions)
            raise
        finally:
            _imports.pop()
            all_ops.cache_clear()


def level_of(name: str) -> str:
    """The level of an op: the part of its name before the dot."""
    return name.partition(".")[0]


def op_version(op: Op, params: Params) -> str:
    """The op's version, with a hash of the table that it reads, if any, and of its source if it is a user's own: when
    one of these changes, so may its output.

    Raises:
        NoiseError: it is a user's own, and was defined in no file.
    """
    parts = [str(op.version)]
    if isinstance(op, TextOp) and op.table:
        parts.append(hashlib.sha256(op.table(params)).hexdigest()[:8])
    if op.origin is not None:
        if op.origin.sha256 is None:
            raise NoiseError(
                f"{op.name} was defined in no file, so a version could not say what made it; save it as a file and "
                "name that with imports= or --import"
            )
        parts.append(op.origin.sha256[:16])
    return "+".join(parts)


def get_op(name: str) -> Op:
    """The registered op of that name.

    Raises:
        RecipeError: there is none; the nearest name is suggested.
    """
    known = all_ops()
    if name not in known:
        raise RecipeError(f"unknown op {name!r}{suggest(name, known)}")
    return known[name]
