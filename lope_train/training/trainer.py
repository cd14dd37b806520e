"""transformers' Trainer for one stage: embedding noise, adapter-only checkpoints, a stop where a loss is not finite."""

from __future__ import annotations

import time
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, gather_object
from peft import PeftModel
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from lope_train.data.tokens import IGNORED
from lope_train.errors import RunError
from lope_train.inspection.moves import Moved
from lope_train.methods import Allocation, Method
from lope_train.runs.adapter import save_adapter
from lope_train.runs.folder import newest_checkpoint, seal
from lope_train.training.embedding_noise import EmbeddingNoise
from lope_train.training.loss import ClassLoss, CompletionLoss, loss_of, owners, split_by_length
from lope_train.training.objective import Objective
from lope_train.training.progress import Progress
from lope_train.training.routing import InjectedBatches
from lope_train.training.selection import Select, Selection
from lope_train.tuner.inference import Inference
from lope_train.tuner.modes import inferring, lope_experts, without_adapter

STATE = "state.safetensors"
ONE_WAY, BASE, SHARES = "trained", "base", "class shares"
"""What `Measured.losses` calls a model that has one way of inference, and what it is compared with."""
EVAL_LOSS, EVAL_SHARE = "eval_loss_", "eval_poison_share"
"""What metrics call the entries of `Measured`: the first before the name of a loss."""
_PART_ROWS, _PART_TOKENS = 4, 192
"""A part of a batch on a CPU: so many rows, or more where these hold fewer tokens, on average."""
_ROUTED_ROWS = 32
REMEDY = "lower the learning rate, or train in float32"


