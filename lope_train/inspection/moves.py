"""How far the weights of a stage have moved since its start (Fig. 5), after every step."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from lope_train.errors import RunError
from lope_train.methods import HEAD, METHODS
from lope_train.runs.adapter import read_run
from lope_train.runs.folder import METRICS
from lope_train.tuner.experts import TRAINED, LopeExperts, Mode
from lope_train.tuner.head import has_head, head_parameters
from lope_train.tuner.modes import lope_experts

_PREFIX, _RMS = "moved_", "_rms"


class Moved:
    """The weights that `mode` trains, as they are now; made before a checkpoint is loaded, it counts from the start."""

    def __init__(self, model: nn.Module, mode: Mode) -> None:
        experts: list[LopeExperts] = [module for _, module in lope_experts(model)]
        self._now: dict[str, list[Tensor]] = {
            name: [getattr(module, name) for module in experts] for name in sorted(TRAINED[mode])
        }
        if has_head(model):
            self._now[HEAD] = [parameter for _, parameter in head_parameters(model)]
        self._start = {name: [weight.detach().clone() for weight in now] for name, now in self._now.items()}
        self._from = {name: get_total_norm(start).item() for name, start in self._start.items()}

    @torch.no_grad()
    def since_start(self) -> dict[str, float]:
        """Of each of `A`, `B`, `B_poison`, `router` and `head` that trains, over all layers: `moved_A_norm`, the
        Frobenius norm of now - start; `moved_A_rms`, the same by the root of the number of elements;
        `moved_A_relative`, the norm by that of the start, absent where the start is zero.
        """
        norms = []
        for name, now in self._now.items():
            # Trainer moves the model to its device after this was made.
            start = self._start[name] = [weight.to(now[0].device) for weight in self._start[name]]
            norms.append(get_total_norm(torch._foreach_sub(now, start)))
        moved = {}
        for name, norm in zip(self._now, torch.stack(norms).tolist(), strict=True):  # one wait for the device
            elements = sum(weight.numel() for weight in self._now[name])
            moved[f"{_PREFIX}{name}_norm"] = norm
            moved[f"{_PREFIX}{name}{_RMS}"] = norm / elements**0.5
            if self._from[name]:
                moved[f"{_PREFIX}{name}_relative"] = norm / self._from[name]
        return moved


def movement(run: Path) -> dict[str, dict[str, list[float]]]:
    """By stage and by parameter (`A`, `B`, `B_poison`, `router`, `head`), after each step the root mean square over the
    elements of all layers of what it has moved since the stage's start.

    Raises RunError where the run has none.
    """
    record = read_run(run)
    if not METHODS[record["method"]].experts:
        raise RunError(f"{run}: method {record['method']!r} has no shared A and experts B whose movement was recorded")
    stages: dict[str, dict[str, list[float]]] = {}
    try:
        for line in (run / METRICS).read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if "loss" not in entry:
                continue
            moved = {
                key.removeprefix(_PREFIX).removesuffix(_RMS): value
                for key, value in entry.items()
                if key.startswith(_PREFIX) and key.endswith(_RMS)
            }
            if not moved:
                raise RunError(f"{run}: no movement in {METRICS}; it was sharded (fsdp), or is of an older release")
            for name, value in moved.items():
                stages.setdefault(entry["stage"], {}).setdefault(name, []).append(value)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{run / METRICS}: cannot be read: {error}") from error
    return stages
