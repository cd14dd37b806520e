"""The program that runs nlpaug, in a process of its own: nlpaug draws from global generators, which are seeded here
before every word. It is run by its path and imports nothing of `lope_data`.

A line of JSON in, a line of JSON out. In: `augmenter`, `options`, and `ask`, a list of [word, seed, tries]. Out:
`words`, for each the first result of the tries that is not the word (null: there is none), or `error`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import signal
import sys
from importlib.abc import MetaPathFinder
from typing import Any

import numpy as np


def main() -> None:
    """Answers until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair; this process ends with its input
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what nlpaug prints is no reply
    sys.meta_path.insert(0, Absent())
    augmenters: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = json.dumps([request["augmenter"], request["options"]], sort_keys=True)
        try:
            if key not in augmenters:
                augmenters[key] = _build(request["augmenter"], request["options"])
        except Exception as error:
            reply: dict[str, Any] = {"error": str(error) or type(error).__name__}
        else:
            reply = {"words": [_change(augmenters[key], *question) for question in request["ask"]]}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


class Absent(MetaPathFinder):
    """Finds that torch and transformers are not there: nlpaug imports them where it can, no augmenter that is run here
    needs them, and they take seconds. None in `sys.modules` would do as well, but not for scipy, which looks there."""

    def find_spec(self, fullname: str, *_: Any) -> None:
        if fullname in ("torch", "transformers"):
            raise ModuleNotFoundError(f"{fullname} is left out here", name=fullname)


def _build(name: str, options: dict[str, Any]) -> Any:
    """An augmenter that takes its whole input as one word.

    Raises:
        Exception: it cannot be made, or lacks its data.
    """
    module, _, kind = name.partition(".")
    package = importlib.import_module(f"nlpaug.augmenter.{module}")
    if kind == "SpellingAug":  # nlpaug gives the table of the first one to all others, whatever their options
        vars(importlib.import_module("nlpaug.augmenter.word.spelling"))["SPELLING_ERROR_MODEL"] = {}
    augmenter = getattr(package, kind)(**options, tokenizer=lambda text: [text], reverse_tokenizer=" ".join)
    if kind in ("SynonymAug", "AntonymAug"):
        _probe(augmenter)
    return augmenter


def _probe(augmenter: Any) -> None:
    """Looks a word up, so that missing data is told at once and is not met word by word."""
    import nltk

    nltk.download = _no_download
    try:
        augmenter.model.pos_tag(["good"])
        augmenter.model.predict("good")
    except LookupError as error:
        data = "wordnet omw-1.4 averaged_perceptron_tagger_eng"
        raise RuntimeError(f"nltk's data is missing; get it with: python -m nltk.downloader {data}") from error


def _no_download(*_: Any, **__: Any) -> None:
    """In place of `nltk.download`, which nlpaug calls when data is missing."""


def _change(augmenter: Any, word: str, seed: int, tries: int) -> str | None:
    for i in range(tries):
        random.seed(seed + i)
        np.random.seed((seed + i) % 2**32)
        with contextlib.suppress(Exception):  # an augmenter that fails on a word cannot change it
            results = augmenter.augment(word)
            if results and isinstance(results[0], str) and results[0] not in ("", word):
                return results[0]
    return None


if __name__ == "__main__":
    main()
