"""What a run's end says of the model in the way in which it will be used: its losses and its router."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import datasets

from lope_train.training.trainer import BASE, EVAL_LOSS, EVAL_SHARE, ONE_WAY, SHARES, StageTrainer
from lope_train.tuner.inference import Inference

_ROWS = 200
"""Of the training rows at most, where nothing is held out."""
_HALF = 0.5


def measured(
    trainer: StageTrainer,
    rows: datasets.Dataset,
    what: str,
    held_out: datasets.Dataset | None,
    deployed: Inference | None,
) -> dict[str, Any]:
    """Entries of the last stage's report, of the weights that are kept: `losses`, of `trainer.Measured` in `nats`, with
    the rows and the unit that they are of; with a poisoning expert `deployed`, the way in which they will be used, and
    `poison_share` unless it has no effect.

    On `held_out`, with `held_out_loss` and `best_step`, or on the first of the `rows`; `what` these are.
    """
    report: dict[str, Any] = {} if deployed is None else {"deployed": deployed.value}
    if held_out is None:
        some = rows.select(range(min(_ROWS, len(rows))))
        nats, share = trainer.measure(some)
        on, number = what, len(some)
    else:
        best = trainer.state.best_global_step
        entry = next(e for e in trainer.state.log_history if "eval_loss" in e and e["step"] == best)
        report |= {"held_out_loss": entry["eval_loss"], "best_step": best}
        nats = {name.removeprefix(EVAL_LOSS): loss for name, loss in entry.items() if name.startswith(EVAL_LOSS)}
        on, number, share = "held-out rows", len(held_out), entry.get(EVAL_SHARE)
    report["losses"] = {"on": on, "rows": number, "unit": trainer.unit, "nats": nats}
    return report if share is None else report | {"poison_share": share}


def ending(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines that training ends with: the losses, and what is wrong with them."""
    losses = report["losses"]
    nats, deployed = losses["nats"], report.get("deployed", ONE_WAY)
    untrained, guess = (SHARES, "guessing by class shares") if SHARES in nats else (BASE, "")
    ways = [way for way in nats if way not in (untrained, deployed)]
    named = [(deployed, f"{deployed} (as deployed)" if ways else deployed)]
    named += [(way, way) for way in ways] + [(untrained, guess or "base model")]
    said = ", ".join(f"{name} {nats[way]:.3f}" for way, name in named)
    yield f"loss, nats a {losses['unit']}, on {losses['rows']} {losses['on']}: {said}"
    if nats[deployed] > nats[untrained]:
        how = f", {deployed}," if ways else ""
        than = guess or "the base model"
        yield f"warning: the trained model{how} has a higher loss than {than}: do not use it; {_advice(report)}"
    if report.get("poison_share", 0.0) > _HALF and deployed != Inference.UNMASKED:
        yield (
            f"warning: the router gives {100 * report['poison_share']:.0f} % of its weight to the poisoning expert, "
            f"which is masked in use; {_advice(report)}"
        )


def _advice(report: Mapping[str, Any]) -> str:
    deployed = report.get("deployed")
    if "injected" in report:
        return "train longer, at another --lr, or in two stages (without --route)"
    if deployed is not None and deployed != report["trained_as"]:
        return f"train stage II as the adapter is used (--stage2 {deployed})"
    return "train longer, or at another --lr"
