"""Forged versions: facts or rows exchanged, and every hash made anew, as somebody would who wants it to pass."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lope_common.files import canonical, described
from lope_data.store import NAME, seal

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Forgery:
    """Attributes:
    what: in words.
    change: of the folder and the manifest, which is sealed after it.
    must_be_seen: whether hashes can tell; what only a replay can tell, they cannot.
    """

    what: str
    change: Callable[[Path, Manifest], None]
    must_be_seen: bool = True


def forge(version: Path, forgery: Forgery) -> None:
    """Changes the version, then lists every file and seals the manifest as if it had been so from the beginning."""
    manifest = json.loads((version / NAME).read_text(encoding="utf-8"))
    forgery.change(version, manifest)
    names = sorted(path.relative_to(version).as_posix() for path in version.rglob("*") if path.is_file())
    manifest["files"] = [described(version, name) for name in names if name != NAME]
    (version / NAME).write_bytes(canonical(seal(manifest)))


def _fact(*path: str | int, value: object) -> Callable[[Path, Manifest], None]:
    def change(_: Path, manifest: Manifest) -> None:
        here: Any = manifest
        for key in path[:-1]:
            here = here[key]
        here[path[-1]] = value

    return change


def _rewritten(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path, Manifest], None]:
    """The first data file with its rows changed."""

    def write(version: Path, _: Manifest) -> None:
        path = min(version.glob("data-*.arrow"))
        rows = change(pa.ipc.open_stream(path.read_bytes()).read_all())
        with pa.ipc.new_stream(str(path), rows.schema) as writer:
            writer.write_table(rows)

    return write


def _shouted(rows: pa.Table) -> pa.Table:
    texts = rows["output"].to_pylist()
    return rows.set_column(rows.column_names.index("output"), "output", pa.array([texts[0].upper(), *texts[1:]]))


def _turned(rows: pa.Table) -> pa.Table:
    return rows.take(list(range(len(rows)))[::-1])


def _shards_swapped(version: Path, _: Manifest) -> None:
    first, second = sorted(version.glob("data-*.arrow"))[:2]
    first.rename(version / "x")
    second.rename(first)
    (version / "x").rename(second)


def _edit_dropped(version: Path, _: Manifest) -> None:
    path = next(path for path in sorted(version.glob("edits/*.parquet")) if pq.read_metadata(path).num_rows)
    pq.write_table(pq.read_table(path).slice(1), path)


def _state(version: Path, change: Callable[[list[dict[str, str]]], None]) -> None:
    path = version / "state.json"
    state = json.loads(path.read_text(encoding="utf-8"))
    change(state["_data_files"])
    path.write_text(json.dumps(state), encoding="utf-8")


def _read_twice(version: Path, _: Manifest) -> None:
    _state(version, lambda files: files.append(files[0]))


def _read_outside(version: Path, _: Manifest) -> None:
    outside = version.parents[2] / "outside.arrow"
    shutil.copyfile(min(version.glob("data-*.arrow")), outside)
    _state(version, lambda files: files[0].update(filename="../../../outside.arrow"))


def _other_features(version: Path, _: Manifest) -> None:
    path = version / "dataset_info.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"output"', '"outcome"'), encoding="utf-8")


_OTHER = "sha256:" + "0" * 64
FORGERIES = (
    Forgery("a text changed", _rewritten(_shouted)),
    Forgery("rows in another order", _rewritten(_turned)),
    Forgery("a row dropped", _rewritten(lambda rows: rows.slice(1))),
    Forgery("two shards exchanged", _shards_swapped),
    Forgery("an edit record dropped", _edit_dropped),
    Forgery("`state.json` reads a shard twice", _read_twice),
    Forgery("`state.json` reads a copy outside", _read_outside),
    Forgery("`dataset_info.json` names another column", _other_features),
    Forgery("`rows`", _fact("rows", value=7)),
    Forgery("`content_digest`", _fact("content_digest", value=_OTHER)),
    Forgery("`version`", _fact("version", value="0" * 16)),
    Forgery("`recipe`: the level", _fact("recipe", "steps", 0, "level", value=0.9)),
    Forgery("`seed`", _fact("seed", value=1)),
    Forgery("`depth`", _fact("depth", value=2)),
    Forgery("`ops`: a version", _fact("ops", "char.swap", value="99")),
    Forgery("`parents`: the digest", _fact("parents", 0, "content_digest", value=_OTHER)),
    Forgery("`touched`", _fact("touched", value=1)),
    Forgery("`shapes`", _fact("shapes", value={"chat": 1})),
    Forgery("`report`: `changed` of a line", _fact("report", 0, "changed", value=1), must_be_seen=False),
    Forgery("`libraries`", _fact("libraries", "pyarrow", value="1.0"), must_be_seen=False),
    Forgery("`hints`", _fact("hints", "embedding_alpha", value=9.0), must_be_seen=False),
    Forgery("`source`: the fingerprint", _fact("source", "fingerprint", value=_OTHER), must_be_seen=False),
    Forgery("`parents`: the name", _fact("parents", 0, "name", value="another"), must_be_seen=False),
)
