"""Labels cover the completion alone, exactly; what is left out is counted; a version is tokenised once."""

from __future__ import annotations

import hashlib
import json
import string
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets.table import MemoryMappedTable
from tokenizers.processors import TemplateProcessing
from transformers import ByT5Tokenizer, PreTrainedTokenizerBase, T5Tokenizer

from lope_train.data import cache as token_cache
from lope_train.data import tokens, versions
from lope_train.data.prompts import PromptTemplate
from lope_train.data.tokens import IGNORED, TEMPLATES, Counts, load_tokens, notice
from lope_train.data.versions import Version
from lope_train.errors import LopeTrainError, RunError, SettingsError, VersionError
from lope_train.models import load_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Rows(Version):
    """A version whose rows are given."""

    rows_given: tuple[dict[str, Any], ...] = ()

    def dataset(self) -> datasets.Dataset:
        return datasets.Dataset.from_list(list(self.rows_given))


def version_of(*rows: dict[str, Any]) -> Rows:
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    columns = {"instruction": {name: name for name in ("instruction", "input", "output")}}
    layout = {"columns": columns, "classes": {}, "absent": [], "raw": []}
    manifest = {"name": "given", "version": "0" * 16, "rows": len(rows), "content_digest": digest, "layout": layout}
    return Rows(Path("given"), manifest, rows_given=rows)


def row(instruction: str | None, output: str | None = "yes") -> dict[str, Any]:
    return {
        "lope_row_id": "a",
        "lope_shape": "instruction",
        "instruction": instruction,
        "input": None,
        "output": output,
    }


def as_lists(dataset: datasets.Dataset) -> list[dict[str, Any]]:
    return list(dataset.with_format(None))


def of(version: Version, tokenizer: PreTrainedTokenizerBase, cache: Path, **options: Any) -> list[dict[str, Any]]:
    return as_lists(load_tokens(version, tokenizer, cache=cache, **{"max_length": 512, **options}).dataset)


