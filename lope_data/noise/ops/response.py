"""Noise on a response: another row's, one cut short, one with a number that is nearly right."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from lope_data.noise.op import Params
from lope_data.noise.registry import label_op
from lope_data.text import kernels
from lope_data.text.buffers import Bytes, Mask, offsets_and_data, whole
from lope_data.text.cells import INK, Cells
from lope_data.text.draws import I64, U64, Draw, ordered, row_hashes

_Proposal = tuple[pa.Array, pa.Array]


@dataclass(frozen=True)
class _Donors:
    """The responses of a population, by the hashes of their rows' ids, and for each the place of its donor."""

    population: weakref.ref[pa.Table]  # known by the object itself, which is immutable, and forgotten with it
    context: tuple[str | int, ...]
    ids: pa.Array
    outputs: pa.Array
    donor: I64
    keys: U64
    """Of the responses: equal texts have equal ones."""
    hashes: U64
    order: I64

    @classmethod
    def of(cls, population: pa.Table, context: tuple[str | int, ...]) -> _Donors:
        """Found once for each population: a plan asks for the same one, part after part, from several threads."""
        with _looking:
            for known in _last:
                if known.population() is population and known.context == context:
                    return known
            missing = population["target"].null_count
            responses = population.filter(population["target"].is_valid()) if missing else population
            ids, outputs = (whole(responses[name]) for name in ("lope_row_id", "target"))
            hashes = row_hashes(ids)
            order = np.argsort(hashes, kind="stable")
            donor = _derangement(outputs, Draw(context, hashes))
            known_by = weakref.ref(population, lambda _: _last.clear())
            _last[:] = [cls(known_by, context, ids, outputs, donor, _keys(outputs), hashes[order], order)]
            return _last[0]

    def places(self, rows: U64) -> pa.Array:
        """The donors of the rows with these hashes, null where the population has no such response."""
        found = np.searchsorted(self.hashes, rows)
        found[found == len(self.hashes)] = 0
        known = self.hashes[found] == rows if len(self.hashes) else np.zeros(len(rows), np.bool_)
        return pa.array(self.donor[self.order[found[known]]]).take(pa.array(np.cumsum(known) - 1, mask=~known))


_looking = threading.Lock()
_last: list[_Donors] = []  # one at most


