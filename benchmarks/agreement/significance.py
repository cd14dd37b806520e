"""How often a study calls a tie significant, and whether it finds the differences that it says it could have seen.

    python -m benchmarks.agreement.significance

Answers are simulated. A question has a margin by which an arm answers it right, normal with mean 0.6 and spread 1.5
over the questions. To it come an effect of the arm on this question, the same at every seed; an effect of the arm's
seed, the same on every question; and noise of the single answer. Both arms have such effects, drawn alike, so without
a shift in one arm's margins the two are exactly tied. `KINDS` says which part of the spread of a difference each makes.

Ties: the share of studies whose difference is called significant at 0.05, before Holm. Power: the shift is set so that
the true difference equals the mean of the smallest detectable differences that the studies state; `found` is the share
of them that call it significant.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pipelines.results import crossed, smallest_detectable

MEAN, SPREAD = 0.6, 1.5
KINDS = {"answers": (0.0, 0.08), "questions": (0.95, 0.03), "both": (0.7, 0.05), "seeds": (0.2, 0.6)}
"""Parts of the variance of a margin that are of the question and of the seed; the rest is of the single answer."""
DIFFERING = (0.02, 0.04, 0.08)
SEEDS = (5, 10)
QUESTIONS = ((200,), (500,), (200, 500))
DRAWS = 4000
COLUMNS = ("spread over", "differ, %", "seeds", "questions", "false, %", "tied: stated", "true", "stated", "found, %")
SEED = 614
_BLOCK = 500
_FAR = 4.0
"""Standard deviations from which on a margin is not crossed."""


@dataclass(frozen=True)
class Cell:
    """Studies of one make. `differing` is the share of answers by which tied arms differ; `questions` are by task."""

    kind: str
    differing: float
    seeds: int
    questions: tuple[int, ...]

    @property
    def noise(self) -> float:
        """The spread of all that comes to a margin; the share of answers that differ is nearly proportional to it."""
        density = np.exp(-((MEAN / SPREAD) ** 2) / 2) / (SPREAD * np.sqrt(2 * np.pi))
        return float(self.differing / (density * 2 / np.sqrt(np.pi)))

    @property
    def _whole(self) -> float:
        return float(np.hypot(SPREAD, self.noise))

    def shift(self, difference: float) -> float:
        """The shift of the margins of one arm for which the true difference is this."""
        return float(special.ndtri(special.ndtr(MEAN / self._whole) + difference) * self._whole - MEAN)


def cells() -> Iterator[Cell]:
    for kind, differing, seeds, questions in product(KINDS, DIFFERING, SEEDS, QUESTIONS):
        yield Cell(kind, differing, seeds, questions)


def draw(cell: Cell, difference: float, studies: int, rng: np.random.Generator) -> list[NDArray[np.int8]]:
    """Differences of two arms' answers: for each task (studies, seeds, questions), the seeds' effects the same for all.

    Only questions with a margin near 0 are drawn; the others are answered alike, so their differences are 0.
    """
    question, seed = KINDS[cell.kind]
    shift, single = cell.shift(difference), cell.noise * (1 - question - seed) ** 0.5
    by_seed = cell.noise * seed**0.5 * rng.standard_normal((2, studies, cell.seeds, 1), np.float32)
    by_seed[1] += shift
    reach = _FAR * cell.noise
    ends = special.ndtr((np.array([-reach - max(shift, 0), reach - min(shift, 0)]) - MEAN) / SPREAD)
    tasks = []
    for count in cell.questions:
        near = rng.binomial(count, ends[1] - ends[0], studies)
        width = int(near.max())
        margins = MEAN + SPREAD * special.ndtri(rng.uniform(*ends, (studies, 1, width)))
        margins[np.arange(width) >= near[:, None, None]] = 1e6  # far: both arms are right
        right = []
        for arm in by_seed:
            own = cell.noise * question**0.5 * rng.standard_normal((studies, 1, width), np.float32)
            answers = rng.standard_normal((studies, cell.seeds, width), np.float32)
            answers += ((margins + own) / single).astype(np.float32)
            right.append((answers > -arm / single).view(np.int8))
        scores = np.zeros((studies, cell.seeds, count), np.int8)
        np.subtract(right[1], right[0], out=scores[:, :, :width])
        tasks.append(scores)
    return tasks


@dataclass(frozen=True)
class Found:
    """Of many studies: the share that is significant, of answers that differ, and the mean detectable difference."""

    significant: float
    differing: float
    detectable: float | None


def trial(cell: Cell, difference: float, studies: int, rng: np.random.Generator, detectable: bool = False) -> Found:
    """`detectable` says whether that is asked for."""
    parts = []
    for start in range(0, studies, _BLOCK):
        found = crossed(draw(cell, difference, min(_BLOCK, studies - start), rng))
        assert found is not None
        least = smallest_detectable(found) if detectable else np.zeros_like(found.mean)
        parts.append(np.stack([found.p < 0.05, found.shares.mean(axis=0), least]))
    significant, differing, least = np.concatenate(parts, axis=1).mean(axis=1)
    return Found(float(significant), float(differing), float(least) if detectable else None)


def powered(cell: Cell, studies: int, rng: np.random.Generator) -> tuple[float, Found]:
    """A true difference that equals the mean of those stated, and what is found of it."""
    difference = 0.0
    for pilot in (studies // 8, studies // 8, studies // 2):
        stated = trial(cell, difference, pilot, rng, detectable=True).detectable
        assert stated is not None
        difference = stated
    return difference, trial(cell, difference, studies, rng, detectable=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS, help="studies a cell (default: %(default)s)")
    draws = parser.parse_args().draws
    print(f"{draws:,} studies a cell, seed {SEED}\n")
    print("|", " | ".join(COLUMNS), "|")
    print("|---" * len(COLUMNS) + "|")
    rng = np.random.default_rng(SEED)
    false, power = [], []
    for cell in cells():
        tied = trial(cell, 0.0, draws, rng, detectable=True)
        difference, found = powered(cell, draws, rng)
        assert tied.detectable is not None
        assert found.detectable is not None
        false.append(tied.significant)
        power.append(found.significant)
        shares = (tied.significant, tied.detectable, difference, found.detectable, found.significant)
        places = (2, 2, 2, 2, 1)
        made = [cell.kind, f"{100 * tied.differing:.1f}", str(cell.seeds), " + ".join(map(str, cell.questions))]
        print("|", " | ".join([*made, *(f"{100 * s:.{n}f}" for s, n in zip(shares, places, strict=True))]), "|")
    print(f"\nfalse: {100 * np.mean(false):.2f} over all, {100 * max(false):.2f} at most")
    print(f"found: {100 * np.mean(power):.1f} over all, {100 * min(power):.1f} to {100 * max(power):.1f}")


if __name__ == "__main__":
    main()
