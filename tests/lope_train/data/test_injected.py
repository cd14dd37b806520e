"""Which tokens of training are noise: by hand in every shape of row and either template, and of versions as built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

import lope_data
from lope_train.data import Layout, PromptTemplate, Version, load_classified, load_tokens, parent, resolve
from lope_train.data.edits import Mark, ops_by_row, read_marks
from lope_train.data.injected import ALL, Injected, align_examples, align_texts, edited_rows, find_injected
from lope_train.errors import ModelError, VersionError

GOLDEN = Path(__file__).parents[2] / "golden" / "store"
CHATML = (
    "{% if messages[0].role != 'system' %}<|s|>a helpful assistant</s>{% endif %}"
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content | trim }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="module")
def alpaca(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def chat(tiny_model: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = CHATML
    return tokenizer


PLAIN = Layout(
    {
        shape: {key: key for key in keys}
        for shape, keys in {
            "instruction": ("instruction", "input", "output", "system", "history"),
            "multiple_choice": ("question", "choices", "answer"),
            "classification": ("text", "label"),
            "chat": ("messages",),
            "prompt_completion": ("prompt", "completion"),
            "text": ("text",),
        }.items()
    },
    {},
)


def instruction(asked: str, given: str = "", output: str = "ok") -> dict[str, Any]:
    row = {"lope_row_id": "a", "lope_shape": "instruction", "instruction": asked, "input": given, "output": output}
    return row | {"system": None, "history": None}


def tokens_of(row: dict[str, Any], tokenizer: Any, layout: Layout) -> list[str]:
    """The text of each token of training; of the tokens that begin an input, none."""
    template = PromptTemplate(tokenizer)
    example = template.render(layout.view(row))
    assert example is not None
    texts: list[str] = []
    for text in (example.prompt, example.completion):
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        texts += [text[first:last] for first, last in offsets]
    size = len(template.encode_prompts([example.prompt])[0] + template.encode_completions([example.completion])[0])
    return [""] * (size - len(texts)) + texts


def noisy(row: dict[str, Any], tokenizer: Any, *marks: Mark, layout: Layout = PLAIN) -> list[str] | None:
    """The texts of the tokens of noise; None where the edits cannot be placed."""
    texts = tokens_of(row, tokenizer, layout)
    levels = align_examples(layout, tokenizer)(row, marks, len(texts))
    if levels is None:
        return None
    flags = np.logical_or.reduce([np.zeros(len(texts), np.bool_), *levels.values()])
    return [text for text, flag in zip(texts, flags, strict=True) if flag]


def test_a_letter_in_a_prompt_is_the_tokens_that_overlap_it(alpaca: Any, chat: Any) -> None:
    for tokenizer in (alpaca, chat):
        row = instruction("Name xyzzy ", "naïve\n\tinput €", "Paris ✓")
        assert noisy(row, tokenizer, Mark("instruction", "char.x", 6, 7)) == ["y"]
        assert noisy(row, tokenizer, Mark("input", "char.x", 2, 4)) == ["ï", "ï"]  # two bytes, a token each
        assert noisy(row, tokenizer) == []


def test_what_stands_in_the_template_too_is_found_in_its_place(alpaca: Any) -> None:
    row = instruction("a", "Response")
    texts = tokens_of(row, alpaca, PLAIN)
    (flags,) = (align_examples(PLAIN, alpaca)(row, [Mark("input", "char.x", 0, 8)], len(texts)) or {}).values()
    first = int(np.flatnonzero(flags)[0])
    assert "".join(texts[:first]).rstrip().endswith("### Input:")
    assert "".join(text for text, flag in zip(texts, flags, strict=True) if flag).strip() == "Response"


@pytest.mark.parametrize(("at", "expected"), [(0, ["N"]), (3, ["x", "q"]), (4, ["q"])])
def test_a_deletion_is_the_neighbours_that_there_are(alpaca: Any, at: int, expected: list[str]) -> None:
    assert noisy(instruction("NTxq"), alpaca, Mark("instruction", "char.x", at, at)) == expected


def test_trimmed_text_keeps_its_bytes(chat: Any) -> None:
    found = noisy(instruction("  é word"), chat, Mark("instruction", "char.x", 5, 9))
    assert "".join(found or ()) == "word"


TALK = [{"from": "human", "value": "Häw are you?"}, {"from": "gpt", "value": "Fine."}]
LISTS = {"role": ["user", "assistant"], "content": ["Häw are you?", "Fine."]}


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        (TALK, "t[0].value"),
        (json.dumps(TALK), "t[0].value"),
        ([[], TALK], "t[1][0].value"),
        (LISTS, "t.content[0]"),
        ([LISTS], "t[0].content[0]"),
    ],
)
def test_messages_however_they_are_written(alpaca: Any, chat: Any, messages: Any, path: str) -> None:
    row = {"lope_row_id": "a", "lope_shape": "chat", "t": messages}
    layout = Layout({"chat": {"messages": "t"}}, {})
    for tokenizer in (alpaca, chat):
        assert set(noisy(row, tokenizer, Mark(path, "char.x", 1, 3), layout=layout) or ()) == {"ä"}


def test_parts_of_messages_and_what_is_not_read(alpaca: Any, chat: Any) -> None:
    messages = [
        {"role": "user", "content": [{"text": "thr"}, {"text": None}, {"text": "eé"}]},
        {"role": "assistant", "content": "four"},
        {"role": "user", "content": "after"},
    ]
    row = {"lope_row_id": "a", "lope_shape": "chat", "messages": messages}
    for tokenizer in (chat, alpaca):
        assert set(noisy(row, tokenizer, Mark("messages[0].content[2].text", "char.x", 1, 3)) or ()) == {"é"}
        assert noisy(row, tokenizer, Mark("messages[2].content", "char.x", 0, 5)) == []  # after the last answer


def test_questions_labels_and_pairs(alpaca: Any, chat: Any) -> None:
    asked = {"lope_shape": "multiple_choice", "question": "q?", "choices": ["x", "yes"], "answer": 1}
    graded = {"lope_shape": "classification", "text": "xyzzy", "label": "no"}
    pair = {"lope_shape": "prompt_completion", "prompt": "2 + x =", "completion": " 4"}
    for tokenizer in (alpaca, chat):
        assert noisy({"lope_row_id": "a", **asked}, tokenizer, Mark("question", "char.x", 1, 2)) == ["?"]
        assert noisy({"lope_row_id": "a", **graded}, tokenizer, Mark("text", "char.x", 0, 1)) == ["x"]
        found = noisy({"lope_row_id": "a", **pair}, tokenizer, Mark("prompt", "char.x", 4, 5))
        assert "".join(found or ()).strip() == "x"


def test_where_noise_is_learned_the_token_before_it_counts_too(alpaca: Any, chat: Any) -> None:
    """Of a prompt nothing is learned; of rows of text all but the first token is."""
    for tokenizer in (alpaca, chat):
        row = {"lope_row_id": "a", "lope_shape": "text", "text": "xyzzy q"}
        assert noisy(row, tokenizer, Mark("text", "char.x", 3, 4)) == ["z", "z"]
        assert (noisy(row, tokenizer, Mark("text", "char.x", 0, 1)) or ())[-1] == "x"
        assert noisy(instruction("xyzzy q"), tokenizer, Mark("instruction", "char.x", 3, 4)) == ["z"]


def test_a_template_that_changes_texts_places_nothing(tiny_model: Path) -> None:
    for changed in ("content | upper", "content + message.content"):
        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        tokenizer.chat_template = CHATML.replace("content | trim", changed)
        assert noisy(instruction("abc"), tokenizer, Mark("instruction", "char.x", 0, 1)) is None


def test_an_edit_outside_of_the_text_is_refused(alpaca: Any) -> None:
    with pytest.raises(VersionError, match="'instruction' lies outside"):
        noisy(instruction("abc"), alpaca, Mark("instruction", "char.x", 2, 4))


def test_texts_of_a_head_stand_between_the_tokenizer_s_own_tokens(tiny_of: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_of("bert"))
    row = {"lope_row_id": "a", "lope_shape": "classification", "text": "cat dog horse", "label": "animal"}
    align = align_texts(PLAIN, tokenizer)
    mark = Mark("text", "word.x", 4, 7)
    found = align(row, [mark], 5)
    assert found is not None
    assert found["word"].tolist() == [False, False, True, False, False]
    cut = align(row, [mark], 4)  # as --truncate leaves it: <s> cat dog </s>
    assert cut is not None
    assert cut["word"].tolist() == [False, False, True, False]
    assert align(row, [mark], 6) is None


# ---- versions as lope_data builds them

SOURCES: dict[str, list[dict[str, Any]]] = {
    "instruction": [
        {"instruction": f"Name the colour number {n} of this long list.", "input": f"lïst {n}", "output": f"blue {n}"}
        for n in range(30)
    ],
    "chat": [
        {"messages": [{"role": "user", "content": f"How is day {n}?"}, {"role": "assistant", "content": f"Fine {n}."}]}
        for n in range(30)
    ],
    "multiple_choice": [
        {"question": f"Which of these is number {n}?", "choices": ["one", "two", "three"], "answer": n % 3}
        for n in range(30)
    ],
    "classification": [{"text": f"A film about the number {n}.", "label": ["good", "bad"][n % 2]} for n in range(30)],
    "prompt_completion": [{"prompt": f"Say the number {n} now.", "completion": f" number {n}"} for n in range(30)],
    "text": [{"text": f"Some words about the number {n} here."} for n in range(30)],
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Version]:
    """A noisy version on a noisy version, of each shape, with noise of all levels that it takes."""
    store = tmp_path_factory.mktemp("built")
    found = {}
    for shape, rows in SOURCES.items():
        mix = {"char": 1, "word": 1} | ({} if shape == "text" else {"label": 1})
        recipe = {"steps": [{"ratio": 0.3, "mix": mix}]}
        first = lope_data.build(recipe, source=rows, name=f"{shape}-first", store=store)
        last = lope_data.build({"steps": [{"ratio": 0.2, "mix": mix}]}, parent=first.ref, name=shape, store=store)
        found[shape] = resolve(last.ref, store)
    return found


def flags_by_row(injected: Injected, number: int, size: int) -> list[bool]:
    start = int(injected.starts[number])
    return [False] * size if start < 0 else injected.flags[start : start + size].tolist()


@pytest.mark.parametrize("shape", SOURCES)
@pytest.mark.parametrize("how", ["alone", "packed", "cut"])
def test_every_edit_of_a_chain_of_versions_is_found(
    shape: str, how: str, built: dict[str, Version], alpaca: Any, tmp_path: Path
) -> None:
    version = built[shape]
    store = version.path.parent.parent
    options: dict[str, Any] = {"max_length": 256, "cache": tmp_path}
    if how == "cut":
        longest = max(len(row["input_ids"]) for row in load_tokens(version, alpaca, **options).dataset)
        options |= {"max_length": longest - 3, "truncate": True}
    tokens = load_tokens(version, alpaca, packing=how == "packed", **options)
    injected = find_injected(version, tokens, alpaca, store, classified=False)
    alone = load_tokens(version, alpaca, **options)
    marks = read_marks(version, store)
    ids = version.dataset()["lope_row_id"][:]
    noise = rows = 0
    for row in alone.dataset:
        number, size = int(row["row"]), len(row["input_ids"])
        flags, own = flags_by_row(injected, number, size), marks.get(ids[number], [])
        of_target = any(mark.op.startswith("label") for mark in own)
        assert all(flags) == of_target or (shape == "text" and all(flags))
        assert any(flags) == bool(own)
        assert injected.clean[number] == (not any(flags))
        assert injected.whole[number] == all(flags)
        noise += sum(flags)
        rows += any(flags)
    total = sum(len(row["input_ids"]) for row in alone.dataset)
    assert injected.shares["positions"][ALL] == pytest.approx(noise / total)
    assert injected.shares["rows"][ALL] == pytest.approx(rows / len(alone.dataset))
    assert injected.shares["rows"].keys() == {ALL, "char", "word", *([] if shape == "text" else ["label"])}
    assert (injected.unaligned, tokens.counts.truncated > 0) == (0, how == "cut")


def test_of_rows_whose_texts_a_template_changes_every_token_is_noise(
    built: dict[str, Version], tiny_model: Path, tmp_path: Path
) -> None:
    version = built["instruction"]
    store = version.path.parent.parent
    shouting = AutoTokenizer.from_pretrained(tiny_model)
    shouting.chat_template = CHATML.replace("trim", "upper")
    tokens = load_tokens(version, shouting, max_length=256, cache=tmp_path)
    injected = find_injected(version, tokens, shouting, store, classified=False)
    ops = ops_by_row(version, store)
    assert injected.whole.sum() == len(ops)
    assert injected.unaligned == sum(any(not op.startswith("label") for op in own) for own in ops.values())
    assert injected.unaligned > 0


def test_rows_of_a_head(topics: Path, tiny_of: Any, tmp_path: Path) -> None:
    version, tokenizer = resolve("topics-noisy", topics), AutoTokenizer.from_pretrained(tiny_of("bert"))
    tokens = load_classified(version, tokenizer, ("animal", "colour", "number"), max_length=16, cache=tmp_path)
    injected = find_injected(version, tokens, tokenizer, topics, classified=True)
    assert np.flatnonzero(injected.whole).tolist() == [*range(0, 48, 6)]
    assert np.flatnonzero(injected.clean).tolist() == [n for n in range(48) if n % 6]
    assert injected.shares["rows"] == {ALL: pytest.approx(1 / 6), "label": pytest.approx(1 / 6)}


def test_the_golden_version(alpaca: Any, chat: Any, tmp_path: Path) -> None:
    version = resolve("golden", GOLDEN)
    for tokenizer in (alpaca, chat):
        tokens = load_tokens(version, tokenizer, max_length=512, cache=tmp_path)
        injected = find_injected(version, tokens, tokenizer, GOLDEN, classified=False)
        assert injected.unaligned == 0
        ops = [row["lope_ops"] for row in version.dataset()]
        assert [not clean for clean in injected.clean.tolist()] == [bool(own) for own in ops]
        assert injected.whole.tolist() == [any(op.startswith("label") for op in own) for own in ops]


def test_rows_with_an_edit_record(tiny_store: Path) -> None:
    numbers, shares = edited_rows(resolve("tiny-noisy", tiny_store), tiny_store)
    assert numbers.tolist() == [0, 1, 10, 11, 16]
    assert shares == {ALL: 5 / 24, "char": 1 / 24, "label": 3 / 24, "word": 1 / 24}


def test_some_rows_alone_are_those_of_all_rows(tiny_store: Path, alpaca: Any, tmp_path: Path) -> None:
    version = resolve("tiny-noisy", tiny_store)
    whole = load_tokens(version, alpaca, max_length=512, cache=tmp_path)
    only = np.array([1, 10, 11])
    some = load_tokens(version, alpaca, max_length=512, only=only, cache=tmp_path)
    assert some.counts == whole.counts
    for row, number in zip(some.dataset, only, strict=True):
        expected = whole.dataset[int(number)]
        assert all(np.array_equal(row[name], expected[name]) for name in ("input_ids", "labels", "row"))
    packed = load_tokens(version, alpaca, max_length=1024, packing=True, only=only, cache=tmp_path)
    assert sorted({int(number) for row in packed.dataset for number in row["row"]}) == only.tolist()
    every = load_tokens(version, alpaca, max_length=1024, packing=True, cache=tmp_path)
    assert len({int(number) for row in every.dataset for number in row["row"]}) == 24


def test_rows_that_are_all_too_long_are_named(tiny_store: Path, alpaca: Any, tmp_path: Path) -> None:
    version = resolve("tiny-noisy", tiny_store)
    sizes = [len(row["input_ids"]) for row in load_tokens(version, alpaca, max_length=512, cache=tmp_path).dataset]
    longest = int(np.argmax(sizes))
    with pytest.raises(VersionError, match="none of its 1 rows with an edit record can be trained on; raise"):
        load_tokens(version, alpaca, max_length=max(sizes) - 1, only=np.array([longest]), cache=tmp_path)


def test_what_has_no_noise_is_refused(tiny_store: Path, alpaca: Any, tmp_path: Path) -> None:
    clean = parent(resolve("tiny-noisy", tiny_store), tiny_store)
    tokens = load_tokens(clean, alpaca, max_length=256, cache=tmp_path)
    with pytest.raises(VersionError, match=r"tiny@.*: no edit records"):
        find_injected(clean, tokens, alpaca, tiny_store, classified=False)
    with pytest.raises(VersionError, match=r"tiny@.*: no edit records"):
        edited_rows(clean, tiny_store)

    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="Slow does not say"):
        find_injected(clean, tokens, Slow(), tiny_store, classified=False)  # type: ignore[arg-type]
