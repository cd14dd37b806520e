"""Labels cover the completion alone, exactly; padding is masked by length; what is left out is counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import PreTrainedTokenizerBase

from lope_train import versions
from lope_train.dataset import IGNORED, Collator, tokenize, tokenize_rows
from lope_train.errors import VersionError
from lope_train.models import load_tokenizer
from lope_train.prompts import PromptTemplate
from lope_train.versions import Version


@dataclass(frozen=True)
class Rows(Version):
    """A version whose rows are given."""

    rows_given: tuple[dict[str, Any], ...] = ()

    def dataset(self) -> datasets.Dataset:
        return datasets.Dataset.from_list(list(self.rows_given))


def version_of(*rows: dict[str, Any]) -> Version:
    manifest = {"name": "given", "version": "0" * 16, "rows": len(rows)}
    return Rows(Path("given"), manifest, rows_given=rows)


def row(instruction: str | None, output: str | None = "yes") -> dict[str, Any]:
    return {"lope_shape": "instruction", "instruction": instruction, "input": None, "output": output}


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> PreTrainedTokenizerBase:
    return load_tokenizer(str(tiny_model))


def test_labels_are_the_completion_alone(tiny_store: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    version = versions.resolve("tiny", tiny_store)
    template = PromptTemplate(tokenizer)
    tokenized = tokenize(version, tokenizer, 512)
    assert tokenized.column_names == ["input_ids", "labels"]
    assert len(tokenized) == 24
    for raw, encoded in zip(version.dataset(), tokenized, strict=True):
        example = template.render(raw)
        assert example is not None
        ids, labels = encoded["input_ids"], encoded["labels"]
        start = labels.index(next(label for label in labels if label != IGNORED))
        assert set(labels[:start]) == {IGNORED}
        assert labels[start:] == ids[start:]
        assert tokenizer.decode(ids[:start]) == example.prompt
        assert tokenizer.decode(labels[start:]) == example.completion
        assert labels[-1] == tokenizer.eos_token_id


def test_long_rows_lose_their_end_and_cut_completions_are_counted(
    tokenizer: PreTrainedTokenizerBase, capsys: pytest.CaptureFixture[str]
) -> None:
    version = version_of(row("a"), row(None), row("a" * 400), row("b", None), row("c", "yes " * 200))
    whole = tokenize_rows(version_of(row("a")), tokenizer, 512).dataset[0]
    size = len(whole["input_ids"])
    tokenized = tokenize_rows(version, tokenizer, size)
    assert (tokenized.unusable, tokenized.too_long, len(tokenized.dataset)) == (2, 1, 2)
    assert tokenized.dataset[0] == whole
    assert len(tokenized.dataset[1]["input_ids"]) == len(tokenized.dataset[1]["labels"]) == size
    assert tokenized.dataset[1]["labels"][-1] != tokenizer.eos_token_id
    assert capsys.readouterr().err == ""
    tokenize(version, tokenizer, size)
    assert "left out 2 rows without a prompt or target and 1 rows" in capsys.readouterr().err


def test_the_shortest_length_that_keeps_a_row_keeps_one_token_to_learn(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    labels = tokenize_rows(version_of(row("a")), tokenizer, 512).dataset[0]["labels"]
    prompt = labels.count(IGNORED)
    kept = tokenize_rows(version_of(row("a")), tokenizer, prompt + 1).dataset[0]["labels"]
    assert kept == labels[: prompt + 1]
    with pytest.raises(VersionError, match="nothing to train on: of 1 rows 0 have no prompt or target, 1 a"):
        tokenize_rows(version_of(row("a")), tokenizer, prompt)


def test_order_survives_batches(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = [row(f"n {i}", str(i)) if i % 7 else row(None) for i in range(2100)]
    tokenized = tokenize_rows(version_of(*rows), tokenizer, 512)
    answers = [
        tokenizer.decode([label for label in labels if label != IGNORED], skip_special_tokens=True)
        for labels in tokenized.dataset["labels"]
    ]
    assert answers == [str(i) for i in range(2100) if i % 7]
    assert tokenized.unusable == 300


def test_the_collator_pads_right_and_masks_by_length(tokenizer: PreTrainedTokenizerBase) -> None:
    assert tokenizer.pad_token_id is not None
    end = tokenizer.eos_token_id
    rows = [{"input_ids": [5, 6, 7, end], "labels": [-100, 6, 7, end]}, {"input_ids": [8], "labels": [8]}]
    batch = Collator(tokenizer)(rows)
    pad = tokenizer.pad_token_id
    assert batch["input_ids"].tolist() == [[5, 6, 7, end], [8, pad, pad, pad]]
    assert batch["labels"].tolist() == [[-100, 6, 7, end], [8, -100, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_a_pad_token_that_ends_turns_is_still_learned(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    tokenizer.pad_token = tokenizer.eos_token
    end = tokenizer.eos_token_id
    batch = Collator(tokenizer)([{"input_ids": [5, end], "labels": [5, end]}])
    assert batch["attention_mask"].tolist() == [[1, 1]]
    assert batch["labels"].tolist() == [[5, end]]
