"""Noise on words that keeps them: a misspelling, a synonym."""

from __future__ import annotations

from pydantic import Field

from lope_data.noise.data.tables import misspellings, vocabulary_file
from lope_data.noise.data.wordnet import find_wordnet, wordnet
from lope_data.noise.op import Hits, Params
from lope_data.noise.registry import text_op
from lope_data.text.cells import Cells
from lope_data.text.edits import Edits
from lope_data.text.spans import Spans


def _misspelt(cells: Cells, params: Params) -> Spans:  # noqa: ARG001
    return misspellings().units(cells)


@text_op(
    "word.misspell",
    version=1,
    unit="word with a known misspelling",
    units=_misspelt,
    table=lambda _: vocabulary_file(),
    needs="a word that nlpaug's spelling table has misspellings of",
    local=True,
)
def misspell(hits: Hits, params: Params) -> Edits:  # noqa: ARG001
    """Replaces a word by one of its common misspellings (nlpaug's spelling table).

    A unit is a word that the table has, looked up without the ASCII punctuation around it and whatever its case; level
    is a share of these. The punctuation stays, and so does the case: lower, Capitalised or UPPER. Only entries of ASCII
    letters, with apostrophes and hyphens among them, are used.
    """
    return misspellings().replace(hits)


class WordNetParams(Params):
    """Where WordNet is."""

    wordnet: str | None = Field(
        None, description="the folder of WordNet's database files; by default where they are usually installed"
    )


def _with_synonyms(cells: Cells, params: WordNetParams) -> Spans:
    return wordnet(find_wordnet(params.wordnet)).synonyms.units(cells)


@text_op(
    "word.synonym",
    version=1,
    unit="word with a synonym",
    units=_with_synonyms,
    params=WordNetParams,
    table=lambda params: wordnet(find_wordnet(params.wordnet)).digest,
    needs="a word that WordNet has synonyms of",
)
def synonym(hits: Hits, params: WordNetParams) -> Edits:
    """Replaces a word by a synonym (WordNet).

    A unit is a word that has one, looked up as it stands (no inflected forms) without the ASCII punctuation around it
    and whatever its case; level is a share of these. The punctuation stays, and so does the case: lower, Capitalised
    or UPPER.

    Synonyms are the other words of its first sense, the most frequent, as each part of speech; where it occurs in
    WordNet's tagged texts, only as what it does there. Phrases, names and other words that are not lower-case letters
    are left out. WordNet is not part of this package (Debian: wordnet-base): the op is in a mix only by its own name.
    """
    return wordnet(find_wordnet(params.wordnet)).synonyms.replace(hits)
