"""The embedded samples, as sources."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lope_data.sources.part import Task

# sha256 over the rows' canonical JSON. Written down, since making the rows to hash them takes longer than finding the
# version that was built of them; a test and every reading compare them with the rows.
FINGERPRINTS = {
    "sample": "sha256:f2ffa0b090c08c0d006e82e1b393471b8ed4093f1fe01b1cb48fde0282f1651b",
    "sample-heldout": "sha256:5e5e09fd47ac1ac7544f86b50050820b8290c1b7a6ae7ba4dd7b9482b6603393",
}


def sample_rows(name: str) -> list[dict[str, Any]]:
    """The rows of an embedded sample, of the name that it is a source by."""
    from lope_data.sources.sample_data import SPLITS, generate

    return [dict(row) for row in generate(SPLITS[name])]


def sample_tasks(name: str) -> Iterator[Task]:
    """What reads the rows of an embedded sample."""
    from lope_common.files import canonical
    from lope_data.sources.objects import list_tasks

    rows = sample_rows(name)
    assert f"sha256:{hashlib.sha256(canonical(rows)).hexdigest()}" == FINGERPRINTS[name]
    return list_tasks(rows, name)
