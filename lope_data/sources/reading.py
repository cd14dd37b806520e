"""What of a source is read, and how its text is: split, configuration, revision, encoding, the pattern of its lines."""

from __future__ import annotations

import codecs
from encodings.aliases import aliases
from typing import Annotated, Literal

from pydantic import Field, field_validator

from lope_common.errors import shown, suggest
from lope_data.errors import SourceError
from lope_data.models import Strict

_Word = Annotated[str, Field(strict=True, min_length=1, max_length=200)]


class Reading(Strict):
    """A recipe's `[source]`.

    Attributes:
        encoding: of text files, any that Python knows; UTF-8 may begin with a byte-order mark. Where it is not set,
            UTF-16 and UTF-32 are known by theirs.
        pattern: in RE2's syntax, for plain text; matches each line whole, and its named groups are the columns.
        quoting: of csv and tsv files: `none` where quotes are text like any other, `minimal` where fields may stand in
            them; by default `minimal`, but refused where a quote may be text.
        delimiter: of csv and tsv files, the character between columns; by default found in the first rows.
        header: of csv, tsv and xlsx files: whether the first row names the columns, which are else called column_0,
            column_1 and so on.
        sheet: of an xlsx file; needed where several hold something.
        split: of a folder, a saved `DatasetDict` or a dataset on the hub.
        config: of a dataset on the hub.
        revision: of a dataset on the hub: a branch, a tag or a commit.
        skip_broken: how many rows that cannot be read may be left out; the manifest lists them.
    """

    error = SourceError

    encoding: Annotated[str, Field(strict=True)] = "utf-8"
    pattern: Annotated[str, Field(strict=True, max_length=10_000)] | None = None
    quoting: Literal["minimal", "none"] | None = None
    delimiter: Annotated[str, Field(strict=True)] | None = None
    header: Annotated[bool, Field(strict=True)] = True
    sheet: _Word | None = None
    split: _Word | None = None
    config: _Word | None = None
    revision: _Word | None = None
    skip_broken: Annotated[int, Field(strict=True, ge=0)] = 0

    @property
    def of_files(self) -> list[str]:
        """What it says of how files are read, by its names."""
        return [name for name in self.model_dump(exclude_defaults=True) if name not in _OF_DATASETS]

    @property
    def said_encoding(self) -> str | None:
        """The encoding, if one was set; else a file may say it."""
        return self.encoding if "encoding" in self.model_fields_set else None

    @property
    def of_hub(self) -> bool:
        """Whether it says what is read of a dataset on the hub."""
        return self.config is not None or self.revision is not None

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        """The codec's own name, so that other names of it are not other versions."""
        try:
            codec = codecs.lookup(value)
        except (LookupError, ValueError):
            raise ValueError(f"unknown encoding {value[:40]!r}{_nearest(value)}") from None
        if not codec._is_text_encoding or codec.incrementaldecoder is None or codec.name in ("idna", "undefined"):
            raise ValueError(f"{shown(value)} is no encoding of text{_FOR_INSTANCE}")
        return "utf-8" if codec.name == "utf-8-sig" else codec.name

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        """The character, which may be typed as `tab` or `\\t`."""
        if value in ("tab", "\\t"):
            return "\t"
        if value is not None and (len(value) != 1 or value in '"\r\n\0' or not value.isascii()):
            raise ValueError(f"must be one ASCII character, no quote and no line end, or tab; not {shown(value)}")
        return value

    @field_validator("pattern")
    @classmethod
    def _usable_pattern(cls, value: str | None) -> str | None:
        if value is None:
            return None
        import re2

        options = re2.Options()
        options.log_errors = False
        try:
            pattern = re2.compile(value, options)
        except re2.error as error:
            reason = error.args[0]
            why = reason.decode() if isinstance(reason, bytes) else reason
            raise ValueError(f"not a pattern of RE2's syntax: {why}") from None
        if not pattern.groupindex or len(pattern.groupindex) < pattern.groups:
            raise ValueError("every group must have a name, its column's, as in (?P<label>\\S+) (?P<text>.*)")
        return value


_OF_DATASETS = ("split", "config", "revision", "skip_broken")  # what it says of other sources, too
_KNOWN = ["utf-8", "utf-16", "latin-1", "cp1252", "ascii"]
_FOR_INSTANCE = f"; for instance {', '.join(_KNOWN)}"


def _nearest(name: str) -> str:
    found = suggest(name.lower().replace("_", "-"), _KNOWN + [alias.replace("_", "-") for alias in aliases])
    return found if "did you mean" in found else _FOR_INSTANCE
