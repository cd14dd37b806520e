"""Ops of a user's own are imported from files, modules and installed packages, and only when they are asked for."""

from __future__ import annotations

import importlib
import os
import py_compile
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

import lope_data
from lope_data.errors import RecipeError
from lope_data.noise import all_ops, get_op, import_ops
from lope_data.noise.catalogue import offered
from lope_data.noise.imports import find_op, named_op
from lope_data.noise.origin import has_changed, sources
from lope_data.noise.registry import op_version
from lope_data.recipe import load_recipe

Own = Callable[..., str]


@pytest.fixture
def package(own_ops: Own, tmp_path: Path) -> Callable[..., None]:
    """Installs a package that offers ops by entry points: `package("acme", {"word.shout": "acme_noise"})`."""

    def install(name: str, offers: dict[str, str]) -> None:
        place = tmp_path / "site"
        info = place / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{op} = {module}" for op, module in offers.items()]
        (info / "entry_points.txt").write_text("\n".join(["[lope_data.ops]", *lines, ""]))
        if str(place) not in sys.path:
            sys.path.append(str(place))
        importlib.invalidate_caches()

    return install


def version_of(name: str) -> str:
    return op_version(get_op(name), get_op(name).params())


@pytest.mark.parametrize("target", ["shout.py", "./shout.py", "{}/shout.py", "shout"])
def test_a_file_by_any_path_or_as_a_module_is_one_op(own_ops: Own, tmp_path: Path, target: str) -> None:
    own_ops("shout.py")
    import_ops(target.format(tmp_path))
    made_by = version_of("word.shout")
    import_ops([target.format(tmp_path), tmp_path / "shout.py"])  # again, which changes nothing
    assert version_of("word.shout") == made_by
    origin = get_op("word.shout").origin
    assert origin is not None
    assert origin.module == ("shout" if target == "shout" else "shout.py")
    assert made_by == f"1+{origin.sha256[:16]}"  # type: ignore[index]
    assert lope_data.corrupt(["be loud"], "word.shout", level=1.0) == ["BE LOUD"]


def test_a_module_in_a_package_is_found_from_the_working_directory(
    own_ops: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_ops("acme/noise.py")
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(Path.cwd()))])
    before = list(sys.path)
    import_ops("acme.noise")
    assert get_op("word.shout").origin.module == "acme.noise"  # type: ignore[union-attr]
    assert sys.path == before
    import_ops("acme")  # it registered one, if not by itself


def test_a_file_that_changed_is_imported_again(own_ops: Own) -> None:
    own_ops("shout.py")
    import_ops("shout.py")
    before = version_of("word.shout")
    own_ops("shout.py", edit="return hits.replace(pc.utf8_lower(hits.text().cast(pa.large_string())))")
    import_ops("shout.py")
    assert version_of("word.shout") != before
    assert lope_data.corrupt(["Be LOUD"], "word.shout", level=1.0) == ["be loud"]
    own_ops("shout.py", name="word.other")
    import_ops("shout.py")
    assert "word.other" in all_ops()
    assert "word.shout" not in all_ops()  # it is no longer in the file


def test_a_file_after_its_module_and_before_it_is_one_op(own_ops: Own) -> None:
    own_ops("shout.py")
    for targets in (["shout", "shout.py"], ["shout.py", "shout"]):
        import_ops(targets)
    import_ops(["shout.py", "shout"])
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["BE"]


def test_two_ops_of_one_name_in_one_file_are_a_mistake(own_ops: Own, tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(SECOND.replace("NAME", "word.two") * 2)
    with pytest.raises(RecipeError, match=r"there is an op word.two already, an op of two.py"):
        import_ops("two.py")
    assert "word.two" not in all_ops()


def test_a_cell_of_a_notebook_may_be_run_again(own_ops: Own) -> None:
    for word in ("one", "two"):
        cell = SECOND.replace("NAME", "word.cell").replace("hits.nothing()", f"pa.array(['{word}'] * len(hits.row))")
        exec(cell, {"__name__": "a_notebook", "pa": pa})  # noqa: S102  # as a notebook runs it
        assert lope_data.corrupt(["be"], "word.cell", level=1.0) == [word]


def test_a_program_that_takes_a_name_of_ours_is_told_at_once(own_ops: Own) -> None:
    own_ops("shout.py", name="word.swap")
    done = subprocess.run([sys.executable, "-c", "import shout"], capture_output=True, text=True, check=False)
    assert "RecipeError: there is an op word.swap already, an op of lope_data" in done.stderr


def test_what_runs_is_what_was_hashed_whatever_a_cache_holds(own_ops: Own, tmp_path: Path) -> None:
    path = tmp_path / own_ops("shout.py", top="END = 'a'", edit="return hits.replace(pa.array([END] * len(hits.row)))")
    py_compile.compile(str(path))
    time = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace("END = 'a'", "END = 'b'"))
    os.utime(path, ns=(time, time))  # of the same time and size: Python would take the cache for it
    import_ops("shout.py")
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["b"]


