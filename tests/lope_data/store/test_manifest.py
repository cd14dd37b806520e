"""The manifest: canonical, sealed, of the published schema; whatever else stands there is a clear error."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lope_common.files import canonical
from lope_data.builds import Options, build, ingest
from lope_data.errors import StoreError
from lope_data.recipe import Recipe
from lope_data.store.manifest import FORMAT, NAME, read_manifest, seal
from lope_data.store.manifest_model import SCHEMA, schema_text
from lope_data.store.version import Version

GOLDEN = [path.parent for path in sorted((Path(__file__).parents[2] / "golden" / "store").glob("*/*/manifest.json"))]
MANIFESTS = [json.loads((folder / NAME).read_text(encoding="utf-8")) for folder in GOLDEN]
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*here, key)
        yield from places(inner, (*here, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A folder with this manifest, sealed."""

    def write(manifest: dict[str, Any]) -> Path:
        (tmp_path / NAME).write_bytes(canonical(seal(manifest)))
        return tmp_path

    return write


def test_the_published_schema_is_that_of_the_model() -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), "python -m lope_data.store.manifest_model writes it"


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.parent.name)
def test_the_golden_manifests_are_of_the_schema(folder: Path) -> None:
    VALIDATOR.validate(read_manifest(folder).plain)


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Add two and three.", "input": "now", "output": "It is 5."},
        {"question": "Which of these?", "choices": ["one", "two"], "answer": 1},
        {"text": "a good film", "label": "yes"},
        {"messages": [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": "good day"}]},
        {"conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "good", "calls": [{}]}]},
        {"prompt": "Say something", "completion": "There it is"},
        {"text": "a good film"},
    ],
    ids=["instruction", "multiple_choice", "classification", "chat", "sharegpt", "prompt_completion", "text"],
)
def test_new_manifests_of_every_shape_are_of_the_schema(row: dict[str, Any], tmp_path: Path, options: Options) -> None:
    rows = [{**row, "number": i} for i in range(8)]
    (tmp_path / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    columns = {"columns": {"text": "text"}} if row.keys() == {"text"} else {}
    recipe = Recipe.model_validate({"steps": [{"ratio": 0.5, "mix": "char.delete"}]} | columns)
    clean = ingest(str(tmp_path / "rows.json"), recipe, None, options)
    noisy = build(clean, recipe, None, options)
    for version in (clean, noisy, build(noisy, recipe, "twice", options)):
        VALIDATOR.validate(read_manifest(version.folder).plain)


def test_unknown_keys_are_kept_at_every_level(written: Callable[..., Path]) -> None:
    for manifest in MANIFESTS:
        changed = copy.deepcopy(manifest)
        for path in [(), *places(manifest)]:
            there = at(changed, path)
            if path[:1] == ("layout",) and len(path) > 1:
                continue  # names of columns
            if isinstance(there, dict) and path[-1:] not in [
                ("ops",),
                ("mix",),
                ("libraries",),
                ("shapes",),
                ("params",),
            ]:
                there["x-new"] = {"of": ["a later", None, 1.5, 1, True]}
                there |= {"plain": 1, "ref": "x", "model_config": {}}  # names that the model itself has
        if "steps" in manifest["recipe"]:
            assert "x-new" in changed["recipe"]["steps"][0]
        assert canonical(read_manifest(written(changed)).plain) == canonical(seal(changed))


@pytest.mark.parametrize("number", [1, 1.0, 0, 0.0])
def test_a_number_stays_as_it_was_written(number: float, written: Callable[..., Path]) -> None:
    """1 and 1.0 are the same number and other JSON, so another hash."""
    changed = copy.deepcopy(next(manifest for manifest in MANIFESTS if manifest["kind"] == "build"))
    changed["hints"]["embedding_alpha"] = number
    changed["recipe"]["steps"][0] |= {"ratio": number, "level": number}
    changed["report"][0] |= {"rows_asked": number, "level": number, "expected": number, "cer": number}
    changed["report"][0]["interval"] = [number, number]
    assert canonical(read_manifest(written(changed)).plain) == canonical(seal(changed))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["name"])
def test_without_a_key_it_is_refused_by_name(manifest: dict[str, Any], written: Callable[..., Path]) -> None:
    for key in manifest.keys() - {"format", "manifest_sha256"}:
        without = {name: value for name, value in manifest.items() if name != key}
        with pytest.raises(StoreError, match=rf"is not a manifest: {key}: "):
            read_manifest(written(without))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("name",), "../x", "name: String should match pattern"),
        (("name",), "refs", "name: 'refs' cannot be the name"),
        (("version",), "2AE7db431eacc5f9", "version: "),
        (("files", 0, "path"), "../../etc/passwd", r"files\[0\].path: "),
        (("files", 0, "path"), "/etc/passwd", r"files\[0\].path: "),
        (("files", 0, "path"), "edits/../../x", r"files\[0\].path: "),
        (("files", 0, "path"), ".hidden", r"files\[0\].path: "),
        (("files", 0, "path"), "a\\b", r"files\[0\].path: "),
        (("files", 0, "path"), "a\n", r"files\[0\].path: "),
        (("files", 0, "bytes"), -1, r"files\[0\].bytes: "),
        (("parents", 0, "name"), "..", r"parents\[0\].name: "),
        (("content_digest",), "md5:00", "content_digest: "),
        (("rows",), 24.0, "rows: Input should be a valid integer"),
        (("rows",), True, "rows: "),
        (("rows",), 11, "touched: 12 of 11 rows"),
        (("depth",), 2, "depth: 2, with 1 parents"),
        (("kind",), "other", "kind: "),
        (("kind",), "ingest", "depth: "),
        (("report", 3, "interval"), [0.1], r"report\[3\].interval: "),
        (("recipe", "steps"), [], "recipe.steps: "),
        (("recipe", "steps", 0, "mix"), {"char.delete": 1}, "recipe.steps"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(
    path: tuple[Any, ...], value: Any, said: str, written: Callable[..., Path]
) -> None:
    changed = copy.deepcopy(next(manifest for manifest in MANIFESTS if manifest["kind"] == "build"))
    at(changed, path[:-1])[path[-1]] = value
    with pytest.raises(StoreError, match=said) as error:
        read_manifest(written(changed))
    assert "\n" not in str(error.value)


PLAIN = {"text": {"text": "text"}}


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ({"columns": {"preference": {"chosen": "a"}}}, "layout.columns: the shape 'preference' is not known; upgrade"),
        ({"columns": {"\x1b[31m": {}}}, r"the shape '\\x1b\[31m' is not known"),
        ({"columns": {"chat": {"messages": "m", "images": "i"}}}, "'images' of chat is not known; upgrade"),
        ({"columns": {"chat": {"system": "s"}}}, "layout.columns: messages of chat is missing"),
        ({"columns": {"classification": {"text": "text"}}}, "label of classification is missing"),
        ({"columns": {"text": {"text": ["a", "b"]}}}, "'text' of text is one column, not several"),
        ({"columns": {"text": {"text": ["a"]}}}, "layout.columns.text.text"),
        ({"columns": {"text": {"text": 1}}}, "layout.columns.text.text"),
        ({"columns": {"text": None}}, "layout.columns.text: "),
        ({"columns": []}, "layout.columns: "),
        ({"columns": {}}, "shapes: 'text' is not in the layout"),
        ({"columns": PLAIN, "classes": {"label": "no"}}, "layout.classes.label: "),
        ({"columns": PLAIN, "classes": {"label": [0]}}, r"layout.classes.label\[0\]: "),
        ({"columns": PLAIN, "absent": {}}, "layout.absent: "),
        ({"columns": PLAIN, "raw": "x"}, "layout.raw: "),
        ({"columns": PLAIN, "absent": [None]}, r"layout.absent\[0\]: "),
    ],
)
def test_a_layout_that_cannot_be_is_refused(layout: dict[str, Any], said: str, written: Callable[..., Path]) -> None:
    changed = copy.deepcopy(MANIFESTS[0]) | {"shapes": {"text": 24}}
    changed["layout"] = {"columns": PLAIN, "classes": {}, "absent": [], "raw": []} | layout
    with pytest.raises(StoreError, match=said) as error:
        read_manifest(written(changed))
    assert "\n" not in str(error.value)
    assert "\x1b" not in str(error.value)


