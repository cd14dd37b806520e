"""The registry of noise ops. An op is one decorated function; it is found by lying in `lope_data.noise.ops`."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from lope_common.errors import suggest
from lope_data.errors import RecipeError
from lope_data.noise.op import PICKS, Able, Hits, LabelOp, Op, Params, Propose, TextOp
from lope_data.text.cells import Cells
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans

LEVELS = ("char", "word", "label", "structure", "nlpaug")
DEFAULT_LEVELS = ("char", "word", "label")  # the default mix


_ops: dict[str, Op] = {}


def _register(new: Op) -> None:
    assert new.name not in _ops, new.name
    assert level_of(new.name) in LEVELS, new.name
    _ops[new.name] = new
    all_ops.cache_clear()


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
    named: bool = False,
    certain: bool = False,
) -> Callable[[Callable[[Hits, Any], Edits]], Callable[[Hits, Any], Edits]]:
    """Registers a text op; see `TextOp`. The first line of the function's docstring is its summary."""
    assert pick in PICKS, pick

    def decorate(function: Callable[[Hits, Any], Edits]) -> Callable[[Hits, Any], Edits]:
        summary, details = _docs(function)
        _register(
            TextOp(
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
                named=named,
                certain=certain,
            )
        )
        return function

    return decorate


def label_op(
    name: str, *, version: int, kind: str, needs: str, params: type[Params] = Params, able: Able | None = None
) -> Callable[[Propose], Propose]:
    """Registers a label op; see `LabelOp`."""

    def decorate(function: Propose) -> Propose:
        summary, details = _docs(function)
        _register(LabelOp(name, version, summary, details, kind, function, able, params, needs))
        return function

    return decorate


def _docs(function: Callable[..., Any]) -> tuple[str, str]:
    """The first line of a docstring, and the rest of it as one paragraph a blank line."""
    assert function.__doc__, function
    first, _, rest = inspect.cleandoc(function.__doc__).partition("\n")
    return first.rstrip("."), "\n\n".join(" ".join(part.split()) for part in rest.strip().split("\n\n") if part)


@cache
def all_ops() -> Mapping[str, Op]:
    """Every registered op, level after level, by name within a level."""
    importlib.import_module("lope_data.noise.ops")
    return dict(sorted(_ops.items(), key=lambda item: (LEVELS.index(level_of(item[0])), item[0])))


def level_of(name: str) -> str:
    """The level of an op: the part of its name before the dot."""
    return name.partition(".")[0]


def members(level: str) -> list[str]:
    """The ops that a level stands for in a mix."""
    return [name for name, op in all_ops().items() if level_of(name) == level and not op.named]


def op_version(op: Op, params: Params) -> str:
    """The op's version, with a hash of the table that it reads, if any: when either changes, so may its output."""
    table = op.table(params) if isinstance(op, TextOp) and op.table else None
    return str(op.version) if table is None else f"{op.version}+{hashlib.sha256(table).hexdigest()[:8]}"


def get_op(name: str) -> Op:
    """The op of that name.

    Raises:
        RecipeError: there is none; the nearest name is suggested.
    """
    known = all_ops()
    if name not in known:
        raise RecipeError(f"unknown op {name!r}{suggest(name, known)}")
    return known[name]
