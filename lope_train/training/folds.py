"""What models with a head, trained on parts of some rows, say of all of them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from lope_train.data.classified import ClassifiedCollator
from lope_train.keyed import generator, global_seed
from lope_train.methods import METHODS
from lope_train.models.load import load_base, load_tokenizer
from lope_train.runs.folder import RunFolder
from lope_train.settings.settings import TrainSettings
from lope_train.training.objective import CROSS_ENTROPY, GeneralizedCrossEntropy, Objective
from lope_train.training.progress import Progress
from lope_train.training.stage import StageRows, run_stage, steps_of
from lope_train.tuner.head import reset_head

F64 = npt.NDArray[np.float64]
_BATCH = 32


@dataclass(frozen=True)
class Judged:
    """Of rows with given labels, in their order; nats are of the given label."""

    probabilities: F64
    """(rows, classes), by a model that was not trained on the row."""
    margins: F64
    """(rows,): the area under the margin (Pleiss et al., NeurIPS 2020): the logit of the given label minus the largest
    other one, at the end of each epoch, mean over the epochs and the models that were trained on the row."""
    losses: F64
    """(rows,), nats: by those models in the end, mean."""
    gce: F64 | None
    """(rows,), nats: by a model trained on all rows with generalised cross-entropy, in the end; None if not asked."""


def judge_labels(
    rows: datasets.Dataset,
    ref: str,
    classes: Sequence[str],
    settings: TrainSettings,
    folds: int,
    folder: Path,
    gce: bool = True,
) -> Judged:
    """Train `folds` models, with `gce` one more, each as the settings say, and ask them about the rows, tokens of
    version `ref`.

    Each fold has its share of every class, drawn by the seed. What a model said is kept in `folder` until another call
    there, which resumes with the next one: settings, rows and classes must be the same.
    """
    labels = np.asarray(rows["labels"])
    fold_of = stratified(labels, folds, settings.seed)
    work = RunFolder(folder / "models")
    folder.mkdir(parents=True, exist_ok=True)
    trained = [np.flatnonzero(fold_of != fold) for fold in range(folds)] + [np.arange(len(labels))] * gce
    steps = [steps_of(len(some), settings) for some in trained]
    probabilities = np.zeros((len(labels), len(classes)))
    margins, losses = np.zeros(len(labels)), np.zeros(len(labels))
    of_gce: F64 | None = None
    with Progress(steps) as progress:
        for number, some in enumerate(trained, start=1):
            last = number > folds
            name = "all rows, gce" if last else f"fold {number} of {folds}"
            kept = folder / f"{number}.safetensors"
            if kept.is_file():
                progress.enter(number - 1, name, "was done before")
            else:
                objective: Objective = GeneralizedCrossEntropy() if last else CROSS_ENTROPY
                said = _fit(rows, some, ref, classes, settings, number, name, objective, work, progress)
                partial = kept.with_suffix(".partial")
                save_file(said, partial)
                partial.rename(kept)
            said = load_file(kept)
            logits = said["logits"].double()
            nats = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels), reduction="none").numpy()
            if last:
                of_gce = nats
            else:
                margins[some] += said["margins"].numpy()
                losses[some] += nats[some]
                held = np.flatnonzero(fold_of == number - 1)
                probabilities[held] = logits[held].softmax(-1).numpy()
    return Judged(probabilities, margins / (folds - 1), losses / (folds - 1), of_gce)


def stratified(labels: npt.NDArray[np.int64], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold of each row, from 0, (rows,): each label's rows shuffled by the seed and dealt in turn."""
    order = torch.randperm(len(labels), generator=generator(seed, "folds")).numpy()
    dealt = order[np.argsort(labels[order], kind="stable")]
    found = np.empty(len(labels), np.int64)
    found[dealt] = np.arange(len(labels)) % folds
    return found


def _fit(
    rows: datasets.Dataset,
    some: npt.NDArray[np.int64],
    ref: str,
    classes: Sequence[str],
    settings: TrainSettings,
    number: int,
    name: str,
    objective: Objective,
    folder: RunFolder,
    progress: Progress,
) -> dict[str, Tensor]:
    """Train on `some` of the rows: `logits` of all (rows, classes) in the end, `margins` of those trained on."""
    shutil.rmtree(folder.path, ignore_errors=True)  # of one that was killed, whose margins are lost
    method = METHODS[settings.method]
    collator = ClassifiedCollator(load_tokenizer(settings.model, "classification"))
    part = rows.select(some)
    given = torch.from_numpy(np.asarray(part["labels"]))
    seen: list[Tensor] = []
    with global_seed(settings.seed):
        base = load_base(settings.model, settings.dtype, settings.quantization, classes)
        model = method.attach(base, settings, steps_of(len(part), settings))
        reset_head(model, settings.seed, str(number))
        (stage,) = settings.stages
        reads = StageRows(ref, part, len(rows) - len(part))
        run_stage(
            model,
            number,
            replace(stage, name=name),
            reads,
            collator,
            0.0,
            objective,
            None,
            settings,
            folder,
            progress,
            lambda: seen.append(_margins(class_logits(model, part, collator), given)),
        )
    shutil.rmtree(folder.path, ignore_errors=True)
    return {"logits": class_logits(model, rows, collator).contiguous(), "margins": torch.stack(seen).mean(0)}


@torch.no_grad()
def class_logits(model: Any, rows: datasets.Dataset, collator: ClassifiedCollator) -> Tensor:
    """(rows, classes), float32, without dropout; no generator moves, and the model is left in eval mode."""
    model.eval()
    found: list[Tensor] = []
    with torch.random.fork_rng(devices=[]):
        loader: DataLoader[Any] = DataLoader(rows, _BATCH, collate_fn=collator)
        for batch in loader:
            inputs = {name: tensor.to(model.device) for name, tensor in batch.items() if name not in ("row", "labels")}
            found.append(model(**inputs).logits.float().cpu())
    return torch.cat(found)


def _margins(logits: Tensor, given: Tensor) -> Tensor:
    own = logits.gather(1, given[:, None])[:, 0]
    others = logits.scatter(1, given[:, None], -torch.inf).amax(1)
    return (own - others).double()