def test_a_layout_without_a_part_is_refused(written: Callable[..., Path]) -> None:
    whole = {"columns": PLAIN, "classes": {}, "absent": [], "raw": []}
    for key in whole:
        layout = {name: value for name, value in whole.items() if name != key}
        changed = copy.deepcopy(MANIFESTS[0]) | {"shapes": {"text": 24}, "layout": layout}
        with pytest.raises(StoreError, match=f"layout.{key}: Field required"):
            read_manifest(written(changed))


def test_choices_may_be_several_columns(written: Callable[..., Path]) -> None:
    has = {"question": "q", "choices": ["a", "b"], "answer": "right"}
    layout = {"columns": {"multiple_choice": has}, "classes": {}, "absent": [], "raw": []}
    changed = copy.deepcopy(MANIFESTS[0]) | {"shapes": {"multiple_choice": 24}, "layout": layout}
    VALIDATOR.validate(read_manifest(written(changed)).plain)


def test_a_newer_format_is_refused_and_says_what_to_do(written: Callable[..., Path]) -> None:
    with pytest.raises(StoreError, match=f"has format {FORMAT + 1}; this lope_data reads up to {FORMAT}, upgrade it"):
        read_manifest(written({"format": FORMAT + 1, "all": "else may be different"}))
    for no_format in (True, "1", None, 1.0, 0, -3):
        with pytest.raises(StoreError, match="is not a manifest"):
            read_manifest(written({**MANIFESTS[0], "format": no_format}))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_value_anywhere_is_a_manifest_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    changed = copy.deepcopy(data.draw(st.sampled_from(MANIFESTS)))
    path = data.draw(st.sampled_from(list(places(changed))))
    at(changed, path[:-1])[path[-1]] = data.draw(JSON)
    changed = seal(changed)
    folder = tmp_path_factory.getbasetemp() / "changed-manifest"
    folder.mkdir(exist_ok=True)
    (folder / NAME).write_bytes(canonical(changed))
    try:
        assert canonical(read_manifest(folder).plain) == canonical(changed)  # 1 is not 1.0
    except StoreError:
        return
    VALIDATOR.validate(changed)


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.parent.name)
def test_one_changed_byte_anywhere_is_seen(folder: Path, tmp_path: Path) -> None:
    data = (folder / NAME).read_bytes()
    for place in range(0, len(data), 19):
        (tmp_path / NAME).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(StoreError):
            read_manifest(tmp_path)
    for other in (data[:-1], data + b"\n", data.replace(b",", b", ", 1), b"\xef\xbb\xbf" + data):
        (tmp_path / NAME).write_bytes(other)
        with pytest.raises(StoreError):
            read_manifest(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"format":2,"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"format":2,"rows":' + b"9" * 5000 + b"}",
        b'{"format":2,"rows":NaN}',
        b'{"format":2,"rows":1e999}',
        b'{"format":2,"name":"\\ud800"}',
        b'{"format":2,"format":2}',
        b'{"format":' + b"9" * 4000 + b"}",
        b" " * (64 * 2**20 + 1),
    ],
    ids=range(13),
)
def test_what_is_no_manifest_at_all(data: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(StoreError):
        read_manifest(tmp_path)


def test_a_folder_or_a_pipe_in_its_place(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(StoreError, match="is not a file"):
        read_manifest(tmp_path)
    (tmp_path / NAME).rmdir()
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(StoreError, match="is not a file"):
        Version.at(tmp_path)
