"""`python -m lope_data show`: a version, its lineage as a tree, what was made from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_common.files import canonical
from lope_data.builds import Options, build, ingest
from lope_data.recipe import Recipe
from lope_data.store import Store, Version, seal

Cli = Callable[..., Any]
Noisy = Callable[..., Version]


@pytest.fixture
def chain(store: Store, noisy: Noisy, sample: Version) -> list[Version]:
    """sample -> nois -> hynoise, which has a tag."""
    nois = noisy(ratio=0.05, name="nois")
    last = noisy(nois, "hynoise", ratio=0.2)
    store.set_ref("hynoise", "paper", last.manifest.version)
    return [sample, nois, last]


def rewrite(version: Version, **changes: Any) -> None:
    """Gives a version another manifest, sealed."""
    manifest = seal(version.manifest.plain | changes)
    (version.folder / "manifest.json").write_bytes(canonical(manifest))


def test_the_tree(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    run = lope_data("show", "hynoise", "--store", store.root)
    assert run.code == 0
    assert "\x1b" not in run.out
    places = [run.out.index(part) for part in ("source sample", *(f"── {version.ref}" for version in chain))]
    assert places == sorted(places)
    assert f"{chain[2].ref}  latest, paper" in run.out
    assert "ratio 0.2, level 0.1, 480 rows" in run.out
    line = next(line for line in chain[2].manifest.report if line.op == "char.delete")
    shown = next(row for row in run.out[places[-1] :].splitlines() if "char.delete" in row)
    assert shown.split()[1:] == [
        f"{line.rows}",
        f"{line.expected / line.units:.1%}",
        f"{line.changed / line.units:.1%}",
        f"±{50 * (line.interval[1] - line.interval[0]):.1f}",
        f"{line.cer:.1%}",
    ]
    assert "embedding_alpha" in run.out
    tree = run.out[: run.out.index("rows touched, ")].splitlines()
    assert all(len(line) <= 80 for line in tree)


def test_children_are_shown(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    run = lope_data("show", "nois", "--store", store.root)
    assert f"{chain[2].ref}  was made from it" in run.out
    assert "was made from it" not in lope_data("show", "hynoise", "--store", store.root).out


def test_json(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    found = lope_data("show", "nois@latest", "--store", store.root, "--json").json
    assert found["manifest"] == store.resolve("nois").manifest.plain
    assert found["children"] == [chain[2].ref]
    assert [node["ref"] for node in found["lineage"]] == [chain[0].ref]
    assert found["lineage"][0]["manifest"] == chain[0].manifest.plain


def test_missing_and_broken_ancestors(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    shutil.rmtree(chain[0].folder)
    (chain[1].folder / "manifest.json").write_bytes(b"{}")
    run = lope_data("show", "hynoise", "--store", store.root)
    assert run.code == 0
    assert chain[0].ref in run.out
    assert "not in this store" in run.out
    assert chain[1].ref in run.out
    assert "damaged" in run.out
    run = lope_data("show", "hynoise", "--store", store.root, "--samples", "2")
    assert run.code == 0  # samples are the version's own rows, with its edits undone
    assert run.out.count("clean:") == run.out.count("noisy:") >= 2
    assert chain[1].ref in run.out


def test_an_ancestor_with_other_rows(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    rewrite(chain[0], content_digest="sha256:" + "0" * 64)
    assert "holds other rows" in lope_data("show", "nois", "--store", store.root).out


def test_a_path_and_a_copy_elsewhere(lope_data: Cli, store: Store, chain: list[Version], tmp_path: Path) -> None:
    run = lope_data("show", chain[2].folder)  # the store is where the folder lies
    assert f"{chain[2].ref}  latest, paper" in run.out
    assert "not in this store" not in run.out
    shutil.copytree(chain[2].folder, tmp_path / "copy")
    run = lope_data("show", tmp_path / "copy")
    assert run.code == 0
    assert run.out.count("not in this store") == 2
    assert "not in this store" not in lope_data("show", tmp_path / "copy", "--store", store.root).out


def test_samples(lope_data: Cli, store: Store, chain: list[Version]) -> None:
    assert lope_data("show", "hynoise", "--store", store.root).out.count("clean:") == 0
    assert lope_data("show", "hynoise", "--store", store.root, "--samples", "4").out.count("noisy:") >= 4
    assert "no noise to show" in lope_data("show", "sample", "--store", store.root, "--samples", "4").out


def test_a_long_chain_fits(lope_data: Cli, store: Store, noisy: Noisy) -> None:
    version = noisy(ratio=0.01, name="v0")
    for i in range(8):
        version = noisy(version, f"v{i + 1}", ratio=0.01)
    run = lope_data("show", "v8", "--store", store.root)
    assert version.ref in run.out
    assert all(len(line) <= 80 for line in run.out[: run.out.index("rows touched, ")].splitlines())
    assert run.out.count("label.truncate_response") >= 9  # whole in each table


def test_hostile_manifests_are_shown_as_text(lope_data: Cli, store: Store, options: Options, tmp_path: Path) -> None:
    bad = "[red]\x1b[31m\u202e\x07\n\x9b[/red]"
    rows = [{"text": f"{bad} words to change {i}", "label": "x"} for i in range(20)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    parent = ingest(str(tmp_path / "rows.json"), Recipe(), None, options)
    version = build(parent, Recipe.model_validate({"steps": [{"ratio": 0.5, "name": "s"}]}), "h", options)
    manifest = version.manifest.plain
    recipe = manifest["recipe"] | {"name": bad, "steps": [manifest["recipe"]["steps"][0] | {"name": bad}]}
    report = [line | {"op": bad, "step": bad, "unit": bad, "needs": bad} for line in manifest["report"]]
    rewrite(
        version,
        recipe=recipe,
        report=report,
        source=manifest["source"] | {"name": bad},
        libraries={bad: bad},
        hints={bad: bad},
        ops={bad: bad},
    )
    for verb in (("show", "h", "--samples", "3"), ("list",), ("diff", "rows", "h"), ("diff", "h", "rows")):
        run = lope_data(*verb, "--store", store.root)
        assert run.code in (0, 1)
        assert not set(run.out) & set("\x1b\u202e\x07\x9b")
        assert "[red]" in run.out or verb == ("list",)


@pytest.mark.parametrize("ref", ["nope", "sample@zz", "../x", "/", "\x1b[31m", ""])
def test_bad_references(lope_data: Cli, store: Store, sample: Version, ref: str) -> None:
    run = lope_data("show", ref, "--store", store.root)
    assert run.code == 2
    assert run.err.startswith("error: ")
    assert "\x1b" not in run.err
