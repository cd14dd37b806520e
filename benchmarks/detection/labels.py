"""cleanlab beside `score`, on wrong labels: what each finds of the rows that edit records name, and in what time.

cleanlab as its guide has it: sentence embeddings of the model as it is, a logistic regression out of fold, and its
label quality scores. `score` trains models on the rows; its list is read from the folder that it wrote.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch

import lope_data
from lope_train.detector import areas
from lope_train.models import resolve_model

OURS = ("score", "self_confidence", "gce_loss", "margin", "loss")
METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a noisy version of classification rows: NAME[@VERSION]")
    parser.add_argument("--scores", required=True, type=Path, help="the folder of `score --data DATA`, all rows, csv")
    parser.add_argument("--model", default="minilm", help="the encoder whose embeddings cleanlab gets")
    parser.add_argument("--store", type=Path)
    args = parser.parse_args()
    version = lope_data.open(args.data, store=args.store)
    rows = version.to_polars(lope_columns=True)
    with (args.scores / "rows.csv").open(encoding="utf-8", newline="") as file:
        listed = {row["row_id"]: row for row in csv.DictReader(file)}
    rows = rows.filter(rows["lope_row_id"].is_in([*listed]))
    wrong = np.array([bool(ops) for ops in rows["lope_ops"].to_list()])
    found = {f"lope {name}": np.array([float(listed[row][name]) for row in rows["lope_row_id"]]) for name in OURS}
    start = time.monotonic()
    embedded = embeddings(args.model, rows["text"].to_list())
    for method, quality in qualities(embedded, rows["label"].to_list()).items():
        found[f"cleanlab {method}"] = -quality
    seconds = time.monotonic() - start
    print(f"{version.ref}: {len(rows)} rows, {wrong.sum()} wrong; cleanlab with its embeddings {seconds:.1f} s")
    judged = areas(found, wrong[None], ~wrong, np.arange(len(wrong)))
    print("| | AUROC [95 %] | wrong among as many as there are |")
    print("|---|---|---|")
    for name, area in judged.items():
        low, high = area.interval(0)
        worst = np.argsort(-found[name], kind="stable")[: wrong.sum()]
        print(f"| {name} | {area.value[0]:.3f} [{low:.3f}, {high:.3f}] | {wrong[worst].mean():.1%} |")


@torch.no_grad()
def embeddings(name: str, texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """(texts, width): the mean over tokens of the last layer, of length 1, as sentence-transformers has them."""
    from transformers import AutoModel, AutoTokenizer

    place = resolve_model(name)
    model, tokenizer = AutoModel.from_pretrained(place), AutoTokenizer.from_pretrained(place)
    made = []
    for begin in range(0, len(texts), 64):
        batch = tokenizer(texts[begin : begin + 64], padding=True, truncation=True, max_length=256, return_tensors="pt")
        mask = batch["attention_mask"][..., None]
        mean = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
        made.append(torch.nn.functional.normalize(mean))
    return torch.cat(made).numpy()


def qualities(embedded: np.ndarray, labels: list[str]) -> dict[str, np.ndarray]:
    """cleanlab's scores of the labels, low for one that is likely wrong, by its name for them."""
    from cleanlab.rank import get_label_quality_scores
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    given = np.unique(labels, return_inverse=True)[1]
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    said = cross_val_predict(LogisticRegression(max_iter=1000), embedded, given, cv=parts, method="predict_proba")
    return {method: get_label_quality_scores(given, said, method=method) for method in METHODS}


if __name__ == "__main__":
    main()
