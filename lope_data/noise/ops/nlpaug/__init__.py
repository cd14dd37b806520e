"""nlpaug's augmenters as one op: nlpaug is given single words, and everything else is decided here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
import xxhash
from pydantic import Field, field_validator, model_validator

from lope_common.errors import did_you_mean, suggest
from lope_data.errors import NoiseError
from lope_data.noise.op import Hits, Params
from lope_data.noise.ops.nlpaug.client import ask
from lope_data.noise.registry import text_op
from lope_data.text.cells import Cells
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans

# For each option: what it must be, and whether a value is that.
_Kind = tuple[str, Callable[[Any], bool]]


def _one_of(*names: str) -> _Kind:
    return " or ".join(map(repr, names)), lambda value: value in names


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) and item for item in value)


_COUNT: _Kind = ("a whole number", lambda value: type(value) is int and value >= 0)
_SHARE: _Kind = ("a number from 0 to 1", lambda value: type(value) in (int, float) and 0 <= value <= 1)
_FLAG: _Kind = ("true or false", lambda value: type(value) is bool)
_TEXT: _Kind = ("a text", lambda value: isinstance(value, str))
_TEXTS: _Kind = ("a list of texts", _texts)
_GROUPS: _Kind = ("a list of lists of texts", lambda value: isinstance(value, list) and all(map(_texts, value)))
_LANGUAGE = _one_of("de", "en", "es", "fr", "he", "it", "nl", "pl", "th", "tr", "uk")

_STOP: dict[str, _Kind] = {"stopwords": _TEXTS, "stopwords_regex": _TEXT}
_CHAR = {"aug_char_min": _COUNT, "aug_char_max": _COUNT, "aug_char_p": _SHARE, "min_char": _COUNT, **_STOP}
_CASES = {"include_upper_case": _FLAG, "include_numeric": _FLAG}

# The augmenters that change a word with what is installed, and those of their options that matter for a single word.
AUGMENTERS: dict[str, dict[str, _Kind]] = {
    "char.KeyboardAug": {**_CHAR, **_CASES, "include_special_char": _FLAG, "lang": _LANGUAGE},
    "char.OcrAug": _CHAR,
    "char.RandomCharAug": {
        **_CHAR,
        **_CASES,
        "action": _one_of("insert", "substitute", "swap", "delete"),
        "include_lower_case": _FLAG,
        "swap_mode": _one_of("adjacent", "middle", "random"),
        "spec_char": _TEXT,
        "candidates": _TEXTS,
    },
    "word.AntonymAug": {"lang": _TEXT, **_STOP},
    # Its other actions delete or swap one word of several; of a single word they make nothing.
    "word.RandomWordAug": {"action": _one_of("substitute"), "target_words": _TEXTS, **_STOP},
    "word.ReservedAug": {"reserved_tokens": _GROUPS, "case_sensitive": _FLAG},
    "word.SpellingAug": {"include_reverse": _FLAG, **_STOP},
    "word.SplitAug": {"min_char": _COUNT, **_STOP},
    "word.SynonymAug": {"aug_src": _one_of("wordnet"), "lang": _TEXT, **_STOP},
}
_REQUIRED = {"word.RandomWordAug": "action", "word.ReservedAug": "reserved_tokens"}
_NLTK = ("word.AntonymAug", "word.SynonymAug")

# nlpaug's files are JSON or text and run no code; but noise must follow from its recipe, and a file can change.
_FILE = "a recipe names no files, as they are no part of it"
_LEVEL = "how many words are changed is the level of the recipe's step"
_REFUSED = {
    **dict.fromkeys(("model_path", "dict_path", "dict_of_path"), _FILE),
    **dict.fromkeys(("aug_p", "aug_min", "aug_max", "aug_word_p", "aug_word_min", "aug_word_max"), _LEVEL),
    **dict.fromkeys(("tokenizer", "reverse_tokenizer"), "words are cut out before nlpaug sees them"),
}

_CORE = regex.compile(r"[\p{L}\p{M}\p{N}_](?:.*[\p{L}\p{M}\p{N}_])?", regex.DOTALL)
_JOINED = regex.compile(r"[\u200d\ufe0f\p{Regional_Indicator}\p{Emoji_Modifier}]")  # emoji of several code points

_TRIES_EVER, _TRIES = 16, 4
_CACHED = 1_000_000  # words

_changes: dict[str, dict[str, str | None]] = {}


class NlpaugParams(Params):
    """Which augmenter, and how it is made."""

    augmenter: str = Field("char.KeyboardAug", description="the augmenter, as nlpaug names it")
    options: Mapping[str, str | bool | int | float | list[str] | list[list[str]] | None] = Field(
        default_factory=dict, description="the augmenter's own parameters; nlpaug's defaults hold for the others"
    )

    @field_validator("augmenter")
    @classmethod
    def _works_on_words(cls, value: str) -> str:
        if value not in AUGMENTERS:
            known, hint = ", ".join(AUGMENTERS), did_you_mean(value, AUGMENTERS)
            raise ValueError(f"{value!r} is none of nlpaug's augmenters that change words offline ({known}){hint}")
        return value

    @model_validator(mode="after")
    def _has_options(self) -> NlpaugParams:
        kinds = AUGMENTERS[self.augmenter]
        for name, value in self.options.items():
            if name in _REFUSED:
                raise ValueError(f"option {name!r} of nlpaug's {self.augmenter} cannot be used: {_REFUSED[name]}")
            if name not in kinds:
                raise ValueError(f"unknown option {name!r} of nlpaug's {self.augmenter}{suggest(name, kinds)}")
            what, holds = kinds[name]
            if not holds(value) and not (value is None and (name in _STOP or name == "aug_char_max")):
                raise ValueError(f"option {name!r} of nlpaug's {self.augmenter} must be {what}, not {value!r}")
        needed = _REQUIRED.get(self.augmenter)
        if needed and needed not in self.options:
            raise ValueError(f"nlpaug's {self.augmenter} needs the option {needed!r}: {kinds[needed][0]}")
        return self


def _changed(params: NlpaugParams, words: list[str]) -> dict[str, str | None]:
    """For each word, something that the augmenter makes of it, whatever the row; None if it cannot change it."""
    known = _changes.setdefault(json.dumps([params.augmenter, dict(params.options)], sort_keys=True), {})
    result = {word: known.get(word, "") for word in words}  # "" is never an answer
    unknown = [word for word, change in result.items() if change == ""]
    if unknown:
        seeds = [xxhash.xxh3_64_intdigest(word.encode()) for word in unknown]
        answers = ask(
            params.augmenter, params.options, [(w, s, _TRIES_EVER) for w, s in zip(unknown, seeds, strict=True)]
        )
        fresh = dict(zip(unknown, answers, strict=True))
        if len(known) + len(fresh) > _CACHED:
            known.clear()
        known |= fresh
        result |= fresh
    return result


def _units(cells: Cells, params: NlpaugParams) -> Spans:
    """The words that the augmenter can change, without the punctuation around them."""
    words = cells.words
    encoded = cells.text(words.start, words.end).dictionary_encode()
    texts = [word.decode() for word in encoded.dictionary.to_pylist()]
    cores = [None if _JOINED.search(text) else _CORE.search(text) for text in texts]
    changes = _changed(params, [core.group() for core in cores if core])
    before, size = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.int64)
    for i, core in enumerate(cores):
        if core and changes[core.group()] is not None:
            before[i], size[i] = len(texts[i][: core.start()].encode()), len(core.group().encode())
    kind = encoded.indices.to_numpy()
    start = words.start + before[kind]
    return Spans(words.first, start, start + size[kind]).select(size[kind] > 0)


def _versions(params: NlpaugParams) -> bytes:
    """What the output depends on. numpy is not part of it: its legacy generator is frozen (NEP 19), like `random`'s."""
    packages = ["nlpaug", *(["nltk"] if params.augmenter in _NLTK else [])]
    try:
        return " ".join(f"{package} {version(package)}" for package in packages).encode()
    except PackageNotFoundError as error:
        raise NoiseError(f"nlpaug's {params.augmenter} needs {error.name}; pip install {error.name}") from error


@text_op(
    "nlpaug",
    version=1,
    unit="word",
    units=_units,
    params=NlpaugParams,
    table=_versions,
    needs="a word that the augmenter changes",
)
def augment(hits: Hits, params: NlpaugParams) -> Edits:
    """Runs an augmenter of nlpaug on single words, the text around kept byte for byte.

    The unit is a word that the augmenter can change, without the punctuation around it; level is the share of such
    words. Which words are changed is not left to nlpaug, and each is handed over by itself, under a seed of its own.
    White space, punctuation around words, and words that hold an emoji of several code points are left alone.
    """
    words = hits.text().cast(pa.large_string()).to_pylist()
    seeds = hits.draw.bits("nlpaug", hits.row, hits.counter).tolist()
    answers = ask(params.augmenter, params.options, [(w, s, _TRIES) for w, s in zip(words, seeds, strict=True)])
    else_ = _changed(params, words)
    after = [else_[word] if answer is None else answer for word, answer in zip(words, answers, strict=True)]
    return hits.replace(pc.cast(pa.array(after, pa.large_string()), pa.large_binary()))