def test_the_hash_is_of_the_source_whatever_ends_its_lines(own_ops: Own) -> None:
    path = Path(own_ops("shout.py"))
    import_ops("shout.py")
    before = version_of("word.shout")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    import_ops("shout.py")
    assert version_of("word.shout") == before
    path.write_text(path.read_text() + "# a comment\n")
    import_ops("shout.py")
    assert version_of("word.shout") != before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"top": "boom()"}, "cannot import bad.py: bad.py, line 6: NameError: name 'boom' is not defined"),
        ({"top": "import nowhere_at_all"}, "line 6: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ({"top": "def f(:"}, "cannot import bad.py: bad.py, line 6: SyntaxError: invalid syntax"),
        ({"top": "import sys; sys.exit(3)"}, "cannot import bad.py: bad.py, line 6: SystemExit: 3"),
        ({"top": "raise ValueError('two\\nlines')"}, "ValueError: two\nlines"),
        ({"name": "word.swap"}, "there is an op word.swap already, an op of lope_data; give yours another name"),
        ({"name": "loud"}, "an op cannot be called 'loud': its name is LEVEL.NAME"),
        ({"name": "word.Loud"}, "an op cannot be called 'word.Loud'"),
        ({"name": "label.loud"}, "its level one of char, word, structure"),
        ({"name": "nlpaug.loud"}, "its level one of char, word, structure"),
        ({"more": ", pick='best'"}, "word.other: pick cannot be 'best'; known: anywhere, apart, last"),
        ({"more": ", params=dict"}, "word.other: params must be a subclass of Params, not <class 'dict'>"),
        ({"more": ", named=True"}, "TypeError: text_op() got an unexpected keyword argument 'named'"),
    ],
)
def test_a_file_that_fails_is_one_line_and_leaves_no_op(own_ops: Own, changed: dict[str, str], message: str) -> None:
    own_ops("shout.py")
    import_ops("shout.py")
    there = dict(all_ops())
    own_ops("bad.py", **({"name": "word.other"} | changed))
    with pytest.raises(RecipeError) as error:
        import_ops(["bad.py"])
    assert message in str(error.value)
    assert dict(all_ops()) == there
    own_ops("bad.py", name="word.other")
    import_ops("bad.py")
    assert "word.other" in all_ops()


def test_a_file_that_fails_after_its_op_leaves_none(own_ops: Own) -> None:
    path = Path(own_ops("shout.py"))
    import_ops("shout.py")
    before = version_of("word.shout")
    path.write_text(path.read_text() + "boom()\n")
    with pytest.raises(RecipeError, match="NameError"):
        import_ops("shout.py")
    assert version_of("word.shout") == before  # the one that there was
    path.rename("other.py")
    with pytest.raises(RecipeError, match=r"there is an op word.shout already, an op of shout.py"):
        import_ops("other.py")
    Path("third.py").write_text(SECOND.replace("NAME", "word.third") + "boom()\n")
    for target in ("third.py", "third"):  # the second time the module must not count as imported
        for _ in range(2):
            with pytest.raises(RecipeError, match="NameError"):
                import_ops(target)
        assert "word.third" not in all_ops()


