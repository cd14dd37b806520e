"""The dataset card: the hub's front matter, the facts, and nothing that a name or a column could smuggle in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from huggingface_hub import DatasetCard

from lope_data.store.card import card
from lope_data.store.manifest_model import Layout, as_manifest
from lope_data.store.store import Store

GOLDEN = Store(Path(__file__).parents[2] / "golden" / "store")


@pytest.mark.parametrize("ref", ["golden", "rows"])
def test_the_front_matter_is_the_hubs(ref: str) -> None:
    version = GOLDEN.resolve(ref)
    data = DatasetCard(card(version.manifest, version.rows.schema)).data
    assert data.pretty_name == ref
    assert data.tags == ["lope", "noisy" if ref == "golden" else "clean"]
    assert data.size_categories == ["n<1K"]
    assert data.task_categories == ["multiple-choice", "text-classification", "text-generation"]
    assert [config["config_name"] for config in data.configs] == ["default", "edits"][: 2 if ref == "golden" else 1]
    assert data.configs[0]["data_files"] == [{"split": "train", "path": "data-*.arrow"}]


def test_it_says_what_was_asked_and_done_and_from_what() -> None:
    version = GOLDEN.resolve("golden")
    text = card(version.manifest, version.rows.schema)
    parent = GOLDEN.resolve("rows")
    for said in (
        f"| `{version.ref}` | `{version.manifest.content_digest}` |",
        f"| `{parent.ref}` | `{parent.manifest.content_digest}` |",
        version.manifest.source.fingerprint,
        "| hynoise | `char.delete` | 1.2 | 2 | 10.0% | 10.0% | 10.1% | 7.3% to 12.9% | 10.1% | 89 × character |",
        "| hynoise | `label.flip` | 1.2 | 1 | 10.0% | 100.0% | 100.0% | – | – | 1 × target |",
        "| choices | list\\<item: string\\> | choices of multiple\\_choice |",
        "embedding\\_alpha 0.05",
        f'lope_data.open("{version.ref}")',
        f"verify {version.ref} --replay",
    ):
        assert said in text
    assert "## Noise" not in card(parent.manifest, parent.rows.schema)


@pytest.mark.parametrize(
    ("shape", "task"),
    [("prompt_completion", "text-generation"), ("text", "text-generation"), ("chat", "text-generation")],
)
def test_every_shape_has_its_task(shape: str, task: str) -> None:
    manifest = GOLDEN.resolve("rows").manifest.model_copy(update={"shapes": {shape: 24}})
    assert _front(card(manifest, pa.schema([])))["task_categories"] == [task]


def test_it_says_what_columns_hold() -> None:
    layout = {
        "columns": {
            "chat": {"messages": "talk"},
            "multiple_choice": {"question": "q", "choices": ["a", "b"], "answer": "right"},
            "classification": {"text": "q", "label": "kind"},
        },
        "classes": {"kind": ["no", "ye|s"], "tags[]": [f"t{i}" for i in range(23)]},
        "absent": [],
        "raw": [],
    }
    manifest = GOLDEN.resolve("rows").manifest
    facts = manifest.model_copy(update={"layout": Layout.model_validate(layout)})
    strings = [(name, pa.string()) for name in ("q", "a", "b", "right", "note")]
    tags = ("tags", pa.list_(pa.int64()))
    keys = ("lope_keys", pa.list_(pa.string()))
    text = card(facts, pa.schema([("talk", pa.json_()), ("kind", pa.int64()), tags, *strings, keys]))
    for line in (
        "| talk | JSON | messages of chat |",
        "| q | string | text of classification; question of multiple\\_choice |",
        "| b | string | choices of multiple\\_choice |",
        "| kind | int64 | label of classification; numbers from 0 of the classes no, ye\\|s |",
        "| note | string |  |",
        "| lope\\_keys | list\\<item: string\\> | the keys that the row's object has in the source, in order |",
    ):
        assert line in text
    assert "t18, t19, and 3 more |" in text


@pytest.mark.parametrize(
    ("rows", "size"),
    [(999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B")],
)
def test_sizes(rows: int, size: str) -> None:
    manifest = GOLDEN.resolve("rows").manifest.model_copy(update={"rows": rows})
    assert _front(card(manifest, pa.schema([])))["size_categories"] == [size]


def _front(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_hostile_names_stay_text() -> None:
    evil = "x|y`z\n---\n# <script>alert(1)</script> [a](javascript:b) ![i](http://e/p.png) \x1b[31m\u202e *b* _c_ $d$"
    version = GOLDEN.resolve("golden")
    said = version.manifest.plain
    changes = {
        "source": said["source"] | {"name": evil},
        "shapes": {"text": 24},
        "layout": {"columns": {"text": {"text": evil}}, "classes": {evil: [evil]}, "absent": [evil], "raw": [evil]},
        "ops": {evil: evil},
        "recipe": said["recipe"] | {"name": evil},
        "hints": {evil: evil},
        "report": [line | {"step": evil, "op": evil, "unit": evil} for line in said["report"][:1]],
    }
    manifest = as_manifest(said | changes, version.folder)
    schema = pa.schema([(evil, pa.struct([(evil, pa.string())]))])
    text = card(manifest, schema)
    plain = card(as_manifest(said | {"report": said["report"][:1]}, version.folder), pa.schema([("a", pa.string())]))
    assert len(text.splitlines()) == len(plain.splitlines()) - 2  # of three tasks one
    assert all(char.isprintable() or char == "\n" for char in text)
    for tag in ("<script", "[a](", "![i](", "*b*", "$d$", "|y"):
        assert text.count(tag) == text.count("\\" + tag), tag
    assert _front(text).keys() == {"pretty_name", "tags", "size_categories", "task_categories", "configs"}
