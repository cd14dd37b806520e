"""A manifest as a typed model; its JSON schema is published in manifest.schema.json (FORMAT.md).

A model loses nothing: `plain` is the JSON object that it was read from, with keys of newer writers and every number as
it was written. `kind` says whether a manifest is of an ingested source or of a build.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from lope_common.errors import shown
from lope_data.errors import StoreError
from lope_data.names import MODULE, PATTERN, check_name
from lope_data.rows.shapes import SHAPES

SCHEMA = Path(__file__).with_name("manifest.schema.json")


def _name(text: str) -> str:
    try:
        return check_name(text)
    except StoreError as error:
        raise ValueError(str(error)) from None


def _as_given(number: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """The number itself: as a float, the 1 of a manifest would be written as 1.0, and the hashes would change."""
    check(number)
    return number


def _known(columns: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The columns of shapes that this lope_data knows, with all that these need."""
    for shape, has in columns.items():
        if shape not in SHAPES:
            raise ValueError(f"the shape {shown(shape)} is not known; upgrade lope_data")
        known = SHAPES[shape]
        for column, named in has.items():
            if column not in known.kinds:
                raise ValueError(f"{shown(column)} of {shape} is not known; upgrade lope_data")
            if isinstance(named, list) and known.kinds[column] != "choices":
                raise ValueError(f"{shown(column)} of {shape} is one column, not several")
        if missing := [column for column in known.required if column not in has]:
            raise ValueError(f"{missing[0]} of {shape} is missing")
    return columns


Name = Annotated[str, Field(pattern=PATTERN), AfterValidator(_name)]
VersionId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Every part begins with a letter or digit, so none is `..`, hidden or empty, and the path is relative.
FilePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=1000)]
ModuleName = Annotated[str, Field(pattern=MODULE, max_length=200)]
ColumnNames = Annotated[list[str], Field(min_length=2)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Float = Annotated[float, WrapValidator(_as_given)]
Number = Annotated[float, Field(ge=0), WrapValidator(_as_given)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True)  # readers keep keys that they do not know

    @property
    def plain(self) -> dict[str, Any]:
        """The JSON object: keys that were not given are left out, unknown ones are there."""
        given = {key: value for key, value in vars(self).items() if key in self.model_fields_set}
        return {key: _plain(value) for key, value in given.items()} | (self.model_extra or {})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [item.plain if isinstance(item, _Model) else item for item in value]
    return value.plain if isinstance(value, _Model) else value


class Link(_Model):
    """A version up the chain."""

    name: Name
    version: VersionId
    content_digest: Digest

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


class Source(_Model):
    """What the chain begins with."""

    name: str
    fingerprint: Digest


class File(_Model):
    """One file of the version."""

    path: FilePath
    bytes: Count
    sha256: Sha256


class Hints(_Model):
    """What a trainer may use; outside the version's id."""

    embedding_alpha: Float | None = None


class Layout(_Model):
    """Which columns hold what a shape has, and what types do not say of the others."""

    columns: Annotated[dict[str, dict[str, str | ColumnNames]], AfterValidator(_known)]
    classes: dict[str, list[str]]
    absent: list[str]
    raw: list[str]


class Step(_Model):
    """One step of a resolved recipe."""

    name: str
    ratio: Number
    level: Number
    mix: dict[str, str]
    params: dict[str, dict[str, JsonValue]]
    stratify: bool


class Recipe(_Model):
    """A resolved recipe; without an edition it is of the first."""

    edition: Annotated[int, Field(ge=1)] = 1
    name: str
    steps: Annotated[list[Step], Field(min_length=1)]
    protect: list[JsonValue]
    constraints: dict[str, JsonValue]


class IngestRecipe(_Model):
    """How a source was read."""

    columns: dict[str, JsonValue]
    ingest: Count
    limit: Count | None
    shape: str | None
    without: Digest | None = None
    curated: Digest | None = None


class Skipped(_Model):
    """A row of the source that was left out since it is broken: why, and where it is.

    Attributes:
        file: its name, of a source with several.
        line: of the file.
        row: its number in the file or object, where there is no line.
    """

    reason: str
    file: str | None
    line: Count | None
    row: Count | None

    @property
    def place(self) -> str:
        """Where it is, for people."""
        place = f"row {self.row}" if self.line is None else f"line {self.line}"
        return place if self.file is None else f"{self.file}, {place}"


class Without(Link):
    """The version that no row of the source may stand in, and what was left out because of it.

    Attributes:
        rows: how many rows of the source.
        found: how many rows of the version they are.
        first: the first of the rows, by their numbers in the source.
    """

    rows: Count
    found: Count
    first: list[Count]

    @property
    def told(self) -> str:
        """What was left out, for people."""
        match self.rows:
            case 0:
                return f"no row left out: none stands in {self.ref}"
            case 1:
                return f"1 row left out: it stands in {self.ref}"
        return f"{self.rows:,} rows left out: they stand in {self.ref}"


class Curated(Link):
    """The version whose rows these are, but for those that a list took out, and for targets and weights that others
    gave.

    Attributes:
        dropped: how many of its rows were left out.
        relabelled: how many of the others have another target.
        weighted: how many of the others have another weight; None without a list of weights.
        list: the digest of the lists.
    """

    dropped: Count
    relabelled: Count
    weighted: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    list: Digest

    @property
    def told(self) -> str:
        """What was done, for people."""
        done = [f"{self.dropped:,} row{'s' * (self.dropped != 1)} dropped"] if self.dropped else []
        done += [f"{self.relabelled:,} relabelled"] if self.relabelled else []
        done += [f"{self.weighted:,} weighted"] if self.weighted else []
        return f"of {self.ref}, {', '.join(done)}"


class Line(_Model):
    """What one op of a step was asked for, and did."""

    step: str
    op: str
    unit: str
    weight: str
    rows_asked: Number
    rows: Count
    examined: Count
    eligible: Count
    needs: str
    level: Number
    units: Count
    expected: Number
    changed: Count
    interval: Annotated[list[Float], Field(min_length=2, max_length=2)] | None
    cer: Float | None
    cer_unmeasured: Count


class _Facts(_Model):
    format: Annotated[int, Field(ge=1)]
    name: Name
    version: VersionId
    rows: Count
    touched: Count
    shapes: dict[str, Count]
    layout: Layout
    content_digest: Digest
    source: Source
    seed: Count
    ops: dict[str, str]
    op_modules: dict[str, ModuleName] = Field(default_factory=dict)
    hints: Hints
    libraries: dict[str, str]

    @property
    def ref(self) -> str:
        """`name@version`: what a user types to get exactly this."""
        return f"{self.name}@{self.version}"


class _Sealed(_Facts):
    files: Annotated[list[File], Field(min_length=1)]
    manifest_sha256: Sha256


class IngestFacts(_Facts):
    """What is said of a clean source before its files are complete."""

    kind: Literal["ingest"]
    depth: Annotated[int, Field(ge=0, le=0)]
    parents: Annotated[list[Link], Field(max_length=0)]
    recipe: IngestRecipe
    report: Annotated[list[Line], Field(max_length=0)]
    skipped: list[Skipped] = Field(default_factory=list)
    without: Without | None = None
    curated: Curated | None = None

    @property
    def steps(self) -> list[Step]:
        """None: nothing was changed."""
        return []


class BuildFacts(_Facts):
    """What is said of noise on a parent before its files are complete."""

    kind: Literal["build"]
    depth: Annotated[int, Field(ge=1)]
    parents: Annotated[list[Link], Field(min_length=1)]
    recipe: Recipe
    report: list[Line]
    shortfall: Count

    @property
    def steps(self) -> list[Step]:
        """The steps of the recipe."""
        return self.recipe.steps


class Ingest(IngestFacts, _Sealed):
    """A clean source."""


class Build(BuildFacts, _Sealed):
    """Noise on a parent."""


Facts = IngestFacts | BuildFacts
"""All but the files and the hash: what the card and the Croissant description are written from."""
Manifest = Ingest | Build

_FACTS: TypeAdapter[Facts] = TypeAdapter(Annotated[Facts, Field(discriminator="kind")])
_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Annotated[Manifest, Field(discriminator="kind")])


