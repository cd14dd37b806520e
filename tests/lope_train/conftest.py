"""A tiny store, written to disk by hand, and runs on it: nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from lope_train.methods import METHODS
from lope_train.settings import TrainSettings
from lope_train.training import train

SEED = 7

INSTRUCTIONS = [
    ("Name the capital of France.", "", "Paris is the capital of France."),
    ("Add the two numbers.", "3 and 4", "7"),
    ("Translate to German.", "good morning", "guten Morgen"),
    ("Write one sentence about rain.", "", "The rain fell softly on the roof."),
    ("Sort the words by length.", "banana fig apple", "fig apple banana"),
    ("Give the opposite of the word.", "cold", "hot"),
    ("Say how many days a week has.", "", "A week has seven days."),
    ("Fix the spelling.", "teh cat", "the cat"),
    ("Name a colour of the sky.", "", "blue"),
    ("Repeat the word twice.", "tree", "tree tree"),
]
QUESTIONS = [
    ("Which of these is a fruit?", ["stone", "apple", "chair", "river"], 1),
    ("What is two plus two?", ["3", "5", "4"], 2),
    ("Which animal can fly?", ["sparrow", "cow"], 0),
    ("What is frozen water called?", ["steam", "ice", "sand", "glass"], 1),
    ("Which month comes after May?", ["June", "April", "July"], 0),
    ("Which one is a metal?", ["wood", "wool", "iron"], 2),
]
TEXTS = [
    ("I loved every minute of it.", "positive"),
    ("The worst film of the year.", "negative"),
    ("A warm and funny story.", "positive"),
    ("Dull from start to end.", "negative"),
]
CHATS = [
    ("How do I boil an egg?", "Put it in boiling water for eight minutes."),
    ("What is a prime number?", "A number with exactly two divisors."),
    ("Tell me a greeting.", "Hello there!"),
    ("What do bees make?", "Bees make honey."),
]


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `tiny` (an ingest, 24 rows of all four shapes) and `tiny-noisy` (a build on it).

    Of `tiny-noisy` rows 0 (instruction) and 10 (question) carry text noise, rows 1 (output), 11 (answer) and
    16 (label) label noise; `hints.embedding_alpha` is 0.05.
    """
    store = tmp_path_factory.mktemp("store")
    clean = _rows()
    parent = write_version(store, "tiny", clean, edits=[], parent=None)
    noisy = [dict(row, lope_ops=[]) for row in clean]
    edits: list[dict[str, Any]] = []

    def edit(index: int, column: str, op: str, after: Any) -> None:
        row = noisy[index]
        edits.append(_edit(row, column, op, after))
        row[column] = after
        row["lope_ops"] = [op]

    edit(0, "instruction", "char.swap", "Nmae the capital of France.")
    edit(10, "question", "word.shuffle", "of Which these is a fruit?")
    edit(1, "output", "label.swap_response", "guten Morgen")
    edit(11, "answer", "label.choice", 0)
    edit(16, "label", "label.flip", "negative")
    write_version(store, "tiny-noisy", noisy, edits=edits, parent=parent)
    return store


def _edit(row: dict[str, Any], column: str, op: str, after: Any) -> dict[str, Any]:
    before, replaced = str(row[column]), str(after)
    return {
        "row_id": row["lope_row_id"],
        "step": op.split(".")[0],
        "seq": 0,
        "path": column,
        "op": op,
        "start": 0,
        "end": len(before.encode()),
        "new_end": len(replaced.encode()),
        "before": before,
        "after": replaced,
        "detail": None,
    }


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    rows += [
        {"lope_shape": "instruction", "instruction": instruction, "input": extra, "output": output}
        for instruction, extra, output in INSTRUCTIONS
    ]
    rows += [
        {"lope_shape": "multiple_choice", "question": question, "choices": choices, "answer": answer}
        for question, choices, answer in QUESTIONS
    ]
    rows += [{"lope_shape": "classification", "text": text, "label": label} for text, label in TEXTS]
    rows += [
        {
            "lope_shape": "chat",
            "messages": [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}],
        }
        for user, assistant in CHATS
    ]
    return [{**row, "lope_row_id": f"row-{index:02d}", "lope_ops": []} for index, row in enumerate(rows)]


COLUMNS = pa.schema(
    {
        "instruction": pa.string(),
        "input": pa.string(),
        "output": pa.string(),
        "question": pa.string(),
        "choices": pa.list_(pa.string()),
        "answer": pa.int64(),
        "text": pa.string(),
        "label": pa.string(),
        "messages": pa.list_(pa.struct({"role": pa.string(), "content": pa.string()})),
        "lope_row_id": pa.string(),
        "lope_shape": pa.string(),
        "lope_ops": pa.list_(pa.string()),
    }
)
LAYOUT = {
    "instruction": {name: name for name in ("instruction", "input", "output")},
    "multiple_choice": {name: name for name in ("question", "choices", "answer")},
    "classification": {name: name for name in ("text", "label")},
    "chat": {"messages": "messages"},
}
EDITS = pa.schema(
    {
        **{name: pa.string() for name in ("row_id", "step")},
        "seq": pa.int32(),
        **{name: pa.string() for name in ("path", "op")},
        **{name: pa.int64() for name in ("start", "end", "new_end")},
        **{name: pa.string() for name in ("before", "after", "detail")},
    }
)


