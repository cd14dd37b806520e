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
        encoding: of text files, any that Python knows; UTF-8 may begin with a byte-order mark.
        pattern: in RE2's syntax, for plain text; matches each line whole, and its named groups are the columns.
        quoting: of csv and tsv files: `none` where quotes are text like any other, `minimal` where fields may stand in
            them; by default `minimal`, but of a tsv file only where no field holds what looks like rows.
        split: of a folder, a saved `DatasetDict` or a dataset on the hub.
        config: of a dataset on the hub.
        revision: of a dataset on the hub: a branch, a tag or a commit.
        skip_broken: how many rows that cannot be read may be left out; the manifest lists them.
    """

    error = SourceError

    encoding: Annotated[str, Field(strict=True)] = "utf-8"
    pattern: Annotated[str, Field(strict=True, max_length=10_000)] | None = None
    quoting: Literal["minimal", "none"] | None = None
    split: _Word | None = None
    config: _Word | None = None
    revision: _Word | None = None
    skip_broken: Annotated[int, Field(strict=True, ge=0)] = 0

    @property
    def of_text(self) -> bool:
        """Whether it says how text is read."""
        return self.encoding != "utf-8" or self.pattern is not None or self.quoting is not None

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


_KNOWN = ["utf-8", "utf-16", "latin-1", "cp1252", "ascii"]
_FOR_INSTANCE = f"; for instance {', '.join(_KNOWN)}"


def _nearest(name: str) -> str:
    found = suggest(name.lower().replace("_", "-"), _KNOWN + [alias.replace("_", "-") for alias in aliases])
    return found if "did you mean" in found else _FOR_INSTANCE
