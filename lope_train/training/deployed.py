"""What a run's end says of the model in the way in which it will be used: its losses and its router."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import datasets

from lope_train.training.trainer import BASE, SHARES, TRAINED, StageTrainer
from lope_train.tuner.inference import STAGE2, Inference

_ROWS = 200
"""Of the training rows at most, where nothing is held out."""
_ROUTED_ROWS = 32
_HALF = 0.5


def measured(
    trainer: StageTrainer, rows: datasets.Dataset, held_out: datasets.Dataset | None, deployed: Inference | None
) -> dict[str, Any]:
    """Entries of the last stage's report: `losses` (nats, of `StageTrainer.losses`) of the weights that are kept;
    with a poisoning expert `deployed`, the way in which they will be used, and `poison_share`.

    On `held_out`, with `held_out_loss` and `best_step`, or on the first of the training `rows`.
    """
    if held_out is None:
        some = rows.select(range(min(_ROWS, len(rows))))
        report: dict[str, Any] = {"losses": {"on": "training rows", "rows": len(some), **trainer.losses(some)}}
    else:
        best = trainer.state.best_global_step
        entry = next(e for e in trainer.state.log_history if "eval_loss" in e and e["step"] == best)
        prefix = "eval_loss_"
        losses = {name.removeprefix(prefix): loss for name, loss in entry.items() if name.startswith(prefix)}
        report = {
            "held_out_loss": entry["eval_loss"],
            "best_step": best,
            "losses": {"on": "held-out rows", "rows": len(held_out), **losses},
        }
    if deployed is not None:
        report["deployed"] = deployed.value
        routed = rows if held_out is None else held_out
        report["poison_share"] = trainer.poison_share(routed.select(range(min(_ROUTED_ROWS, len(routed)))))
    return report


def ending(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines that training ends with: the losses, and what is wrong with them."""
    losses = report["losses"]
    deployed = report.get("deployed", TRAINED)
    untrained, unit, guess = (SHARES, "row", "guessing by class shares") if SHARES in losses else (BASE, "token", "")
    ways = [way for way in losses if way not in ("on", "rows", untrained, deployed)]
    named = [(deployed, f"{deployed} (as deployed)" if ways else deployed)]
    named += [(way, way) for way in ways] + [(untrained, guess or "base model")]
    said = ", ".join(f"{name} {losses[way]:.3f}" for way, name in named)
    yield f"loss, nats a {unit}, on {losses['rows']} {losses['on']}: {said}"
    if losses[deployed] > losses[untrained]:
        how = f", {deployed}," if ways else ""
        than = guess or "the base model"
        yield f"warning: the trained model{how} has a higher loss than {than}: do not use it; {_advice(report)}"
    if report.get("poison_share", 0.0) > _HALF and deployed != Inference.UNMASKED:
        yield (
            f"warning: the router gives {100 * report['poison_share']:.0f} % of its weight to the poisoning expert, "
            f"which is masked in use; {_advice(report)}"
        )


def _advice(report: Mapping[str, Any]) -> str:
    if report.get("deployed", Inference.UNMASKED) != Inference.UNMASKED and report["trained_as"] == Inference.UNMASKED:
        return f"train stage II as the adapter is used (--stage2 {STAGE2.value})"
    return "train longer, or at another --lr"
