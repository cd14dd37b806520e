"""Versions of an older format: what is known of them without reading their rows, and how to build them again.

A build of an older format has only such ancestors, since the format is part of every id. So the commands begin with
the ingested source; each makes its version the latest of its name, which the next one builds on.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from lope_common.places import store_folder
from lope_common.shown import safe
from lope_data.errors import StoreError
from lope_data.sources.index import SourceIndex
from lope_data.sources.reading import Reading
from lope_data.sources.sample import FINGERPRINTS
from lope_data.store.manifest_model import (
    Count,
    Digest,
    IngestRecipe,
    Link,
    ModuleName,
    Name,
    Recipe,
    Source,
    Step,
    VersionId,
    reason,
)

Read = Callable[[Path], object]
"""Reads the manifest in a folder; raises StoreError."""


class OldManifest(BaseModel):
    """What is still of use in a manifest of an older format."""

    model_config = ConfigDict(strict=True, frozen=True)

    format: Annotated[int, Field(ge=1)]
    kind: str
    name: Name
    version: VersionId
    rows: Count
    touched: Count
    content_digest: Digest
    parents: list[Link]
    source: Source
    seed: Count

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def depth(self) -> int:
        """How many ancestors it has."""
        return len(self.parents)

    @property
    def steps(self) -> list[Step]:
        """The steps of its recipe; none for a clean source."""
        return []


class OldIngest(OldManifest):
    """A clean source."""

    kind: Literal["ingest"]
    parents: Annotated[list[Link], Field(max_length=0)]
    recipe: IngestRecipe


class OldBuild(OldManifest):
    """Noise on a parent."""

    kind: Literal["build"]
    parents: Annotated[list[Link], Field(min_length=1)]
    recipe: Recipe
    op_modules: dict[str, ModuleName] = Field(default_factory=dict)
    shortfall: Count

    @property
    def steps(self) -> list[Step]:
        return self.recipe.steps


_OLD: TypeAdapter[OldIngest | OldBuild] = TypeAdapter(Annotated[OldIngest | OldBuild, Field(discriminator="kind")])


def as_old(plain: dict[str, Any], where: Path) -> OldManifest:
    """The manifest of an older format that a JSON object holds.

    Raises:
        StoreError: a key is missing or has a value that it cannot have; names it.
    """
    try:
        return _OLD.validate_python(plain)
    except ValidationError as error:
        raise StoreError(f"{where} is not a manifest: {reason(error)}") from None


@dataclass(frozen=True)
class Again:
    """How to build a version again.

    Attributes:
        commands: of its ancestors, from the source on, and last its own.
        needs: what the user has to fill in or to do first; usually nothing.
    """

    commands: Sequence[str]
    needs: Sequence[str]

    def told(self) -> str:
        """In one line that ends with the commands, so that they can be copied."""
        return f"build it again{''.join(f', {need}' for need in self.needs)}: {' && '.join(self.commands)}"

    @property
    def last(self) -> Again:
        """The version's own command alone: for where its ancestors have theirs beside it."""
        return Again(self.commands[-1:], [] if len(self.commands) > 1 else self.needs)

    @property
    def record(self) -> dict[str, Any]:
        """For scripts."""
        return {"commands": list(self.commands), "needs": list(self.needs)}


def again(path: Path, old: OldManifest, read: Read) -> Again:
    """The commands that build a version again.

    Args:
        path: of its manifest.json; the others are looked for in the store that this lies in, else in the usual one.
        read: reads the manifest of an ancestor.
    """
    root = _root(path, old)
    chain, needs = [(path, old)], []
    for link in old.parents:
        folder = root / link.name / link.version
        found = _ancestor(folder, link, read)
        if found is None:
            needs.append(f"after {link.ref}, which cannot be read in {safe(str(root))}")
            break
        chain.append((folder / path.name, found))
    usual = root == Path(os.path.abspath(store_folder()))  # noqa: PTH100  (a resolved one would follow links)
    store = [] if usual else _option("store", str(root))
    commands = []
    for place, manifest in reversed(chain):
        if isinstance(manifest, OldBuild):
            words = _build(place, manifest)
        else:
            assert isinstance(manifest, OldIngest)
            words, missing = _ingest(place, manifest, root)
            needs += missing
        commands.append(" ".join(["python -m lope_data", *words, *store]))
    return Again(commands, needs)


def _root(path: Path, old: OldManifest) -> Path:
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100  (as above)
    in_store = (folder.parent.name, folder.name) == (old.name, old.version)
    return folder.parents[1] if in_store else Path(os.path.abspath(store_folder()))  # noqa: PTH100


def _ancestor(folder: Path, link: Link, read: Read) -> OldManifest | None:
    try:
        found = read(folder)
    except StoreError:
        return None
    if not isinstance(found, OldManifest) or (found.ref, found.content_digest) != (link.ref, link.content_digest):
        return None
    return found


def _ingest(path: Path, old: OldIngest, root: Path) -> tuple[list[str], list[str]]:
    """The words of the command, and what it needs."""
    recipe, needs = old.recipe, []
    samples = [name for name, fingerprint in FINGERPRINTS.items() if fingerprint == old.source.fingerprint]
    source = samples[0] if samples else SourceIndex(root).find(old.source.fingerprint)
    if source is None:
        needs.append(f"SOURCE being where {_word(old.source.name)} is now")
    words = ["ingest", "SOURCE" if source is None else _word(source)]
    if old.name != old.source.name + (f"-{recipe.limit}" if recipe.limit else ""):
        words += ["--name", old.name]
    if recipe.limit:
        words += ["--limit", str(recipe.limit), "--seed", str(old.seed)]
    reading = recipe.plain.get("source")
    if isinstance(reading, dict):
        for key in Reading.model_fields:
            if isinstance(value := reading.get(key), str):
                words += _option(key, value)
    columns = list(_columns(recipe.columns))
    if recipe.shape is not None or any("," in column or column != column.strip() for _, column in columns):
        words += ["--recipe", "READING.toml"]  # there is no option for a shape, nor for such columns
        needs.append(f"READING.toml being a recipe with the shape and [columns] in {_word(str(path))}")
    elif columns:
        words += _option("columns", ",".join(f"{name}={column}" for name, column in columns))
    return words, needs


def _columns(columns: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, column in sorted(columns.items()):
        for one in column if isinstance(column, list) else [column]:
            yield name, str(one)


def _build(path: Path, old: OldBuild) -> list[str]:
    words = ["build", "--from", old.parents[0].name, "--name", old.name, *_option("recipe", str(path))]
    for module in sorted(set(old.op_modules.values())):
        words += _option("import", module)
    return words + (["--allow-shortfall"] if old.shortfall else [])


def _option(name: str, value: str) -> list[str]:
    word = _word(value)
    return [f"--{name}={word}"] if word.startswith("-") else [f"--{name}", word]


def _word(text: str) -> str:
    """A word for a shell, and fit to be seen whoever wrote it."""
    return shlex.quote(safe(text))
