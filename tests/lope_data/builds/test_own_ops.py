"""Versions made with ops of a user's own: what their id and manifest say, and what a replay takes."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import lope_data as library
from lope_common.files import canonical
from lope_data.errors import NoiseError
from lope_data.noise import all_ops, import_ops, text_op
from lope_data.store import NAME, Version, seal

Own = Callable[..., str]
Cli = Callable[..., "object"]

BUILD = ("build", "--mix", "word.shout", "--ratio", "0.2", "--limit", "100")


@pytest.fixture
def forget() -> Callable[[], None]:
    """What a new process knows: no op of a user's own."""

    def forgotten() -> None:
        registry = importlib.import_module("lope_data.noise.registry")
        for name in [name for name, op in registry._ops.items() if op.origin is not None]:
            del registry._ops[name]
        for module in [module for module in sys.modules if module.startswith(("lope_import_", "acme", "shout"))]:
            del sys.modules[module]
        all_ops.cache_clear()

    return forgotten


def test_the_source_is_part_of_the_id_and_the_file_of_the_manifest(own_ops: Own, lope_data: Cli) -> None:
    own_ops("shout.py")
    first = lope_data(*BUILD, "--import", "shout.py", "--json").json
    manifest = json.loads((Path(first["path"]) / "manifest.json").read_text())
    assert manifest["op_modules"] == {"word.shout": "shout.py"}
    assert manifest["ops"]["word.shout"].startswith("1+")
    assert str(Path.cwd()) not in json.dumps(manifest)
    assert lope_data(*BUILD, "--import", "shout.py", "--json").json["existed"]
    own_ops("shout.py", edit="return hits.replace(hits.nothing())")
    second = lope_data(*BUILD, "--import", "shout.py", "--json").json
    assert second["version"] != first["version"]
    assert not second["existed"]
    shown = lope_data("show", f"sample-100-hynoise@{first['version']}")
    assert "own ops: word.shout of shout.py" in shown.out
    assert "--replay --import shout.py" in (Path(first["path"]) / "README.md").read_text()


def test_a_version_of_ours_alone_says_nothing_of_modules(own_ops: Own, lope_data: Cli) -> None:
    own_ops("shout.py")
    built = lope_data("build", "--import", "shout.py", "--ratio", "0.2", "--limit", "100", "--json").json
    assert "op_modules" not in json.loads((Path(built["path"]) / "manifest.json").read_text())
    assert built["version"] == lope_data("build", "--ratio", "0.2", "--limit", "100", "--json").json["version"]


def test_a_replay_needs_the_same_source_and_says_so(own_ops: Own, lope_data: Cli, forget: Callable[[], None]) -> None:
    own_ops("shout.py")
    name = lope_data(*BUILD, "--import", "shout.py", "--json").json["name"]
    child = lope_data("build", "--from", name, "--ratio", "0.1", "--name", "child").code
    assert child == 0
    for version in (name, "child"):  # of a chain too
        forget()
        absent = lope_data("verify", version, "--replay")
        assert absent.code == 2
        assert absent.err.count("\n") == 1
        assert "was made with word.shout of shout.py, which is not imported; pass --import shout.py" in absent.err
        again = lope_data("verify", version, "--replay", "--import", "shout.py")
        assert again.code == 0, again.err
        assert "comes out the same when built again" in again.out
    forget()
    with open("shout.py", "a") as file:  # noqa: PTH123
        file.write("# changed\n")
    other = lope_data("verify", name, "--replay", "--import", "shout.py")
    assert (other.code, other.err.count("\n")) == (2, 1)
    assert "find the source that made it, then pass --import shout.py" in other.err
    assert lope_data("verify", name).code == 0  # its files are all there
    assert "for --replay" in lope_data("verify", name, "--import", "shout.py").err


def test_a_manifest_never_causes_an_import(
    own_ops: Own, lope_data: Cli, tmp_path: Path, forget: Callable[[], None]
) -> None:
    own_ops("site/acme_noise.py", top="open('imported', 'a').close()")
    info = tmp_path / "site" / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lope_data.ops]\nword.shout = acme_noise\n")
    sys.path.append(str(tmp_path / "site"))
    importlib.invalidate_caches()
    built = lope_data(*BUILD, "--json")  # the op's name is enough for a recipe
    assert built.code == 0, built.err
    assert Path("imported").exists()
    forget()
    Path("imported").unlink()
    name = built.json["name"]
    for verb in (
        ("verify", name),
        ("verify", name, "--replay"),
        ("show", name, "--samples", "2"),
        ("diff", name, "sample-100"),
        ("report", name),
        ("export", name, "--as", "version", "--to", "parquet", "--out", "there"),
        ("import", "there", "--store", "elsewhere"),
        ("list",),
        ("build", "--from", name, "--ratio", "0.1", "--name", "child"),
    ):
        assert lope_data(*verb).code == {"--replay": 2, "sample-100": 1}.get(verb[-1], 0), verb  # 1: they differ
        assert not Path("imported").exists(), verb
    assert "pass --import acme_noise" in lope_data("verify", name, "--replay").err
    assert lope_data("verify", name, "--replay", "--import", "acme_noise").code == 0


