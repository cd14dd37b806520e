"""WordNet's files are read as wndb(5WN) describes them, and word.synonym with them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest

import lope_data
from lope_data.errors import NoiseError
from lope_data.noise.data import wordnet as reader
from lope_data.noise.data.wordnet import find_wordnet, wordnet
from lope_data.noise.editions import newest_edition
from lope_data.noise.op import TextOp
from lope_data.noise.registry import get_op, op_version

TINY = Path(__file__).parent / "wordnet"
INSTALLED = Path("/usr/share/wordnet")
LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}

# The synsets of TINY by part of speech; the first that holds a word is its first sense.
SYNSETS = {
    "noun": [
        ["dog", "hound", "canine", "pooch", "mutt", "domestic_dog", "Canis_familiaris"],
        ["dog", "cad", "bounder"],
        ["fox", "dodger", "trickster", "slyboots"],
        ["question", "inquiry", "query", "interrogation"],
        ["primary", "election"],
        ["family", "household", "house", "home", "menage"],
        ["flag", "banner", "standard"],
        ["helium", "He"],
        ["name", "title", "label"],
        ["brown", "brownness"],
        ["Berlin", "capital"],
        ["alone_here"],
    ],
    "verb": [
        ["name", "call"],
        ["say", "state", "tell"],
        ["keep", "maintain", "hold"],
        ["dog", "chase", "tail", "track"],
    ],
    "adj": [
        ["quick", "fast", "speedy", "rapid", "swift"],
        ["lazy", "indolent", "slothful", "idle", "faineant"],
        ["primary", "chief", "main", "principal"],
        ["brown", "brownish", "chocolate", "dark-brown"],
        ["outback(a)", "remote"],
        ["galore(ip)", "abounding"],
    ],
    "adv": [["over", "across", "o'er"], ["quick", "quickly", "promptly"]],
}


def write_wordnet(folder: Path, synsets: dict[str, list[list[str]]], met: str = "") -> Path:
    """A WordNet of these synsets in its own format: the licence's lines, pointers, counts and offsets too.

    The words of the part of speech `met` occur in tagged texts.
    """
    licence = "".join(f"  {i} This stands where the licence does.  \n" for i in (1, 2))
    for part, letter in LETTERS.items():
        data, senses = licence, {}
        for words in synsets.get(part, []):
            offset = len(data.encode())
            for word in words:
                senses.setdefault(word.partition("(")[0].lower(), []).append(f"{offset:08d}")
            listed = " ".join(f"{word} 0" for word in words)
            frames = " 01 + 02 00" if part == "verb" else ""
            data += (
                f"{offset:08d} 03 {letter} {len(words):02x} {listed} 001 @ 00000000 n 0000{frames} | a gloss; dog  \n"
            )
        index = licence + "".join(
            f"{lemma} {letter} {len(at)} 2 @ ~ {len(at)} {int(part == met)} {' '.join(at)}  \n"
            for lemma, at in sorted(senses.items())
        )
        (folder / f"data.{part}").write_bytes(data.encode())
        (folder / f"index.{part}").write_bytes(index.encode())
    return folder


def synonyms(folder: Path) -> dict[str, set[str]]:
    found = wordnet(find_wordnet(str(folder))).synonyms
    variants = [variant.decode() for variant in found.variants.to_pylist()]
    edges = found.first.tolist()
    return {word.decode(): set(variants[edges[i] : edges[i + 1]]) for i, word in enumerate(found.words.to_pylist())}


def test_the_committed_files_are_those_of_synsets(tmp_path: Path) -> None:
    """After a change of SYNSETS write them again: write_wordnet(TINY, SYNSETS)."""
    write_wordnet(tmp_path, SYNSETS)
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files == sorted(file.name for file in TINY.iterdir())
    assert all((tmp_path / name).read_bytes() == (TINY / name).read_bytes() for name in files)


def test_synonyms_are_the_words_of_the_first_sense_as_each_part_of_speech() -> None:
    found = synonyms(TINY)
    assert found["dog"] == {"hound", "canine", "pooch", "mutt", "chase", "tail", "track"}
    assert found["cad"] == {"dog", "bounder"}
    assert found["quick"] == {"fast", "speedy", "rapid", "swift", "quickly", "promptly"}
    assert found["name"] == {"title", "label", "call"}


def test_a_word_is_taken_for_what_it_is_in_tagged_texts(tmp_path: Path) -> None:
    write_wordnet(tmp_path, {"noun": [["do", "bash"], ["so", "sol"]], "verb": [["do", "make"]]}, met="verb")
    assert synonyms(tmp_path) == {"do": {"make"}, "make": {"do"}, "bash": {"do"}, "so": {"sol"}, "sol": {"so"}}


def test_phrases_names_symbols_and_marked_adjectives_are_no_synonyms() -> None:
    found = synonyms(TINY)
    assert found["brown"] == {"brownness", "brownish", "chocolate"}
    assert found["over"] == {"across"}
    assert not {"he", "helium", "berlin", "capital", "remote", "abounding", "alone_here"} & set(found)
    assert found["outback"] == {"remote"}
    assert found["galore"] == {"abounding"}
    everything = set().union(*found.values())
    assert all(word.isascii() and word.isalpha() and word.islower() for word in everything)


def test_more_than_nine_words_are_counted_in_hexadecimal(tmp_path: Path) -> None:
    words = [f"word{letter}" for letter in "abcdefghijklmnopqrst"]
    assert synonyms(write_wordnet(tmp_path, {"noun": [words]}))["worda"] == set(words[1:])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dog", {"hound", "canine", "pooch", "mutt", "chase", "tail", "track"}),
        ("Dog", {"Hound", "Canine", "Pooch", "Mutt", "Chase", "Tail", "Track"}),
        ("(DOG!)", {"(HOUND!)", "(CANINE!)", "(POOCH!)", "(MUTT!)", "(CHASE!)", "(TAIL!)", "(TRACK!)"}),
    ],
)
def test_a_synonym_keeps_case_and_punctuation(text: str, said: set[str]) -> None:
    assert set(lope_data.corrupt([text] * 200, "word.synonym", 1.0, params={"wordnet": str(TINY)})) == said


def test_an_inflected_form_is_not_looked_up() -> None:
    noisy = lope_data.corrupt(["dog dogs dogged"], "word.synonym", 1.0, params={"wordnet": str(TINY)})
    assert noisy[0].endswith(" dogs dogged")
    assert not noisy[0].startswith("dog ")


def test_it_is_in_a_mix_by_its_own_name_only() -> None:
    assert "word.synonym" not in newest_edition().levels["word"]
    assert "word.misspell" in newest_edition().levels["word"]


def test_the_data_is_part_of_the_version(tmp_path: Path) -> None:
    op = get_op("word.synonym")
    assert isinstance(op, TextOp)
    other = write_wordnet(tmp_path, {"noun": [["dog", "hound"]]})
    versions = {op_version(op, op.params(wordnet=str(folder))) for folder in (TINY, other)}
    assert len(versions) == 2
    assert all(version.startswith("1+") for version in versions)


def test_a_folder_without_the_files_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(NoiseError, match=r"not a folder of WordNet.*apt install wordnet-base"):
        lope_data.corrupt(["dog"], "word.synonym", params={"wordnet": str(tmp_path)})
    write_wordnet(tmp_path, SYNSETS)
    (tmp_path / "data.adv").unlink()
    with pytest.raises(NoiseError, match=r"data\.adv: cannot be read"):
        wordnet(tmp_path)


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_USUAL", ("~/nltk_data/corpora/wordnet",))
    monkeypatch.delenv("WNSEARCHDIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoiseError, match=r"not installed.*params wordnet"):
        find_wordnet(None)
    nltk = tmp_path / "nltk_data" / "corpora" / "wordnet"
    nltk.mkdir(parents=True)
    write_wordnet(nltk, SYNSETS)
    assert find_wordnet(None) == nltk.resolve()
    monkeypatch.setenv("WNSEARCHDIR", str(TINY))
    assert find_wordnet(None) == TINY.resolve()


@pytest.mark.parametrize(
    ("name", "old", "new", "where"),
    [
        ("index.noun", b"cad n 1 ", b"cad n x ", r"index\.noun:9: not a line of a WordNet index"),
        ("index.noun", b"cad n 1 ", b"cad n 3 ", r"index\.noun:9: not a line"),
        ("index.noun", b"cad n 1 ", b"cad v 1 ", r"index\.noun:9: not a line"),
        ("index.noun", b"cad n 1 2 @ ~", b"cad n 1 9 @ ~", r"index\.noun:9: not a line"),
        ("index.adv", b"over r 1", b"over\n", r"index\.adv:5: not a line"),
        ("data.noun", b"inquiry", b"inquest!", r"data\.noun:\d+: not a WordNet synset at byte"),
        ("data.noun", b" 03 n 07 dog", b" 03 n zz dog", r"data\.noun:3: not a WordNet synset at byte"),
        ("data.noun", b" 03 n 07 dog", b" 03 n ff dog", r"data\.noun:3: not a WordNet synset"),
        ("data.noun", b" hound ", b" hoUNd_", r"data\.noun:3: "),
        ("data.noun", b" pooch ", b" pouch ", r"data\.noun:3: no 'pooch', unlike index"),
        ("data.adv", b"\n", b"\r\n", r"data\.adv:\d+: not a WordNet synset"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, old: bytes, new: bytes, where: str) -> None:
    file = write_wordnet(tmp_path, SYNSETS) / name
    content = file.read_bytes()
    assert old in content
    file.write_bytes(content.replace(old, new))
    with pytest.raises(NoiseError, match=where):
        wordnet(tmp_path)


def test_a_file_that_ends_too_early(tmp_path: Path) -> None:
    file = write_wordnet(tmp_path, SYNSETS) / "data.verb"
    file.write_bytes(file.read_bytes()[:-120])
    with pytest.raises(NoiseError, match=r"data\.verb:\d+: not a WordNet synset"):
        wordnet(tmp_path)


@pytest.mark.skipif(not (INSTALLED / "index.noun").is_file(), reason="WordNet is not installed")
def test_the_installed_wordnet() -> None:
    found = synonyms(INSTALLED)
    assert len(found) > 30_000
    assert "car" in found["automobile"]
    assert found["big"] == {"large"}
    noisy, edits = lope_data.corrupt(["The big car."] * 50, "word.synonym", 0.5, edits=True)
    assert set(pc.unique(edits["before"]).to_pylist()) == {"big", "car"}
    assert "The large car." in noisy
