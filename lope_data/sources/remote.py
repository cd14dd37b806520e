"""Sources on the hub: a dataset by its id, and files of one by `hf://`. The commit that was read is recorded."""

from __future__ import annotations

import re
from glob import has_magic
from itertools import takewhile
from pathlib import Path
from urllib.parse import unquote

from lope_data.errors import SourceError
from lope_data.sources.files import check_kind
from lope_data.sources.found import Found, Source, of_files
from lope_data.sources.hub import HubError, download, find, load
from lope_data.sources.index import Place, SourceIndex
from lope_data.sources.naming import of_path, of_split
from lope_data.sources.reading import Reading
from lope_data.sources.sample import FINGERPRINTS
from lope_data.sources.splits import Grouped, grouped

_URL = re.compile(r"hf://datasets/([\w.-]+/[\w.-]+)(?:@([^/]+))?(?:/(.+))?")


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
        from lope_data.sources.saved import dataset_tasks

        assert split is not None
        rows, fingerprint = load(found, split)
        dataset = _dataset(source) + ("" if found.usual else f"-{found.config}")
        read = {"config": found.config, "revision": found.revision, "split": split}
        place = Place(source, f"{found.config}/{split}")
        name, where = of_split(dataset, split), f"{source}, split {split}"
        return Source(
            name, where, fingerprint, reading.model_copy(update=read), place, lambda: dataset_tasks(rows, where), index
        )

    return Found(source, open_, found.splits)


def hub_files(source: str, reading: Reading, index: SourceIndex | None) -> Found:
    """Files of a dataset: hf://datasets/OWNER/NAME/PATH, OWNER/NAME@REVISION too; a path may be a pattern.

    Raises:
        SourceError: it is of another form, or there are no such files.
    """
    if (url := _URL.fullmatch(source)) is None:
        raise SourceError(f"{source}: not of the form hf://datasets/OWNER/NAME/PATH, with @REVISION after NAME or not")
    repository, at, path = url[1], url[2] and unquote(url[2]), url[3]
    if at is not None and reading.revision not in (None, at):
        raise SourceError(f"{source}: names the revision {at}, and --revision another; give one of them")
    reading = reading.model_copy(update={"revision": at or reading.revision})
    if path is None:
        return hub_dataset(repository, reading, index)
    if reading.config is not None:
        raise SourceError(f"{source}: --config is for a whole dataset on the hub; leave it out")
    if not has_magic(path):
        check_kind(Path(path), reading)
    try:
        folder, commit, files = download(repository, path, reading.revision)
    except HubError as error:
        raise SourceError(f"{source}: cannot be downloaded from the hub ({error})") from error
    fixed = list(takewhile(lambda part: not has_magic(part), path.split("/")))
    called = of_path(_dataset(repository), fixed)
    names = grouped(files, source) if len(fixed) < len(path.split("/")) else Grouped(others=files)
    found = of_files(f"hf://datasets/{repository}/{path}", source, folder, names, (called, called), index)

    def open_(split: str | None, reading: Reading) -> Source:
        return found.open(split, reading.model_copy(update={"revision": commit}))

    return Found(source, open_, found.splits, found.others)


def _dataset(repository: str) -> str:
    return repository.replace("/", "--")