@pytest.mark.parametrize("place", [{"mix": {"word.shout": "1"}, "params": {"word.shout": {}}}, {"mix": {"char": "1"}}])
def test_a_manifest_whose_recipe_names_more_than_its_ops_is_refused(
    own_ops: Own, noisy: Callable[..., Version], place: dict[str, object]
) -> None:
    version = noisy(mix="char.swap", ratio=0.1)
    plain = version.manifest.plain
    plain["recipe"] = {**plain["recipe"], "steps": [{**plain["recipe"]["steps"][0], **place}]}
    (version.folder / NAME).write_bytes(canonical(seal(plain)))
    replay = importlib.import_module("lope_data.builds.replay").replay
    (op,) = place["mix"]  # type: ignore[misc]
    with pytest.raises(library.LopeDataError, match=f"was made with {op}, which this lope_data does not have"):
        replay(Version.at(version.folder), "sample", 1, lambda *_: None)


def test_in_python_imports_come_before_the_recipe(own_ops: Own, tmp_path: Path) -> None:
    own_ops("shout.py")
    recipe = {"steps": [{"ratio": 0.2, "mix": {"word.shout": 2, "char": 1}}]}
    with pytest.raises(library.LopeDataError, match=r"unknown op or level 'word.shout'"):
        library.build(recipe, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()
    version = library.build(recipe, limit=100, imports=["shout.py"], store=tmp_path / "store")
    assert version.manifest.op_modules == {"word.shout": "shout.py"}
    assert library.preview(recipe, imports="shout.py").edits["op"].to_pylist().count("word.shout")
    assert "word.shout" in {op.name for op in library.list_ops(imports="shout.py")}
    (tmp_path / "mine.toml").write_text("[[steps]]\nmix = 'word.shout'\n")
    from_file = library.build("mine.toml", limit=100, imports="shout.py", store=tmp_path / "store")
    assert list(from_file.manifest.ops) == ["word.shout"]


def test_an_op_of_no_file_is_for_texts_and_previews_only(own_ops: Own, tmp_path: Path) -> None:
    said: dict[str, object] = {"__name__": "a_notebook", "text_op": text_op}
    exec(NOTEBOOK, said)  # noqa: S102  # as a notebook's cell is run
    assert library.corrupt(["be quiet"], "word.gone", level=1.0) == [" "]
    recipe = {"steps": [{"mix": "word.gone"}]}
    assert len(library.preview(recipe).edits)
    with pytest.raises(
        NoiseError, match=r"word.gone was defined in no file.*save it as a file and name that with imports="
    ):
        library.build(recipe, store=tmp_path / "store", limit=50)


NOTEBOOK = """
@text_op("word.gone", version=1, unit="word", units=lambda cells, params: cells.words, needs="a word")
def gone(hits, params):
    "Deletes a word."
    return hits.replace(hits.nothing())
"""


def test_an_op_that_fails_half_way_leaves_no_version(own_ops: Own, lope_data: Cli) -> None:
    edit = "return 1 / 0 if len(hits.row) < 20 else hits.replace(hits.nothing())"
    own_ops("shout.py", edit=edit)
    ran = lope_data("build", "--import", "shout.py", "--mix", "word.shout", "--ratio", "0.02", "--shard-rows", "100")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "word.shout failed (shout.py, line 16: ZeroDivisionError: division by zero)" in ran.err
    assert not list(Path("lope-store").glob("*hynoise*/*/manifest.json"))


def test_rows_do_not_depend_on_workers_or_shards_with_an_op_of_ones_own(own_ops: Own, tmp_path: Path) -> None:
    own_ops("shout.py")
    import_ops("shout.py")
    recipe = {"steps": [{"ratio": 0.5, "level": 0.4, "mix": "word.shout"}]}
    made = [
        library.build(recipe, limit=300, workers=workers, shard_rows=rows, store=tmp_path / str(rows))
        for workers, rows in ((1, 300), (4, 7))
    ]
    assert len({version.manifest.content_digest for version in made}) == 1
    rows = pa.concat_tables([version.rows for version in made])
    assert len(rows) == 600
