"""One list of references, and both readers of FORMAT.md give the same version for each, or both refuse it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lope_data
from lope_common.errors import LopeError
from lope_train.data import resolve

GOLDEN = Path(__file__).parents[1] / "golden" / "store"
NOISY, CLEAN = "3c5e80312d1d3abd", "d3db7435a6c2257c"

MEANS = {
    "golden": NOISY,
    "golden@latest": NOISY,
    "golden@paper": NOISY,
    "rows@v1.0": CLEAN,
    f"golden@{NOISY}": NOISY,
    f"golden@{NOISY[:4]}": NOISY,
    f"golden@{NOISY[:15]}": NOISY,
    f"golden/{NOISY}": NOISY,
    f"./golden/{NOISY}": NOISY,
    f"./golden/../golden/{NOISY}/": NOISY,
    f"~/golden/{NOISY}": NOISY,
}
MEANS_NOTHING = [
    "", "@", "golden@", "golden@nope", "golden@2ae", f"golden@{NOISY}0", f"golden@{CLEAN}", "golden@LATEST", "Golden",
    "golden@gone", "golden@linked", "golden@refs", "refs", "refs@latest", "golden@latest@latest", "no-such-name",
    "golden@../rows", "..", "../golden", "~", "~/nothing", "./golden", "golden latest", ".", "golden@*", "-golden",
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden versions, with tags, in a folder that is home and the current one."""
    root = tmp_path / "store"
    shutil.copytree(GOLDEN, root)
    for name, refs in (
        ("golden", {"latest": NOISY, "paper": NOISY, "gone": "0" * 16}),
        ("rows", {"latest": CLEAN, "v1.0": CLEAN}),
    ):
        (root / name / "refs").mkdir(exist_ok=True)
        for ref, version in refs.items():
            (root / name / "refs" / ref).write_text(f"{version}\n")
    (root / "golden" / "refs" / "linked").symlink_to("latest")
    monkeypatch.chdir(root)
    monkeypatch.setenv("HOME", str(root))
    return root


@pytest.mark.parametrize("ref", MEANS)
def test_a_reference_means_the_same_version(store: Path, ref: str) -> None:
    assert lope_data.open(ref, store=store).ref.partition("@")[2] == MEANS[ref]
    assert resolve(ref, store).version == MEANS[ref]


@pytest.mark.parametrize("ref", MEANS_NOTHING, ids=lambda ref: ref or "empty")
def test_a_reference_means_nothing_to_either(store: Path, ref: str) -> None:
    for read in (lope_data.open, resolve):
        with pytest.raises(LopeError) as refused:
            read(ref, store=store)  # type: ignore[operator]
        assert len(str(refused.value).splitlines()) == 1


def test_here_is_the_version_that_one_stands_in(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store / "golden" / NOISY)
    assert lope_data.open(".").manifest == lope_data.open("golden", store=store).manifest
    assert resolve(".").version == NOISY


@pytest.mark.parametrize("where", ["~", ".", "~/../store", ""])
def test_a_store_means_the_same_folder(store: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    if not where:
        monkeypatch.chdir(store.parent)
        store.rename(store.parent / "lope-store")
    monkeypatch.setenv("LOPE_STORE", where)
    assert lope_data.open("golden").ref == f"golden@{NOISY}"
    assert resolve("golden").version == NOISY
    if where:
        monkeypatch.delenv("LOPE_STORE")
        assert lope_data.open("golden", store=where).ref == f"golden@{NOISY}"
        assert resolve("golden", Path(where)).version == NOISY


def test_an_ambiguous_prefix_is_refused_by_both(store: Path) -> None:
    other = f"{NOISY[:8]}00000000"
    shutil.copytree(store / "golden" / NOISY, store / "golden" / other)
    for read in (lope_data.open, resolve):
        with pytest.raises(LopeError, match="fits 2 versions"):
            read(f"golden@{NOISY[:8]}", store=store)  # type: ignore[operator]
