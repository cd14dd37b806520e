"""The matrices of one layer at the start of training and at the end of each stage (Fig. 6)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lope_common.errors import suggest
from lope_train.errors import RunError
from lope_train.methods import METHODS
from lope_train.runs.adapter import CONFIG, WEIGHTS, read_json, read_run
from lope_train.runs.folder import kept_stage
from lope_train.tuner.config import LopeConfig
from lope_train.tuner.experts import LopeExperts
from lope_train.tuner.targets import QUERY_VALUE, matches

Matrix = NDArray[np.floating[Any]]
START = "start"
_KEY = re.compile(r"base_model\.model\.(.+)\.lope_experts\.A")
_INITIAL = ("r", "seed", "num_experts", "num_poisoning", "router_input")
"""Keys of an adapter's config that decide its initial values."""


class ParameterMaps(NamedTuple):
    """`at` has `start`, then each stage's end by its name, with the weights the next stage or the run took from it."""

    layer: str
    at: dict[str, dict[str, Matrix]]
    """Of `A` (r, d_in), and of the first `B` and the first `B_poison` (d_out, r); no `B_poison` for hydralora."""


def parameter_maps(run: Path, layer: str | None = None) -> ParameterMaps:
    """The weights of the layer of this name, or of this end of it; by default of the middle query projection.

    The start is drawn anew, as it is a function of the seed and the layer's name. Raises RunError where the run has no
    such weights, or not of every stage.
    """
    record = read_run(run)
    if not METHODS[record["method"]].experts:
        raise RunError(f"{run}: method {record['method']!r} has no shared A and experts B to map")
    stages = [str(stage.get("stage")) for stage in record["stages"]]
    folders = [*(kept_stage(run, number) for number in range(1, len(stages))), run]
    name = ""
    at: dict[str, dict[str, Matrix]] = {}
    for stage, folder in zip(stages, folders, strict=True):
        path = folder / WEIGHTS
        if not path.is_file():
            raise RunError(f"{run}: no {path.relative_to(run)}; the run is of an older release, which did not keep it")
        try:
            with safe_open(path, framework="pt") as file:
                keys = list(file.keys())
                name = name or _chosen(run, keys, layer)
                prefix = f"base_model.model.{name}.lope_experts."
                tensors = {key.removeprefix(prefix): file.get_tensor(key) for key in keys if key.startswith(prefix)}
        except (OSError, SafetensorError) as error:
            raise RunError(f"{path}: not a whole safetensors file ({error}); train again") from None
        at = at or {START: _maps(_initial(run, name, tensors))}
        at[stage] = _maps(tensors)
    return ParameterMaps(name, at)


def _chosen(run: Path, keys: list[str], layer: str | None) -> str:
    layers = sorted((match[1] for match in map(_KEY.fullmatch, keys) if match), key=_in_order)
    if layer is None:
        ends = {query for query, *_ in QUERY_VALUE}
        queries = [name for name in layers if name.rpartition(".")[2] in ends] or layers
        if not queries:
            raise RunError(f"{run}: {WEIGHTS} holds no layer with experts")
        return queries[len(queries) // 2]
    found = [name for name in layers if matches(name, layer)]
    if not found:
        raise RunError(f"{run}: no adapted layer {layer!r}{suggest(layer, layers)}")
    if len(found) > 1:
        raise RunError(f"{run}: {layer!r} is the end of {len(found)} layers; name one of them, such as {found[0]!r}")
    return found[0]


def _in_order(name: str) -> list[tuple[int, str]]:
    """A key by which layer 2 comes before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _initial(run: Path, layer: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    kept = read_json(run / CONFIG)
    config = LopeConfig(**{name: kept[name] for name in _INITIAL if name in kept})
    d_in, d_out = tensors["A"].shape[1], tensors["B"].shape[1]
    return dict(LopeExperts(d_in, d_out, config, layer, tensors["A"].dtype).named_parameters())


def _maps(tensors: dict[str, Tensor]) -> dict[str, Matrix]:
    named = {name: tensors[name].detach() for name in ("A", "B", "B_poison") if name in tensors}
    return {name: (tensor if name == "A" else tensor[0]).numpy() for name, tensor in named.items()}
