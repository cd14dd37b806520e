"""Tags: set, moved, taken away, and what cannot be one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lope_data.store.store import Store
from lope_data.store.version import Version


@pytest.fixture
def tag(lope_data: Callable[..., Any], store: Store) -> Callable[..., Any]:
    return lambda *args: lope_data("tag", *args, "--store", store.root)


def test_a_tag_names_a_version_until_it_is_moved(
    tag: Callable[..., Any], store: Store, noisy: Callable[..., Version]
) -> None:
    one, two = noisy(ratio=0.1), noisy(ratio=0.2)
    assert tag(one.ref, "paper").code == 0
    assert store.resolve("sample-hynoise@paper").ref == one.ref
    assert tag(one.ref, "paper").code == 0
    refused = tag(two.ref, "paper")
    assert refused.code == 2
    assert "--force" in refused.err
    assert store.resolve("sample-hynoise@paper").ref == one.ref
    assert tag("sample-hynoise", "paper", "--force").code == 0
    assert store.resolve("sample-hynoise@paper").ref == two.ref


def test_a_tag_taken_away(tag: Callable[..., Any], store: Store, sample: Version) -> None:
    tag("sample", "mine")
    assert tag("sample", "mine", "--delete").code == 0
    assert "mine" not in store.refs("sample")
    assert tag("sample", "mine", "--delete").code == 2
    assert sample.folder.is_dir()


@pytest.mark.parametrize("name", ["latest", "", ".hidden", "../x", "a/b", "a b", "abcd", "0123456789abcdef", "x" * 101])
def test_what_is_no_tag(tag: Callable[..., Any], store: Store, sample: Version, name: str) -> None:
    before = sorted(store.root.rglob("*"))
    run = tag("sample", name)
    assert run.code == 2
    assert "tag" in run.err
    assert sorted(store.root.rglob("*")) == before


def test_only_versions_of_the_store_have_tags(tag: Callable[..., Any], store: Store, sample: Version) -> None:
    outside = sample.folder.rename(store.root.parent / sample.folder.name)
    assert "not in the store" in tag(outside, "mine").err
    assert tag("sample", "mine").code == 2
