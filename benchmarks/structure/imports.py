"""Who imports whom in a checkout, read from the source: nothing is imported for it."""

from __future__ import annotations

import ast
import tomllib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOPS = ("lope_common", "lope_data", "lope_train", "pipelines", "benchmarks", "examples", "tests")
ORDER_FILE = Path("tests", "architecture", "rooms.toml")


@dataclass(frozen=True)
class Import:
    """One module named by one import statement.

    Attributes:
        target: the module that runs when this is imported: of `from room import name`, `room` where its `__init__` has
            that name, and the file `room/name.py` where it has not.
        at_once: whether it runs when the module itself is imported: not in a function, not under TYPE_CHECKING.
    """

    module: str
    line: int
    target: str
    at_once: bool

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}, imports {self.target}"


@dataclass(frozen=True)
class Order:
    """What `rooms.toml` says: the rooms of a package from the bottom up, and which packages one may import."""

    rooms: Mapping[str, list[str]]
    may_import: Mapping[str, list[str]]


def load_order(root: Path) -> Order | None:
    """The order of a checkout; None where it has none, being older than it."""
    if not (root / ORDER_FILE).is_file():
        return None
    order: dict[str, Any] = tomllib.loads((root / ORDER_FILE).read_text(encoding="utf-8"))
    return Order(order["rooms"], order["may_import"])


def modules(root: Path) -> dict[str, Path]:
    """The modules of our packages by their dotted names; a package's `__init__` has the name of the package."""
    found = {}
    for top in TOPS:
        for path in sorted((root / top).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    """The room of a module: what follows the package's name; of the package's own `__init__`, nothing."""
    return module.split(".")[1] if "." in module else ""


def imports(root: Path) -> list[Import]:
    """Every import of our own modules, one item for each module that a statement names."""
    files = modules(root)
    trees = {name: ast.parse(path.read_text(encoding="utf-8"), str(path)) for name, path in files.items()}
    faces = {name: set(_bound(trees[name])) for name, path in files.items() if path.name == "__init__.py"}
    found: dict[Import, None] = {}
    for module, tree in trees.items():
        package = module if files[module].name == "__init__.py" else module.rpartition(".")[0]
        for node, at_once in _statements(tree, at_once=True):
            for target in _targets(node, package, files, faces):
                found[Import(module, node.lineno, target, at_once)] = None
    return list(found)


def _statements(node: ast.AST, at_once: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, at_once
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part, runs in ((child.body, False), (child.orelse, at_once)):
                yield from _statements(ast.Module(part, []), runs)
        else:
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _statements(child, at_once and not later)


def _targets(
    node: ast.Import | ast.ImportFrom, package: str, files: Mapping[str, Path], faces: Mapping[str, set[str]]
) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in files)
        return
    base = node.module or ""
    if node.level:
        base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])])
    for alias in node.names:
        inside = f"{base}.{alias.name}"
        if inside in files and alias.name not in faces.get(base, ()):
            yield inside
        elif base in files:
            yield base


def _bound(tree: ast.AST) -> Iterator[str]:
    """The names that an `__init__` has: what it imports, defines, assigns or lists in `__all__`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id
            if node.targets[0].id == "__all__":
                yield from ast.literal_eval(node.value)


def between_rooms(found: Iterable[Import], order: Order) -> list[Import]:
    """The imports of another room of the same package, or of another package."""
    own = [one for one in found if one.module.partition(".")[0] in order.rooms]
    return [one for one in own if _place(one.module) != _place(one.target)]


def against(found: Iterable[Import], order: Order) -> list[Import]:
    """The imports that run against the order: of a room above, or of a package that may not be imported."""
    return [one for one in found if not _allowed(one, order)]


def _allowed(one: Import, order: Order) -> bool:
    (top, here), (other, there) = _place(one.module), _place(one.target)
    if top != other:
        return other in order.may_import[top]
    rooms = order.rooms.get(top)
    if rooms is None or here == there or here in ("", "__main__"):  # the package's own face may import every room
        return True
    return there in rooms and here in rooms and rooms.index(there) < rooms.index(here)


def _place(module: str) -> tuple[str, str]:
    return module.partition(".")[0], room(module)


def deep(found: Iterable[Import]) -> list[Import]:
    """The imports from outside of a half that reach past the face of a room; a room's own tests may."""
    halves = ("lope_data", "lope_train", "pipelines")
    return [
        one
        for one in found
        if one.target.startswith(tuple(f"{half}." for half in halves))
        and one.target.count(".") > 1
        and one.module.partition(".")[0] != one.target.partition(".")[0]
        and not one.module.startswith("tests.{}.{}.".format(*_place(one.target)))
    ]


def circles(found: Iterable[Import]) -> list[list[str]]:
    """For each group of modules that import each other when they are imported, the shortest way round, ends named."""
    graph: dict[str, list[str]] = {}
    for one in found:
        if one.at_once:
            graph.setdefault(one.module, []).append(one.target)
    ways, seen = [], set[str]()
    for module in sorted(graph):
        if module not in seen and (way := _way_back(graph, module)):
            ways.append(way)
            seen |= {other for other in _reached(graph, module) if module in _reached(graph, other)}
    return ways


def _reached(graph: Mapping[str, list[str]], start: str) -> dict[str, str]:
    """Every module that a module leads to, with the one before it on the shortest way."""
    before: dict[str, str] = {}
    queue = deque([start])
    while queue:
        for target in graph.get(here := queue.popleft(), ()):
            if target not in before:
                before[target] = here
                queue.append(target)
    return before


def _way_back(graph: Mapping[str, list[str]], start: str) -> list[str]:
    before = _reached(graph, start)
    if start not in before:
        return []
    way = [start, before[start]]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]