def test_what_the_file_imports_from_beside_it_is_part_of_its_source(own_ops: Own, tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("from tables.words import LOUD\n")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "__init__.py").write_text("")
    (tmp_path / "tables" / "words.py").write_text("LOUD = 'LOUD'\n")
    (tmp_path / "unused.py").write_text("x = 1\n")
    own_ops(
        "shout.py",
        top="import helper, json, numpy",
        edit="return hits.replace(pa.array([helper.LOUD] * len(hits.row)))",
    )
    import_ops("shout.py")
    before = version_of("word.shout")
    (tmp_path / "unused.py").write_text("x = 2\n")
    import_ops("shout.py")
    assert version_of("word.shout") == before
    (tmp_path / "tables" / "words.py").write_text("LOUD = 'louder'\n")
    import_ops("shout.py")
    assert version_of("word.shout") != before
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["louder"]  # what was hashed is what runs


def test_of_a_package_its_own_modules_are_the_source(own_ops: Own, tmp_path: Path) -> None:
    """Relative imports and those in functions too, and what its packages run; of an installed one no other package."""
    place = tmp_path / "site-packages"
    own_ops("site-packages/acme/ops/noise.py", top="import other", units="from ..words import W; return w")
    files = {"acme/__init__": "RAN = 1", "acme/ops/__init__": "", "acme/words": "W = 1", "other": "x = 1"}
    for name, text in files.items():
        (place / f"{name}.py").write_text(text)
    sys.path.append(str(place))
    importlib.invalidate_caches()
    import_ops("acme.ops.noise")
    origin = get_op("word.shout").origin
    assert origin is not None
    assert (origin.module, origin.roots) == ("acme.ops.noise", ("acme.ops.noise",))
    assert set(sources(origin.roots)) == {"acme.ops.noise", "acme.ops", "acme", "acme.words"}
    assert not has_changed(origin)
    (place / "other.py").write_text("x = 2")
    assert not has_changed(origin)
    for name in ("acme/words", "acme/__init__"):
        (place / f"{name}.py").write_text(f"{files[name]}  # changed")
        assert has_changed(origin)
        (place / f"{name}.py").write_text(files[name])


def test_what_is_hashed_is_what_was_loaded(own_ops: Own, tmp_path: Path) -> None:
    """The file's own folder comes first, as for a script; where a module is there already, that one counts."""
    edit = "return hits.replace(pa.array([helper.LOUD] * len(hits.row)))"
    own_ops("sub/shout.py", top="import helper", edit=edit)
    for place, text in (("sub", "LOUD = 'sub'"), (".", "LOUD = 'here'")):
        (tmp_path / place / "helper.py").write_text(text)
    import_ops("sub/shout.py")
    before = version_of("word.shout")
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["sub"]
    (tmp_path / "helper.py").write_text("LOUD = 'changed'")
    import_ops("sub/shout.py")
    assert version_of("word.shout") == before
    (tmp_path / "sub" / "helper.py").write_text("LOUD = 'changed'")
    import_ops("sub/shout.py")
    assert version_of("word.shout") != before
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["changed"]
    own_ops("other/shout.py", name="word.other", top="import helper", edit=edit)
    (tmp_path / "other" / "helper.py").write_text("LOUD = 'other'")
    with pytest.raises(RecipeError, match=r"helper was imported from .*sub/helper.py before, and .*other/helper.py is"):
        import_ops("other/shout.py")


