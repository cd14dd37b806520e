"""Versions of format 1: refused with the commands that build them again, kept by gc, in nobody's way."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lope_common.files import canonical
from lope_data.errors import OldFormatError, StoreError
from lope_data.sources import SourceIndex, open_source
from lope_data.store.gc import find_garbage, remove_garbage
from lope_data.store.manifest import FORMAT, NAME, read_manifest, seal
from lope_data.store.store import Store

Cli = Callable[..., Any]
ROWS, GOLDEN = "e534932ca4cb1b3c", "2ae7db431eacc5f9"


def change(store: Store, name: str, version: str, /, **keys: Any) -> Path:
    """Writes the manifest again, sealed, with other values; gives the version's folder."""
    path = store.folder(name, version) / NAME
    path.write_bytes(canonical(seal(json.loads(path.read_bytes()) | keys)))
    return path.parent


def reading(store: Store, **keys: Any) -> str:
    """The refusal of the clean version, with other values in its recipe."""
    recipe = {"columns": {}, "ingest": 1, "limit": None, "shape": None, **keys}
    return refusal(change(store, "rows", ROWS, recipe=recipe))


def refusal(folder: Path) -> str:
    with pytest.raises(OldFormatError) as error:
        read_manifest(folder)
    return str(error.value)


@pytest.fixture
def known(old_store: Store, tmp_path: Path) -> Store:
    """The store, which knows where its source is."""
    open_source(str(tmp_path / "rows.jsonl"), index=SourceIndex(old_store.root)).remember()
    return old_store


@pytest.fixture
def chain(known: Store) -> Store:
    """rows -> golden -> twice, all of format 1."""
    manifest = json.loads((known.folder("golden", GOLDEN) / NAME).read_bytes())
    parent = {key: manifest[key] for key in ("name", "version", "content_digest")}
    child = manifest | {"name": "twice", "version": "1" * 16, "parents": [parent, *manifest["parents"]], "depth": 2}
    folder = known.folder("twice", "1" * 16)
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(canonical(seal(child)))
    known.set_ref("twice", "latest", "1" * 16)
    return known


def test_the_commands_that_it_says_make_the_same_again(lope_data: Cli, known: Store) -> None:
    said = lope_data("show", "golden", "--store", known.root).refusal
    assert f"has format 1, and this lope_data reads format {FORMAT}; build it again: " in said
    for command in said.partition("build it again: ")[2].split(" && "):
        python, m, program, *words = shlex.split(command)
        assert (python, m, program) == ("python", "-m", "lope_data")
        assert lope_data(*words).code == 0
    made = known.resolve("golden").manifest
    old = json.loads((known.folder("golden", GOLDEN) / NAME).read_bytes())
    assert made.format == FORMAT
    assert made.version != GOLDEN
    assert (made.recipe.plain, made.seed, made.hints.plain) == (old["recipe"], old["seed"], old["hints"])
    assert (made.name, made.rows, made.parents[0].name) == ("golden", 24, "rows")
    assert known.resolve("rows").manifest.source.fingerprint == old["source"]["fingerprint"]


def test_a_chain_begins_at_its_source(chain: Store, tmp_path: Path) -> None:
    root = chain.root
    assert refusal(root / "twice" / ("1" * 16)).partition("build it again: ")[2].split(" && ") == [
        f"python -m lope_data ingest {tmp_path}/rows.jsonl --store {root}",
        "python -m lope_data build --from rows --name golden "
        f"--recipe {root}/golden/{GOLDEN}/manifest.json --store {root}",
        f"python -m lope_data build --from golden --name twice --recipe {root}/twice/{'1' * 16}/manifest.json "
        f"--store {root}",
    ]


