"""One stage of training: transformers' Trainer with embedding noise and logits only where a label is."""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import isfinite
from typing import Any

import datasets
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional as F
from transformers import PrinterCallback, Trainer, TrainingArguments

from lope_train.dataset import IGNORED, Collator
from lope_train.embedding_noise import EmbeddingNoise, embedding_noise
from lope_train.errors import RunError
from lope_train.methods import Stage, enter
from lope_train.progress import Progress
from lope_train.settings import TrainSettings


def run_stage(
    model: Any,
    stage: Stage,
    ref: str,
    rows: datasets.Dataset,
    collator: Collator,
    alpha: float,
    settings: TrainSettings,
) -> dict[str, Any]:
    """Train one stage in place on `rows` (`dataset.tokenize` of version `ref`); returns its entry of run.json.

    `alpha` is the strength of the embedding noise, where the stage has it. Raises RunError where the loss or the
    gradient is not finite.
    """
    trained = enter(model, stage)
    alpha = alpha if stage.embedding_noise else 0.0
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        noise = stack.enter_context(embedding_noise(model, alpha, settings.seed)) if alpha else None
        about = f"{ref}, {len(rows)} rows, {trained} parameters" + (f", embedding noise {alpha}" if alpha else "")
        trainer = StageTrainer(
            model,
            stage.name,
            noise,
            stack.enter_context(Progress(stage.name, about)),
            args=_arguments(settings, scratch),
            train_dataset=rows.add_column("row", range(len(rows))),
            data_collator=_NumberedCollator(collator),
        )
        start = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - start
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    tenth = max(1, len(losses) // 10)
    return {
        "stage": stage.name,
        "reads": ref,
        "rows": len(rows),
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        # Means over the first and last tenth of the steps: one batch says little.
        "first_loss": sum(losses[:tenth]) / tenth,
        "final_loss": sum(losses[-tenth:]) / tenth,
        "trained_parameters": trained,
        "embedding_alpha": alpha,
    }


_PART_ROWS = 4
_REMEDY = "lower the learning rate, or train in float32"


class StageTrainer(Trainer):
    """Trainer with embedding noise, logits only where a label is, and a stop where something is not finite."""

    def __init__(self, model: Any, stage: str, noise: EmbeddingNoise | None, progress: Progress, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.remove_callback(PrinterCallback)
        base = model.get_base_model() if isinstance(model, PeftModel) else model
        self._selects_logits = "logits_to_keep" in inspect.signature(base.forward).parameters
        self._stage = stage
        self._noise = noise
        self._progress = progress

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        if return_outputs or not self._selects_logits:
            self._key_noise(inputs)
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        if num_items_in_batch is None:
            num_items_in_batch = (inputs["labels"][:, 1:] != IGNORED).sum()
        # On a CPU a pad costs as much as a token, and small products are as fast as large ones.
        parts = split_by_length(inputs, _PART_ROWS) if self.args.device.type == "cpu" else [inputs]
        losses = []
        for part in parts:
            self._key_noise(part)
            losses.append(completion_loss(model, part, num_items_in_batch))
        return torch.stack(losses).sum()

    def _key_noise(self, inputs: dict[str, Any]) -> None:
        rows = inputs.pop("row")
        if self._noise is not None:
            self._noise.next_batch(self.state.global_step, rows, inputs["attention_mask"])

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        loss = super().training_step(*args, **kwargs)
        if not loss.isfinite():
            step = self.state.global_step + 1
            raise RunError(f"{self._stage}, step {step}: the loss is {loss.item()}; {_REMEDY}")
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        if not isfinite(norm := logs.get("grad_norm", 0.0)):
            # Clipping turns an infinite gradient into none: nothing would be trained, without a word.
            raise RunError(f"{self._stage}, step {self.state.global_step}: the gradient is {norm}; {_REMEDY}")
        if "loss" in logs:
            self._progress.show(self.state.global_step, self.state.max_steps, logs["loss"])


def completion_loss(model: Any, inputs: dict[str, Tensor], items: Tensor | int | None = None) -> Tensor:
    """Cross-entropy of the labelled tokens of (b, l) `inputs`, summed, over `items` (None: over their number).

    What a causal model of transformers computes from `labels`, without the logits of positions that no row of
    the batch has a label for.
    """
    targets = inputs["labels"][:, 1:]
    kept = (targets != IGNORED).any(0).nonzero().flatten()
    rest = {name: tensor for name, tensor in inputs.items() if name != "labels"}
    logits = model(**rest, logits_to_keep=kept, use_cache=False).logits
    targets = targets[:, kept]
    labelled = targets != IGNORED
    total = F.cross_entropy(logits[labelled].float(), targets[labelled], reduction="sum")
    return total / (labelled.sum() if items is None else items)


def split_by_length(inputs: dict[str, Tensor], rows: int) -> Iterator[dict[str, Tensor]]:
    """A batch padded on the right, in parts of at most `rows` rows of like length, each cut to its longest row."""
    lengths = inputs["attention_mask"].sum(1)
    for part in torch.split(lengths.argsort(stable=True), rows):
        longest = int(lengths[part].max())
        yield {name: tensor[part][:, :longest] if tensor.ndim > 1 else tensor[part] for name, tensor in inputs.items()}


class _NumberedCollator:
    """Collates rows and keeps their numbers, by which the embedding noise is keyed."""

    def __init__(self, collator: Collator) -> None:
        self._collator = collator

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        return {**self._collator(rows), "row": torch.tensor([row["row"] for row in rows])}


def _arguments(settings: TrainSettings, scratch: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,  # below 1 it is a share
        max_grad_norm=1.0,
        optim="adamw_torch",
        seed=settings.seed,
        data_seed=settings.seed,
        save_strategy="no",
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
