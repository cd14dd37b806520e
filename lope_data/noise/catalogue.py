"""What ops there are, and what each of them does: for the command line, the README and Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from lope_data.noise.editions import newest_edition
from lope_data.noise.imports import Imports, import_ops, installed_ops, named_op
from lope_data.noise.op import Op, TextOp
from lope_data.noise.registry import all_ops, level_of


@dataclass(frozen=True)
class Parameter:
    """A parameter of an op; `required` where there is no default."""

    name: str
    default: Any
    about: str
    required: bool


@dataclass(frozen=True)
class OpInfo:
    """An op as users see it.

    Attributes:
        kind: `text`, or what it changes of a row's target: a `response`, a `choice` or a `class`.
        unit: what its level is a share of.
        needs: what a row must have to be changed by it.
        in_default: whether a mix that names its level takes it in, in the newest edition.
        module: where an op of a user's own is defined; None for one of lope_data.
    """

    name: str
    level: str
    version: int
    summary: str
    details: str
    kind: str
    unit: str
    needs: str
    parameters: tuple[Parameter, ...]
    in_default: bool
    module: str | None


def list_ops(*, imports: Imports = ()) -> list[OpInfo]:
    """Every op, level after level.

    Args:
        imports: files and modules that register ops of your own.

    Raises:
        RecipeError: one of `imports` cannot be imported.
    """
    import_ops(imports)
    return [_info(op) for op in all_ops().values()]


def offered() -> dict[str, str]:
    """The ops of installed packages that nothing has named yet, and whose they are; none is imported."""
    known = all_ops()
    offers = {name: found for name, found in installed_ops().items() if name not in known}
    return {name: ", ".join(offer.package for offer in found) for name, found in offers.items()}


def op_info(name: str) -> OpInfo:
    """One op.

    Raises:
        RecipeError: there is none of that name; the nearest is suggested.
    """
    return _info(named_op(name))


def _default(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _info(op: Op) -> OpInfo:
    parameters = tuple(
        Parameter(name, _default(field), field.description or "", field.is_required())
        for name, field in op.params.model_fields.items()
    )
    return OpInfo(
        op.name,
        level_of(op.name),
        op.version,
        op.summary,
        op.details,
        "text" if isinstance(op, TextOp) else op.kind,
        op.unit,
        op.needs,
        parameters,
        op.name in newest_edition().ops,
        op.origin.module if op.origin else None,
    )
