"""What a version and a preview show of themselves at Python's prompt and in a notebook."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import lope_data
from lope_data.store import Version

RECIPE = {"name": "typos", "steps": [{"ratio": 0.5, "mix": "char"}]}


@pytest.fixture
def noisy(tmp_path: Path) -> Version:
    return lope_data.build(RECIPE, limit=60, store=tmp_path)


def test_a_version_is_a_few_lines(noisy: Version, tmp_path: Path) -> None:
    clean = noisy.parent
    assert clean is not None
    assert repr(noisy).splitlines() == [
        f"Version {noisy.ref}",
        "  rows    60, 30 of them with noise",
        f"  parent  {clean.ref} by the recipe typos, ratio 0.5",
        "  source  sample",
        f"  folder  {noisy.folder}",
    ]
    assert repr(clean).splitlines() == [
        f"Version {clean.ref}",
        "  rows    60",
        "  source  sample",
        f"  folder  {clean.folder}",
    ]
    assert repr(lope_data.open(noisy.ref, store=tmp_path)) == repr(noisy) == str(noisy)


def test_several_steps_are_named(tmp_path: Path) -> None:
    steps = [{"name": "a", "ratio": 0.1, "mix": "char"}, {"name": "b", "ratio": 0.25, "mix": "word"}]
    version = lope_data.build({"steps": steps}, limit=60, store=tmp_path)
    assert "by the recipe hynoise, ratio a 0.1, b 0.25" in repr(version)


def test_no_rows_are_read(noisy: Version) -> None:
    for path in noisy.folder.iterdir():
        if path.name.startswith("data-"):
            path.unlink()
    version = Version.at(noisy.folder)
    assert noisy.ref in repr(version)
    assert noisy.ref in version._repr_html_()
    with pytest.raises(lope_data.LopeDataError):
        _ = version.rows


def test_html_is_the_same_and_no_name_is_markup(noisy: Version) -> None:
    html = noisy._repr_html_()
    assert html.startswith("<table><tr><th")
    for text in (noisy.ref, "60, 30 of them with noise", "sample", str(noisy.folder)):
        assert f">{text}</td>" in html
    bad = "<img src=x onerror=alert(1)>\u202e\x1b[31m"
    source = noisy.manifest.source.model_copy(update={"name": bad})
    recipe = noisy.manifest.recipe.model_copy(update={"name": bad})
    manifest = noisy.manifest.model_copy(update={"source": source, "recipe": recipe})
    evil = replace(noisy, manifest=manifest, folder=Path(f"/tmp/{bad}"))  # noqa: S108
    assert "<img" not in evil._repr_html_()
    assert evil._repr_html_().count("&lt;img src=x") == 3
    assert evil._repr_html_().isprintable()
    assert repr(evil).replace("\n", "").isprintable()
    long = replace(
        evil, manifest=manifest.model_copy(update={"source": source.model_copy(update={"name": "x" * 10**6})})
    )
    assert len(repr(long)) < 2000


def test_a_preview_is_a_line() -> None:
    shown = lope_data.preview(RECIPE)
    assert repr(shown) == f"Preview: 1,200 of 2,400 rows with noise, {len(shown.edits):,} edits"
    assert repr(replace(shown, shortfall=3)).endswith("edits, 3 rows fewer than asked for")
