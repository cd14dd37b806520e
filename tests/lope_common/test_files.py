"""Files and folders are there whole or not at all, and hashes are those of their bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from lope_common.files import (
    HashedFile,
    canonical,
    described,
    is_sealed,
    new_file,
    new_folder,
    seal,
    sha256_of,
    write_whole,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half of a pair \ud800")
    assert path.read_text() == "old"
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_a_long_name_and_a_pipe(tmp_path: Path) -> None:
    write_whole(tmp_path / ("字" * 80 + ".html"), "x")  # 245 bytes
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        write_whole(tmp_path / "pipe", "through\n")
        assert reader.communicate(timeout=10)[0] == "through\n"
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(tmp_path / "folder", "text")
    assert names(tmp_path) == ["folder"]


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "made" / "out"
    with new_folder(out) as folder:
        (folder / "a").write_text("a")
        assert not out.exists()
    assert names(out) == ["a"]
    assert names(out.parent) == ["out"]


def test_a_folder_that_fails_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(FileExistsError), new_folder(out) as folder:
        [(folder / "a").mkdir() for _ in range(2)]
    assert names(tmp_path) == []


def test_an_empty_folder_is_taken_and_one_in_use_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with new_folder(out) as folder:
        (folder / "a").write_text("a")
    with pytest.raises(OSError, match="out"), new_folder(out) as folder:
        (folder / "b").write_text("b")
    assert names(out) == ["a"]
    assert names(tmp_path) == ["out"]


def test_hashes_are_of_the_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 999
    with HashedFile(tmp_path / "file") as file:
        file.write(data[:1000])
        file.write(memoryview(data)[1000:])
    expected = {"path": "file", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert file.described("file") == described(tmp_path, "file") == expected
    assert sha256_of(tmp_path / "file") == expected["sha256"]


def test_canonical_json_has_one_form() -> None:
    assert canonical({"b": [1, 2.5, None], "a": "é\u2028"}) == '{"a":"é\u2028","b":[1,2.5,null]}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


def test_a_seal_is_over_every_byte() -> None:
    sealed = seal({"b": [1, "ü"], "a": None})
    data = canonical(sealed)
    assert seal(sealed) == sealed
    assert is_sealed(sealed, data)
    assert not is_sealed(sealed | {"a": 0}, canonical(sealed | {"a": 0}))
    assert not is_sealed(sealed, data.replace(b",", b", ", 1))
    assert not is_sealed({"a": float("nan")}, b'{"a":NaN}')


def test_a_new_file_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "a" / "rows.jsonl"
    with pytest.raises(TypeError), new_file(out) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert not [*out.parent.iterdir()]
    with new_file(out) as file:
        file.write(b"whole")
        assert not out.exists()
    assert [path.name for path in out.parent.iterdir()] == ["rows.jsonl"]
    assert out.read_bytes() == b"whole"


def test_a_new_file_does_not_overwrite_what_came_meanwhile(tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with pytest.raises(FileExistsError), new_file(out):
        out.write_bytes(b"another's")
    assert out.read_bytes() == b"another's"
    assert names(tmp_path) == ["rows.jsonl"]


def test_a_new_file_needs_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refused)
    with new_file(tmp_path / "rows.jsonl") as file:
        file.write(b"mine")
    assert (tmp_path / "rows.jsonl").read_bytes() == b"mine"
    assert names(tmp_path) == ["rows.jsonl"]
