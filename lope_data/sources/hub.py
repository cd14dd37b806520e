"""A dataset on the hub: its split `train`."""

from __future__ import annotations

import hashlib

import pyarrow as pa

from lope_data.errors import SourceError
from lope_data.sources.saved import named_labels
from lope_data.sources.text import first_line


def load(name: str) -> tuple[pa.Table, str]:
    """The rows, and their fingerprint.

    Raises:
        SourceError: the hub cannot be reached, or has no such dataset.
    """
    import datasets
    from huggingface_hub import HfApi, constants

    try:
        if not constants.HF_HUB_OFFLINE:
            HfApi().dataset_info(name, timeout=10)  # asks once; load_dataset would retry for half a minute
        table = named_labels(datasets.load_dataset(name, split="train"))
    except Exception as error:  # the hub client raises a great many kinds
        raise SourceError(first_line(error)) from error
    return table, table_fingerprint(table)


def table_fingerprint(table: pa.Table) -> str:
    """sha256 over the table as an Arrow stream."""
    digest = _Digest()
    with pa.ipc.new_stream(pa.PythonFile(digest, mode="w"), table.schema.remove_metadata()) as writer:
        writer.write_table(table.combine_chunks())
    return f"sha256:{digest.value.hexdigest()}"


class _Digest:
    """A file that only hashes what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.value = hashlib.sha256()
        self._written = 0

    def write(self, data: bytes) -> int:
        self.value.update(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None: ...

    def close(self) -> None: ...