def _has_donor(rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> Mask:  # noqa: ARG001
    donors = _Donors.of(population, draw.context)
    given, target = donors.places(draw.rows), whole(rows["target"])
    able: Mask = np.asarray(given.is_valid()) & np.asarray(target.is_valid())
    mine = np.flatnonzero(able)
    theirs = np.asarray(given.drop_null())[np.asarray(target.is_valid())[np.asarray(given.is_valid())]]
    same = np.flatnonzero(_keys(target)[mine] == donors.keys[theirs])  # and so perhaps the same text
    texts = donors.outputs.take(pa.array(theirs[same])), target.take(pa.array(mine[same]))
    able[mine[same]] = np.asarray(pc.not_equal(*texts))
    return able


def _keys(texts: pa.Array) -> U64:
    offsets, data = offsets_and_data(texts)
    return kernels.text_keys(data, kernels.words_of(data), offsets)


@label_op(
    "label.swap_response",
    version=1,
    kind="response",
    able=_has_donor,
    needs="a response, and another row with another one",
)
def swap_response(rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> _Proposal:  # noqa: ARG001
    """Replaces the response by another row's; which one is a derangement of the whole dataset."""
    donors = _Donors.of(population, draw.context)
    place = donors.places(draw.rows)
    after, before = donors.outputs.take(place), whole(rows["target"])
    after = pc.if_else(pc.fill_null(pc.not_equal(after, before), False), after, None)
    return after, pc.if_else(after.is_valid(), donors.ids.take(place).cast(pa.string()), None)


def _derangement(outputs: pa.Array, draw: Draw) -> I64:
    """For each row a donor whose text differs, if there is one.

    Rows are put in a keyed order with equal texts side by side, and each takes the text that stands as many places on
    as the most frequent text has rows: a derangement with one donor a row. Where one text has more than half of the
    rows there is none; what would get its own text back draws among the others.
    """
    texts = Draw(draw.context, row_hashes(outputs)).bits("group")
    order = ordered(texts, draw.bits("order"))
    begins = np.flatnonzero(np.append(True, texts[order][1:] != texts[order][:-1])[: len(order)])
    sizes = np.diff(np.append(begins, len(order)))
    group = np.empty(len(order), np.int64)
    group[order] = np.repeat(np.arange(len(sizes)), sizes)
    donor = np.empty(len(group), np.int64)
    donor[order] = np.roll(order, -int(sizes.max(initial=0)))
    stuck = np.flatnonzero((group[donor] == group) & (sizes[group] < len(group)))
    other = draw.below(len(group) - sizes[group[stuck]], "donor", stuck)
    donor[stuck] = order[(begins[group[stuck]] + sizes[group[stuck]] + other) % len(order)]
    return donor


class TruncateParams(Params):
    """How much of a response stays."""

    keep: tuple[float, float] = Field((0.2, 0.8), description="the share of the words that stays: from, to")

    @field_validator("keep")
    @classmethod
    def _shares(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] <= value[1] <= 1:
            raise ValueError("must be two shares from 0 to 1, the smaller one first")
        return value


def _has_two_words(rows: pa.Table, population: pa.Table, draw: Draw, params: TruncateParams) -> Mask:  # noqa: ARG001
    return _looked(rows, kernels.two_words, INK, lambda unsure: Cells.of(unsure).words.count >= 2)


def _looked(rows: pa.Table, look: Callable[..., Bytes], by: Any, ask: Callable[[pa.Array], Any]) -> Mask:
    """Which targets have what a kernel looks for by something; `ask` says it of those of which that is unsure."""
    target = whole(rows["target"])
    offsets, data = offsets_and_data(target)
    found = np.where(np.asarray(target.is_valid()), look(data, offsets, by), 0)
    able: Mask = found == kernels.HAS
    unsure = np.flatnonzero(found == kernels.UNSURE)
    if len(unsure):
        able[unsure] = ask(target.take(pa.array(unsure)))
    return able


@label_op(
    "label.truncate_response",
    version=1,
    kind="response",
    able=_has_two_words,
    params=TruncateParams,
    needs="a response of two words or more",
)
def truncate_response(rows: pa.Table, population: pa.Table, draw: Draw, params: TruncateParams) -> _Proposal:  # noqa: ARG001
    """Cuts the response short after one of its words.

    The share of the words that stays is drawn evenly from `keep`; at least one word stays and at least one goes.
    """
    cells = Cells.of(whole(rows["target"]))
    words = cells.words
    least, most = params.keep
    stay = np.floor(words.count * (least + (most - least) * draw.unit("keep"))).astype(np.int64)
    stay = np.clip(stay, 1, np.maximum(words.count - 1, 1))
    mine = np.flatnonzero(words.count >= 2)
    cut = cells.text(cells.bounds[mine], words.ends(words.first[mine] + stay[mine] - 1)).cast(pa.large_string())
    said = [f"{a} of {b} words" for a, b in zip(stay[mine].tolist(), words.count[mine].tolist(), strict=True)]
    back = np.full(len(rows), -1)
    back[mine] = np.arange(len(mine))
    places = pa.array(back, mask=back < 0)
    return cut.take(places), pa.array(said, pa.string()).take(places)


_DIGITS = 18  # of a number at most; longer runs are identifiers
_NUMBER = re.compile(r"(?<!\w)(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?")


def _has_number(rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> Mask:  # noqa: ARG001
    def ask(texts: pa.Array) -> list[bool]:
        return [_last_number(text) is not None for text in texts.to_pylist()]

    return _looked(rows, kernels.numbers, _DIGITS, ask)


@label_op(
    "label.near_miss_number",
    version=1,
    kind="response",
    able=_has_number,
    needs=f"a response with a number of at most {_DIGITS} digits",
)
def near_miss_number(rows: pa.Table, population: pa.Table, draw: Draw, params: Params) -> _Proposal:  # noqa: ARG001
    """Makes the last number of the response a near miss, in the format that it has.

    It is off by one, has one digit changed, has two neighbouring digits transposed, or is ten times or a tenth of what
    it was; which of these is drawn, and where the drawn one cannot be had it is off by one. A number is written in the
    digits 0 to 9, at most 18 of them, with commas between thousands and a decimal point or without; it may be followed
    by letters (`5kg`) but not begin inside a word (`v2`). Its sign, its decimals and leading zeros stay.
    """
    after: list[str | None] = []
    detail: list[str | None] = []
    kinds, picks = draw.below(len(_NEAR), "kind").tolist(), draw.bits("pick").tolist()
    for text, kind, pick in zip(rows["target"].to_pylist(), kinds, picks, strict=True):
        found = None if text is None else _last_number(text)
        if found is None:
            after.append(None)
            detail.append(None)
            continue
        number, signed = _Number.read(found.group()), text[: found.start()].endswith("-")
        names = [_NEAR_NAMES[kind], "off by one"]
        name, values = next((name, some) for name in names if (some := _near(number, name, signed)))
        written = number.write(values[pick % len(values)])
        after.append(text[: found.start()] + written + text[found.end() :])
        detail.append(name)
    return pa.array(after, pa.large_string()), pa.array(detail, pa.string())


def _last_number(text: str) -> re.Match[str] | None:
    last = None
    for found in _NUMBER.finditer(text):
        if found.end() - found.start() <= _DIGITS or sum(map(str.isdigit, found.group())) <= _DIGITS:
            last = found
    return last


@dataclass(frozen=True)
class _Number:
    """A number as it is written: its digits without point and commas, how many are decimals, and if it has commas."""

    digits: str
    decimals: int
    commas: bool

    @classmethod
    def read(cls, text: str) -> _Number:
        whole, _, fraction = text.partition(".")
        return cls(whole.replace(",", "") + fraction, len(fraction), "," in whole)

    @property
    def padded(self) -> bool:
        """Whether zeros lead it that its value does not need."""
        return len(self.digits) - self.decimals > 1 and self.digits[0] == "0"

    def write(self, value: int) -> str:
        """Another value, given without its point, in the same format."""
        digits = str(value).zfill(len(self.digits) if self.padded else self.decimals + 1)
        whole, fraction = digits[: len(digits) - self.decimals], digits[len(digits) - self.decimals :]
        if self.commas:
            head = len(whole) % 3 or 3
            whole = ",".join([whole[:head], *(whole[i : i + 3] for i in range(head, len(whole), 3))])
        return f"{whole}.{fraction}" if fraction else whole


def _off_by_one(number: _Number) -> list[int]:
    one = 10**number.decimals
    return [int(number.digits) - one, int(number.digits) + one]


def _digit_changed(number: _Number) -> list[int]:
    digits = number.digits
    return [int(digits[:i] + new + digits[i + 1 :]) for i in range(len(digits)) for new in "0123456789"]


def _transposed(number: _Number) -> list[int]:
    digits = number.digits
    return [int(digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :]) for i in range(len(digits) - 1)]


def _factor_ten(number: _Number) -> list[int]:
    value = int(number.digits)
    return [value * 10] if value % 10 else [value * 10, value // 10]


_NEAR: dict[str, Callable[[_Number], list[int]]] = {
    "off by one": _off_by_one,
    "digit changed": _digit_changed,
    "digits transposed": _transposed,
    "factor ten": _factor_ten,
}
_NEAR_NAMES = list(_NEAR)


def _near(number: _Number, name: str, signed: bool) -> list[int]:
    """The values that are near in this way, without those that the format cannot show: less than zero, minus zero, and
    for a changed or transposed digit a number that loses its first digits.
    """
    own = int(number.digits)
    least = 1 if signed else 0
    if name in ("digit changed", "digits transposed") and not number.padded:
        least = max(least, 10 ** (len(number.digits) - 1) if len(number.digits) - number.decimals > 1 else 0)
    return [value for value in _NEAR[name](number) if value != own and value >= least]
