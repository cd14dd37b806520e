"""Transition matrices of classes: how often rows of each class are given as each."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lope_common.errors import suggest
from lope_train.errors import SettingsError

_CLOSE = 1e-6


def read_transition(path: Path, classes: Sequence[str]) -> list[list[float]]:
    """The probabilities (classes, classes), in the order of `classes`: row the true class, column the one given.

    JSON has `{true: {given: probability}}`, where one that is left out is 0; CSV has the given classes in its first
    line and the true one first in each other. Raises SettingsError, one line with the file and the class, where it
    cannot be read, names a class that is not among `classes`, lacks one, or where a row is not of probabilities that
    sum to 1 (to 1e-6); and for a class that no class is given as.
    """
    rows = _read(path)
    for name in [*rows, *(given for row in rows.values() for given in row)]:
        if name not in classes:
            raise SettingsError(f"transition {path}: unknown class {name!r}{suggest(name, classes)}")
    matrix: list[list[float]] = []
    for true in classes:
        if true not in rows:
            raise SettingsError(f"transition {path}: lacks the class {true!r}")
        row = [rows[true].get(given, 0.0) for given in classes]
        for given, value in zip(classes, row, strict=True):
            if not 0 <= value <= 1:
                raise SettingsError(f"transition {path}: {true!r} as {given!r} is {value}, not a probability")
        if abs((total := math.fsum(row)) - 1) > _CLOSE:
            raise SettingsError(f"transition {path}: the row of {true!r} sums to {total:.6g}, not to 1")
        matrix.append(row)
    for number, given in enumerate(classes):
        if not any(row[number] for row in matrix):
            raise SettingsError(f"transition {path}: no class is given as {given!r}, which the rows have as a label")
    return matrix


def estimate_transition(
    labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]
) -> tuple[list[list[float]], float]:
    """As `read_transition`, and the share of wrong labels, by confident learning (Northcutt et al., JAIR 2021).

    `labels` (rows,) are those given, `probabilities` (rows, classes) of models that did not see the row. A row counts
    as truly of the likeliest class among those that it is likelier of than rows given as that class are on average; the
    counts are scaled to how often each label is given. Where no row counts as truly of a class, its labels are taken as
    right. It assumes noise that depends on the class alone, and models that find the classes.
    """
    rows, classes = probabilities.shape
    given_as = [labels == number for number in range(classes)]
    thresholds = np.array([probabilities[mask, n].mean() if mask.any() else 1.0 for n, mask in enumerate(given_as)])
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    counted = confident.max(1) >= 0
    counts = np.zeros((classes, classes))  # given, true
    np.add.at(counts, (labels[counted], confident[counted].argmax(1)), 1)
    for number, mask in enumerate(given_as):
        if not counts[number].any():
            counts[number, number] = 1
        counts[number] *= mask.sum() / counts[number].sum()
    of_true = counts.sum(0)
    matrix = np.where(of_true > 0, counts / np.where(of_true > 0, of_true, 1), np.eye(classes)).T
    return matrix.tolist(), float(1 - counts.trace() / rows)


def _read(path: Path) -> dict[str, dict[str, float]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        read = _table(path, text) if path.suffix.lower() == ".csv" else json.loads(text)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise SettingsError(f"transition {path}: cannot be read: {error}") from error
    if not isinstance(read, dict) or not all(isinstance(row, dict) for row in read.values()):
        raise SettingsError(f"transition {path}: must be a JSON object of objects, {{true: {{given: probability}}}}")
    return {true: {given: _number(path, true, given, row) for given in row} for true, row in read.items()}


def _table(path: Path, text: str) -> dict[str, dict[str, str]]:
    header, *lines = [line for line in csv.reader(text.splitlines(), strict=True) if line] or [[]]
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        if len(line) != len(header):
            raise SettingsError(f"transition {path}: the line of {line[0]!r} has {len(line)} fields of {len(header)}")
        if line[0] in found:
            raise SettingsError(f"transition {path}: two lines are of {line[0]!r}")
        found[line[0]] = dict(zip(header[1:], line[1:], strict=True))
    return found


def _number(path: Path, true: str, given: str, row: Mapping[str, Any]) -> float:
    value = row[given]
    try:
        return float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        raise SettingsError(f"transition {path}: {true!r} as {given!r} is {value!r}, not a number") from None
