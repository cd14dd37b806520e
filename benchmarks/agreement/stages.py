"""Stage checks on a real model: what each stage changed, bit for bit, and the fused layer against a literal loop.

    python -m benchmarks.agreement.stages --data sample-hynoise --model smollm2-135m

Prints, for each group of parameters, whether its bytes changed in a stage; the least distance between two normal
experts after stage II; and the greatest difference between the fused layer and a loop over experts in float64, with
trained weights, in every mode.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import itertools
import tempfile
from collections import defaultdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from lope_train.keyed import global_seed
from lope_train.methods import METHODS
from lope_train.models import load_base
from lope_train.runs import RunFolder, load_adapter, load_run
from lope_train.settings import TrainSettings
from lope_train.training import train
from lope_train.tuner import Inference, LopeExperts, lope_experts, set_mode

GROUPS = ("A", "B", "B_poison", "router")


def group(name: str) -> str:
    last = name.rpartition(".")[2]
    return last if last in GROUPS else "base"


def hashes(model: nn.Module) -> dict[str, str]:
    """sha256 of the bytes of each group of parameters."""
    digests = defaultdict(hashlib.sha256)
    for name, parameter in model.named_parameters():
        digests[group(name)].update(parameter.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return {name: digest.hexdigest() for name, digest in digests.items()}


def expert_distance(layers: list[LopeExperts]) -> float:
    """The least Euclidean distance between two normal experts of one layer, relative to their mean norm."""
    return min(
        float((a - b).norm() / ((a.norm() + b.norm()) / 2))
        for layer in layers
        for a, b in itertools.combinations(layer.B.detach(), 2)
    )


def literal(layer: LopeExperts, x: Tensor) -> Tensor:
    """The layer by the paper's formulas: one expert after another, every y_i made."""
    config = layer.config
    z = x @ layer.A.T
    w = torch.softmax((z if config.router_input == "latent" else x) @ layer.router.T, dim=-1)
    normal = {column: z @ layer.B[i].T for i, column in enumerate(config.normal_columns)}
    poison = {column: z @ layer.B_poison[i].T for i, column in enumerate(config.poison_columns)}
    weights = {column: w[:, column] for column in range(config.num_experts)}
    outputs = normal | poison
    if layer.mode != "stage1" and layer.inference.masked:
        outputs = normal
        if layer.inference.compensated:
            y_poison = sum(weights[column].unsqueeze(-1) * y for column, y in poison.items())
            theta = {
                column: (y * y_poison).sum(-1)
                / (y.norm(dim=-1).clamp_min(1e-8) * y_poison.norm(dim=-1).clamp_min(1e-8))
                for column, y in normal.items()
            }
            amplified = {column: weights[column] * (1 + theta[column]) for column in normal}
            total = sum(amplified.values())
            weights = {column: value / total for column, value in amplified.items()}
    update = sum(weights[column].unsqueeze(-1) * y for column, y in outputs.items())
    return config.scaling * update


@torch.no_grad()
def greatest_difference(model: nn.Module, layers: list[LopeExperts]) -> float:
    """Between fused and literal, float64, 64 random tokens a layer, every way to run it."""
    source = torch.Generator().manual_seed(0)
    ways = [("stage1", None), *((mode, way) for mode in ("stage2", "inference") for way in Inference)]
    worst = 0.0
    for mode, inference in ways:
        set_mode(model, mode, inference)
        for layer in layers:
            double = copy.deepcopy(layer).double()
            x = torch.randn(64, layer.A.shape[1], generator=source, dtype=torch.float64)
            worst = max(worst, float((double(x) - literal(double, x)).abs().max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--store", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        settings = TrainSettings(
            data=arguments.data,
            model=arguments.model,
            out=Path(scratch) / "run",
            store=arguments.store,
            batch_size=8,
            weight_decay=0.1,
        )
        with global_seed(settings.seed):
            new = METHODS[settings.method].attach(load_base(settings.model), settings, 1)
        states = [hashes(new)]
        finish, folder = RunFolder.finish, RunFolder(settings.out)

        def look(self: RunFolder) -> Path:
            """Before the results of the stages are thrown away."""
            states.extend(hashes(load_adapter(load_base(settings.model), folder.result(i))) for i in (1, 2))
            return finish(self)

        RunFolder.finish = look  # type: ignore[method-assign]
        train(settings)
        model, _ = load_run(settings.out)
    table = Table(title=f"changed, {arguments.data}, weight decay 0.1", title_justify="left")
    for title in ("stage", "base", *GROUPS):
        table.add_column(title)
    for stage, before, after in (("stage I", *states[:2]), ("stage II", *states[1:])):
        table.add_row(stage, *("yes" if before[g] != after[g] else "no" for g in ("base", *GROUPS)))
    layers = [experts for _, experts in lope_experts(model)]
    console = Console()
    console.print(table)
    console.print(f"least relative distance between two normal experts of a layer: {expert_distance(layers):.4f}")
    console.print(f"greatest difference, fused against literal, float64: {greatest_difference(model, layers):.2e}")


if __name__ == "__main__":
    main()
