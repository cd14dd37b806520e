"""A version on disk: its manifest, its rows, its edits, and the versions it was made from (FORMAT.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.errors import shown
from lope_data.errors import StoreError
from lope_data.store.manifest import read_manifest

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars
    import pyarrow as pa

    from lope_data.rows.layout import Layout
    from lope_data.store.manifest_model import Link, Manifest


@dataclass(frozen=True)
class Version:
    """A version on disk.

    Attributes:
        folder: `<store>/<name>/<version>`, or wherever it was copied to.
        manifest: what `manifest.json` holds; its `plain` is that JSON object.
        existed: whether it was there before; False where this process has just written it.
    """

    folder: Path
    manifest: Manifest
    existed: bool = field(default=True, compare=False)

    @classmethod
    def at(cls, folder: Path | str) -> Version:
        """The version in a folder. Raises StoreError: the manifest is missing, broken, changed or of another format."""
        try:
            folder = Path(folder)
        except TypeError:
            raise StoreError(f"folder must be a path, not {shown(folder)}") from None
        return cls(folder, read_manifest(folder))

    def __repr__(self) -> str:
        from lope_data.store.about import as_text

        return as_text(self.manifest, self.folder)

    def _repr_html_(self) -> str:
        from lope_data.store.about import as_html

        return as_html(self.manifest, self.folder)

    @property
    def ref(self) -> str:
        """`name@version`: what a user types to get exactly this."""
        return self.manifest.ref

    @property
    def data_files(self) -> list[str]:
        """The names of the files that hold the rows, in order."""
        return [file.path for file in self.manifest.files if re.fullmatch(r"data-[\w-]+\.arrow", file.path)]

    @cached_property
    def layout(self) -> Layout:
        """Which columns hold what a shape has, what class numbers mean, where null means absent."""
        from lope_data.rows.layout import Layout

        return Layout.from_plain(self.manifest.layout.plain)

    @cached_property
    def rows(self) -> pa.Table:
        """All rows, memory-mapped, with their layout; the text is read when it is used.

        Raises:
            StoreError: a data file is missing or cannot be read, or a column of the layout is not there.
        """
        import pyarrow as pa

        try:
            files = [str(self.folder / name) for name in self.data_files]
            rows = pa.concat_tables([pa.ipc.open_stream(pa.memory_map(file)).read_all() for file in files])
            if self.existed:
                rows.validate(full=True)  # a changed offset would lead outside the file
            if missing := self.layout.missing(rows.column_names):
                raise ValueError(f"there is no column {missing[0]!r}")
            return self.layout.on(rows)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise StoreError(f"{self.folder} cannot be read ({error}); remove it and build it again") from error

    @cached_property
    def edits(self) -> pa.Table:
        """All edit records, in the order of the rows.

        Raises:
            StoreError: a file of them is missing or cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = [file.path for file in self.manifest.files if file.path.startswith("edits/")]
        try:
            return pa.concat_tables([pq.read_table(self.folder / name) for name in names])
        except (OSError, ValueError, pa.ArrowException) as error:
            raise StoreError(f"{self.folder} cannot be read ({error}); remove it and build it again") from error

    @cached_property
    def dataset(self) -> datasets.Dataset:
        """The rows as a `datasets.Dataset` whose caches stay out of the version's folder."""
        import datasets

        from lope_data.store.commit import features

        rows = self.rows.replace_schema_metadata(None)
        found = datasets.Features.from_dict(features(rows.schema, self.layout))
        return datasets.Dataset(rows, datasets.DatasetInfo(features=found))

    def to_dataset(self, form: str = "source", *, lope_columns: bool = False) -> datasets.Dataset:
        """The rows in a form, as a `datasets.Dataset`: by default as the source had them, names of classes too.

        Args:
            form: as `export --as` has it: `source`, `alpaca`, `messages`, `sharegpt`, `prompt-completion`, `text`.
            lope_columns: add `lope_row_id`, `lope_shape`, `lope_ops`, and `lope_weight` where there is one.

        Raises:
            StoreError: there is no such form, or it cannot hold some rows; says which.
        """
        import datasets

        from lope_data.forms.known import form_named
        from lope_data.forms.shaping import layout_of
        from lope_data.store.commit import features

        rows = self._shaped(form, lope_columns)
        layout = layout_of(rows, form_named(form), self.layout)
        found = datasets.Features.from_dict(features(rows.schema, layout))
        return datasets.Dataset(rows, datasets.DatasetInfo(features=found))

    def to_polars(self, form: str = "source", *, lope_columns: bool = False) -> polars.DataFrame:
        """The rows in a form, as a polars frame. Columns of JSON are its text, as polars has no type for it.

        The arguments and errors are those of `to_dataset`.
        """
        import polars

        from lope_data.rows.json_type import bare

        frame = polars.from_arrow(bare(self._shaped(form, lope_columns)))
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_pandas(self, form: str = "source", *, lope_columns: bool = False) -> pandas.DataFrame:
        """The rows in a form, as a pandas frame: integers and booleans in types that have nulls, JSON as its values.

        The arguments and errors are those of `to_dataset`. Raises StoreError also where pandas is missing.
        """
        from lope_data.store.frames import to_pandas

        return to_pandas(self._shaped(form, lope_columns))

    def _shaped(self, form: str, lope_columns: bool) -> pa.Table:
        from lope_data.forms.known import form_named
        from lope_data.forms.shaping import shaped

        return shaped(self.rows, form_named(form), lope_columns=lope_columns, what=self.ref)

    @cached_property
    def parent(self) -> Version | None:
        """The version that this one was made from, beside it in the store; None for an ingested source.

        Raises:
            StoreError: it is not there, or holds other rows than when this one was made.
        """
        if not self.manifest.parents:
            return None
        link = self.manifest.parents[0]
        folder = self.folder.absolute().parents[1] / link.name / link.version
        if not (folder / "manifest.json").is_file():
            raise StoreError(f"{self.ref} was made from {link.ref}, which is not at {folder}")
        found = Version.at(folder)
        if found.manifest.content_digest != link.content_digest:
            raise StoreError(f"{folder} holds other rows than those that {self.ref} was made from")
        if list(map(_key, found.manifest.parents)) != list(map(_key, self.manifest.parents[1:])):
            raise StoreError(f"{folder} has other ancestors than {self.ref} says")  # a circle, for one
        return found

    @property
    def lineage(self) -> list[Version]:
        """This version, its parent, and so on to the ingested source.

        Raises:
            StoreError: one of them is not there.
        """
        chain = [self]
        while parent := chain[-1].parent:
            chain.append(parent)
        return chain

    @property
    def link(self) -> Link:
        """What a child's manifest says of this version."""
        from lope_data.store.manifest_model import Link

        manifest = self.manifest
        return Link(name=manifest.name, version=manifest.version, content_digest=manifest.content_digest)


def _key(link: Link) -> tuple[str, str, str]:
    return link.name, link.version, link.content_digest  # newer writers may say more