def _canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def write_version(
    store: Path,
    name: str,
    rows: list[dict[str, Any]],
    edits: list[dict[str, Any]],
    parent: dict[str, Any] | None,
    label: pa.DataType | None = None,
    weights: list[float] | None = None,
) -> dict[str, Any]:
    """Write one version as `lope_data/store/FORMAT.md` says, and return its manifest; `label` is the labels' type,
    `weights` those of the rows."""
    columns = COLUMNS.set(COLUMNS.get_field_index("label"), pa.field("label", label or pa.string()))
    table = pa.Table.from_pylist(rows, schema=columns)
    whole = [table.to_pylist(), edits] + ([] if weights is None else [str(weights)])
    digest = "sha256:" + hashlib.sha256(_canonical(whole)).hexdigest()
    if weights is not None:
        table = table.append_column("lope_weight", pa.array(weights, pa.float32()))
    source = {"name": "tiny", "fingerprint": "sha256:" + hashlib.sha256(b"tiny").hexdigest()}
    kind = "build" if parent else "ingest"
    recipe: dict[str, Any] = {"name": name}
    ops = {edit["op"]: 1 for edit in edits}
    key = parent["content_digest"] if parent else source["fingerprint"]
    identity = {"format": 2, "kind": kind, "recipe": recipe, "seed": SEED, "ops": ops, "input": key}
    version = hashlib.sha256(_canonical(identity)).hexdigest()[:16]
    folder = store / name / version
    datasets.Dataset(table).save_to_disk(folder)
    (folder / "edits").mkdir()
    pq.write_table(pa.Table.from_pylist(edits, schema=EDITS), folder / "edits/00000-of-00001.parquet")
    (folder / "README.md").write_text(f"# {name}\n")
    shapes = [row["lope_shape"] for row in rows]
    manifest: dict[str, Any] = {
        "format": 2,
        "kind": kind,
        "name": name,
        "version": version,
        "rows": len(rows),
        "touched": sum(bool(row["lope_ops"]) for row in rows),
        "shapes": {shape: shapes.count(shape) for shape in set(shapes)},
        "layout": {
            "columns": {shape: columns for shape, columns in LAYOUT.items() if shape in shapes},
            "classes": {},
            "absent": [],
            "raw": [],
        },
        "content_digest": digest,
        "parents": [{key: parent[key] for key in ("name", "version", "content_digest")}] if parent else [],
        "depth": 1 if parent else 0,
        "source": source,
        "seed": SEED,
        "recipe": recipe,
        "ops": ops,
        "report": [],
        "hints": {"embedding_alpha": 0.05} if parent else {},
        "libraries": {"datasets": datasets.__version__},
        "files": [
            {
                "path": path.relative_to(folder).as_posix(),
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ],
    }
    manifest["manifest_sha256"] = hashlib.sha256(_canonical(manifest)).hexdigest()
    (folder / "manifest.json").write_bytes(_canonical(manifest))
    refs = store / name / "refs"
    refs.mkdir()
    (refs / "latest").write_text(version + "\n")
    return manifest


@pytest.fixture(scope="session")
def tiny_settings(tiny_model: Path, tiny_store: Path) -> Callable[..., TrainSettings]:
    """Settings of a training on `tiny-noisy` that takes a second; keywords override."""

    def make(out: Path, **values: Any) -> TrainSettings:
        tiny = {"data": "tiny-noisy", "model": str(tiny_model), "store": tiny_store, "batch_size": 6}
        return TrainSettings(**{**tiny, "learning_rate": 0.01, "max_length": 256, "out": out, **values})

    return make


@pytest.fixture(scope="session")
def stop_after() -> Callable[[int, TrainSettings], None]:
    """Trains until so many steps of a run are done, then stops as a kill does."""
    path = Path(__file__).parent / "training" / "several_processes.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stop: Callable[[int, TrainSettings], None] = module.stop_after
    return stop


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tokens of the tests are kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("LOPE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_runs(tiny_settings: Callable[..., TrainSettings], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run folder of each method. Copy one before changing it."""
    folder = tmp_path_factory.mktemp("runs")
    return {method: train(tiny_settings(folder / method, method=method)) for method in METHODS}


@pytest.fixture(scope="session")
def tiny_t5(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random encoder-decoder with the tokenizer of `tiny_model`."""
    folder = tmp_path_factory.mktemp("models") / "tiny-t5"
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


TOPICS = {
    "animal": ["cat", "dog", "horse", "cow", "sheep", "goat"],
    "colour": ["red", "blue", "green", "black", "white", "yellow"],
    "number": ["one", "two", "three", "four", "five", "six"],
}
WORDS = [word for words in TOPICS.values() for word in words]


def classified_rows(rows: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows of the three topics in turn: a text of two to four words of one topic, and the topic."""
    made = []
    for number in range(start, start + rows):
        label, words = list(TOPICS.items())[number % 3]
        text = " ".join(words[(number * step + step) % 6] for step in range(1, 3 + number % 3))
        made.append({"lope_shape": "classification", "text": text, "label": label})
    return [{**row, "lope_row_id": f"topic-{start + index}", "lope_ops": []} for index, row in enumerate(made)]


@pytest.fixture(scope="session")
def labelled() -> Callable[..., None]:
    """Writes a version of classification rows with these labels, of a type of arrow, into a store."""

    def write(store: Path, name: str, labels: list[Any], kind: pa.DataType | None = None) -> None:
        rows = [{**row, "label": label} for row, label in zip(classified_rows(len(labels)), labels, strict=True)]
        write_version(store, name, rows, [], None, kind)

    return write


@pytest.fixture(scope="session")
def weighted() -> Callable[..., None]:
    """Writes a version of weighted rows into a store: of `tiny`'s, or with `labels` of classification rows."""

    def write(store: Path, name: str, weights: list[float], labels: list[str] | None = None) -> None:
        rows = _rows()
        if labels is not None:
            rows = [{**row, "label": label} for row, label in zip(classified_rows(len(labels)), labels, strict=True)]
        write_version(store, name, rows, [], None, weights=weights)

    return write


@pytest.fixture(scope="session")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `topics`, 48 classification rows of three classes, `topics-noisy`, of which every sixth label is
    flipped, and `topics-test`, 24 other rows.
    """
    store = tmp_path_factory.mktemp("topics")
    clean = classified_rows(48)
    parent = write_version(store, "topics", clean, edits=[], parent=None)
    noisy = [dict(row, lope_ops=[]) for row in clean]
    edits = []
    for row in noisy[::6]:
        edits.append(_edit(row, "label", "label.flip", "number"))
        row |= {"label": "number", "lope_ops": ["label.flip"]}
    write_version(store, "topics-noisy", noisy, edits=edits, parent=parent)
    write_version(store, "topics-test", classified_rows(24, start=100), edits=[], parent=None)
    return store


_SMALL = {
    **dict.fromkeys(("hidden_size", "n_embd", "dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads"), 4),
    **dict.fromkeys(("intermediate_size", "hidden_dim"), 64),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 64),
    "num_key_value_heads": 4,
    "embedding_size": 32,
    "initializer_range": 0.3,  # so that what one token reads of another shows in the logits
    "layer_norm_eps": 1e-5,
}


@pytest.fixture(scope="session")
def tiny_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a random model of a family (`bert`, `llama`, ...) that knows the words of `topics`: made once, as
    the family is pretrained, without a classification head. Of decoders the tokenizer has no pad token.
    """
    folder = tmp_path_factory.mktemp("families")
    specials = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]

    def make(family: str) -> Path:
        place = folder / family
        if place.is_dir():
            return place
        kind = AutoConfig.for_model(family)
        decoder = family in ("llama", "gpt2", "xlnet")
        words = Tokenizer(WordLevel({word: i for i, word in enumerate(specials + WORDS)}, "<unk>"))
        words.normalizer = normalizers.Lowercase()
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        words.post_processor = processors.TemplateProcessing(
            single="<s> $A" if decoder else "<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
        )
        named = {"bos_token": "<s>", "eos_token": "</s>"} if decoder else {"cls_token": "<s>", "sep_token": "</s>"}
        named["unk_token"] = specials[1]
        named |= {} if family in ("llama", "gpt2") else {"pad_token": "<pad>", "mask_token": "<mask>"}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **named)
        size = len(specials + WORDS)
        ids = {"vocab_size": size, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
        ids |= {"pad_token_id": None if family in ("llama", "gpt2") else 0}
        known = kind.to_dict().keys() | kind.attribute_map.keys()
        config = type(kind)(**{name: value for name, value in {**_SMALL, **ids}.items() if name in known})
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            auto: Any = AutoModelForCausalLM if decoder else AutoModelForMaskedLM
            auto.from_config(config).save_pretrained(place)
        tokenizer.save_pretrained(place)
        return place

    return make


@pytest.fixture(scope="session")
def class_settings(tiny_of: Callable[[str], Path], topics: Path) -> Callable[..., TrainSettings]:
    """Settings of a training with a head on `topics-noisy` that takes a second; keywords override."""

    def make(out: Path, family: str = "bert", **values: Any) -> TrainSettings:
        tiny = {"data": "topics-noisy", "model": str(tiny_of(family)), "store": topics, "head": "classification"}
        return TrainSettings(**{**tiny, "batch_size": 8, "learning_rate": 0.01, "max_length": 16, "out": out, **values})

    return make
