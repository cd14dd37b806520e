"""The peers of `noise.py`: which op of ours does what which op of theirs does, and how to run theirs."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

Run = Callable[[list[str]], list[str]]

# nlpaug changes at most ten units of a text unless told otherwise, and at least one.
_OPEN_CHAR: dict[str, Any] = {"aug_char_min": 0, "aug_char_max": None, "aug_word_min": 0, "aug_word_max": None}
_OPEN_WORD: dict[str, Any] = {"aug_min": 0, "aug_max": None}


@dataclass(frozen=True)
class Pair:
    """An op of ours and the peer's that does the same.

    Attributes:
        unit: what a realised level is a share of, `character` or `word`.
        make: the peer at a strength from 0 to `strongest`, in the peer's own measure.
    """

    op: str
    library: str
    peer: str
    unit: str
    make: Callable[[float], Run]
    strongest: float = 1.0


def version(library: str) -> str | None:
    """The installed version of a peer."""
    return importlib.metadata.version(library) if importlib.util.find_spec(library) else None


def pairs() -> tuple[list[Pair], list[str]]:
    """The pairs whose peer is installed, and a note for each that is not."""
    found: list[Pair] = []
    notes: list[str] = []
    if version("nlpaug"):
        found += _nlpaug(notes)
    else:
        notes.append("nlpaug is not installed: pip install nlpaug==1.1.11")
    if version("textnoisr"):
        found += [_textnoisr(action) for action in ("delete", "insert", "substitute", "swap")]
    else:
        notes.append("textnoisr is not installed: pip install textnoisr==1.2.0")
    return found, notes


def _nlpaug(notes: list[str]) -> list[Pair]:
    char = importlib.import_module("nlpaug.augmenter.char")
    word = importlib.import_module("nlpaug.augmenter.word")

    def on_chars(op: str, kind: str, **keys: Any) -> Pair:
        def make(strength: float) -> Run:
            return _listed(getattr(char, kind)(aug_word_p=strength, **_OPEN_CHAR, **keys))

        return Pair(op, "nlpaug", _called(kind, keys), "character", make)

    def on_words(op: str, kind: str, **keys: Any) -> Pair:
        def make(strength: float) -> Run:
            more = {"target_words": _vocabulary()} if keys.get("action") == "substitute" else {}
            return _listed(getattr(word, kind)(aug_p=strength, **_OPEN_WORD, **keys, **more))

        return Pair(op, "nlpaug", _called(kind, keys), "word", make)

    found = [
        on_chars("char.keyboard", "KeyboardAug"),
        on_chars("char.ocr", "OcrAug"),
        *(on_chars(f"char.{a}", "RandomCharAug", action=a) for a in ("insert", "substitute", "swap", "delete")),
        on_words("word.swap", "RandomWordAug", action="swap"),
        on_words("word.delete", "RandomWordAug", action="delete"),
        on_words("word.replace", "RandomWordAug", action="substitute"),
        on_words("word.misspell", "SpellingAug"),
        on_words("word.split", "SplitAug"),
    ]
    try:
        word.SynonymAug(aug_src="wordnet")
        found.append(on_words("word.synonym", "SynonymAug", aug_src="wordnet"))
    except (ImportError, LookupError) as error:
        notes.append(f"nlpaug SynonymAug: left out, its data is not here ({str(error).strip().splitlines()[0]})")
    return found


def _called(kind: str, keys: dict[str, Any]) -> str:
    return f"{kind}({', '.join(str(value) for value in keys.values())})" if keys else kind


def _listed(augmenter: Any) -> Run:
    def run(texts: list[str]) -> list[str]:
        return list(augmenter.augment(texts))

    return run


def _vocabulary() -> list[str]:
    """The words that our word.replace draws from."""
    from lope_data.noise import vocabulary

    return [word.decode() for word in vocabulary().to_pylist()]


def _textnoisr(action: str) -> Pair:
    noise = importlib.import_module("textnoisr.noise")

    def make(strength: float) -> Run:
        augmenter = noise.CharNoiseAugmenter(noise_level=strength, actions=(action,), seed=0)
        return lambda texts: [augmenter.add_noise(text) for text in texts]

    return Pair(f"char.{action}", "textnoisr", action, "character", make, 0.5 if action == "swap" else 1.0)


def untouched(library: str, texts: list[str]) -> list[str]:
    """The texts as the peer gives them back without noise: nlpaug takes texts apart and puts single spaces in."""
    if library != "nlpaug":
        return texts
    tokenizer = importlib.import_module("nlpaug.util.text.tokenizer").Tokenizer
    return [tokenizer.reverse_tokenizer(tokenizer.tokenizer(text.strip())) for text in texts]


def realised(before: list[str], after: list[str], unit: str) -> float:
    """The share of characters, or of words, that were changed: edit distance over length.

    A word that became two counts once.
    """
    changed = total = 0
    for old, new in zip(before, after, strict=True):
        if unit == "character":
            changed += Levenshtein.distance(old, new)
            total += len(old)
        else:
            words, now = old.split(), new.split()
            changed += Levenshtein.distance(words, now) - max(0, len(now) - len(words))
            total += len(words)
    return changed / max(total, 1)


def reseed() -> None:
    """Puts the global state that nlpaug draws from where it always starts here."""
    random.seed(0)
    np.random.seed(0)


def tuned(pair: Pair, texts: list[str], target: float) -> float:
    """The strength at which the peer changes a share `target` of these texts' units, or its greatest."""
    clean = untouched(pair.library, texts)
    low, high = 0.0, pair.strongest
    for _ in range(8):
        strength = (low + high) / 2
        reseed()
        share = realised(clean, pair.make(strength)(texts), pair.unit)
        low, high = (strength, high) if share < target else (low, strength)
    return (low + high) / 2
