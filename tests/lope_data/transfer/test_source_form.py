"""Rows of JSON come out as they went in: every key in its order, every value with its type; noise changes its texts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lope_data.builds import Options, build, ingest
from lope_data.forms import FORMS
from lope_data.recipe import Recipe
from lope_data.store import Version
from lope_data.transfer.rows_out import export_rows

NUMBERS: list[Any] = [0, 1, -1, 10, 2**63 - 1, 2**63, -(2**70), 10**40, 0.1, 1.0, -0.0, 1e22, 1e-7, 5e-324, 1.5e300]
TEXTS = ["", "a", "Ä ß 😀", "線 – \u2028", '"quoted" \\ \n\t', "\x00", "NaN", "null", "é", "e\u0301"]


class Written:
    """JSON with the order of keys and the types of numbers, of which Python's equality tells nothing."""

    def __init__(self, text: str) -> None:
        self.value = json.loads(text, object_pairs_hook=lambda pairs: ("object", pairs))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Written) and repr(self.value) == repr(other.value)

    def __repr__(self) -> str:
        return repr(self.value)

    __hash__ = None  # type: ignore[assignment]


def value(draw: random.Random, depth: int = 0) -> Any:
    """Anything that JSON can hold."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: draw.choice([True, False]),
        lambda: draw.choice(NUMBERS),
        lambda: draw.choice(TEXTS),
    ]
    if depth < 5:
        kinds += [
            lambda: [value(draw, depth + 1) for _ in range(draw.randrange(4))],
            lambda: {draw.choice(["a", "b", "ключ", "", "a.b", "0"]): value(draw, depth + 1) for _ in range(3)},
            lambda: draw.choice([{}, []]),
        ]
    return draw.choice(kinds)()


def message(draw: random.Random, role: str) -> dict[str, Any]:
    said = f"How many {draw.choice(['owls', 'bears'])} are there in {draw.choice(['Oslo', 'Köln'])} today?"
    content: Any = said
    if draw.random() < 0.3:
        content = [{"type": "text", "text": said}]
        if draw.random() < 0.5:
            content.insert(draw.randrange(2), {"type": "image", "image": "a.png", "detail": value(draw, 3)})
    made = {"role": role, "content": content}
    if role == "assistant" and draw.random() < 0.4:
        arguments = {draw.choice(["city", "amount", "to"]): value(draw, 3) for _ in range(2)}
        made["tool_calls"] = [{"function": {"name": "f", "arguments": arguments}}]
        if draw.random() < 0.5:
            made["content"] = draw.choice(["", None])
    if draw.random() < 0.2:
        made["name"] = draw.choice(["Ann", None])
    return shuffled(draw, made) if draw.random() < 0.3 else made


def shuffled(draw: random.Random, made: dict[str, Any]) -> dict[str, Any]:
    return dict(draw.sample(list(made.items()), len(made)))


def chats(seed: int, count: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(seed)  # noqa: S311
    for _ in range(count):
        row: dict[str, Any] = {
            "messages": [message(draw, role) for role in ("user", "assistant") * draw.randrange(1, 3)]
        }
        for name in ("metadata", "score", "tools", "ключ"):
            if draw.random() < 0.7:
                row[name] = value(draw)
        yield shuffled(draw, row) if seed % 2 else row


@pytest.fixture
def there_and_back(tmp_path: Path, options: Options) -> Callable[..., tuple[Version, list[Written]]]:
    """Lines of JSON as a version, and that as lines again."""

    def run(lines: list[str], **reading: Any) -> tuple[Version, list[Written]]:
        (tmp_path / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        version = ingest(str(tmp_path / "rows.jsonl"), Recipe.model_validate(reading), None, options)
        return version, exported(version, tmp_path / "out.jsonl")

    return run


def exported(version: Version, out: Path) -> list[Written]:
    export_rows(version, FORMS["source"], "jsonl", out, lambda *_: None)
    lines = [Written(line) for line in out.read_text(encoding="utf-8").split("\n") if line]
    out.unlink()
    return lines


@pytest.mark.parametrize("seed", [1, 2])
def test_500_rows_of_anything(seed: int, there_and_back: Callable[..., tuple[Version, list[Written]]]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in chats(seed, 500)]
    _, back = there_and_back(lines)
    assert back == [Written(line) for line in lines]


PLAIN = {
    "a key that only some have": ['{"text": "a b", "label": "x"}', '{"text": "c d", "id": 3, "label": "y"}'],
    "missing in one, null in another": [
        '{"text": "a b", "label": "x"}',
        '{"text": "c d", "label": "y", "n": null}',
        '{"text": "e f", "label": "y", "n": 1}',
    ],
    "other orders": ['{"text": "a b", "label": "x"}', '{"label": "y", "text": "c d"}'],
    "numbers of two kinds": ['{"text": "a b", "label": 1}', '{"text": "c d", "label": 1.0}'],
    "floats": ['{"text": "a b", "label": 1.0}', '{"text": "c d", "label": 1e22}'],
    "wide integers": ['{"text": "a b", "label": 1}', f'{{"text": "c d", "label": {10**30}}}'],
    "booleans": ['{"text": "a b", "label": true}', '{"text": "c d", "label": false}'],
    "empty": ['{"text": "a b", "label": "x", "m": {}, "n": []}', '{"text": "c d", "label": "y", "m": {}, "n": []}'],
    "half a surrogate pair": [
        '{"text": "a b", "label": "x", "m": "\\ud83d"}',
        '{"text": "c d", "label": "y", "m": ""}',
    ],
    "no numbers": ['{"text": "a b", "label": "x", "m": NaN}', '{"text": "c d", "label": "y", "m": -Infinity}'],
    "chat as text": ['{"messages": "[{\\"role\\": \\"user\\", \\"content\\": \\"How tall?\\"}]", "text": "a"}'],
    "sharegpt": ['{"conversations": [{"from": "human", "value": "a b"}, {"from": "gpt", "value": "c"}], "id": 7}'],
    "struct of lists": ['{"messages": {"role": ["user", "assistant"], "content": ["a b", "c d"]}}'],
}


@pytest.mark.parametrize("what", PLAIN)
def test_a_row_keeps_its_form(what: str, there_and_back: Callable[..., tuple[Version, list[Written]]]) -> None:
    _, back = there_and_back(PLAIN[what])
    assert back == [Written(line) for line in PLAIN[what]]


def test_noise_changes_the_edited_texts_and_nothing_else(
    tmp_path: Path, options: Options, there_and_back: Callable[..., tuple[Version, list[Written]]]
) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in chats(3, 200)]
    clean, _ = there_and_back(lines)
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.8, "mix": {"char": 1, "label": 1}}], "seed": 5})
    noisy = build(clean, recipe, None, options)
    back = [row.value for row in exported(noisy, tmp_path / "noisy.jsonl")]
    edits: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for edit in noisy.edits.to_pylist():
        edits.setdefault((edit["row_id"], edit["path"]), []).append(edit)
    changed = 0
    for row_id, before, after in zip(noisy.rows["lope_row_id"].to_pylist(), lines, back, strict=True):
        found = list(differences(Written(before).value, after, ""))
        assert {path for path, _ in found} == {path for row, path in edits if row == row_id}
        assert all(kinds == (str, str) for _, kinds in found)
        changed += len(found)
    assert changed >= noisy.manifest.touched > 100


def differences(one: Any, other: Any, path: str) -> Iterator[tuple[str, tuple[type, type]]]:
    """Where two values of `Written` differ, and in types of what."""
    if type(one) is type(other) is tuple:
        assert [key for key, _ in one[1]] == [key for key, _ in other[1]]
        for (key, mine), (_, theirs) in zip(one[1], other[1], strict=True):
            yield from differences(mine, theirs, f"{path}.{key}" if path else key)
    elif type(one) is type(other) is list and len(one) == len(other):
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, theirs, f"{path}[{number}]")
    elif repr(one) != repr(other):
        yield path, (type(one), type(other))
