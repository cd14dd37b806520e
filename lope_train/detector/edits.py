"""Which ops touched each row of a version, by its edit records and those of the versions that it was made from."""

from __future__ import annotations

from pathlib import Path

from lope_train.data.versions import Version, parent
from lope_train.errors import VersionError


def level_of(op: str) -> str:
    """`char` of `char.insert`."""
    return op.partition(".")[0]


def ops_by_row(version: Version, store: Path | None = None) -> dict[str, tuple[str, ...]]:
    """The ops by row id, each once, in the order in which they were first at work; rows without any are left out.

    A parent's noise is noise too, so the chain is read back to the ingested source. Raises VersionError where a noisy
    parent is missing, or where edit records cannot be read.
    """
    chain = [version]
    while chain[-1].manifest["kind"] == "build" and len(chain[-1].manifest["parents"]) > 1:
        chain.append(parent(chain[-1], store))
    found: dict[str, dict[str, None]] = {}
    for one in reversed(chain):
        for row, op in _read(one):
            found.setdefault(row, {})[op] = None
    return {row: tuple(ops) for row, ops in found.items()}


def _read(version: Version) -> list[tuple[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    records: list[tuple[str, str]] = []
    for file in sorted((version.path / "edits").glob("*.parquet")):
        try:
            table = pq.read_table(file, columns=["row_id", "op"])
        except (pa.ArrowException, OSError) as error:
            raise VersionError(f"{file}: edit records cannot be read: {error}; build the version again") from error
        records += zip(table["row_id"].to_pylist(), table["op"].to_pylist(), strict=True)
    return records
