"""A reader of WordNet 3.x's database files, as wndb(5WN) describes them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lope_data.errors import NoiseError
from lope_data.noise.data.lexicon import Lexicon

_PARTS = {"noun": b"n", "verb": b"v", "adj": b"a", "adv": b"r"}
_OFFSET = re.compile(rb"[0-9]{8}")
_LOWER = re.compile(rb"[a-z]+")
_MARKER = re.compile(rb"\((?:a|p|ip)\)$")  # where an adjective may stand
_USUAL = (
    "/usr/share/wordnet",
    "~/nltk_data/corpora/wordnet",
    "/usr/share/nltk_data/corpora/wordnet",
    "/usr/local/share/nltk_data/corpora/wordnet",
)
_HELP = (
    'install them (Debian: apt install wordnet-base), or download them and set params wordnet = "FOLDER", '
    "the one that holds index.noun"
)


@dataclass(frozen=True)
class WordNet:
    """What is used of a WordNet: the synonyms of its words, and a digest of the files that were read."""

    synonyms: Lexicon
    digest: bytes


def find_wordnet(folder: str | None) -> Path:
    """The folder of the database files: the one given, else $WNSEARCHDIR, else where they are usually installed.

    Raises:
        NoiseError: they are in none of these.
    """
    if folder is not None:
        if not os.path.isfile(Path(folder) / "index.noun"):  # noqa: PTH113  # Path's raises for names that are too long
            raise NoiseError(
                f"{folder}: not a folder of WordNet's database files (index.noun, data.noun, ...); {_HELP}"
            )
        return Path(folder).resolve()
    named = os.environ.get("WNSEARCHDIR")
    for place in (*([named] if named else []), *_USUAL):
        usual = Path(place).expanduser()
        if (usual / "index.noun").is_file():
            return usual.resolve()
    raise NoiseError(f"WordNet's database files are not installed; {_HELP}")


@cache
def wordnet(folder: Path) -> WordNet:
    """The WordNet in a folder.

    The synonyms of a word are the other words of its first sense as a noun, verb, adjective and adverb; where it occurs
    in WordNet's tagged texts, only as what it does there (`do` is no noun). Only words of lower-case letters count, on
    both sides: `he` is not helium's symbol.

    Raises:
        NoiseError: a file is missing or broken.
    """
    senses: dict[bytes, list[tuple[bool, list[bytes]]]] = {}
    digest = hashlib.sha256()
    for part, letter in _PARTS.items():
        index, data = (_read(folder / f"{kind}.{part}") for kind in ("index", "data"))
        for content in (index, data):
            digest.update(hashlib.sha256(content).digest())
        for lemma, tagged, offset in _first_senses(index, letter, folder / f"index.{part}"):
            words = _words(data, offset, folder / f"data.{part}")
            plain = [_MARKER.sub(b"", word) for word in words]
            if lemma not in [word.lower() for word in plain]:
                raise NoiseError(_broken(folder / f"data.{part}", data, offset, f"no {lemma.decode()!r}, unlike index"))
            senses.setdefault(lemma, []).append((tagged, words if lemma in plain else []))
    synonyms: dict[str, set[str]] = {}
    for lemma, found in senses.items():
        met = [words for tagged, words in found if tagged] or [words for _, words in found]
        synonyms[lemma.decode()] = {word.decode() for words in met for word in words if _LOWER.fullmatch(word)}
    return WordNet(Lexicon.of(synonyms), digest.digest())


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise NoiseError(f"{file}: cannot be read ({error.strerror}); {_HELP}") from error


def _first_senses(index: bytes, letter: bytes, file: Path) -> Iterator[tuple[bytes, bool, int]]:
    """The lemmas of lower-case letters, whether they occur in tagged texts, and where their first synsets are.

    A line is `lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset...`; the licence stands
    in lines that begin with two spaces.
    """
    for number, line in enumerate(index.splitlines(), 1):
        if line.startswith(b"  "):
            continue
        try:
            lemma, pos, synsets, pointers, *rest = line.split()
            tagged, offset = rest[int(pointers) + 1 : int(pointers) + 3]
            sound = pos == letter and len(rest) == int(pointers) + 2 + int(synsets) and _OFFSET.fullmatch(offset)
        except ValueError:
            sound = None
        if not sound:
            raise NoiseError(f"{file}:{number}: not a line of a WordNet index; {_HELP}")
        if _LOWER.fullmatch(lemma):
            yield lemma, tagged != b"0", int(offset)


def _words(data: bytes, offset: int, file: Path) -> list[bytes]:
    """The words of the synset at an offset: `synset_offset lex_filenum ss_type w_cnt word lex_id [word lex_id...]`.

    The count is hexadecimal; the fields before it have fixed widths.
    """
    try:
        count = int(data[offset + 14 : offset + 16], 16)
        fields = data[offset : data.index(b"\n", offset)].split(b" ", 4 + 2 * count)
        sound = count and len(fields) == 5 + 2 * count and fields[0] == b"%08d" % offset
    except ValueError:
        sound = False
    if not sound:
        raise NoiseError(_broken(file, data, offset, "not a WordNet synset"))
    return fields[4 : 4 + 2 * count : 2]


def _broken(file: Path, data: bytes, offset: int, what: str) -> str:
    line = data.count(b"\n", 0, offset) + 1
    return f"{file}:{line}: {what} at byte {offset}; {_HELP}"
