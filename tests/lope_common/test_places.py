"""`~`, `.`, relative paths and the variables mean the same wherever they are typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lope_common.errors import LopeError
from lope_common.places import cache_folder, is_path, local_path, store_folder, typed_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LOPE_STORE", "LOPE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_typed_path(home: Path) -> None:
    assert typed_path("~/x") == home / "x"
    assert typed_path("~") == home
    assert typed_path("./x") == typed_path("x") == Path("x")
    assert typed_path("~no-such-user-at-all/x") == Path("~no-such-user-at-all/x")


def test_the_store_is_the_one_given_else_the_variable_else_here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store_folder() == Path("lope-store")
    monkeypatch.setenv("LOPE_STORE", "~/versions")
    assert store_folder() == home / "versions"
    assert store_folder("~/other") == store_folder(Path("~/other")) == home / "other"
    monkeypatch.setenv("LOPE_STORE", "")
    assert store_folder() == Path("lope-store")


def test_the_cache(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == home / ".cache" / "lope"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache_folder() == home / "xdg" / "lope"
    monkeypatch.setenv("LOPE_CACHE", "~/cache")
    assert cache_folder() == home / "cache"
    assert cache_folder("~/given") == home / "given"


def test_what_is_a_path_and_what_a_name() -> None:
    assert all(map(is_path, ("a/b", "./a", "/a", ".", "..", "~", "~/a")))
    assert not any(map(is_path, ("a", "a@latest", "a.b", "sample-hynoise@d44a")))


@pytest.mark.parametrize(
    "url", ["s3://bucket/x", "hf://datasets/a/b", "https://host/x?token=secret", "file:///x", "s3:/x"]
)
def test_a_url_is_no_local_path(url: str) -> None:
    for text in (url, Path(url)):
        with pytest.raises(LopeError, match=r"^out: \w+://[\w/]+ is a URL, "):
            local_path(text, "out")


@pytest.mark.parametrize("path", ["/a:/b", "a b://c", "c:/x", "./a", "a", "x:y", "~/s3"])
def test_a_path_with_a_colon_is_one(path: str, home: Path) -> None:
    assert local_path(path) == typed_path(path)