def test_the_usual_store_is_not_named(chain: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOPE_STORE", str(chain.root))
    assert "--store" not in refusal(chain.folder("golden", GOLDEN))


@pytest.mark.parametrize("damage", ["gone", "broken", "another"])
def test_an_ancestor_that_cannot_be_read_is_named(chain: Store, damage: str) -> None:
    path = chain.folder("golden", GOLDEN) / NAME
    if damage == "gone":
        path.unlink()
    elif damage == "broken":
        path.write_text("{}")
    else:
        change(chain, "golden", GOLDEN, content_digest="sha256:" + "0" * 64)
    said = refusal(chain.folder("twice", "1" * 16))
    assert f"build it again, after golden@{GOLDEN}, which cannot be read in {chain.root}: python" in said
    assert "ingest" not in said
    assert "build --from golden --name twice" in said


def test_an_embedded_sample_is_known_by_its_fingerprint(old_store: Store) -> None:
    source = {"name": "anything", "fingerprint": open_source("sample").fingerprint}
    said = refusal(change(old_store, "rows", ROWS, source=source))
    assert "build it again: python -m lope_data ingest sample --name rows --store" in said


def test_a_source_that_nobody_knows_is_named_in_words(old_store: Store) -> None:
    said = refusal(old_store.folder("rows", ROWS))
    assert "build it again, SOURCE being where rows is now: python -m lope_data ingest SOURCE --store" in said
    assert "--name" not in said


def test_how_a_source_was_read_stands_in_the_command(known: Store) -> None:
    path = known.folder("rows", ROWS) / NAME
    change(known, "rows", ROWS, seed=7, name="rows", source=json.loads(path.read_bytes())["source"])
    source = {"split": "train", "encoding": "latin-1", "pattern": "-(?P<text>.*)", "later": "x", "revision": 5}
    said = reading(known, limit=9, columns={"text": "my body", "choices": ["a", "b"]}, source=source)
    words = shlex.split(said.partition("ingest ")[2])
    assert words[1:-2] == [
        *("--name", "rows"),  # which rows-9 would be without
        *("--limit", "9", "--seed", "7"),
        *("--encoding", "latin-1", "--pattern", "-(?P<text>.*)", "--split", "train"),
        *("--columns", "choices=a,choices=b,text=my body"),
    ]


@pytest.mark.parametrize("keys", [{"shape": "chat"}, {"columns": {"text": "a,b"}}, {"columns": {"text": " a"}}])
def test_what_no_option_says_is_left_to_a_recipe(known: Store, keys: dict[str, Any]) -> None:
    said = reading(known, **keys)
    assert "--recipe READING.toml" in said
    assert (
        f", READING.toml being a recipe with the shape and [columns] in {known.root}/rows/{ROWS}/manifest.json" in said
    )
    assert "--columns" not in said


def test_own_ops_and_a_shortfall_stand_in_the_command(known: Store) -> None:
    modules = {"word.shout": "shout.py", "word.hush": "shout.py", "word.x": "acme.ops"}
    said = refusal(change(known, "golden", GOLDEN, op_modules=modules, shortfall=3))
    assert f"{NAME} --import acme.ops --import shout.py --allow-shortfall --store" in said


def test_text_of_a_manifest_steers_nothing(lope_data: Cli, old_store: Store) -> None:
    evil = "a b; rm -rf ~ $(x) \x1b[31m\u202e\n'"
    change(old_store, "rows", ROWS, source={"name": evil, "fingerprint": "sha256:" + "0" * 64})
    said = lope_data("show", "rows", "--store", old_store.root).refusal
    assert not set("\x1b\u202e\n") & set(said)
    recipe = {"columns": {"text": evil}, "ingest": 1, "limit": None, "shape": None, "source": {"pattern": evil}}
    folder = change(old_store, "rows", ROWS, recipe=recipe)
    assert not set("\x1b\u202e\n") & set(refusal(folder)), "for callers from Python too"
    said = lope_data("show", "rows", "--store", old_store.root).refusal
    assert not set("\x1b\u202e\n") & set(said)
    words = shlex.split(said.partition("lope_data ingest ")[2])
    assert "rm" not in words
    assert "$(x)" not in words


def test_it_is_believed_by_its_hash_only(old_store: Store) -> None:
    path = old_store.folder("golden", GOLDEN) / NAME
    path.write_bytes(path.read_bytes().replace(b'"seed":614', b'"seed":615'))
    with pytest.raises(StoreError, match="does not match its own hash") as error:
        read_manifest(path.parent)
    assert not isinstance(error.value, OldFormatError)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"name": ".."}, "name: "),
        ({"kind": "other"}, "kind: "),
        ({"parents": []}, "parents: "),
        ({"recipe": {}}, "recipe."),
        ({"op_modules": {"x": "../y"}}, "op_modules.x: "),
        ({"format": 0}, "format: "),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_key(old_store: Store, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(StoreError, match=f"is not a manifest: {said}"):
        read_manifest(change(old_store, "golden", GOLDEN, **keys))


@pytest.mark.parametrize(
    "words",
    [
        ("show", "golden"),
        ("verify", "golden"),
        ("verify", "golden", "--replay"),
        ("report", "golden"),
        ("diff", "golden", "rows"),
        ("export", "golden", "--out", "out"),
        ("push", "golden", "me/golden"),
        ("tag", "golden", "paper"),
        ("build", "--from", "golden", "--name", "more"),
        ("import", "store/golden/2ae7db431eacc5f9"),
    ],
    ids=lambda words: " ".join(words[::2]),
)
def test_every_verb_refuses_it_in_one_line(
    lope_data: Cli, known: Store, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "none that is used")
    before = sorted(known.root.rglob("*"))
    run = lope_data(*words, "--store", known.root)
    assert "has format 1" in run.refusal
    assert f"--recipe {'' if words[0] == 'import' else known.root.parent}" in run.refusal
    assert run.refusal.count("build it again: python -m lope_data ingest ") == 1
    assert sorted(known.root.rglob("*")) == before


def test_its_tag_can_be_taken_away(lope_data: Cli, old_store: Store) -> None:
    old_store.set_ref("golden", "paper", GOLDEN)
    assert lope_data("tag", "golden", "paper", "--delete", "--store", old_store.root).code == 0
    assert old_store.refs("golden") == {"latest": GOLDEN}


def test_gc_keeps_what_a_reference_needs_and_its_ancestors(chain: Store) -> None:
    chain.drop_ref("rows", "latest")
    chain.drop_ref("golden", "latest")
    assert remove_garbage(chain) == []
    chain.drop_ref("twice", "latest")
    chain.set_ref("golden", "paper", GOLDEN)
    assert [piece.path for piece in remove_garbage(chain)] == [chain.folder("twice", "1" * 16)]
    assert chain.refs("golden") == {"paper": GOLDEN}
    chain.drop_ref("golden", "paper")
    assert len(remove_garbage(chain)) == 2
    assert [chain.versions(name) for name in chain.names()] == [[], [], []]


def test_gc_takes_old_versions_once_they_are_built_again(lope_data: Cli, known: Store, tmp_path: Path) -> None:
    recipe = known.folder("golden", GOLDEN) / NAME
    build = ("build", "--source", "rows.jsonl", "--recipe", recipe, "--name", "golden", "--store", known.root)
    made = lope_data(*build, "--json")
    assert made.code == 0
    assert known.refs("golden") == {"latest": made.json["version"]}
    removed = [piece.path for piece in remove_garbage(known)]
    assert removed == [known.folder("golden", GOLDEN), known.folder("rows", ROWS)]
    assert known.versions("golden") == [made.json["version"]]


@pytest.mark.parametrize("content", [b"{}", b'{"format":1}', b'{"format":99,"parents":[]}'])
def test_gc_removes_nothing_where_it_does_not_understand_a_manifest(chain: Store, content: bytes) -> None:
    for name in ("rows", "golden", "twice"):
        chain.drop_ref(name, "latest")
    assert len(find_garbage(chain)) == 3
    (chain.folder("golden", GOLDEN) / NAME).write_bytes(content)
    before = sorted(chain.root.rglob("*"))
    with pytest.raises(StoreError):
        remove_garbage(chain)
    assert sorted(chain.root.rglob("*")) == before


def test_gc_says_what_to_do_about_a_newer_format(lope_data: Cli, old_store: Store) -> None:
    change(old_store, "golden", GOLDEN, format=FORMAT + 1)
    said = lope_data("gc", "--store", old_store.root).refusal
    assert said.endswith(f"has format {FORMAT + 1}; this lope_data reads up to {FORMAT}, upgrade it")


def test_a_source_takes_the_name_of_its_old_version(lope_data: Cli, known: Store, tmp_path: Path) -> None:
    made = lope_data("ingest", "rows.jsonl", "--json", "--store", known.root)
    assert made.code == 0
    assert known.resolve("rows").manifest.version == made.json["version"] != ROWS


def test_an_old_build_holds_its_name(lope_data: Cli, known: Store, tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_bytes((tmp_path / "rows.jsonl").read_bytes())
    said = lope_data("ingest", "golden.jsonl", "--store", known.root).refusal
    assert "'golden' is the name of a noisy version in this store" in said
