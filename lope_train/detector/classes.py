"""How likely a row's label is wrong, by models with a head that are trained on the version's own rows."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lope_common.shown import one_line
from lope_train.data.classified import classes_of, load_classified
from lope_train.detector.folder import ScoreFolder
from lope_train.detector.ranking import Score
from lope_train.detector.request import Request
from lope_train.evaluation.sets import pick
from lope_train.models.load import context_length, load_base, load_tokenizer
from lope_train.settings.settings import TrainSettings
from lope_train.training.folds import judge_labels

SCORES = {
    "self_confidence": Score(
        "self-confidence",
        "one minus the probability of the given label, by a model that was not trained on the row",
    ),
    "gce_loss": Score("gce loss", "the loss, nats, of a model trained on all rows with generalised cross-entropy"),
    "margin": Score(
        "margin",
        "the area under the margin, its sign changed: the largest other logit minus that of the given label, mean over "
        "the epochs of training on the row",
    ),
}
BASELINES = {"loss": "small loss"}
LISTED = ("label", "target", "weight")
"""The label given, and by models that were not trained on the row the likeliest other one, as `lope_data build
--relabel` takes it, and the probability of the one given, as `--weight` takes it."""
_BATCH = 32


def measure(
    request: Request,
    folder: ScoreFolder,
    before: int,
    advance: Callable[[int], object],
) -> list[dict[str, Any]]:
    """As `scores.Kind.measure`: all rows at once. Raises VersionError where there are not two classes to learn.

    Texts are cut at `max_length`. Of a class with one row nothing can be learned that the row has not taught.
    """
    assert before == 0
    subject, fitting = request.subject, request.fitting
    names = classes_of([request.data])
    reads = context_length(load_base(subject.model, subject.dtype, subject.quantization, names))
    limit = min(request.max_length, reads or request.max_length)
    settings = TrainSettings(
        data=request.data.ref,
        model=subject.model,
        method="lora",
        head="classification",
        out=folder.work / "run",
        epochs=fitting.epochs,
        learning_rate=fitting.learning_rate,
        batch_size=_BATCH,
        max_length=limit,
        truncate=True,
        dtype=subject.dtype,
        seed=fitting.seed,
        save_every=10**9,  # a model that was killed is trained again
    )
    tokenizer = load_tokenizer(subject.model, "classification")
    loaded = load_classified(request.data, tokenizer, names, max_length=limit, truncate=True)
    if loaded.counts.truncated:
        print(one_line(f"{request.data.ref}: {loaded.counts.truncated} texts cut to {limit} tokens"), file=sys.stderr)
    tokens = loaded.dataset
    ids = request.data.dataset()["lope_row_id"][:]
    picked = pick(ids, request.limit)
    place_of = {number: place for place, number in enumerate(np.asarray(tokens["row"]).tolist())}
    labels = np.asarray(tokens["labels"])
    count = Counter(labels[[place_of[number] for number in picked if number in place_of]].tolist())
    kept = [number for number in picked if number in place_of and count[int(labels[place_of[number]])] > 1]
    single = {number for number in picked if number in place_of} - set(kept)
    rows = [{"row": number, "row_id": ids[number]} for number in picked]
    for row in rows:
        if row["row"] not in place_of:
            row["skipped"] = "without a text and a label"
        elif row["row"] in single:
            row["skipped"] = "of a class with one row"
    if kept:
        chosen = tokens.select([place_of[number] for number in kept])
        said = judge_labels(chosen, request.data.ref, names, settings, fitting.folds, folder.work)
        given = np.asarray(chosen["labels"])
        assert said.gce is not None
        others = said.probabilities.copy()
        others[np.arange(len(kept)), given] = -1
        measures = {
            "self_confidence": 1 - said.probabilities[np.arange(len(kept)), given],
            "gce_loss": said.gce,
            "margin": -said.margins,
            "loss": said.losses,
        }
        found = {
            number: {name: float(values[place]) for name, values in measures.items()}
            | {"label": names[given[place]], "target": names[int(others[place].argmax())]}
            | {"weight": float(said.probabilities[place, given[place]])}
            | {"p": float(others[place].max())}
            for place, number in enumerate(kept)
        }
        for row in rows:
            row.update(found.get(row["row"], {}))
    folder.add(rows)
    advance(len(rows))
    return rows


def reason(name: str, row: Mapping[str, Any], usual: float) -> str:
    """As `scores.Kind.reason`."""
    given, other = repr(row["label"]), repr(row["target"])
    if name == "self_confidence":
        p = 1 - row[name]
        return (
            f"a model that has not seen the row gives {given} p {p:.2g}, usual {1 - usual:.2g}, "
            f"and {other} {row['p']:.2g}"
        )
    if name == "gce_loss":
        return f"a model that takes no notice of unlikely labels does not learn {given}; out of fold {other} is likely"
    return f"in training {given} is learned late, against {other}: margin {-row[name]:.2g}, usual {-usual:.2g}"
