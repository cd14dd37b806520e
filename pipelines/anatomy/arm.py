"""One arm on a bed: stage I, what is changed between the stages, stage II, and its answers."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lope_train.methods import METHODS
from lope_train.settings import TrainSettings
from lope_train.tuner import Inference, lope_experts, reset_head, set_mode
from pipelines.anatomy.bed import Bed, Rows
from pipelines.study import Surgery


@dataclass(frozen=True)
class Data:
    """What an arm reads. `noisy` makes what stage I reads: HyNoIse's rows, with embedding noise of strength `alpha`."""

    noisy: Callable[[], Rows]
    parent: Rows
    held_out: Rows
    test: Rows
    alpha: float


def train_arm(bed: Bed, settings: TrainSettings, surgery: Surgery, data: Data) -> tuple[Any, list[dict[str, Any]]]:
    """The trained model, with the experts as `surgery` leaves them, and the reports of its stages."""
    method = METHODS[settings.method]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = bed.fresh(settings)
        reset_head(model, settings.seed, "1")
        reports = []
        if method.poisoning and surgery.stage1 != "none":
            set_mode(model, "stage1_router" if settings.train_router else "stage1")
            rows, alpha = (data.noisy(), data.alpha) if surgery.stage1 == "noise" else (data.parent, 0.0)
            reports.append(_fit(bed, model, rows, settings, "stage I", alpha))
        elif surgery.restart:
            set_mode(model, "stage2")
            reports.append(_fit(bed, model, data.parent, settings, "first pass"))
        reset_head(model, settings.seed, "2")
        experts = [layer for _, layer in lope_experts(model)]
        for layer in experts if surgery.poisoning == "zeroed" else ():
            assert layer.B_poison is not None
            layer.B_poison.data.zero_()
        set_mode(model, "stage2", settings.stage2.forward if method.poisoning and settings.stage2 else None)
        for layer in experts if surgery.router == "fixed" else ():
            layer.router.requires_grad_(False)
        last = "stage II" if method.poisoning else "training"
        reports.append(_fit(bed, model, data.parent, settings, last, held_out=data.held_out))
        for layer in experts if surgery.removed == "normal" else ():
            layer.B.data[0].zero_()
    return model, reports


def ways_of(settings: TrainSettings, surgery: Surgery) -> dict[str, Inference]:
    """Names of the modes, and what is computed in each: with a normal expert removed, the poisoning one is left in."""
    if not METHODS[settings.method].poisoning:
        return {"none": Inference.UNMASKED}
    assert settings.inference is not None
    if surgery.removed == "normal":
        return {settings.inference.label: Inference.UNMASKED}
    ways = dict.fromkeys((settings.inference, Inference.MASKED, Inference.UNMASKED))
    return {way.label: way for way in ways}


def right(bed: Bed, model: Any, rows: Rows, way: Inference) -> list[bool]:
    """Of each row, whether it is answered right."""
    set_mode(model, "inference", way)
    found: list[bool] = (bed.logits(model, rows).argmax(1) == rows.labels).tolist()
    return found


def _fit(
    bed: Bed,
    model: Any,
    rows: Rows,
    settings: TrainSettings,
    name: str,
    alpha: float = 0.0,
    held_out: Rows | None = None,
) -> dict[str, Any]:
    """AdamW over shuffled batches, linear warm-up, cosine to zero; at the end the weights of the epoch with the least
    loss on `held_out`, after which no more than `patience` epochs are trained.
    """
    started = time.monotonic()
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    draws = torch.Generator().manual_seed(settings.seed)
    epochs, size = int(settings.epochs), settings.batch_size
    total = epochs * math.ceil(len(rows.inputs) / size)
    warmup = math.ceil(settings.warmup * total)

    def schedule(step: int) -> float:
        if step < warmup:
            return step / warmup
        return (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup))) / 2

    step = 0
    best: tuple[float, int, dict[str, Tensor]] | None = None
    for _ in range(epochs):
        model.train()
        for some in torch.split(torch.randperm(len(rows.inputs), generator=draws), size):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * schedule(step)
            noise = (alpha, draws) if alpha else None
            logits = bed.batch(model, [rows.inputs[i] for i in some.tolist()], noise)
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(logits, rows.labels[some]))
            torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
            optimizer.step()
            step += 1
        if held_out is None:
            continue
        loss = float(F.cross_entropy(bed.logits(model, held_out), held_out.labels))
        if best is None or loss < best[0]:
            best = loss, step, copy.deepcopy({key: one.detach() for key, one in trained.items()})
        elif settings.patience is not None and step - best[1] >= settings.patience * total // epochs:
            break
    report: dict[str, Any] = {"stage": name, "rows": len(rows.inputs), "steps": step, "embedding_alpha": alpha}
    report |= {"trained_parameters": sum(one.numel() for one in trained.values())}
    if best is not None:
        model.load_state_dict(best[2], strict=False)
        report |= {"held_out_loss": best[0], "best_step": best[1]}
    return report | {"seconds": round(time.monotonic() - started, 1)}