def facts_of(manifest: Manifest, **changes: Any) -> Facts:
    """The facts of a manifest, with some of them changed; what newer writers say stays."""
    said = {key: value for key, value in manifest.plain.items() if key not in ("files", "manifest_sha256")}
    return _FACTS.validate_python(said | changes)


def as_manifest(plain: dict[str, Any], where: Path) -> Manifest:
    """The manifest that a JSON object holds.

    Raises:
        StoreError: a key is missing or has a value that it cannot have; names it.
    """
    try:
        found = _MANIFEST.validate_python(plain)
    except ValidationError as error:
        raise StoreError(f"{where} is not a manifest: {reason(error)}") from None
    if found.depth != len(found.parents):
        raise StoreError(f"{where} is not a manifest: depth: {found.depth}, with {len(found.parents)} parents")
    if unknown := sorted(set(found.shapes) - set(found.layout.columns)):
        raise StoreError(f"{where} is not a manifest: shapes: {shown(unknown[0])} is not in the layout")
    without = found.without if found.kind == "ingest" else None
    if found.kind == "ingest" and found.recipe.without != (without and without.content_digest):
        raise StoreError(f"{where} is not a manifest: without: it is not that of the recipe")
    curated = found.curated if found.kind == "ingest" else None
    if found.kind == "ingest" and found.recipe.curated != (curated and curated.list):
        raise StoreError(f"{where} is not a manifest: curated: it is not that of the recipe")
    if curated is not None and curated.content_digest != found.source.fingerprint:
        raise StoreError(f"{where} is not a manifest: curated: it is not the source")
    if found.touched > found.rows:
        raise StoreError(f"{where} is not a manifest: touched: {found.touched} of {found.rows} rows")
    return found


def reason(error: ValidationError) -> str:
    """The first thing that is wrong with a manifest, and where it stands."""
    first = error.errors(include_url=False, include_input=False)[0]
    keys = first["loc"][1:] if first["loc"][:1] in (("ingest",), ("build",)) else first["loc"]
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key[:60]}" for key in keys).lstrip(".")[:200]
    message = first["msg"].removeprefix("Value error, ")
    return f"{place or 'kind'}: {message}"


def schema() -> dict[str, Any]:
    """The JSON schema of a manifest."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest of a version of lope_data, format 2",
        **_MANIFEST.json_schema(),
    }


def schema_text() -> str:
    """The JSON schema as it is published."""
    return json.dumps(schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