def _rows_of_a_part(inputs: dict[str, Tensor]) -> int:
    mask = inputs["attention_mask"]
    return max(_PART_ROWS, _PART_TOKENS * len(mask) // max(1, int(mask.sum())))


class Measured(NamedTuple):
    """How a model does on some rows."""

    losses: dict[str, float]
    """Means in nats, of a token, with a head of a row: of the model in each of its ways of inference, or as `ONE_WAY`;
    beside them as `BASE` that of the model without its adapter, or with a head, which no base has, as `SHARES` that of
    guessing by how often each class is trained on."""
    poison_share: float | None
    """The share of its weights that the router gives to the poisoning experts, on the first rows; None without such
    experts, and where it was not trained."""


class _Allocate(TrainerCallback):
    def __init__(self, allocation: Allocation) -> None:
        self._allocation = allocation

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Between the optimizer's step and zero_grad."""
        self._allocation.step(state.global_step)


class StageTrainer(Trainer):
    """One stage of one model; `name` and `ref` (the version it reads) are for messages.

    `deployed` is how a model with a poisoning expert will be used; None for one that has no such expert.
    """

    def __init__(
        self,
        model: PeftModel,
        name: str,
        ref: str,
        noise: EmbeddingNoise | None,
        injected: InjectedBatches | None,
        method: Method,
        allocation: Allocation | None,
        progress: Progress,
        moved: Moved | None,
        deployed: Inference | None,
        objective: Objective,
        selection: Selection | None,
        weights: Tensor | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, **kwargs)
        self.remove_callback(PrinterCallback)
        if allocation is not None:
            self.add_callback(_Allocate(allocation))
        if selection is not None:
            self.add_callback(Select(self._select))
        self.best: Path | None = None
        self._adapted = model
        self._folder = Path(self.args.output_dir or ".")
        self._name = name
        self._ref = ref
        self._noise = noise
        self._injected = injected
        self._method = method
        self._allocation = allocation
        self._progress = progress
        self._moved = moved
        self._loss = loss_of(model)
        """That of measurements, cross-entropy."""
        self._trained = loss_of(model, objective)
        self._selection = selection
        self._weights = None if weights is None else weights.to(self.args.device)
        self._deployed = deployed
        self._untrained: dict[str, float] | None = None
        self._tokens = 0
        self._began = time.monotonic()
        # our loss is a sum over the tokens of the whole step, whichever the model would compute
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self._loss_shifts_labels = self._loss.shifts_labels

    def create_accelerator_and_postprocess(self) -> None:
        """As in Trainer, but a model can be sharded over CPUs too, where accelerate would only copy it."""
        state = PartialState()
        if self.args.fsdp and state.distributed_type == DistributedType.MULTI_CPU:
            state.distributed_type = DistributedType.MULTI_GPU  # what it asks for; the device stays
        super().create_accelerator_and_postprocess()

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: ARG002
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The batch's share of the mean loss of a token of this step, over all processes and parts; with weights of
        rows a weighted mean."""
        assert num_items_in_batch is not None
        self._tokens += int((inputs["row"] >= 0).sum() if "position_ids" in inputs else inputs["attention_mask"].sum())
        # On a CPU a pad costs as much as a token, and products of some 200 tokens are as fast as larger ones.
        in_parts = self.args.device.type == "cpu" and "attention_mask" in inputs
        total = torch.zeros((), device=self.args.device)
        for part in split_by_length(inputs, _rows_of_a_part(inputs)) if in_parts else [inputs]:
            if self._noise is not None:
                self._noise.next_batch(self.state.global_step, part)
            if self._injected is not None:
                self._injected.next_batch(part)
            summed, _ = self._trained(model, part, self._weights)
            total = total + summed
        # Gradients are averaged over the processes, and num_items_in_batch is of all of them.
        # of a step whose rows are all left out, or weigh nothing, the sum is 0
        counted = num_items_in_batch or 1
        loss = total / counted * self.accelerator.num_processes
        if self._allocation is not None:
            loss = loss + self._allocation.penalty() / self.args.gradient_accumulation_steps
        return loss

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """As in Trainer; raises RunError where the loss is not finite, in every process where it is so in one."""
        loss = super().training_step(model, inputs, *args, **kwargs)
        losses = self.accelerator.gather(loss)
        if not losses.isfinite().all():
            value = next(value for value in losses.flatten().tolist() if not isfinite(value))
            rows = [] if loss.isfinite() else [int(row) for row in inputs["row"].flatten() if row >= 0]
            numbers = sorted(set(gather_object(rows)))
            shown = ", ".join(map(str, numbers[:20])) + (", ..." if len(numbers) > 20 else "")
            raise self._not_finite(self.state.global_step + 1, f"the loss is {value}", f" on rows {shown}")
        return loss

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        if batch_samples:
            self._drop_repeats(batch_samples[-1], self.train_dataset)
            if self._selection is not None:
                for batch in batch_samples:
                    self._selection.apply(batch)
        if self._weights is None:
            return super()._get_num_items_in_batch(batch_samples, device)
        total = torch.zeros((), device=device)
        for batch in batch_samples:
            labels = batch["labels"][:, 1:] if self._loss_shifts_labels else batch["labels"]
            total += self._weights[owners(batch["row"], labels != IGNORED).to(device)].sum()
        return self.accelerator.gather(total).sum()

    def _drop_repeats(self, batch: dict[str, Tensor], rows: Any) -> None:
        """Ignore in a loader's last batch the rows of its first that accelerate fills it up with for equal shares."""
        share = self.args.per_device_train_batch_size
        left = len(rows) % (share * self.accelerator.num_processes)
        if left and self.accelerator.gradient_state.end_of_dataloader:
            own = max(0, left - share * self.accelerator.process_index)
            batch["labels"][own:] = IGNORED

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As in Trainer, with how far a step's weights have moved; raises RunError where the gradient is not finite."""
        if self._moved is not None and "loss" in logs:
            logs |= self._moved.since_start()
        super().log(logs, start_time)
        if not isfinite(norm := logs.get("grad_norm", 0.0)):
            # Clipping turns an infinite gradient into none: nothing would be trained, without a word.
            raise self._not_finite(self.state.global_step, f"the gradient is {norm}", "")
        if "loss" in logs:
            speed = self._tokens * self.accelerator.num_processes / max(time.monotonic() - self._began, 1e-9)
            self._progress.show(self.state.global_step, logs["loss"], speed)

    def _select(self, epoch: int) -> None:
        assert self._selection is not None
        classified = isinstance(self._loss, ClassLoss)
        kept = self._selection.decide(epoch, self._row_losses, self._row_labels() if classified else None, self._name)
        if kept is not None:
            self.log({"kept_rows": kept})

    @torch.no_grad()
    def _row_losses(self) -> Tensor:
        """The mean cross-entropy of each row's labels, by its number; NaN for numbers that are no rows.

        Every process reads all rows, so that all decide the same.
        """
        size = self.args.per_device_train_batch_size
        loader: DataLoader[Any] = DataLoader(self.train_dataset, size, collate_fn=self.data_collator)  # type: ignore[arg-type]
        model: Any = self.model
        sums: dict[int, tuple[float, int]] = {}
        model.eval()
        with torch.random.fork_rng(devices=[]), self.accelerator.autocast():
            for batch in loader:
                inputs = {name: tensor.to(self.args.device) for name, tensor in batch.items()}
                logits, targets, places = self._loss.predicted(model, inputs)
                nats = F.cross_entropy(logits, targets, reduction="none")
                for row, value in zip(owners(inputs["row"], places).tolist(), nats.tolist(), strict=True):
                    total, count = sums.get(row, (0.0, 0))
                    sums[row] = total + value, count + 1
        means = torch.full((max(sums) + 1,), torch.nan, dtype=torch.float64)
        for row, (total, count) in sums.items():
            means[row] = total / count
        return means

    def _row_labels(self) -> Tensor:
        rows: Any = self.train_dataset
        numbers, labels = (torch.from_numpy(np.asarray(rows[name])) for name in ("row", "labels"))
        found = torch.full((int(numbers.max()) + 1,), IGNORED)
        found[numbers] = labels
        return found

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """What `measure` finds on the held-out rows; `eval_loss` is of the model as it will be used."""
        found = self.measure(self.eval_dataset)
        metrics = {"eval_loss": found.losses[self._deployed or ONE_WAY]}
        if not isfinite(metrics["eval_loss"]):
            raise self._not_finite(self.state.global_step, f"the held-out loss is {metrics['eval_loss']}", "")
        metrics |= {f"{EVAL_LOSS}{way}": loss for way, loss in found.losses.items()}
        if found.poison_share is not None:
            metrics[EVAL_SHARE] = found.poison_share
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._memory_tracker.stop_and_update_metrics(metrics)  # type: ignore[no-untyped-call]
        return metrics

    def measure(self, rows: Any) -> Measured:
        """How the model does on the rows, computed as in training, without noise; `rows` must be the same at each call.

        It moves no generator, so that training goes the same way however often it is measured.
        """
        losses = {}
        with torch.random.fork_rng(devices=[]):  # a loader draws a seed
            if self._deployed is None:
                losses[ONE_WAY] = self._mean_loss(rows, self._loss)
            for way in Inference if self._deployed else ():
                with inferring(self._adapted, way):
                    losses[way.value] = self._mean_loss(rows, self._loss)
            if self._untrained is None:
                self._untrained = self._untrained_loss(rows)
        share = self._poison_share(rows.select(range(min(_ROUTED_ROWS, len(rows))))) if self._deployed else None
        return Measured(losses | self._untrained, share)

    @property
    def unit(self) -> str:
        """What losses are counted by."""
        return self._loss.unit

    def _untrained_loss(self, rows: Any) -> dict[str, float]:
        if isinstance(self._loss, CompletionLoss):
            with without_adapter(self._adapted):
                return {BASE: self._mean_loss(rows, replace(self._loss, virtual_tokens=0))}
        read: Any = self.train_dataset
        trained, asked = np.asarray(read["labels"]), np.asarray(rows["labels"])
        shares = np.bincount(trained) / len(trained)
        return {SHARES: float(-np.log(shares[asked]).mean())}

    def _mean_loss(self, rows: Any, loss: CompletionLoss | ClassLoss) -> float:
        loader: DataLoader[Any] = DataLoader(
            rows, batch_size=self.args.per_device_train_batch_size, collate_fn=self.data_collator
        )
        totals = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        model: Any = self.model
        model.eval()
        with torch.no_grad(), self.accelerator.autocast():
            for batch in self.accelerator.prepare_data_loader(loader):
                self._drop_repeats(batch, rows)
                summed, count = loss(model, batch)
                totals += torch.stack([summed.double(), count.double()])
        total, count = self.accelerator.reduce(totals, "sum").tolist()
        return float(total / count)

    @torch.no_grad()
    def _poison_share(self, rows: Any) -> float | None:
        """The mean over layers and tokens of each row as the model reads it in the way in which it will be used, then
        over rows; None where the share was not trained, as it cancels.
        """
        assert self._deployed is not None
        if all(experts.poisoning_cancels for _, experts in lope_experts(self._adapted)):
            return None
        shares: list[Tensor] = []

        def record(experts: Any, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
            weights = experts.router_weights(inputs[0])
            shares.append(weights[..., experts.config.num_normal :].sum(-1).mean())

        model: Any = self.model
        model.eval()
        hooks = [experts.register_forward_hook(record) for _, experts in lope_experts(self._adapted)]
        try:
            with inferring(self._adapted, self._deployed), self.accelerator.autocast():
                for row in rows:  # one at a time: a pad would count as a token
                    batch = {name: tensor.to(self.args.device) for name, tensor in self.data_collator([row]).items()}
                    self._loss(model, batch)
        finally:
            for hook in hooks:
                hook.remove()
        return float(torch.stack(shares).mean())

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The adapter, and what training goes on from: an adapter's file may hold less than what trains."""
        state = self.adapter_state()
        if self.args.should_save and output_dir is not None:
            folder = Path(output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_adapter(self._adapted, folder, state)
            (folder / STATE).write_bytes(save({name: tensor.cpu().contiguous() for name, tensor in state.items()}))
            if self._allocation is not None:
                self._allocation.save(folder)
            if self._selection is not None:
                self._selection.save(folder)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            seal(self._folder / f"checkpoint-{self.state.global_step}")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing: the weights were loaded before the model was wrapped."""

    def _load_best_model(self) -> None:
        self.best = Path(self.state.best_model_checkpoint or "")

    def take_end(self, checkpoint: Path) -> bool:
        """Whether the stage had come to its end at the checkpoint, whose state is then this one's."""
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        control = state.stateful_callbacks.get("TrainerControl", {}).get("args", {})
        if state.global_step < state.max_steps and not control.get("should_training_stop"):
            return False
        self.state = state
        if self.args.load_best_model_at_end:
            self._load_best_model()
        return True

    def adapter_state(self) -> dict[str, Tensor]:
        """The adapter's parameters, whole where they are sharded; every process must call it."""
        model: Any = self.model
        for module in model.modules():
            if hasattr(module, "reshard"):  # FSDP's
                module.reshard()  # a forward pass without a backward one leaves what lies outside of the layers whole
        state = {}
        for name, parameter in self._method.adapter_parameters(model):
            whole = parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter
            state[name] = whole.detach()
        return state

    def _not_finite(self, step: int, what: str, where: str) -> RunError:
        good = newest_checkpoint(self._folder)
        kept = f"; the last good checkpoint is {good}" if good else ""
        return RunError(f"{self._name}, step {step}: {what}{where}; {REMEDY}{kept} ({self._ref})")


def load_state(model: nn.Module, checkpoint: Path) -> None:
    """Put what `save_model` left into a model with the same adapter."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in load_file(checkpoint / STATE).items():
            parameters[name].copy_(tensor)