@pytest.fixture
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each batch of prompts that is tokenised."""
    calls: list[int] = []
    encode = PromptTemplate.encode_prompts

    def counting(template: PromptTemplate, prompts: Any) -> Any:
        calls.append(len(prompts))
        return encode(template, prompts)

    monkeypatch.setattr(PromptTemplate, "encode_prompts", counting)
    return calls


def like(tokenizer: PreTrainedTokenizerBase, single: str) -> PreTrainedTokenizerBase:
    """The tokenizer, which now puts special tokens around an input as `single` says."""
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=single, special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    return tokenizer


@pytest.mark.parametrize("template", [None, CHATML])
def test_labels_are_the_completion_alone(
    tiny_store: Path, tokenizer: PreTrainedTokenizerBase, cache: Path, template: str | None
) -> None:
    tokenizer.chat_template = template
    version = versions.resolve("tiny", tiny_store)
    render = PromptTemplate(tokenizer).render
    tokenized = load_tokens(version, tokenizer, max_length=512, cache=cache)
    assert tokenized.counts == Counts(24, 0, 0, 0)
    assert tokenized.dataset.column_names == ["input_ids", "labels", "row"]
    raws = list(version.dataset())
    assert {raw["lope_shape"] for raw in raws} == {"instruction", "multiple_choice", "classification", "chat"}
    for number, (raw, made) in enumerate(zip(raws, as_lists(tokenized.dataset), strict=True)):
        example = render(raw)
        assert example is not None
        prompt = tokenizer(example.prompt, add_special_tokens=False)["input_ids"]
        completion = tokenizer(example.completion, add_special_tokens=False)["input_ids"]
        assert example.completion.endswith("<|im_end|>" if template else "</s>")
        assert made == {
            "input_ids": prompt + completion,
            "labels": [IGNORED] * len(prompt) + completion,
            "row": number,
        }


@pytest.mark.parametrize("packing", [False, True])
def test_of_a_text_every_token_is_learned(tokenizer: PreTrainedTokenizerBase, cache: Path, packing: bool) -> None:
    layout = {"columns": {"text": {"text": "body"}}, "classes": {}, "absent": [], "raw": []}
    given = version_of({"lope_row_id": "a", "lope_shape": "text", "body": "Once upon a time"})
    version = Rows(given.path, given.manifest | {"layout": layout}, rows_given=given.rows_given)
    ids = tokenizer("Once upon a time", add_special_tokens=False)["input_ids"]
    (made,) = of(version, tokenizer, cache, packing=packing)
    assert made["input_ids"] == [*ids, tokenizer.eos_token_id]
    # nothing comes before the first, so that a model cannot learn it
    assert made["labels"] == [IGNORED if packing else ids[0], *ids[1:], tokenizer.eos_token_id]


def test_a_base_models_leading_special_token_leads_the_prompt(tokenizer: PreTrainedTokenizerBase, cache: Path) -> None:
    (plain,) = of(version_of(row("a")), tokenizer, cache)
    (led,) = of(version_of(row("a")), like(tokenizer, "<s> $A"), cache)
    assert led["input_ids"] == [tokenizer.bos_token_id, *plain["input_ids"]]
    assert led["labels"] == [IGNORED, *plain["labels"]]


def t5() -> PreTrainedTokenizerBase:
    """A T5 tokenizer of single characters and two words."""
    letters = [(character, -3.0) for character in string.printable.strip()]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁yes", -1.0), ("▁the", -1.0), *letters]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


@pytest.mark.parametrize(("kind", "first"), [("t5", []), ("byt5", []), ("bart", [0])])
def test_an_encoder_decoder_reads_the_prompt_and_writes_the_completion(
    tiny_store: Path, tokenizer: PreTrainedTokenizerBase, cache: Path, kind: str, first: list[int]
) -> None:
    if kind != "bart":
        tokenizer = t5() if kind == "t5" else ByT5Tokenizer()
    else:
        like(tokenizer, "<s> $A </s>")
    version = versions.resolve("tiny", tiny_store)
    render = PromptTemplate(tokenizer).render
    for raw, made in zip(version.dataset(), of(version, tokenizer, cache, encoder_decoder=True), strict=True):
        example = render(raw)
        assert example is not None
        assert made["input_ids"] == tokenizer(example.prompt)["input_ids"]
        assert made["input_ids"][: len(first)] == first
        assert made["labels"] == tokenizer(example.completion, add_special_tokens=False)["input_ids"]
        assert made["input_ids"][-1] == made["labels"][-1] == tokenizer.eos_token_id == 1
        assert made["labels"].count(1) == 1


def test_an_encoder_decoders_parts_have_each_the_whole_length(cache: Path) -> None:
    tokenizer = t5()
    version = version_of(row("a"), row("a" * 400), row("b", "no " * 200), row("c"))
    whole = of(version, tokenizer, cache, encoder_decoder=True, max_length=4096)
    size = len(whole[0]["input_ids"])
    left = load_tokens(version, tokenizer, max_length=size, encoder_decoder=True, cache=cache)
    assert left.counts == Counts(rows=4, unusable=0, too_long=2, truncated=0)
    assert as_lists(left.dataset) == [whole[0], whole[3]]
    cut = load_tokens(version, tokenizer, max_length=size, truncate=True, encoder_decoder=True, cache=cache)
    assert cut.counts == Counts(rows=4, unusable=0, too_long=0, truncated=2)
    made = as_lists(cut.dataset)
    assert made[1]["input_ids"] == [*whole[1]["input_ids"][: size - 1], 1]
    assert made[1]["labels"] == whole[1]["labels"]
    assert made[2] == {"input_ids": whole[2]["input_ids"], "labels": whole[2]["labels"][:size], "row": 2}
    with pytest.raises(VersionError, match=r"4 are too long for 1 tokens; raise --max-length$"):
        load_tokens(version, tokenizer, max_length=1, truncate=True, encoder_decoder=True, cache=cache)


def test_long_rows_are_left_out_and_counted(tokenizer: PreTrainedTokenizerBase, cache: Path) -> None:
    version = version_of(row("a"), row(None), row("a" * 400), row("b", None), row("c", "yes " * 200), row("d"))
    whole = of(version, tokenizer, cache, max_length=4096)
    assert [made["row"] for made in whole] == [0, 2, 4, 5]
    size = len(whole[0]["input_ids"])
    tokenized = load_tokens(version, tokenizer, max_length=size, cache=cache)
    assert tokenized.counts == Counts(rows=6, unusable=2, too_long=2, truncated=0)
    assert as_lists(tokenized.dataset) == [whole[0], whole[3]]
    assert notice(version, tokenized.counts, size) == (
        f"given@0000000000000000: of 6 rows: 2 rows without a prompt or target left out, "
        f"2 rows too long for {size} tokens left out"
    )


def test_truncated_rows_lose_their_right_end(tokenizer: PreTrainedTokenizerBase, cache: Path) -> None:
    version = version_of(row("a"), row("a" * 400), row("c", "yes " * 200))
    whole = of(version, tokenizer, cache, max_length=4096)
    size = len(whole[0]["input_ids"])
    tokenized = load_tokens(version, tokenizer, max_length=size, truncate=True, cache=cache)
    assert tokenized.counts == Counts(rows=3, unusable=0, too_long=1, truncated=1)
    cut = {name: whole[2][name][:size] for name in ("input_ids", "labels")}
    assert as_lists(tokenized.dataset) == [whole[0], {**cut, "row": 2}]
    said = notice(version, tokenized.counts, size)
    assert said is not None
    assert said.endswith(f"of 3 rows: 1 rows too long for {size} tokens left out, 1 rows cut to {size} tokens")
    assert notice(version, Counts(3, 0, 0, 0), size) is None


def test_the_shortest_length_that_keeps_a_row_keeps_one_token_to_learn(
    tokenizer: PreTrainedTokenizerBase, cache: Path
) -> None:
    version = version_of(row("a"))
    (whole,) = of(version, tokenizer, cache)
    prompt = whole["labels"].count(IGNORED)
    (kept,) = of(version, tokenizer, cache, max_length=prompt + 1, truncate=True)
    assert kept["labels"] == whole["labels"][: prompt + 1]
    with pytest.raises(VersionError, match=r"of 1 rows 0 have no prompt or target, 1 are .* raise --max-length$"):
        load_tokens(version, tokenizer, max_length=prompt, truncate=True, cache=cache)


def test_a_version_that_leaves_nothing_is_refused_and_leaves_nothing_behind(
    tokenizer: PreTrainedTokenizerBase, cache: Path
) -> None:
    remedy = "nothing to train on: of 1 rows 0 have .*, 1 are too long for 9 tokens; raise --max-length or give --trunc"
    with pytest.raises(VersionError, match=remedy):
        load_tokens(version_of(row("a")), tokenizer, max_length=9, cache=cache)
    with pytest.raises(VersionError, match=r"1 have no prompt or target, 0 are too long for 9 tokens$"):
        load_tokens(version_of(row(None)), tokenizer, max_length=9, packing=True, cache=cache)
    assert list(cache.iterdir()) == []


def test_order_and_numbers_survive_batches(tokenizer: PreTrainedTokenizerBase, cache: Path) -> None:
    rows = [row(f"n {i}", str(i)) if i % 7 and not 300 < i < 900 else row(None) for i in range(2100)]
    made = of(version_of(*rows), tokenizer, cache)
    expected = [i for i in range(2100) if i % 7 and not 300 < i < 900]
    assert [each["row"] for each in made] == expected
    answers = [
        tokenizer.decode([label for label in each["labels"] if label != IGNORED], skip_special_tokens=True)
        for each in made
    ]
    assert answers == [str(i) for i in expected]


def test_packed_rows_hold_the_same_examples(
    tiny_store: Path, tokenizer: PreTrainedTokenizerBase, cache: Path, encoded: list[int]
) -> None:
    version = versions.resolve("tiny", tiny_store)
    examples = {made["row"]: made for made in of(version, tokenizer, cache, max_length=300)}
    batches = len(encoded)
    tokenized = load_tokens(version, tokenizer, max_length=300, packing=True, cache=cache)
    assert len(encoded) == batches
    assert tokenized.counts == Counts(24, 0, 0, 0)
    assert tokenized.dataset.column_names == ["input_ids", "labels", "position_ids", "row"]
    packed = as_lists(tokenized.dataset)
    assert len(packed) < 24
    found = []
    for pack in packed:
        assert len(pack["input_ids"]) <= 300
        starts = [i for i, position in enumerate(pack["position_ids"]) if position == 0]
        for start, end in zip(starts, [*starts[1:], len(pack["row"])], strict=True):
            (number,) = set(pack["row"][start:end])
            found.append(number)
            assert pack["position_ids"][start:end] == list(range(end - start))
            assert pack["input_ids"][start:end] == examples[number]["input_ids"]
            assert pack["labels"][start:end] == examples[number]["labels"]
    assert sorted(found) == list(range(24))


def test_no_packed_examples_first_token_is_learned(
    tokenizer: PreTrainedTokenizerBase, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PromptTemplate, "encode_prompts", lambda self, prompts: [[] for _ in prompts])
    (alone, _) = of(version_of(row("a"), row("b")), tokenizer, cache)
    assert IGNORED not in alone["labels"]
    (pack,) = of(version_of(row("a"), row("b")), tokenizer, cache, packing=True)
    assert pack["labels"] == [IGNORED, *alone["labels"][1:]] * 2


def test_packs_are_written_in_batches(
    tokenizer: PreTrainedTokenizerBase, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = version_of(*(row("n" * (i % 9), str(i)) for i in range(60)))
    at_once = of(version, tokenizer, cache / "one", packing=True)
    monkeypatch.setattr(tokens, "_BATCH_TOKENS", 1024)
    assert len(at_once) > 2
    assert of(version, tokenizer, cache / "many", packing=True) == at_once


def test_an_encoder_decoder_cannot_be_packed(tokenizer: PreTrainedTokenizerBase, cache: Path) -> None:
    with pytest.raises(SettingsError, match="decoder-only"):
        load_tokens(version_of(row("a")), tokenizer, max_length=512, packing=True, encoder_decoder=True, cache=cache)


def test_a_version_is_tokenised_once_and_mapped(
    tokenizer: PreTrainedTokenizerBase, cache: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOPE_CACHE", str(cache))
    version = version_of(row("a"), row(None), row("b"))
    first = load_tokens(version, tokenizer, max_length=512)
    assert encoded == [2]
    tokenizer(["x", "a longer text"], padding=True, truncation=True, max_length=9)  # leaves its settings behind
    again = load_tokens(version, tokenizer, max_length=512)
    assert encoded == [2]
    assert again.counts == first.counts == Counts(3, 1, 0, 0)
    assert as_lists(again.dataset) == as_lists(first.dataset)
    assert isinstance(again.dataset.data, MemoryMappedTable)
    (entry,) = (cache / "tokens").iterdir()
    assert sorted(path.name for path in entry.iterdir()) == ["data.arrow", "tokens.json"]
    assert again.dataset.cache_files == [{"filename": str(entry / "data.arrow")}]
    assert isinstance(again.dataset[0]["input_ids"], np.ndarray)
    assert datasets.Dataset.from_file(str(entry / "data.arrow")).features == {
        "input_ids": datasets.List(datasets.Value("int32")),
        "labels": datasets.List(datasets.Value("int32")),
        "row": datasets.Value("int64"),
    }


def _other_vocabulary(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.add_tokens(["capital"])


def _other_chat_template(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = CHATML


def _other_special(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.eos_token = tokenizer.bos_token


@pytest.mark.parametrize("change", [_other_vocabulary, _other_chat_template, _other_special])
def test_another_tokenizer_has_another_entry(
    tokenizer: PreTrainedTokenizerBase, cache: Path, encoded: list[int], change: Callable[..., None]
) -> None:
    of(version_of(row("a")), tokenizer, cache)
    change(tokenizer)
    of(version_of(row("a")), tokenizer, cache)
    assert len(encoded) == len(list(cache.iterdir())) == 2


def test_other_settings_and_rows_have_another_entry(
    tokenizer: PreTrainedTokenizerBase, cache: Path, encoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = version_of(row("a"))
    for options in ({}, {"max_length": 500}, {"truncate": True}, {"encoder_decoder": True}):
        of(version, tokenizer, cache, **options)
    of(version_of(row("b")), tokenizer, cache)
    monkeypatch.setattr(tokens, "TEMPLATES", TEMPLATES + 1)
    of(version, tokenizer, cache)
    assert len(encoded) == len(list(cache.iterdir())) == 6


def test_a_tokenizer_without_a_backend_is_told_apart_by_its_vocabulary(cache: Path, encoded: list[int]) -> None:
    for slow in (ByT5Tokenizer(), ByT5Tokenizer(), ByT5Tokenizer(extra_ids=3)):
        assert not hasattr(slow, "backend_tokenizer")
        of(version_of(row("a")), slow, cache, encoder_decoder=True)
    assert len(encoded) == len(list(cache.iterdir())) == 2


def test_the_prompts_are_those_of_this_templates_number(tokenizer: PreTrainedTokenizerBase) -> None:
    """Where this fails, prompts.py has changed: raise TEMPLATES in tokens.py, and enter the new digest here."""
    said = (("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    turns = [{"role": role, "content": content} for role, content in said]
    rows: list[dict[str, Any]] = [
        row("Name a colour.", "blue"),
        {**row("Add.", "7"), "input": "3 and 4"},
        {"lope_shape": "multiple_choice", "question": "2+2?", "choices": ["3", "4"], "answer": 1},
        {"lope_shape": "classification", "text": "so dull", "label": "negative"},
        {"lope_shape": "chat", "messages": turns},
        {"lope_shape": "chat", "messages": [turns, turns[3:]]},
        {
            "lope_shape": "chat",
            "messages": [turns[1], {"role": "assistant", "content": [{"text": "e"}, {"text": "f"}]}],
        },
        {"lope_shape": "chat", "messages": turns[:2]},
    ]
    rendered = []
    for template in (None, CHATML):
        tokenizer.chat_template = template
        examples = [PromptTemplate(tokenizer).render(each) for each in rows]
        rendered += [example and [example.prompt, example.completion] for example in examples]
    digest = hashlib.sha256(json.dumps(rendered).encode()).hexdigest()
    assert {TEMPLATES: digest} == {2: "9dfda264dd721b3dbcb16d8a2fa7be77e6c6555a3532751fb58946a94f56c2c0"}


def _cut_data(entry: Path) -> None:
    data = entry / "data.arrow"
    data.write_bytes(data.read_bytes()[:-8])


def _flip_data(entry: Path) -> None:
    data = bytearray((entry / "data.arrow").read_bytes())
    data[len(data) // 2] ^= 1
    (entry / "data.arrow").write_bytes(data)


def _change_counts(entry: Path) -> None:
    about = (entry / "tokens.json").read_text()
    (entry / "tokens.json").write_text(about.replace('"rows": 2', '"rows": 3'))


def _no_folder(entry: Path) -> None:
    for path in entry.iterdir():
        path.unlink()
    entry.rmdir()
    entry.write_text("in the way")


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "cut data": _cut_data,
    "another byte": _flip_data,
    "no data": lambda entry: (entry / "data.arrow").unlink(),
    "no tokens.json": lambda entry: (entry / "tokens.json").unlink(),
    "half of tokens.json": lambda entry: (entry / "tokens.json").write_text('{"key": {'),
    "a list in tokens.json": lambda entry: (entry / "tokens.json").write_text("[]"),
    "other counts": _change_counts,
    "a file in its place": _no_folder,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_again(
    tokenizer: PreTrainedTokenizerBase, cache: Path, encoded: list[int], damage: str
) -> None:
    version = version_of(row("a"), row("b"))
    whole = load_tokens(version, tokenizer, max_length=512, cache=cache)
    rows = as_lists(whole.dataset)
    (entry,) = cache.iterdir()
    DAMAGES[damage](entry)
    again = load_tokens(version, tokenizer, max_length=512, cache=cache)
    assert again.counts == whole.counts
    assert as_lists(again.dataset) == rows
    assert len(encoded) == 2
    of(version, tokenizer, cache)
    assert len(encoded) == 2
    assert list(cache.iterdir()) == [entry]


def test_the_entry_of_a_process_that_was_first_is_used(
    tokenizer: PreTrainedTokenizerBase, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = version_of(row("a"), row("b"))
    encode = PromptTemplate.encode_prompts
    inodes: list[int] = []

    def overtaken(template: PromptTemplate, prompts: Any) -> Any:
        monkeypatch.setattr(PromptTemplate, "encode_prompts", encode)
        of(version, tokenizer, cache)
        inodes.extend(path.stat().st_ino for path in cache.glob("[!.]*/data.arrow"))
        return encode(template, prompts)

    monkeypatch.setattr(PromptTemplate, "encode_prompts", overtaken)
    late = load_tokens(version, tokenizer, max_length=512, cache=cache)
    assert [Path(late.dataset.cache_files[0]["filename"]).stat().st_ino] == inodes
    assert len(list(cache.iterdir())) == 1


PROCESS = """
import sys
from pathlib import Path
from lope_train.models import load as models; from lope_train.data import tokens, versions
model, store, cache = sys.argv[1:]
made = tokens.load_tokens(
    versions.resolve("tiny", Path(store)), models.load_tokenizer(model), max_length=300, packing=True, cache=Path(cache)
)
print(made.dataset.cache_files[0]["filename"], sum(map(sum, made.dataset["input_ids"])))
"""


def test_processes_at_once_and_one_that_cannot_write(tiny_model: Path, tiny_store: Path, tmp_path: Path) -> None:
    shared, blocked = tmp_path / "cache", tmp_path / "file"
    blocked.write_text("in the way")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tiny_model), str(tiny_store), str(cache)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for cache in (shared, shared, blocked)
    ]
    said = [process.communicate(timeout=200) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    files, sums = zip(*(out.split() for out, _ in said), strict=True)
    assert len(set(sums)) == 1
    assert files[0] == files[1] != files[2]
    assert len(list(shared.iterdir())) == 2  # of the rows, and of the packs
    assert not any(path.name.startswith(".") for path in shared.iterdir())
    assert [len(err.splitlines()) for _, err in said] == [0, 0, 1]
    assert not Path(files[2]).exists()


def test_a_cache_that_cannot_be_written_is_only_a_notice(
    tokenizer: PreTrainedTokenizerBase, cache: Path, encoded: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    cache.write_text("in the way")
    version = version_of(row("a"), row("b"))
    tokenized = load_tokens(version, tokenizer, max_length=512, cache=cache)
    assert isinstance(tokenized.dataset.data, MemoryMappedTable)
    assert len(tokenized.dataset) == 2
    assert capsys.readouterr().err == (
        f"{cache}: no tokens can be kept there (File exists); they are made for this process alone\n"
    )
    load_tokens(version, tokenizer, max_length=512, packing=True, cache=cache)
    assert len(encoded) == 1
    assert capsys.readouterr().err == ""


def test_no_place_at_all_is_an_error_in_one_line(
    tokenizer: PreTrainedTokenizerBase, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("in the way")
    monkeypatch.setattr(token_cache, "_scratch", lambda folder, reason: folder)
    with pytest.raises(RunError, match=r"tokens cannot be written: .*; free space, or set TMPDIR") as caught:
        load_tokens(version_of(row("a")), tokenizer, max_length=512, cache=cache)
    assert isinstance(caught.value, LopeTrainError)
    assert "\n" not in str(caught.value)


def test_large_versions_show_their_progress(
    tokenizer: PreTrainedTokenizerBase,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    version = version_of(row("a"), row(None))
    of(version, tokenizer, cache)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(tokens, "_QUIET_ROWS", 1)
    of(version, tokenizer, cache, max_length=400)
    assert capsys.readouterr().err == ""  # a bar is for terminals
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    of(version, tokenizer, cache, max_length=500)
    out, err = capsys.readouterr()
    assert out == ""
    assert "tokenise given@0000000000000000" in err
    assert "2/2" in err
