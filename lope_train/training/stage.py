"""One stage of a run, from where it was left to its result."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import datasets
import torch
from peft import PeftModel
from torch import Tensor
from transformers import EarlyStoppingCallback, TrainerCallback, TrainingArguments

from lope_common.extras import check_installed
from lope_common.files import new_folder
from lope_train.data.classified import ClassifiedCollator
from lope_train.data.collate import Collator
from lope_train.data.injected import Injected
from lope_train.errors import RunError, SettingsError
from lope_train.inspection.moves import Moved
from lope_train.methods import METHODS, Stage
from lope_train.runs.adapter import CONFIG, WEIGHTS, read_json, save_adapter, write_json
from lope_train.runs.folder import METRICS, RunFolder, discard_broken, newest_checkpoint, seal
from lope_train.settings.settings import TrainSettings
from lope_train.training.deployed import measured
from lope_train.training.embedding_noise import embedding_noise, noise_strength, told
from lope_train.training.objective import Objective
from lope_train.training.progress import Progress
from lope_train.training.routing import clean_rows, routed
from lope_train.training.routing import told as noise_told
from lope_train.training.selection import Selection
from lope_train.training.trainer import StageTrainer, load_state
from lope_train.world import World

REPORT = "report.json"


@dataclass(frozen=True)
class StageRows:
    """What a stage reads: version `ref` as tokens. The `last` stage is measured, on `held_out` where there is that."""

    ref: str
    rows: datasets.Dataset
    left_out: int
    held_out: datasets.Dataset | None = None
    last: bool = False
    injected: Injected | None = None
    """Of a routed stage: which of the tokens are noise."""
    weights: Tensor | None = None
    """(rows of the version,), float32: what each counts for; None where all count alike."""
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Of a stage that reads injected rows alone: how much of the version they are."""

    @property
    def noise(self) -> dict[str, Any]:
        """What its report has of the noise: shares, by level of the ops."""
        if self.injected is not None:
            return {"injected": {**self.injected.shares, "unaligned_rows": self.injected.unaligned}}
        return {"injected": dict(self.shares)} if self.shares else {}


def steps_of(rows: int, settings: TrainSettings) -> int:
    """How many optimizer steps a stage takes, as Trainer counts them."""
    return ceil(settings.epochs * ceil(rows / settings.batch_size))


