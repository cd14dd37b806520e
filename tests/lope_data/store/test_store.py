"""References, and what cannot be one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lope_data.errors import StoreError
from lope_data.store.store import Store
from lope_data.store.version import Version


def test_every_kind_of_reference(store: Store, noisy: Callable[..., Version]) -> None:
    one, two = noisy(ratio=0.1), noisy(ratio=0.2)
    name, first, second = "sample-hynoise", one.manifest.version, two.manifest.version
    assert store.resolve(name).manifest.version == second
    assert store.resolve(f"{name}@latest").manifest.version == second
    assert store.resolve(f"{name}@{first}").manifest.version == first
    assert store.resolve(f"{name}@{first[:6]}").manifest.version == first
    assert store.resolve(str(one.folder)).manifest.version == first
    store.set_ref(name, "paper", first)
    assert store.resolve(f"{name}@paper").manifest.version == first


@pytest.mark.parametrize(
    "ref", ["sample@", "sample@zz", "sample@../../x", "sample@..", "nope", "no pe", "", "sample@00"]
)
def test_what_is_no_reference(store: Store, sample: Version, ref: str) -> None:
    with pytest.raises(StoreError):
        store.resolve(ref)


def test_building_an_older_version_again_makes_it_latest(store: Store, noisy: Callable[..., Version]) -> None:
    first = noisy(ratio=0.1).manifest.version
    noisy(ratio=0.2)
    noisy(ratio=0.1)
    assert store.resolve("sample-hynoise").manifest.version == first


def test_the_store_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOPE_STORE", str(tmp_path / "a"))
    assert Store().root == tmp_path / "a"
    assert Store(tmp_path / "b").root == tmp_path / "b"
    monkeypatch.delenv("LOPE_STORE")
    assert Store().root == Path("lope-store")


def test_reading_a_store_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no dataset 'x'"):
        Store(tmp_path / "s").resolve("x")
    assert not (tmp_path / "s").exists()
