"""One recipe through the real path, and everything that can be checked about the version that comes out.

What is checked is written from FORMAT.md alone: edits are replayed by hand, and no code of a build is used for it.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import re2
from pydantic import ValidationError

from benchmarks.soak.random_recipes import WORDNET, Trial
from benchmarks.soak.random_values import CLASSES
from lope_data import builds
from lope_data.cli import overrides
from lope_data.errors import LopeDataError
from lope_data.recipe import Recipe, load_recipe
from lope_data.store import Store, Version, verify_version

_WORDNET = Path(__file__).parents[2] / "tests" / "lope_data" / "noise" / "wordnet"
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_WORDS = [
    *("the quick brown fox jumps over lazy dogs", "Name 3 primary colours,\nand say why!", "", "a", "  ", "x" * 200),
    *(
        "👨‍👩‍👧 family 🇩🇪 flag 👍🏽 ok",
        "שלום עולם and العربية ١٢٣",
        "line\r\nline\r\n\ttab",
        "Ärger über café, cafe\u0301",
    ),
    *(
        "日本語のテキスト と 한국어",
        "price 1,234.50 on 2024-02-29 at 10:30 (99%)",
        "see https://example.org/a?b=c or a@b.cd",
    ),
    *(
        "def f(x):\n    return x  # `code`",
        "```py\nprint(1)\n``` then $x^2$ and {name} <|im_end|>",
        "nul\0 and \x1b[31mred",
    ),
    *("to be or not to be, that is the question", "The answer is 42. So 42 it is.", "...!?", "don't separate they're"),
]


@dataclass(frozen=True)
class Outcome:
    """`kind`: `version`, the class of a clear error, or `FAILURE`; `message`: what it said; `version`: its id."""

    kind: str
    message: str
    version: str = ""


class CheckError(Exception):
    """A version that is not what it says."""


def write_sources(folder: Path) -> None:
    """Small sources of every shape in a folder, the same every time."""
    random = Random(614)  # noqa: S311
    folder.mkdir(parents=True, exist_ok=True)

    def text() -> str:
        return " ".join(random.sample(_WORDS, random.choice((1, 1, 2))))

    def maybe(value: Any) -> Any:
        return None if random.random() < 0.15 else value

    def chat(content: Any) -> dict[str, Any]:
        roles = ["system", *["user", "assistant"] * random.choice((0, 1, 2)), random.choice(("tool", None, "user"))]
        return {"messages": [{"role": role, "content": maybe(content())} for role in roles]}

    def part() -> list[Any]:
        return [{"type": "text", "text": maybe(text())} for _ in range(random.choice((0, 1, 2)))]

    mixed: list[dict[str, Any]] = []
    for _ in range(15):
        mixed.append({"instruction": text(), "input": maybe(text()), "output": maybe(text())})
        choices = maybe([text() for _ in range(random.choice((0, 1, 4)))])
        mixed.append({"question": text(), "choices": choices, "answer": maybe(random.choice((0, 1, 2, -1, 9)))})
        mixed.append({"text": text(), "label": maybe(random.choice(CLASSES)), "extra": random.random()})
        mixed.append(chat(text))
    parts = [chat(part) for _ in range(30)] + [{"text": text(), "label": random.choice(CLASSES)} for _ in range(10)]
    lines = {"mixed": mixed, "parts": parts, "one_row": [{"instruction": "Say a word.", "output": "Word."}]}
    lines["bare"] = [{"instruction": word, "output": word} for word in ("", " ", "\0", "🙂", "a")]
    for name, rows in lines.items():
        said = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(said, encoding="utf-8", newline="")
    asked = [
        {"key": f"k{i}", "ask": text(), "A": "one", "B": text(), "C": "", "right": random.randrange(3)}
        for i in range(40)
    ]
    (folder / "columns.json").write_text(json.dumps(asked), encoding="utf-8")
    with (folder / "one_class.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *((text().replace("\0", ""), "only") for _ in range(40))])
    (folder / "plain.txt").write_text("joy\tit is fun\nanger\tno, not that\njoy\tsö schön\n" * 5, encoding="utf-8")


def attempt(trial: Trial, sources: Path, store: Path, recipe_file: Path) -> Outcome:
    """Loads, ingests, builds and checks. Anything but a version or a clear error is raised."""
    recipe_file.write_bytes(trial.recipe.replace(WORDNET.encode(), str(_WORDNET).encode()))
    try:
        recipe = load_recipe(recipe_file, typed(trial.typed))
    except LopeDataError as error:
        return Outcome(type(error).__name__, str(error))
    options = builds.Options(Store(store), 1, trial.shard_rows)
    shutil.rmtree(store / "noisy", ignore_errors=True)  # the trial's before this one; parents stay
    try:
        parent = builds.ingest(str(sources / trial.source), recipe, None, options)
        child = builds.build(parent, recipe, "noisy", options, allow_shortfall=trial.allow_shortfall)
    except LopeDataError as error:
        if left := [path for path in store.rglob("*") if "partial" in path.name or ".locks" in path.parts]:
            raise CheckError(f"a failed build left {left[0]}") from error
        return Outcome(type(error).__name__, str(error))
    for version in (parent, child):
        if found := verify_version(version.folder, lambda *_: None)[1]:
            raise CheckError(f"verify: {found[0]}")
    check_counts(child, recipe)
    check_replay(parent, child)
    check_protected(parent, child, recipe)
    check_resolved(recipe)
    return Outcome("version", "", child.ref)


def typed(texts: dict[str, str]) -> Any:
    """What the command line makes of options before the recipe sees them."""

    def number(name: str, kind: type) -> Any:
        try:
            return kind(texts[name]) if name in texts else None
        except ValueError as error:
            raise LopeDataError(f"Invalid value for '--{name}': {error}") from error

    return overrides(
        ratio=number("ratio", float), level=number("level", float), seed=number("seed", int), mix=texts.get("mix")
    )


def check_resolved(recipe: Recipe) -> None:
    """A resolved recipe with its seed is a recipe, which resolves to the same."""
    resolved = recipe.resolved()
    if json.loads(json.dumps(resolved, allow_nan=False)) != resolved:
        raise CheckError("the resolved recipe is no JSON")
    try:
        again = Recipe.model_validate(resolved | {"seed": recipe.seed})
    except ValidationError as error:
        raise CheckError(f"the resolved recipe is no recipe: {error.errors()[0]['msg']}") from error
    if again.resolved() != resolved:
        raise CheckError("the resolved recipe resolves to another")


def check_counts(child: Version, recipe: Recipe) -> None:
    """Exactly round(ratio * rows) rows of each step are touched, or the shortfall says how many are missing."""
    manifest = child.manifest
    rows: dict[str, int] = defaultdict(int)
    for line in manifest.report:
        rows[line.step] += line.rows
    asked = {}
    for step in recipe.steps:
        silent = step.level == 0 and any(not op.startswith("label.") for op in step.weights)
        asked[step.name] = 0 if silent else round(step.ratio * manifest.rows)
        if rows[step.name] > asked[step.name]:
            raise CheckError(f"step {step.name} touched {rows[step.name]} rows, asked were {asked[step.name]}")
    if sum(rows.values()) + manifest.shortfall != sum(asked.values()):
        raise CheckError(f"asked {asked}, touched {dict(rows)}, shortfall {manifest.shortfall}")
    dealt = child.rows["lope_ops"].to_pylist()
    if sum(map(len, dealt)) != sum(rows.values()) or sum(map(bool, dealt)) != manifest.touched:
        raise CheckError("lope_ops and the manifest count other rows")
    changed: dict[str, set[str]] = defaultdict(set)
    for edit in child.edits.select(["row_id", "step"]).to_pylist():
        changed[edit["step"]].add(edit["row_id"])
    if any(len(changed[name]) != count for name, count in rows.items()):
        raise CheckError(f"rows with edits { {name: len(ids) for name, ids in changed.items()} }, dealt {dict(rows)}")


def check_replay(parent: Version, child: Version) -> None:
    """Edits applied to the parent's rows give the child's, and taken back from those the parent's."""
    before, after = _plain(parent.rows), _plain(child.rows)
    place = {row["lope_row_id"]: i for i, row in enumerate(before)}
    groups: dict[tuple[int, str, str], list[dict[str, Any]]] = {}
    for edit in child.edits.to_pylist():
        groups.setdefault((place[edit["row_id"]], edit["step"], edit["path"]), []).append(edit)
    forward, backward = _plain(parent.rows), _plain(child.rows)
    for (row, _, path), edits in groups.items():
        _put(forward[row], path, edits, undo=False)
    for (row, _, path), edits in reversed(groups.items()):
        _put(backward[row], path, edits, undo=True)
    if forward != after:
        raise CheckError("the edits do not lead from the parent to the child")
    if backward != before:
        raise CheckError("the edits do not lead back from the child to the parent")