def test_a_module_of_one_name_in_another_folder_is_not_taken_for_it(
    own_ops: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_ops("shout.py")
    import_ops("shout")
    own_ops("other/shout.py", name="word.other")
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(
        RecipeError, match=r"shout was imported from .*shout.py before, and .*other/shout.py is another"
    ):
        import_ops("shout")


def test_what_a_function_imports_is_loaded_with_the_rest(own_ops: Own, tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text("LOUD = 'one'")
    own_ops("shout.py", edit="import lazy; return hits.replace(pa.array([lazy.LOUD] * len(hits.row)))")
    import_ops("shout.py")
    before = version_of("word.shout")
    (tmp_path / "lazy.py").write_text("LOUD = 'two'")
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["one"]  # as its version says
    import_ops("shout.py")
    assert version_of("word.shout") != before
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["two"]
    (tmp_path / "lazy.py").write_text("def loud():\n    import lazier\n    return lazier.LOUD\n")
    (tmp_path / "lazier.py").write_text("LOUD = 'one'")
    own_ops("deep.py", name="word.deep", edit=f"import lazy; {LOUD.format('lazy.loud()')}")
    import_ops(["shout.py", "deep.py"])
    (tmp_path / "lazier.py").write_text("LOUD = 'two'")
    assert lope_data.corrupt(["be"], "word.deep", level=1.0) == ["one"]


def test_a_module_that_is_loaded_already_is_hashed_as_it_was_loaded(own_ops: Own, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("W = 'one'")
    own_ops("a.py", name="word.a", top="import helper", edit=LOUD.format("helper.W"))
    own_ops("b.py", name="word.b", top="import helper", edit=LOUD.format("helper.W"))
    import_ops("a.py")
    (tmp_path / "helper.py").write_text("W = 'two'")
    import_ops("b.py")
    origin = get_op("word.b").origin
    assert origin is not None
    assert lope_data.corrupt(["be"], "word.b", level=1.0) == ["one"]
    assert sources(origin.roots)["helper"] == b"W = 'one'"
    assert has_changed(origin)


def test_the_cache_of_a_helper_is_not_believed_either(own_ops: Own, tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("LOUD = 'a'")
    py_compile.compile(str(helper))
    time = helper.stat().st_mtime_ns
    helper.write_text("LOUD = 'b'")
    os.utime(helper, ns=(time, time))
    own_ops("shout.py", top="import helper", edit="return hits.replace(pa.array([helper.LOUD] * len(hits.row)))")
    import_ops("shout.py")
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["b"]


def test_an_op_made_of_a_function_of_ours_is_still_the_users(own_ops: Own, tmp_path: Path) -> None:
    path = tmp_path / "reuse.py"
    path.write_text(REUSE.format(units="cells.words"))
    import_ops("reuse.py")
    before = version_of("word.mine")
    assert get_op("word.mine").origin.module == "reuse.py"  # type: ignore[union-attr]
    path.write_text(REUSE.format(units="cells.graphemes"))
    import_ops("reuse.py")
    assert version_of("word.mine") != before


REUSE = """from lope_data.noise import text_op
from lope_data.noise.ops.word import delete

text_op("word.mine", version=1, unit="word", units=lambda cells, _: {units}, needs="two words", keep=1)(delete)
"""


def test_ops_of_a_module_that_the_file_imports_count_and_come_again(own_ops: Own, tmp_path: Path) -> None:
    own_ops("helper.py")
    (tmp_path / "only.py").write_text("import helper\n")
    import_ops("only.py")
    assert get_op("word.shout").origin.module == "helper"  # type: ignore[union-attr]
    both = tmp_path / "both.py"
    both.write_text("import helper\n" + SECOND.replace("NAME", "word.both"))
    import_ops("both.py")
    both.write_text(both.read_text() + "# changed\n")
    import_ops("both.py")
    assert {"word.shout", "word.both"} <= set(all_ops())


def test_several_threads_may_import_at_once(own_ops: Own) -> None:
    own_ops("shout.py")
    own_ops("bad.py", name="word.bad", edit="return 1", top="import time; time.sleep(0.05); boom()")
    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(import_ops, name) for name in ("bad.py", "shout.py", "bad.py", "shout.py")]
    assert [isinstance(future.exception(), RecipeError) for future in done] == [True, False, True, False]
    assert "word.shout" in all_ops()
    assert "word.bad" not in all_ops()


def test_a_recipe_keeps_the_op_that_it_was_read_with(own_ops: Own) -> None:
    own_ops("shout.py", top="W = 'one'", edit="return hits.replace(pa.array([W] * len(hits.row)))")
    import_ops("shout.py")
    step = load_recipe(None, {"mix": "word.shout"}).steps[0]
    made_by = op_version(step.ops["word.shout"], step.params_of("word.shout"))
    own_ops("shout.py", top="W = 'two'", edit="return hits.replace(pa.array([W] * len(hits.row)))")
    import_ops("shout.py")
    assert op_version(step.ops["word.shout"], step.params_of("word.shout")) == made_by
    assert version_of("word.shout") != made_by


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ("raise BaseException('stop')", "line 6: BaseException: stop"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "E: it cannot say why"),
        ("raise ValueError('x' * 3_000_000)", "ValueError: xxx"),
        ("from lope_data.noise import import_ops; import_ops(__file__)", "it imports itself"),
        ("x = " + "-" * 20_000 + "1", "cannot import bad.py: bad.py"),
    ],
)
def test_the_ugliest_files_are_one_short_line(own_ops: Own, top: str, message: str) -> None:
    own_ops("bad.py", top=top)
    with pytest.raises(RecipeError) as error:
        import_ops("bad.py")
    assert message in str(error.value)
    assert len(str(error.value)) < 600


def test_links_and_long_names(own_ops: Own, tmp_path: Path) -> None:
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "link.py").symlink_to(own_ops("deep/shout.py"))
    for target in ("loop.py", f"{'x' * 230}.py"):
        with pytest.raises(RecipeError, match=r"cannot import "):
            import_ops(target)
    import_ops("link.py")
    assert get_op("word.shout").origin.module == "link.py"  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["[lope_data.ops]\nno equals sign\n", "[lope_data.ops]\nword.shout = \n", "\xff"])
