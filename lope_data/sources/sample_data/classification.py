"""Short messages from the customers of a shop, labelled with what they are about."""

from __future__ import annotations

from lope_data.sources.sample_data.draw import Draw, Row
from lope_data.sources.sample_data.tables import capitalise, table, words

ASIDE_PERCENT = 20
OPENING_PERCENT = 25
CLOSING_PERCENT = 25


class _Slots:
    """What `{name}` in a template becomes; each use draws anew."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def __getitem__(self, slot: str) -> str:
        draw = self._draw
        if slot == "order":
            return str(draw.between(10_000, 99_999))
        if slot == "amount":
            return f"{draw.between(3, 240)}.{draw.pick(['00', '50', '90', '95'])} euros"
        return draw.pick(_slot_words(slot))


def message(draw: Draw) -> Row:
    """One to three sentences. An aside on another topic may come first; what follows its "but" decides."""
    tables = table("classification")
    label = draw.pick(sorted(tables["clauses"]))
    sentences = []
    if draw.below(100) < OPENING_PERCENT:
        sentences.append(draw.pick(tables["openings"]))
    body = draw.own(tables["clauses"][label])
    if draw.below(100) < ASIDE_PERCENT:
        body = f"{_aside(draw, label)}, but {body}"
    sentences.append(capitalise(body))
    if draw.below(100) < CLOSING_PERCENT:
        sentences.append(draw.pick(tables["praise_closings" if label == "praise" else "closings"]))
    return {"text": " ".join(sentences).format_map(_Slots(draw)), "label": label}


def _aside(draw: Draw, label: str) -> str:
    tables = table("classification")
    solved: list[str] = tables["solved"]["remarks"]
    if label == "praise":
        return draw.pick(solved)
    others: list[str] = [text for topic, texts in tables["asides"].items() if topic != label for text in texts]
    return draw.pick(others)


def _slot_words(slot: str) -> list[str]:
    own: dict[str, list[str]] = table("classification")["slots"]
    return own.get(slot) or words(f"{slot}s")


KINDS = (message,)
