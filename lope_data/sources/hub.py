"""A dataset on the hub: what its name, configuration and revision mean, and the rows of a split."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path
from typing import Any

import pyarrow as pa

from lope_common.errors import did_you_mean, shown
from lope_data.errors import SourceError
from lope_data.sources.splits import listed
from lope_data.sources.text import first_line


class HubError(SourceError):
    """The hub cannot be reached, or has no such dataset or revision."""


@dataclass(frozen=True)
class OnHub:
    """One configuration of a dataset at one commit.

    Attributes:
        usual: whether the configuration is the one that is read where none is named.
        splits: the names of its splits.
    """

    name: str
    config: str
    usual: bool
    revision: str
    splits: list[str]


def find(name: str, config: str | None, revision: str | None) -> OnHub:
    """The dataset, its revision resolved to a commit. Out of reach of the hub, what the cache holds of it.

    Raises:
        HubError: it cannot be found.
        SourceError: it has no such configuration, or several and none was asked for.
    """
    import datasets
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return _cached(name, config, revision)
    with _asking():  # once; load_dataset would retry for half a minute
        commit = str(HfApi().dataset_info(name, revision=revision, timeout=10).sha)
        configs = datasets.get_dataset_config_names(name, revision=commit)
        usual = configs[0] if len(configs) == 1 else datasets.get_dataset_default_config_name(name, revision=commit)
    if config is not None and config not in configs:
        known = f"only {listed(configs)}{did_you_mean(config, configs)}"
        raise SourceError(f"{name}: has no configuration {shown(config)}, {known}")
    config = config or usual
    if config is None:
        raise SourceError(f"{name}: has the configurations {listed(configs)}; name one, as in --config {configs[0]}")
    with _asking():
        splits = datasets.get_dataset_split_names(name, config, revision=commit)
    return OnHub(name, config, config == usual, commit, [str(split) for split in splits])


def load(found: OnHub, split: str) -> tuple[Any, str]:
    """The `datasets.Dataset` of a split, and its fingerprint.

    Raises:
        HubError: they cannot be downloaded.
    """
    import datasets
    from huggingface_hub import constants

    revision = None if constants.HF_HUB_OFFLINE else found.revision  # the cache is what `find` saw in it
    with _asking():
        dataset = datasets.load_dataset(found.name, found.config, split=split, revision=revision)
    return dataset, table_fingerprint(dataset.with_format("arrow")[:])


def download(repository: str, path: str, revision: str | None) -> tuple[Path, str, list[str]]:
    """Files of a dataset, into the cache of the hub's client: their folder there, the commit, and their names in both.

    Args:
        path: of a file, or a pattern; `*` stands for anything within a name, `**` for folders too.

    Raises:
        HubError: there are none, or they cannot be downloaded.
    """
    from fsspec.utils import glob_translate
    from huggingface_hub import HfApi, constants, hf_hub_download

    names = [path]
    commit = revision
    if not constants.HF_HUB_OFFLINE:
        with _asking():
            info = HfApi().dataset_info(repository, revision=revision, timeout=10)
        commit = str(info.sha)
        there = [one.rfilename for one in info.siblings or ()]
        names = sorted(filter(re.compile(glob_translate(path)).fullmatch, there))
        if path in there or not names:
            names = [path]  # which the hub says is not there, if it is not
    elif has_magic(path):
        raise HubError("HF_HUB_OFFLINE is set, and what fits a pattern is only known there")
    with _asking():
        files = [Path(hf_hub_download(repository, name, repo_type="dataset", revision=commit)) for name in names]
    folder = files[0].parents[len(Path(names[0]).parts) - 1]  # of the snapshot, which is named after the commit
    return folder, folder.name, names


def _cached(name: str, config: str | None, revision: str | None) -> OnHub:
    """What `datasets` has in its cache, in folders named after the configuration and the commit."""
    import datasets

    with _asking():
        builder = datasets.load_dataset_builder(name, config)
        splits = [str(split) for split in builder.info.splits or ()]
    commit = Path(builder.cache_dir).name
    if revision not in (None, commit):
        raise HubError(f"HF_HUB_OFFLINE is set, and the cache holds the revision {commit}, not {revision}")
    return OnHub(name, str(builder.config.name), config is None, commit, splits)


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the hub client raises a great many kinds
        raise HubError(first_line(error)) from error


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
