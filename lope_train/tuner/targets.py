"""Which layers of a model an adapter is put on."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from lope_common.errors import near
from lope_train.errors import ModelError
from lope_train.tuner.head import has_head, head_modules, in_head
from lope_train.tuner.layer import features, is_linear

QUERY_VALUE = (
    ("q_proj", "v_proj"),
    ("q", "v"),
    ("query", "value"),
    ("q_lin", "v_lin"),
    ("query_proj", "value_proj"),
    ("query_key_value",),
    ("qkv_proj",),
    ("c_attn",),
    ("Wqkv",),
)
"""What architectures call their query and value projections; fused ones are adapted whole."""


def target_modules(model: nn.Module, asked: Collection[str] | None = None, rank: int = 1) -> list[str]:
    """The targets asked for, or by default the query and value projections as this architecture names them.

    A target is a module's full name or its end after a dot, as in PEFT. A classification head cannot be one: it
    trains whole. Raises ModelError where one matches no linear layer, where no projections are recognised, or where
    `rank` is above the size of a layer.
    """
    head = head_modules(model) if has_head(model) else []
    linears = {
        name: features(module)
        for name, module in model.named_modules()
        if is_linear(module) and not in_head(name, head)
    }
    targets = _default(model, linears) if asked is None else list(asked)
    ends = sorted({name.rpartition(".")[2] for name in linears})
    for target in targets:
        matched = [name for name in linears if matches(name, target)]
        if not matched:
            nearest = near(target, [*ends, *linears], most=3) or ends
            raise ModelError(
                f"{type(model).__name__}: target module {target!r} matches no linear layer; "
                f"nearest: {', '.join(nearest) or 'the model has none'}"
            )
        for name in matched:
            if rank > min(linears[name]):
                d_in, d_out = linears[name]
                raise ModelError(
                    f"{type(model).__name__}: rank {rank} is above the size of {name} ({d_in} in, {d_out} out); "
                    f"take a rank of at most {min(d_in, d_out)}"
                )
    return targets


def matches(name: str, target: str) -> bool:
    """Whether the module of this full name is meant by the target."""
    return name == target or name.endswith(f".{target}")


def _default(model: nn.Module, linears: Collection[str]) -> list[str]:
    for candidate in QUERY_VALUE:
        if all(any(matches(name, end) for name in linears) for end in candidate):
            return [*candidate]
    ends = sorted({name.rpartition(".")[2] for name in linears})
    raise ModelError(
        f"{type(model).__name__}: query and value projections are not recognised; name target_modules, "
        f"this model's linear layers are {', '.join(ends) or 'none'}"
    )
