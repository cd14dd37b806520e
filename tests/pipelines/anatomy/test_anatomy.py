"""LoPE taken apart: cached states are those of the whole model, each ingredient does what it says, a study resumes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lope_data
from lope_train.data import Version, parent, resolve
from lope_train.settings import TrainSettings
from lope_train.tuner import Inference, lope_experts, set_mode
from pipelines.anatomy.arm import Data, right, train_arm, ways_of
from pipelines.anatomy.bed import Bed
from pipelines.errors import PipelineError
from pipelines.steps import load
from pipelines.study import Study, Surgery, check_training

ROOT = Path(__file__).parents[3]
WORDS = ("red", "green", "blue", "one", "two", "three", "the", "a", "is", "of")
CLASSES = ("colour", "number")
RECIPE = """
title = "Taken apart"
about = "Labels, flipped."
reference = "lope"

[source]
file = "train.txt"
pattern = '(?P<label>\\w+):(?P<text>.+)'
without = "test"
validation = 6

[[conditions]]
id = "flip"
label = "flipped"
nois = { ratio = 0.2, mix = "label.flip=1" }
hynoise = { ratio = 0.2 }

[[arms]]
id = "lope"
label = "LoPE"
train = { method = "lope", head = "classification", epochs = 2 }

[[arms]]
id = "zeroed"
label = "zeroed"
hynoise = { ratio = 0.5 }
surgery = { poisoning = "zeroed" }
train = { method = "lope", head = "classification", epochs = 2 }

[evaluation.test]
file = "test.txt"
pattern = '(?P<label>\\w+):(?P<text>.+)'

