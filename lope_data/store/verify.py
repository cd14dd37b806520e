"""Whether versions are as they were written: every file by its hash, the rows and edits by the content digest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lope_common.files import described
from lope_common.progress import Progress
from lope_data.errors import OldFormatError, StoreError
from lope_data.store.manifest import NAME, version_id
from lope_data.store.version import Version

if TYPE_CHECKING:
    from lope_data.store.manifest_model import File, Manifest


@dataclass(frozen=True)
class Finding:
    """Something that is not as it was written: in which version, which file of it (or what else), and how."""

    ref: str
    where: str
    what: str


def verify_version(folder: Path, progress: Progress) -> tuple[Version | None, list[Finding]]:
    """Checks one version.

    Returns:
        The version, None if its manifest cannot be trusted, and what was found.

    Raises:
        OldFormatError: it is of an older format, which is not checked; that is no damage.
    """
    try:
        version = Version.at(folder)
    except OldFormatError:
        raise
    except StoreError as error:
        return None, [Finding(f"{folder.absolute().parent.name}@{folder.name}", NAME, str(error))]
    found = [Finding(version.ref, where, what) for where, what in (*_identity(version), *_files(version, progress))]
    if not found:  # of files that are wrong one would only hear the same again
        found = [Finding(version.ref, where, what) for where, what in _content(version)]
    return version, found


def _identity(version: Version) -> Iterator[tuple[str, str]]:
    manifest = version.manifest
    if expected_id(manifest) != manifest.version:
        yield NAME, f"the version does not follow from what the manifest says went into it ({expected_id(manifest)})"


def expected_id(manifest: Manifest) -> str:
    """The version that follows from what a manifest says."""
    origin = manifest.parents[0].content_digest if manifest.parents else manifest.source.fingerprint
    return version_id(manifest.kind, manifest.recipe.plain, manifest.seed, manifest.ops, origin, manifest.depth)


def _files(version: Version, progress: Progress) -> Iterator[tuple[str, str]]:
    listed = {file.path: file for file in version.manifest.files}
    there = set(_paths(version.folder))
    for path in sorted(there - {*listed, NAME}):
        cache = ": datasets keeps results beside what it loads; lope_data.open(...).dataset does not"
        yield path, f"is not in the manifest; remove it{cache if path.startswith('cache-') else ''}"
    for done, (path, file) in enumerate(sorted(listed.items()), start=1):
        if path not in there:
            yield path, "is missing"
        elif what := _difference(version.folder, file):
            yield path, what
        progress(f"verify {version.ref}", done, len(listed))


def _paths(folder: Path) -> Iterator[str]:
    """Every file and link under a folder, and every folder that is empty, relative to it; links are not followed."""
    for root, folders, files in os.walk(folder):
        here = Path(root)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in (*files, *links):
            yield (here / name).relative_to(folder).as_posix()
        if not files and not folders and here != folder and here.relative_to(folder).as_posix() != "edits":
            yield here.relative_to(folder).as_posix()


def _difference(folder: Path, file: File) -> str:
    """How a file differs from what the manifest says; empty if it does not."""
    path = folder / file.path
    if path.is_symlink() or not path.is_file():
        return "is no plain file"
    try:
        now = described(folder, file.path)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if now["bytes"] != file.bytes:
        return f"has {now['bytes']:,} bytes, written were {file.bytes:,}"
    return "" if now["sha256"] == file.sha256 else "has other bytes than were written (sha256 differs)"


def _content(version: Version) -> Iterator[tuple[str, str]]:
    """Whether what can be counted anew is what the manifest says: files may have been exchanged and hashed anew."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lope_data.rows.shapes import OPS, SHAPE
    from lope_data.store.commit import features
    from lope_data.store.digest import content_digest

    manifest = version.manifest
    try:
        rows, digest = version.rows, content_digest(version.rows, version.edits, version.layout)
    except (StoreError, LookupError, ValueError, pa.ArrowException) as error:
        yield "rows and edits", str(error)
        return
    if digest != manifest.content_digest:
        yield "rows and edits", f"their digest is {digest}, the manifest says {manifest.content_digest}"
        return
    shapes = {count["values"]: count["counts"] for count in pc.value_counts(rows[SHAPE]).to_pylist()}
    touched = pc.sum(pc.greater(pc.list_value_length(rows[OPS]), 0)).as_py() or 0
    for key, said, found in (
        ("rows", manifest.rows, len(rows)),
        ("touched", manifest.touched, touched),
        ("shapes", manifest.shapes, shapes),
    ):
        if found != said:
            yield NAME, f"says {key} {said}, the files hold {found}"
    for name, key, wanted in (
        ("state.json", "_data_files", [{"filename": name} for name in version.data_files]),
        ("dataset_info.json", "features", features(rows.schema, version.layout)),
    ):
        try:
            same = json.loads((version.folder / name).read_bytes())[key] == wanted
        except (OSError, ValueError, KeyError, TypeError):
            same = False
        if not same:
            yield name, f"its {key} are not those of the version, so that datasets would open something else"


def verify_link(version: Version, parent: Version) -> list[Finding]:
    """Whether a version says of its ancestors and source what its parent says."""
    mine, its = version.manifest, parent.manifest
    return [
        Finding(version.ref, NAME, f"its {key} are not those that follow from its parent {parent.ref}")
        for key, said, wanted in (
            ("parents", mine.parents, [parent.link, *its.parents]),
            ("source", mine.source, its.source),
            ("depth", mine.depth, its.depth + 1),
        )
        if said != wanted
    ]


def check_files(version: Version) -> None:
    """Checks every file of a version against its manifest.

    Raises:
        StoreError: one is missing, changed or a link.
    """
    for file in version.manifest.files:
        path = inner_file(version.folder, file.path)
        now = described(version.folder, file.path)
        if (now["bytes"], now["sha256"]) != (file.bytes, file.sha256):
            raise StoreError(f"{path} is not the file that its manifest lists; see verify {version.ref}")


def inner_file(folder: Path, name: str) -> Path:
    """A file of a folder, by its path there.

    Raises:
        StoreError: there is none, or it or a folder on the way is a link, which may lead out.
    """
    path = folder
    for part in Path(name).parts:
        path /= part
        if path.is_symlink():
            raise StoreError(f"{path} is a link; copy the folder with its files in it (cp -rL) first")
    if not path.is_file():
        raise StoreError(f"{path} is missing or no file")
    return path
