"""A source on the hub: a dataset by its id. The commit that was read is recorded."""

from __future__ import annotations

from lope_data.errors import SourceError
from lope_data.sources.found import Found, Source
from lope_data.sources.hub import HubError, find, load
from lope_data.sources.index import Place, SourceIndex
from lope_data.sources.naming import of_split
from lope_data.sources.reading import Reading
from lope_data.sources.sample import FINGERPRINTS


def hub_dataset(source: str, reading: Reading, index: SourceIndex | None) -> Found:
    """A dataset by its id.

    Raises:
        SourceError: there is none, or it has several configurations and none was asked for.
    """
    try:
        found = find(source, reading.config, reading.revision)
    except HubError as error:
        samples = ", ".join(FINGERPRINTS)
        at = f" at the revision {reading.revision}" if reading.revision is not None else ""
        raise SourceError(
            f"{source}: no such file, embedded sample ({samples}) or dataset on the hub{at} ({error})"
        ) from error
    if not found.splits:
        raise SourceError(f"{source}: has no splits on the hub")

    def open_(split: str | None, reading: Reading) -> Source:
        assert split is not None
        table, fingerprint = load(found, split)
        dataset = _dataset(source) + ("" if found.usual else f"-{found.config}")
        read = {"config": found.config, "revision": found.revision, "split": split}
        place = Place(source, f"{found.config}/{split}")
        name, where = of_split(dataset, split), f"{source}, split {split}"
        return Source(name, where, fingerprint, reading.model_copy(update=read), place, lambda: table, index)

    return Found(source, open_, found.splits)


def _dataset(repository: str) -> str:
    return repository.replace("/", "--")