[scales.small]
depth = "last"
rows = 12
seeds = 2
train = { batch_size = 4, max_length = 32, patience = 1 }
"""


def text(number: int) -> str:
    """Texts of different lengths, the class in one word of them."""
    kind = WORDS[number % 2 * 3 + number % 3]
    return " ".join(["the", kind, *(WORDS[6 + (number + i) % 4] for i in range(number % 5))]) + f" {WORDS[number % 10]}"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder of three layers that knows `WORDS`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "bert"
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate([*specials, *WORDS])}, unk_token=specials[1])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    kind: Any = PreTrainedTokenizerFast
    kind(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(specials) + len(WORDS),
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,  # so that what one token reads of another shows in the logits
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        BertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Version:
    store = tmp_path_factory.mktemp("store")
    rows = [{"text": text(i), "label": CLASSES[i % 2]} for i in range(24)]
    clean = lope_data.ingest(rows, name="clean", store=store)
    step = {"name": "swaps", "ratio": 0.5, "mix": {"word.swap": 1}}
    built = lope_data.build({"name": "noisy", "steps": [step]}, parent=clean, store=store, name="noisy")
    return resolve(built.ref, store)


@pytest.fixture(scope="module")
def bed(bert: Path) -> Bed:
    return Bed(str(bert), CLASSES, "last", 32)


@pytest.fixture(scope="module")
def data(bed: Bed, noisy: Version) -> Data:
    clean = bed.read(parent(noisy, noisy.path.parents[1]))
    return Data(lambda: bed.read(noisy, (0.05, 614)), clean, clean, clean, 0.05)


def settings(**values: Any) -> TrainSettings:
    given: dict[str, Any] = {
        "data": "-",
        "model": "-",
        "out": Path("-"),
        "held_out": "-",
        "method": "lope",
        "head": "classification",
    }
    small = {"batch_size": 6, "max_length": 32, "learning_rate": 0.01, "epochs": 2, "patience": 2}
    return TrainSettings(**{**given, **small, **values})


Trained = Callable[..., tuple[Any, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def trained(bed: Bed, data: Data) -> Trained:
    def make(surgery: dict[str, Any], **values: Any) -> tuple[Any, list[dict[str, Any]]]:
        return train_arm(bed, settings(**values), Surgery.model_validate(surgery), data)

    return make


def experts(model: Any) -> Any:
    ((_, layer), *_) = lope_experts(model)
    return layer


def test_states_made_once_give_what_the_whole_model_gives(bert: Path, bed: Bed, noisy: Version) -> None:
    """With the same adapter in the last layer, which is not zero."""
    whole = Bed(str(bert), CLASSES, "all", 32)
    models = [bed.fresh(settings()), whole.fresh(settings())]
    ours, theirs = ([layer for _, layer in lope_experts(model)][-2:] for model in models)
    assert [len([*lope_experts(model)]) for model in models] == [2, 6]
    with torch.no_grad():
        for one, other in zip(ours, theirs, strict=True):
            for values in (one.B, one.B_poison):
                assert values is not None
                values.normal_(generator=torch.Generator().manual_seed(1))
            other.load_state_dict(one.state_dict())
    heads = [dict(model.named_parameters()) for model in models]
    with torch.no_grad():
        for name, parameter in heads[0].items():
            if "modules_to_save" in name:
                heads[1][name].copy_(parameter)
    for model in models:
        set_mode(model, "inference", "unmasked")
    logits = [one.logits(model, one.read(noisy)) for one, model in zip((bed, whole), models, strict=True)]
    torch.testing.assert_close(logits[0], logits[1])
    assert float(logits[0].std()) > 0.01


def test_embedding_noise_is_drawn_once_a_row_and_by_the_seed(bed: Bed, noisy: Version) -> None:
    none, first, again, other = (bed.read(noisy, noise) for noise in (None, (0.1, 1), (0.1, 1), (0.1, 2)))
    assert all(torch.equal(a, b) for a, b in zip(first.inputs, again.inputs, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.inputs, other.inputs, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.inputs, none.inputs, strict=True))


def test_a_run_is_a_function_of_its_seed(trained: Trained) -> None:
    states = []
    with torch.random.fork_rng(devices=[]):
        for seed in (614, 614, 615):
            torch.rand(1)  # what was drawn before makes no difference
            before = torch.get_rng_state()
            states.append(trained({}, seed=seed)[0].state_dict())
            assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_stage1_reads_noise_the_parent_or_nothing(trained: Trained) -> None:
    reports = {kind: trained({"stage1": kind})[1] for kind in ("noise", "clean", "none")}
    assert [one["embedding_alpha"] for one in reports["noise"]] == [0.05, 0.0]
    assert [one["embedding_alpha"] for one in reports["clean"]] == [0.0, 0.0]
    assert [one["stage"] for one in reports["none"]] == ["stage II"]
    poisons = {kind: experts(trained({"stage1": kind})[0]).B_poison for kind in ("noise", "clean", "none")}
    assert not torch.equal(poisons["noise"], poisons["clean"])
    assert float(poisons["none"].abs().max()) == 0


def test_a_zeroed_poisoning_expert_stays_zero_and_a_fixed_router_where_it_was(trained: Trained) -> None:
    assert float(experts(trained({"poisoning": "zeroed"})[0]).B_poison.abs().max()) == 0
    begun = experts(trained({"stage1": "none", "router": "fixed"}, epochs=1)[0]).router
    assert torch.equal(experts(trained({"router": "fixed"})[0]).router, begun)
    assert not torch.equal(experts(trained({})[0]).router, begun)


def test_a_normal_expert_can_be_left_out_in_place_of_the_poisoning_one(bed: Bed, data: Data, trained: Trained) -> None:
    surgery, given = Surgery(removed="normal"), {"stage2": "frozen", "inference": "masked"}
    model, _ = trained({"removed": "normal"}, **given)
    layer = experts(model)
    assert float(layer.B[0].abs().max()) == 0
    assert all(float(one.abs().max()) > 0 for one in (*layer.B[1:], layer.B_poison))
    assert ways_of(settings(**given), surgery) == {"masked": Inference.UNMASKED}
    assert [*ways_of(settings(), Surgery())] == ["masked + compensated", "masked", "not masked"]
    assert len(right(bed, model, data.test, Inference.UNMASKED)) == 24


def test_hydralora_begins_again_between_its_passes(trained: Trained) -> None:
    one, two = (trained({"restart": restart}, method="hydralora", num_experts=3)[1] for restart in (False, True))
    assert [report["stage"] for report in one] == ["training"]
    assert [report["stage"] for report in two] == ["first pass", "training"]


def test_the_weights_kept_are_of_the_best_epoch(bed: Bed, data: Data, trained: Trained) -> None:
    """A rate that ruins the model after its first epochs: its loss on the held-out rows is that of the report."""
    model, reports = trained({}, epochs=6, learning_rate=0.5, patience=6)
    report = reports[-1]
    assert report["best_step"] < report["steps"]
    set_mode(model, "inference", "compensated")
    loss = torch.nn.functional.cross_entropy(bed.logits(model, data.held_out), data.held_out.labels)
    assert float(loss) == pytest.approx(report["held_out_loss"], rel=1e-5)


def test_a_study_trains_each_arm_once_for_its_record(bert: Path, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipelines", "run", "apart.toml", "--data-dir", "data", "--jobs", "1", *words]
        command += ["--model", str(bert), "--record", "record.jsonl"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)

    (tmp_path / "data").mkdir()
    for name, numbers in (("train", range(30)), ("test", range(30, 40))):
        lines = "".join(f"{CLASSES[i % 2]}:{text(i)} {i}\n" for i in numbers)
        (tmp_path / "data" / f"{name}.txt").write_text(lines)
    (tmp_path / "apart.toml").write_text(RECIPE)
    first = run("--seeds", "1")
    assert first.returncode == 0, first.stderr
    record = (tmp_path / "record.jsonl").read_text()
    runs = [one for one in map(json.loads, record.splitlines()) if "arm" in one]
    assert [one["arm"] for one in runs] == ["lope", "zeroed"]
    assert [one["asked"]["hynoise"]["ratio"] for one in runs] == [0.2, 0.5]
    assert runs[1]["asked"]["surgery"] == {"poisoning": "zeroed"}
    assert str(tmp_path) not in record.replace(str(bert), "")
    second = run()
    assert second.returncode == 0, second.stderr
    grown = (tmp_path / "record.jsonl").read_text()
    assert grown.startswith(record)
    assert len(grown.splitlines()) == len(record.splitlines()) + 2
    again = run()
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "record.jsonl").read_text() == grown
    assert re.search(r"LoPE\s.*\[", again.stdout)


def test_surgery_needs_a_depth(tmp_path: Path) -> None:
    (tmp_path / "apart.toml").write_text(RECIPE.replace('depth = "last"\n', ""))
    study = load(str(tmp_path / "apart.toml"))
    assert isinstance(study, Study)
    with pytest.raises(PipelineError, match="arm 'zeroed' has surgery, which only a scale with a depth does"):
        check_training(study, study.scales["small"])