def test_a_damaged_package_does_not_stand_in_the_way(
    own_ops: Own, package: Callable[..., None], tmp_path: Path, text: str
) -> None:
    package("bad", {})
    (tmp_path / "site" / "bad-1.0.dist-info" / "entry_points.txt").write_bytes(text.encode("latin-1"))
    package("acme", {"word.fine": "acme_noise"})
    own_ops("site/acme_noise.py", name="word.fine")
    assert offered()["word.fine"] == "acme 1.0"
    assert find_op("word.fine") is not None
    with pytest.raises(RecipeError):
        named_op("word.shout")


LOUD = "return hits.replace(pa.array([{}] * len(hits.row)))"


@pytest.mark.parametrize(
    ("parts", "edit", "where"),
    [
        (["pk/__init__.py"], f"from pk.sub import W; {LOUD.format('W')}", "pk/sub.py"),
        (["pk/__init__.py:A = 1"], f"from pk.sub import W; {LOUD.format('W')}", "pk/sub.py"),
        ([], f"from ns.deep.sub import W; {LOUD.format('W')}", "ns/deep/sub.py"),
        (["pk/__init__.py:__all__ = ['sub']"], LOUD.format("sub.W"), "pk/sub.py"),
        ([], LOUD.format("sub.W"), "dyn.py"),
    ],
    ids=["blank", "package", "namespace", "star", "dynamic"],
)
def test_however_a_module_is_imported_it_is_part_of_the_source(
    own_ops: Own, tmp_path: Path, parts: list[str], edit: str, where: str
) -> None:
    top = {"pk/sub.py": "from pk import *" if "sub.W" in edit else "", "ns/deep/sub.py": ""}.get(
        where, "import importlib; sub = importlib.import_module('dyn')"
    )
    for part in [*parts, f"{where}:W = 'one'"]:
        name, _, text = part.partition(":")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    own_ops("shout.py", top=top, edit=edit)
    import_ops("shout.py")
    before = version_of("word.shout")
    (tmp_path / where).write_text("W = 'two'")
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["one"]
    import_ops("shout.py")
    assert version_of("word.shout") != before
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["two"]