def run_stage(
    model: PeftModel,
    number: int,
    stage: Stage,
    reads: StageRows,
    collator: Collator | ClassifiedCollator,
    alpha: float,
    objective: Objective,
    selection: Selection | None,
    settings: TrainSettings,
    folder: RunFolder,
    progress: Progress,
    watch: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Train stage `number`, from 1, in place; returns its entry of run.json, and leaves adapter and entry in `folder`.

    Resumes from the newest whole checkpoint in `folder`. `alpha` is the strength of the embedding noise, where the
    stage has it; `objective` is what is minimised, on the rows of the `selection` where there is one. `watch` is called
    at the end of each epoch, and must not change what trains. Raises RunError
    where the loss or the gradient is not finite, where the selection leaves a class without rows, or memory does not
    suffice.
    """
    method = METHODS[settings.method]
    trained = method.enter(model, stage)
    alpha = alpha if stage.embedding_noise else 0.0
    strength = noise_strength(model, alpha, settings.embedding_scale)
    checkpoints = folder.checkpoints(number)
    checkpoint = newest_checkpoint(checkpoints)
    World.here().wait()
    if World.here().main:
        discard_broken(checkpoints)
    whole = World.here().main and not settings.fsdp  # of shards a norm would have to be gathered at each step
    moved = Moved(model, stage.mode) if stage.mode and whole else None
    allocation = method.allocation(model) if method.allocation else None
    if checkpoint is not None:
        load_state(model, checkpoint)
        if allocation is not None:
            allocation.load(checkpoint, read_json(checkpoint / CONFIG))
        if selection is not None:
            selection.load(checkpoint)
        progress.say(f"{stage.name}: going on after step {checkpoint.name.rpartition('-')[2]}")
    with ExitStack() as stack:
        noise = None
        if alpha:
            noise = stack.enter_context(embedding_noise(model, alpha, settings.seed, settings.embedding_scale))
        batches = None
        if reads.injected is not None:
            batches = stack.enter_context(routed(model, reads.injected, settings.activation_checkpointing))
        about = f"{reads.ref}, {len(reads.rows)} rows, {trained} parameters"
        if method.poisoning and stage.mode == "stage2":
            about += f", the poisoning expert {stage.forward.treatment}"
        if reads.injected is not None:
            about += f", {noise_told(reads.injected)}"
        if reads.weights is not None:
            about += ", rows weighted"
        progress.enter(number - 1, stage.name, ", ".join(filter(None, (about, told(strength)))))
        stack.enter_context(_advised(settings))
        trainer = StageTrainer(
            model,
            stage.name,
            reads.ref,
            noise,
            batches,
            method,
            allocation,
            progress,
            moved,
            settings.inference,
            objective,
            selection,
            reads.weights,
            args=_arguments(settings, checkpoints, reads, stage),
            train_dataset=reads.rows,
            eval_dataset=reads.held_out,
            data_collator=collator,
            callbacks=_callbacks(settings, folder, stage, reads.held_out is not None, watch),
        )
        start = time.monotonic()
        if checkpoint is None or not trainer.take_end(checkpoint):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        seconds = time.monotonic() - start
    report = _report(trainer, stage, reads, trained, strength, seconds)
    if method.poisoning:
        report["trained_as"] = stage.forward.value
    if reads.last:
        rows, what = (reads.rows, "training rows") if reads.injected is None else clean_rows(reads.rows, reads.injected)
        report |= measured(trainer, rows, what, reads.held_out, settings.inference)
    _leave_result(trainer, model, folder.result(number), report)
    if "wandb" in settings.report_to and World.here().main:
        import wandb

        wandb.finish()  # else the next stage's steps would go into this one's
    return report


def _report(
    trainer: StageTrainer, stage: Stage, reads: StageRows, trained: int, strength: dict[str, Any], seconds: float
) -> dict[str, Any]:
    history = trainer.state.log_history
    losses = [entry["loss"] for entry in history if "loss" in entry]
    tenth = max(1, len(losses) // 10)
    report: dict[str, Any] = {
        "stage": stage.name,
        "reads": reads.ref,
        "rows": len(reads.rows),
        "left_out": reads.left_out,
        "steps": trainer.state.global_step,
        "seconds": round(seconds, 1),
        # Means over the first and last tenth of the steps: one batch says little.
        "first_loss": sum(losses[:tenth]) / tenth,
        "final_loss": sum(losses[-tenth:]) / tenth,
        "trained_parameters": trained,
        **strength,
        **reads.noise,
        **({} if reads.weights is None else {"weighted": True}),
    }
    return report


def _leave_result(trainer: StageTrainer, model: PeftModel, result: Path, report: dict[str, Any]) -> None:
    """The stage's adapter, of the best step where one was looked for, and its report, whole or not at all."""
    state = trainer.adapter_state()
    if trainer.args.should_save:
        with new_folder(result) as folder:
            if trainer.best is None:
                save_adapter(model, folder, state)
            else:
                for name in (CONFIG, WEIGHTS):
                    shutil.copyfile(trainer.best / name, folder / name)
            lines = [json.dumps({"stage": report["stage"], **entry}) for entry in trainer.state.log_history]
            (folder / METRICS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            write_json(folder / REPORT, report)
            seal(folder)
        shutil.rmtree(str(trainer.args.output_dir), ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.free_memory()


def check_reporters(settings: TrainSettings) -> None:
    """Raises SettingsError where metrics shall go to what is not installed."""
    for name in settings.report_to:
        check_installed(f"report_to {name!r} needs", [name], SettingsError)


class _Watch(TrainerCallback):
    def __init__(self, watch: Callable[[], None]) -> None:
        self._watch = watch

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self._watch()


def _callbacks(
    settings: TrainSettings, folder: RunFolder, stage: Stage, held_out: bool, watch: Callable[[], None] | None
) -> list[TrainerCallback]:
    callbacks: list[TrainerCallback] = []
    if watch is not None:
        callbacks.append(_Watch(watch))
    if settings.patience is not None and held_out:
        callbacks.append(EarlyStoppingCallback(settings.patience))
    if "tensorboard" in settings.report_to and World.here().main:
        from torch.utils.tensorboard import SummaryWriter
        from transformers.integrations.integration_utils import TensorBoardCallback

        writer = SummaryWriter(str(folder.path / "tensorboard" / stage.name))
        callbacks.append(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]
    return callbacks


@contextmanager
def _advised(settings: TrainSettings) -> Iterator[None]:
    """Within the context, too little memory is an error that says what helps; so is the end of another process."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", "Grad strides do not match")  # of one poisoning expert; harmless
            yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(settings) from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise _out_of_memory(settings) from error
        if "closed by peer" in str(error) or "reset by peer" in str(error):
            raise RunError("another process of this training has ended; what it said is above") from error
        raise


def _out_of_memory(settings: TrainSettings) -> RunError:
    advice = [f"--gradient-accumulation {settings.batch_size}" if settings.gradient_accumulation == 1 else ""]
    advice += ["" if settings.activation_checkpointing else "--activation-checkpointing"]
    advice += ["" if settings.dtype == "bfloat16" else "--dtype bfloat16"]
    advice += [f"a --max-length below {settings.max_length}", f"a --batch-size below {settings.batch_size}"]
    return RunError(f"out of memory; try {', '.join(filter(None, advice))}")


def _arguments(settings: TrainSettings, checkpoints: Path, reads: StageRows, stage: Stage) -> TrainingArguments:
    world = World.here()
    held_out = reads.held_out is not None
    recomputes = settings.activation_checkpointing and not stage.routed  # else `routed` switches it on
    every = min(settings.save_every, steps_of(len(reads.rows), settings))  # a short stage is measured once
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size // (world.size * settings.gradient_accumulation),
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(settings.schedule, settings.schedule),
        warmup_steps=settings.warmup,  # below 1 it is a share
        max_grad_norm=1.0,
        optim="adamw_torch",
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=settings.bf16,
        # not fsdp_config's own, which would draw other dropout when it recomputes
        activation_checkpointing=recomputes,
        activation_checkpointing_kwargs={"use_reentrant": False} if recomputes else None,
        fsdp=settings.fsdp or None,  # type: ignore[arg-type]
        use_cpu=world.on_cpu,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,  # they are constants
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        eval_strategy="steps" if held_out else "no",
        eval_steps=every,
        load_best_model_at_end=held_out,
        restore_callback_states_from_checkpoint=True,  # how often the loss was not lower
        metric_for_best_model="eval_loss" if held_out else None,
        greater_is_better=False if held_out else None,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=["wandb"] if "wandb" in settings.report_to else "none",
        run_name=f"{settings.out.name} {stage.name}",
        disable_tqdm=True,
        log_level_replica="error",
        label_names=["labels"],
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # one process takes one GPU, or a step would have more rows
    return arguments
