"""Rooms import rooms below them only, nothing imports in circles. The order is in `rooms.toml`, beside this file."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from benchmarks.structure.imports import Import, Order, against, circles, deep, imports, load_order, modules, room

ROOT = Path(__file__).parents[2]
ORDER = load_order(ROOT)
assert ORDER is not None
HALVES = ("lope_data", "lope_train")


@pytest.fixture(scope="module")
def found() -> list[Import]:
    return imports(ROOT)


@pytest.mark.parametrize("package", ORDER.rooms)
def test_every_room_has_a_place(package: str) -> None:
    there = {room(name) for name in modules(ROOT) if name.startswith(f"{package}.")} - {"__main__"}
    listed = ORDER.rooms[package]
    assert len(listed) == len(set(listed))
    assert there == set(listed), "rooms.toml lists every room, and none that is not there"


def test_the_readme_shows_every_room_with_a_line() -> None:
    block = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- tree -->")[2].partition("<!-- end -->")[0]
    shown, package = [], ""
    for name, about in re.findall(r"^( *[a-z_]+)/ +(\S.*)$", block, re.MULTILINE):
        package = package if name.startswith(" ") else name
        shown.append(f"{package}/{name.strip()}" if name.startswith(" ") else name)
        assert len(about) > 10
    rooms = [f"{package}/{one}" for package, names in ORDER.rooms.items() for one in names]
    folders = [one for one in rooms if (ROOT / one).is_dir()]
    assert [one for one in shown if "/" in one] == folders, "as in rooms.toml, in its order"
    assert {one for one in shown if "/" not in one} == {*ORDER.may_import}


def test_every_room_says_what_lives_there() -> None:
    for package, names in ORDER.rooms.items():
        for face in (ROOT / package / one / "__init__.py" for one in names if (ROOT / package / one).is_dir()):
            said = ast.get_docstring(ast.parse(face.read_text(encoding="utf-8")))
            assert said, face
            assert len(said) > 40, face


FACES = [
    f"{package}.{one}" for package, names in ORDER.rooms.items() for one in names if (ROOT / package / one).is_dir()
]


@pytest.mark.parametrize("package", [*HALVES, *FACES])
def test_a_face_has_what_it_lists_and_no_module_hides_a_name(package: str) -> None:
    face = importlib.import_module(package)
    names = face.__all__
    path = ROOT / package.replace(".", "/")
    assert len(names) == len(set(names))
    assert not [name for name in names if (path / f"{name}.py").exists() or (path / name).is_dir()]
    tree = ast.parse((path / "__init__.py").read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    defined = {*vars(face)}
    assert {*names} <= imported | defined, "under TYPE_CHECKING, so that type checkers know them"
    assert not [name for name in names if inspect.ismodule(getattr(face, name))]
    if package != "lope_train.methods":  # which finds its methods when it is imported
        assert {*inspect.getclosurevars(face.__getattr__).nonlocals["homes"]} == {*names}
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = face.no_such_name


def test_imports_follow_the_order(found: list[Import]) -> None:
    assert len(found) > 1000
    assert not [str(one) for one in against(found, ORDER)]


def test_no_circles_between_modules(found: list[Import]) -> None:
    assert not [" -> ".join(way) for way in circles(found)]


def test_from_outside_of_a_half_rooms_are_imported_by_their_faces(found: list[Import]) -> None:
    assert not [str(one) for one in deep(found)]


def test_the_order_keeps_the_halves_apart() -> None:
    """What `rooms.toml` may not be changed to say."""
    assert ORDER.may_import["lope_common"] == []
    assert all(ORDER.may_import[half] == ["lope_common"] for half in HALVES)
    importers = {other: {name for name, may in ORDER.may_import.items() if other in may} for other in ORDER.may_import}
    assert importers["pipelines"] == {"benchmarks", "tests"}
    assert importers["benchmarks"] == {"tests"}
    assert importers["tests"] == set()


# The checks themselves, on small trees.

SMALL = Order(
    rooms={"lope_data": ["names", "store", "builds"]},
    may_import={"lope_data": [], "lope_train": [], "pipelines": ["lope_data"], "tests": ["lope_data", "pipelines"]},
)


def tree(folder: Path, sources: dict[str, str]) -> list[Import]:
    """The imports of a checkout that has these files; every package gets its `__init__`."""
    for name, text in sources.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in [*folder.rglob("*")]:
        if path.is_dir() and path.relative_to(folder).parts[0] != "tests" and not (path / "__init__.py").exists():
            (path / "__init__.py").write_text("")
    return imports(folder)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("from lope_data.names import is_name", False),
        ("from lope_data.builds.obtain import build", True),
        ("from lope_data.builds import obtain", True),
        ("import lope_data.builds.obtain", True),
        ("def late():\n    from lope_data.builds.obtain import build", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lope_data.builds.obtain import build", True),
        ("from ..builds import obtain", True),
        ("import lope_data", True),
        ("import lope_train", True),
        ("from pipelines.cli import main", True),
        ("import json", False),
    ],
)
def test_an_import_against_the_order_is_found(tmp_path: Path, text: str, wrong: bool) -> None:
    found = tree(
        tmp_path,
        {
            "lope_data/names": "",
            "lope_data/store/store": text,
            "lope_data/builds/obtain": "from lope_data.store.store import Store",
            "lope_data/__main__": "from lope_data.builds.obtain import build",
            "lope_train/errors": "",
            "pipelines/cli": "from lope_data.builds.obtain import build",
        },
    )
    assert [one.module for one in against(found, SMALL)] == ["lope_data.store.store"] * wrong


def test_a_circle_is_found_with_its_way(tmp_path: Path) -> None:
    found = tree(
        tmp_path,
        {
            "lope_data/store/store": "from lope_data.store import version",
            "lope_data/store/version": "try:\n    from lope_data.store.draft import Draft\nfinally:\n    x = 1",
            "lope_data/store/draft": "import lope_data.store.store",
            "lope_data/names": "from lope_data.store.store import Store",
        },
    )
    assert circles(found) == [
        ["lope_data.store.draft", "lope_data.store.store", "lope_data.store.version", "lope_data.store.draft"]
    ]


@pytest.mark.parametrize(
    "text",
    [
        "def late():\n    from lope_data.store.store import Store",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lope_data.store.store import Store",
    ],
)
def test_an_import_that_does_not_run_at_once_is_no_circle(tmp_path: Path, text: str) -> None:
    found = tree(tmp_path, {"lope_data/store/version": text, "lope_data/store/store": "import lope_data.store.version"})
    assert not circles(found)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("from lope_data.store import Store", False),
        ("from lope_data.store import verify", False),  # a function of the face, though there is a verify.py
        ("from lope_data.names import is_name", False),  # no package: its own face
        ("import lope_data", False),
        ("from lope_data.store.store import Store", True),
        ("import lope_data.store.store", True),
        ("from lope_data.store import store", True),
        ("def late():\n    from lope_data.store.verify import verify", True),
    ],
)
@pytest.mark.parametrize(
    "module",
    ["pipelines/cli", "benchmarks/speed/build", "examples/one", "tests/lope_data/builds/test_build"],
)
def test_an_import_past_a_face_is_found(tmp_path: Path, module: str, text: str, wrong: bool) -> None:
    face = "from lope_data.store.store import Store\nfrom lope_data.store.verify import verify"
    found = tree(
        tmp_path,
        {
            "lope_data/names": "",
            "lope_data/store/__init__": face,
            "lope_data/store/store": "class Store: ...",
            "lope_data/store/verify": "def verify(): ...",
            "lope_data/builds/obtain": "from lope_data.store.store import Store",
            "tests/lope_data/store/test_store": "from lope_data.store.store import Store",
            module: text,
        },
    )
    assert [one.module for one in deep(found)] == [module.replace("/", ".")] * wrong


def test_a_lazy_face_has_the_names_that_it_lists(tmp_path: Path) -> None:
    found = tree(
        tmp_path,
        {
            "lope_train/methods/__init__": '__all__ = ["methods"]\n\ndef __getattr__(name): ...',
            "lope_train/methods/methods": "",
            "pipelines/cli": "from lope_train.methods import methods",
        },
    )
    assert not deep(found)