def test_a_helper_that_is_gone_is_missed(own_ops: Own, tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("W = 'one'")
    own_ops("shout.py", top="import helper")
    import_ops("shout.py")
    (tmp_path / "helper.py").unlink()
    with pytest.raises(RecipeError, match="No module named 'helper'"):
        import_ops("shout.py")


def test_what_shares_a_module_that_is_imported_again_is_too(own_ops: Own, tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("W = 'one'")
    own_ops("a.py", name="word.a", top="import helper", edit=LOUD.format("helper.W"))
    own_ops("b.py", name="word.b", edit=f"import helper; {LOUD.format('helper.W')}")
    import_ops(["a.py", "b.py"])
    before = version_of("word.b")
    helper.write_text("W = 'two'")
    import_ops("a.py")
    assert version_of("word.b") != before
    assert lope_data.corrupt(["be"], "word.b", level=1.0) == ["two"]


@pytest.mark.parametrize("place", ["helper.py", "pk/sub.py"])
def test_a_failing_import_leaves_modules_as_they_were(own_ops: Own, tmp_path: Path, place: str) -> None:
    name = place.removesuffix(".py").replace("/", ".")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("W = 'one'")
    own_ops("shout.py", top=f"import {name}", edit=LOUD.format(f"{name}.W"))
    import_ops("shout.py")
    (tmp_path / place).write_text("W = 'two'")
    own_ops("shout.py", top=f"import {name}; boom()", edit=LOUD.format(f"{name}.W"))
    with pytest.raises(RecipeError, match="boom"):
        import_ops("shout.py")
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["one"]
    assert sys.modules[name].W == "one"


def test_a_decorator_of_ones_own_leaves_the_op_where_it_is_defined(own_ops: Own, tmp_path: Path) -> None:
    made_by = set()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mydeco.py").write_text(DECORATOR)
        (tmp_path / folder / "a.py").write_text(DECORATED)
        import_ops(f"{folder}/a.py")
        assert get_op("word.deco").origin.module == "a.py"  # type: ignore[union-attr]
        made_by.add(version_of("word.deco"))
        registry = importlib.import_module("lope_data.noise.registry")
        del registry._ops["word.deco"], sys.modules["mydeco"]
        all_ops.cache_clear()
    assert len(made_by) == 1  # wherever it lies


DECORATOR = """from lope_data.noise import text_op

def word_op(name):
    return text_op(name, version=1, unit="word", units=lambda cells, _: cells.words, needs="a word")
"""
DECORATED = """from mydeco import word_op

@word_op("word.deco")
def deco(hits, params):
    "Deletes a word."
    return hits.replace(hits.nothing())
"""


def test_a_module_that_changed_is_imported_again_too(own_ops: Own) -> None:
    own_ops("shout.py", edit=LOUD.format("'one'"))
    import_ops("shout")
    before = version_of("word.shout")
    own_ops("shout.py", edit=LOUD.format("'other'"))
    import_ops("shout")
    assert version_of("word.shout") != before
    assert lope_data.corrupt(["be"], "word.shout", level=1.0) == ["other"]


def test_what_a_program_imported_before_it_changed_is_refused(own_ops: Own, tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    helper.write_text("W = 'one'")
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    importlib.import_module("helper")
    helper.write_text("W = 'twotwo'")
    own_ops("shout.py", top="import helper", edit=LOUD.format("helper.W"))
    with pytest.raises(RecipeError, match="helper was changed after this program imported it; start the program again"):
        import_ops("shout.py")


def test_what_only_a_script_does_is_not_done(own_ops: Own, tmp_path: Path) -> None:
    (tmp_path / "demo.py").write_text("x = 1")
    own_ops("shout.py", top="if __name__ == '__main__':\n    import demo\n")
    import_ops("shout.py")
    assert "demo" not in sys.modules
    (tmp_path / "demo.py").write_text("import sys; sys.exit(3)")
    own_ops("shout.py", edit=f"import demo; {LOUD.format('1')}")
    import_ops("shout.py")  # what fails when it is called is not what fails now


def test_an_op_is_there_while_its_file_is_imported_again(own_ops: Own) -> None:
    own_ops("shout.py")
    import_ops("shout.py")
    own_ops("shout.py", top="import time; time.sleep(0.2)")
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(import_ops, "shout.py")
        while not done.done():
            assert "word.shout" in all_ops()
    assert done.exception() is None


SECOND = """from lope_data.noise import text_op

@text_op("NAME", version=1, unit="word", units=lambda cells, _: cells.words, needs="a word")
def third(hits, params):
    "Deletes a word."
    return hits.replace(hits.nothing())
"""


def test_a_package_that_fails_is_imported_whole_once_it_is_mended(own_ops: Own, tmp_path: Path) -> None:
    own_ops("acme/noise.py")
    (tmp_path / "acme" / "ops.py").write_text("import acme.noise\nboom()\n")
    with pytest.raises(RecipeError, match="NameError"):
        import_ops("acme.ops")
    (tmp_path / "acme" / "ops.py").write_text("import acme.noise  # registers the op\n")
    import_ops("acme.ops")
    assert "word.shout" in all_ops()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere.py", "cannot import nowhere.py: No such file or directory"),
        ("nowhere", "cannot import nowhere: there is no such module; a file is named with its .py"),
        ("json.nowhere", "cannot import json.nowhere: there is no such module"),
        ("json", "cannot import json: it registers no op; decorate a function with text_op or label_op"),
        ("folder.py", "cannot import folder.py: it is not a file"),
        ("empty.py", "cannot import empty.py: it registers no op"),
        ("latin.py", "cannot import latin.py: latin.py"),
        ("a/b", "cannot import 'a/b': a file ends with .py"),
        (
            "my op.py",
            "cannot import 'my op.py': the name of a file or module with ops may hold letters, digits, _ and -",
        ),
        ("", "cannot import '': the name of a file or module"),
        ("a\0.py", "cannot import 'a\\x00.py'"),
        (7, "imports must hold files and names of modules, not 7"),
        ([b"shout.py"], "imports must hold files and names of modules, not b'shout.py'"),
        ([None], "imports must hold files and names of modules, not None"),
    ],
)
def test_what_cannot_be_imported_is_named(own_ops: Own, tmp_path: Path, target: str, message: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "empty.py").write_text("x = 1\n")
    (tmp_path / "latin.py").write_bytes(b"x = '\xe4'\n")
    with pytest.raises(RecipeError) as error:
        import_ops(target)
    assert str(error.value).startswith(message)


def test_an_installed_op_is_imported_when_a_recipe_names_it_and_not_before(
    own_ops: Own, package: Callable[..., None]
) -> None:
    own_ops("site/acme_noise.py")
    package("acme", {"word.shout": "acme_noise"})
    assert offered() == {"word.shout": "acme 1.0"}
    with pytest.raises(RecipeError, match=r"did you mean 'word.shout'"):
        load_recipe(None, {"mix": "word.shoutt"})
    assert "word.shout" not in {op.name for op in lope_data.list_ops()}
    assert "acme_noise" not in sys.modules
    recipe = load_recipe(None, {"mix": {"word.shout": 1, "char": 1}})
    assert "word.shout" in recipe.steps[0].weights
    assert "acme_noise" in sys.modules
    assert offered() == {}


def test_corrupt_and_ops_name_an_installed_op_too(
    own_ops: Own, package: Callable[..., None], lope_data: Callable
) -> None:
    own_ops("site/acme_noise.py")
    package("acme", {"word.shout": "acme_noise"})
    listed = " ".join(lope_data("ops").out.split())
    assert "word.shout acme 1.0: imported when it is named" in listed
    assert "acme_noise" not in sys.modules
    assert "of acme_noise" in lope_data("ops", "word.shout").out
    assert "acme_noise" in sys.modules


@pytest.mark.parametrize(
    ("offers", "changed", "message"),
    [
        (
            {"word.shout": "acme_noise"},
            {"top": "boom()"},
            "cannot import acme 1.0, which has the op word.shout: acme_noise.py",
        ),
        ({"word.other": "acme_noise"}, {}, "acme 1.0 has no op word.other, though it says so"),
        (
            {"word.shout": "acme_nowhere"},
            {},
            "cannot import acme 1.0, which has the op word.shout: there is no such module",
        ),
    ],
)
def test_what_is_wrong_with_a_package_is_named(
    own_ops: Own, package: Callable[..., None], offers: dict[str, str], changed: dict[str, str], message: str
) -> None:
    own_ops("site/acme_noise.py", **changed)
    package("acme", offers)
    with pytest.raises(RecipeError) as error:
        find_op(next(iter(offers)))
    assert message in str(error.value)


def test_two_packages_with_one_op_are_an_error_that_names_both(own_ops: Own, package: Callable[..., None]) -> None:
    own_ops("site/acme_noise.py")
    package("acme", {"word.shout": "acme_noise"})
    package("zeta", {"word.shout": "acme_noise", "word.swap": "acme_noise"})
    with pytest.raises(RecipeError, match=r"offered by several packages: acme 1.0 \(acme_noise\), zeta 1.0"):
        find_op("word.shout")
    assert named_op("word.swap").origin is None  # ours, whatever a package says


def test_an_unknown_op_says_how_one_of_ones_own_is_named(own_ops: Own) -> None:
    with pytest.raises(RecipeError, match=r"unknown op 'word.swp'; did you mean 'word.swap'\?.* --import FILE.py"):
        named_op("word.swp")
    with pytest.raises(
        RecipeError, match=r"unknown op 'zzz'; `python -m lope_data ops` lists them .* --import FILE.py"
    ):
        named_op("zzz")
