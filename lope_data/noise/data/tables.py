"""The tables that ops read: nlpaug's own files, opened without importing nlpaug."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import pyarrow as pa

from lope_data.errors import NoiseError
from lope_data.noise.data.lexicon import Lexicon


def nlpaug_file(path: str) -> bytes:
    """The bytes of a file of the installed nlpaug.

    Raises:
        NoiseError: nlpaug is not installed whole.
    """
    spec = importlib.util.find_spec("nlpaug")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "res" / path
        if file.is_file():
            return file.read_bytes()
    raise NoiseError(f"nlpaug's table res/{path} is not installed; install it with: pip install nlpaug==1.1.11")


@cache
def keyboard_file() -> bytes:
    """nlpaug's English keyboard: for each key, the keys beside it."""
    return nlpaug_file("char/keyboard/en.json")


@cache
def keyboard() -> dict[str, str]:
    """For each key, the keys beside it; letters have the neighbours of their key in their own case."""
    beside = {}
    for key, neighbours in json.loads(keyboard_file()).items():
        for cased in {key, key.upper()}:
            letters = {n.upper() if cased != key else n for n in neighbours}
            beside[cased] = "".join(sorted(n for n in letters if len(n) == 1 and n.isascii() and n != cased))
    return beside


@cache
def ocr_file() -> bytes:
    """nlpaug's table of OCR errors: for each character, those that it is mistaken for."""
    return nlpaug_file("char/ocr/en.json")


@cache
def ocr_table() -> dict[str, str]:
    """For each character of the table those it is mistaken for, and those mistaken for it; sorted."""
    found: dict[str, set[str]] = {}
    for character, others in json.loads(ocr_file()).items():
        for other in others:
            found.setdefault(character, set()).add(other)
            found.setdefault(other, set()).add(character)
    return {character: "".join(sorted(others)) for character, others in sorted(found.items())}


@cache
def vocabulary_file() -> bytes:
    """nlpaug's spelling table: correct words, each followed by its misspellings."""
    return nlpaug_file("word/spelling/spelling_en.txt")


@cache
def vocabulary() -> pa.Array:
    """The correct words of the spelling table that are plain lower-case English, sorted, as large_binary."""
    words = {line.split()[0] for line in vocabulary_file().decode().splitlines() if line.strip()}
    plain = sorted(w for w in words if w.isascii() and w.isalpha() and w.islower() and 3 <= len(w) <= 12)
    return pa.array([w.encode() for w in plain], pa.large_binary())


@cache
def misspellings() -> Lexicon:
    """The spelling table in lower case: its entries of ASCII letters, with apostrophes and hyphens among them."""
    plain = re.compile("[a-z]+(?:['-][a-z]+)*")
    found: dict[str, set[str]] = {}
    for line in vocabulary_file().decode().lower().splitlines():
        word, *wrong = line.split() or [""]
        if plain.fullmatch(word):
            found.setdefault(word, set()).update(filter(plain.fullmatch, wrong))
    return Lexicon.of(found)