def _plain(rows: pa.Table) -> list[dict[str, Any]]:
    return list(rows.drop_columns(["lope_ops"]).to_pylist())


def _reach(row: dict[str, Any], path: str) -> tuple[Any, Any]:
    """What holds the value at a path, and its key there."""
    head = re.match(r"\w+", path)
    assert head, path
    keys: list[Any] = [head.group(), *(m[1] or int(m[2]) for m in _STEP.finditer(path, head.end()))]
    holder: Any = row
    for key in keys[:-1]:
        holder = holder[key]
    return holder, keys[-1]


def _put(row: dict[str, Any], path: str, edits: list[dict[str, Any]], *, undo: bool) -> None:
    """Applies edits of one op in one value, or takes them back."""
    holder, key = _reach(row, path)
    text = str(holder[key]).encode()
    shift = 0
    for edit in edits:
        old, new = (edit[name].encode() for name in ("before", "after"))
        start = edit["start"] + (0 if undo else shift)
        if undo:
            old, new = new, old
        elif (edit["end"], edit["new_end"]) != (edit["start"] + len(old), edit["start"] + len(new)):
            raise CheckError(f"an edit's ends are not those of its texts: {edit}")
        if text[start : start + len(old)] != old:
            raise CheckError(f"{path} does not hold {old!r} at {start}: {edit}")
        text = text[:start] + new + text[start + len(old) :]
        shift += len(new) - len(old)
    holder[key] = type(holder[key])(text.decode())


def check_protected(parent: Version, child: Version, recipe: Recipe) -> None:
    """No text edit of the first step touches what a pattern matches in the parent."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    patterns = [re2.compile(text, options) for protect in recipe.protect for text in protect.expressions]
    if not patterns:
        return
    rows = {row["lope_row_id"]: row for row in _plain(parent.rows)}
    for edit in child.edits.to_pylist():
        if edit["step"] != recipe.steps[0].name or edit["op"].startswith("label."):
            continue
        holder, key = _reach(rows[edit["row_id"]], edit["path"])
        for pattern in patterns:
            for match in pattern.finditer(holder[key].encode()):
                start, end = match.span()
                if start < end and edit["start"] <= end and edit["end"] >= start:
                    raise CheckError(f"{pattern.pattern!r} protects {start} to {end}: {edit}")
