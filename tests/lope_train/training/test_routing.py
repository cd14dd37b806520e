"""Training by where noise was injected: which rows teach what, whole runs, and what is refused; variants of stage I."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

import lope_data
from lope_train.cli import main
from lope_train.data import (
    ClassifiedCollator,
    Collator,
    Mark,
    find_injected,
    load_classified,
    load_tokens,
    resolve,
)
from lope_train.errors import LopeTrainError, ModelError, SettingsError
from lope_train.methods import METHODS
from lope_train.models import load_base, load_tokenizer
from lope_train.settings import TrainSettings, load_recipe
from lope_train.training import loss_of, split_by_length
from lope_train.training.routing import InjectedBatches, routed
from lope_train.training.run import train
from lope_train.tuner import Routing, head_parameters, lope_experts, reset_head

Make = Callable[..., TrainSettings]
Stop = Callable[[int, TrainSettings], None]
Gradients = dict[str, Tensor]
CLASSES = ("animal", "colour", "number")
WHOLE, PARTLY = (1, 11, 16), (0, 10)
"""Rows of `tiny-noisy` with another target, and with noise in their prompt."""


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "adapter_model.safetensors")


def same(a: Path, b: Path) -> bool:
    first, second = weights(a), weights(b)
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


def record(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())
    return found


class Trained:
    """A model in its routed stage, with B that are not zero, and the tokens of its noisy version."""

    def __init__(self, settings: TrainSettings, classified: bool = False, packing: bool = False) -> None:
        self.settings = settings
        version = resolve(settings.data, settings.store)
        tokenizer = load_tokenizer(settings.model, "classification" if classified else "lm")
        base = load_base(settings.model, "float32", None, CLASSES if classified else None)
        self.model = METHODS["lope"].attach(base, settings, 1)
        if classified:
            reset_head(self.model, 1, "1")
            tokens = load_classified(version, tokenizer, CLASSES, max_length=16)
        else:
            tokens = load_tokens(version, tokenizer, max_length=512, packing=packing)
        self.rows: Any = tokens.dataset
        self.collator: Any = (ClassifiedCollator if classified else Collator)(tokenizer)
        self.injected = find_injected(version, tokens, tokenizer, settings.store, classified=classified)
        METHODS["lope"].enter(self.model, settings.stages[0])
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for _, experts in lope_experts(self.model):
                for B in (experts.B, experts.B_poison):
                    B.copy_(0.1 * torch.randn(B.shape, generator=generator))
        self.model.eval()  # no dropout, so that gradients can be compared

    def gradients(self, numbers: list[int], part_rows: int | None = None) -> Gradients:
        """Of the summed loss of the rows of the dataset."""
        self.model.zero_grad()
        batch = self.collator([self.rows[number] for number in numbers])
        loss = loss_of(self.model)
        with routed(self.model, self.injected, False) as injected:
            for part in split_by_length(batch, part_rows) if part_rows else [batch]:
                injected.next_batch(part)
                summed, _ = loss(self.model, {name: part[name] for name in part if name != "row"})
                summed.backward()
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for name, p in self.model.named_parameters()
            if p.requires_grad
        }

    def learns(self, gradients: Gradients) -> set[str]:
        """What has a gradient: parameters of experts, the router by who its rows are of, and the head."""
        found = set()
        for name, experts in lope_experts(self.model):
            for part in ("A", "B", "B_poison", "router"):
                gradient = gradients[f"{name}.{part}"]
                if part == "router":
                    config = experts.config
                    for whose, columns in (("normal", config.normal_columns), ("poison", config.poison_columns)):
                        found |= {f"router {whose}"} if gradient[list(columns)].any() else set()
                elif gradient.any():
                    found.add(part)
        head = {name for name, _ in head_parameters(self.model)}
        return found | {"head" for name in head if gradients[name].any()}


def assert_alike(found: Gradients, expected: Gradients) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5 * float(1 + gradient.abs().max()))


ALL = {"A", "B", "router normal", "router poison"}
NOISE = {"B_poison", "router poison"}


def test_rows_of_a_decoder_teach_by_their_tokens(tiny_settings: Make, tmp_path: Path) -> None:
    trained = Trained(tiny_settings(tmp_path / "run", route="edits"))
    for row in range(24):
        expected = NOISE if row in WHOLE else NOISE | ALL if row in PARTLY else ALL
        assert trained.learns(trained.gradients([row])) == expected, row


def test_padding_parts_and_packing_change_no_gradient(tiny_settings: Make, tmp_path: Path) -> None:
    trained = Trained(tiny_settings(tmp_path / "run", route="edits"))
    numbers = [0, 1, 2, 10, 11, 12, 20]
    alone = [trained.gradients([number]) for number in numbers]
    total = {name: torch.stack([one[name] for one in alone]).sum(0) for name in alone[0]}
    assert_alike(trained.gradients(numbers), total)
    assert_alike(trained.gradients(numbers, part_rows=2), total)
    every = trained.gradients([*range(24)])
    packed = Trained(tiny_settings(tmp_path / "run", route="edits"), packing=True)
    assert len(packed.rows) < 24
    assert_alike(packed.gradients([*range(len(packed.rows))]), every)


def test_pads_are_no_noise(tiny_settings: Make, tmp_path: Path) -> None:
    """Also of a row whose last token is noise, and of packs, whose pads are of no row."""
    for packing in (False, True):
        trained = Trained(tiny_settings(tmp_path / "run", route="edits"), packing=packing)
        every = [len(row["input_ids"]) for row in trained.rows]
        numbers = [*range(len(every))] if packing else [WHOLE[0], int(np.argmax(every))]
        sizes = [every[number] for number in numbers]
        assert sizes[0] < max(sizes)
        batch = trained.collator([trained.rows[number] for number in numbers])
        routing = Routing()
        InjectedBatches(routing, trained.injected).next_batch(batch)
        injected = routing.at(torch.Size([*batch["input_ids"].shape, 1]))[..., 0]
        assert injected.any()
        assert all(not row[size:].any() for row, size in zip(injected, sizes, strict=True))


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "llama", "gpt2"])
def test_a_head_learns_from_clean_rows_alone(family: str, class_settings: Make, tmp_path: Path) -> None:
    trained = Trained(class_settings(tmp_path / "run", family, route="edits"), classified=True)
    assert trained.learns(trained.gradients([0])) == NOISE
    assert trained.learns(trained.gradients([1])) == ALL | {"head"}
    alone = [trained.gradients([number]) for number in range(8)]
    total = {name: torch.stack([one[name] for one in alone]).sum(0) for name in alone[0]}
    assert_alike(trained.gradients([*range(8)]), total)
    assert_alike(trained.gradients([*range(8)], part_rows=3), total)


def test_a_head_that_reads_a_token_of_noise_does_not_learn_from_it(class_settings: Make, tmp_path: Path) -> None:
    """A decoder's runs at each token, and the class is read at the last; an encoder's runs once, on the first."""
    for family, learns in (("llama", False), ("bert", True)):
        trained = Trained(class_settings(tmp_path / "run", family, route="edits"), classified=True)
        size = len(trained.rows[1]["input_ids"])
        flags = np.zeros(size, np.bool_)
        flags[-1] = True
        trained.injected.starts[1] = len(trained.injected.flags)
        object.__setattr__(trained.injected, "flags", np.concatenate([trained.injected.flags, flags]))
        found = trained.learns(trained.gradients([1]))
        assert ("head" in found) == learns, family
        assert "B" in found


def test_one_stage_reads_the_noisy_version_and_says_how_much_noise_there_is(
    tiny_settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny_settings(tmp_path / "run", route="edits", epochs=3)
    run = train(settings)
    (stage,) = record(run)["stages"]
    assert (stage["stage"], stage["reads"].partition("@")[0]) == ("routed stage", "tiny-noisy")
    assert (stage["rows"], stage["steps"], stage["embedding_alpha"]) == (24, 12, 0.0)
    assert stage["injected"]["rows"] == {"all": 5 / 24, "char": 1 / 24, "label": 3 / 24, "word": 1 / 24}
    positions = stage["injected"]["positions"]
    assert 0 < positions["char"] < positions["label"] < positions["all"] < 5 / 24
    assert stage["injected"]["unaligned_rows"] == 0
    assert (stage["trained_as"], stage["deployed"]) == ("unmasked", "compensated")
    assert (stage["losses"]["on"], stage["losses"]["rows"]) == ("training rows without noise", 19)
    assert stage["losses"]["nats"].keys() == {"compensated", "masked", "unmasked", "base"}
    said = capsys.readouterr().err
    assert "routed stage: tiny-noisy@" in said
    assert f"noise in 20.8 % of the rows, {100 * positions['all']:.3g} % of the tokens" in said
    assert not (run / "stage1").exists()
    moved = [line for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if "loss" in line][-1]
    assert all(moved[f"moved_{name}_norm"] > 0 for name in ("A", "B", "B_poison", "router"))
    assert TrainSettings(**load_recipe(run / "settings.toml")) == settings


def test_held_out_rows_are_measured_and_the_best_step_is_kept(tiny_settings: Make, tmp_path: Path) -> None:
    run = train(tiny_settings(tmp_path / "run", route="edits", held_out="tiny", save_every=2, inference="masked"))
    (stage,) = record(run)["stages"]
    assert (stage["losses"]["on"], stage["deployed"]) == ("held-out rows", "masked")
    assert stage["held_out_loss"] == stage["losses"]["nats"]["masked"]


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"route": "edits", "lora_dropout": 0.1},
    "packing": {"route": "edits", "packing": True, "batch_size": 2},
    "recomputed": {"route": "edits", "activation_checkpointing": True, "lora_dropout": 0.1},
    "injected": {"stage1": "injected", "train_router": True},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_killed_run_resumes_to_the_same_weights(
    name: str, tiny_settings: Make, tmp_path: Path, stop_after: Stop, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"epochs": 2, "save_every": 1, **OPTIONS[name]}
    settings = tiny_settings(tmp_path / "run", **values)
    stop_after(2, settings)
    assert "going on after step" not in capsys.readouterr().err
    assert same(train(settings), train(tiny_settings(tmp_path / "whole", **values)))
    assert "going on after step" in capsys.readouterr().err


def test_a_killed_run_with_a_head_resumes_too(class_settings: Make, tmp_path: Path, stop_after: Stop) -> None:
    settings = class_settings(tmp_path / "run", route="edits", save_every=2)
    stop_after(3, settings)
    assert same(train(settings), train(class_settings(tmp_path / "whole", route="edits", save_every=2)))


@pytest.mark.parametrize("head", [False, True])
def test_recomputed_activations_are_routed_as_before(
    head: bool, tiny_settings: Make, class_settings: Make, tmp_path: Path
) -> None:
    """In parts on a CPU, which are all computed before the first of them is computed again."""
    make = class_settings if head else tiny_settings
    values = {"route": "edits", "batch_size": 12, "epochs": 2, "lora_dropout": 0.2}
    kept, again = (
        weights(train(make(tmp_path / f"{recomputed}", activation_checkpointing=recomputed, **values)))
        for recomputed in (False, True)
    )
    for name, tensor in kept.items():
        assert tensor.any()
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=1e-6)


def test_stage_1_reads_injected_rows_alone(tiny_settings: Make, tmp_path: Path) -> None:
    for packing in (False, True):
        values = {"stage1": "injected", "packing": packing, "batch_size": 2, "max_length": 512}
        run = train(tiny_settings(tmp_path / f"{packing}", **values))
        first, second = record(run)["stages"]
        assert first["injected"] == {"rows": {"all": 5 / 24, "char": 1 / 24, "label": 3 / 24, "word": 1 / 24}}
        assert "injected" not in second
        if not packing:
            assert (first["rows"], first["steps"], second["rows"]) == (5, 3, 24)
        else:
            assert (first["rows"], second["rows"]) < (5, 24)


def test_the_router_trains_in_stage_1_where_it_is_asked_for(tiny_settings: Make, tmp_path: Path) -> None:
    plain = train(tiny_settings(tmp_path / "plain"))
    router = train(tiny_settings(tmp_path / "router", train_router=True))
    for run, moves in ((plain, False), (router, True)):
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        stage1 = [line for line in lines if line["stage"] == "stage I" and "loss" in line]
        assert all(("moved_router_norm" in line) == moves for line in stage1)
    assert record(router)["stages"][0]["trained_parameters"] > record(plain)["stages"][0]["trained_parameters"]


@pytest.mark.slow
def test_a_quantised_base_is_routed(tiny_settings: Make, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    run = train(tiny_settings(tmp_path / "run", route="edits", quantization="4bit"))
    assert all(tensor.isfinite().all() for tensor in weights(run).values())
    assert any(tensor.any() for name, tensor in weights(run).items() if name.endswith("B_poison"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `noisy`, `unchanged`, a build without an edit, and `wrong`, where every label is wrong."""
    store = tmp_path_factory.mktemp("built")
    rows = [{"text": f"The number {n}.", "label": ["good", "bad"][n % 2]} for n in range(12)]
    for name, ratio in (("noisy", 0.5), ("unchanged", 0.0), ("wrong", 1.0)):
        lope_data.build({"steps": [{"ratio": ratio, "mix": {"label": 1}}]}, source=rows, name=name, store=store)
    return store


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--route", "edits", "--method", "lora"], "route is for method lope; 'lora' has no poisoning expert"),
        (["--train-router", "--method", "hydralora"], "train_router is for method lope"),
        (["--stage1", "injected", "--method", "lora"], "stage1 is for method lope"),
        (["--route", "edits", "--data", "unchanged"], "no edit records, so nothing says where noise is"),
        (["--stage1", "injected", "--data", "unchanged"], "no edit records, so no row counts as injected"),
        (["--route", "edits", "--data", "wrong"], "every row is noise as a whole"),
    ],
)
def test_refusals_are_one_line_and_write_nothing(
    words: list[str],
    message: str,
    tiny_model: Path,
    built: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = [] if "--data" in words else ["--data", "noisy"]
    common = ["--model", str(tiny_model), "--store", str(built), "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as caught:
        main(["train", *data, *common, *words])
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert len([line for line in said.err.splitlines() if message in line]) == 1
    assert not [*tmp_path.iterdir()]


def test_an_encoder_decoder_is_refused(tiny_settings: Make, tiny_t5: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="route 'edits' does not go with an encoder-decoder"):
        train(tiny_settings(tmp_path / "run", route="edits", model=str(tiny_t5)))
    assert not [*tmp_path.iterdir()]


def test_layers_that_run_over_other_things_than_tokens_are_refused(class_settings: Make, tmp_path: Path) -> None:
    """DeBERTa's projections of queries and keys run over the distances of tokens too."""
    folder = tmp_path / "deberta"
    settings = class_settings(tmp_path / "run", route="edits")
    size = len(load_tokenizer(settings.model, "classification"))
    config = DebertaV2Config(
        vocab_size=size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        share_att_key=True,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    DebertaV2ForSequenceClassification(config).save_pretrained(folder)
    load_tokenizer(settings.model, "classification").save_pretrained(folder)
    with pytest.raises(ModelError, match=r"run over tokens of rows, \(2, 5\) of them, and one runs over \(1, 128\)"):
        train(class_settings(tmp_path / "run", model=str(folder), route="edits"))
    assert [path.name for path in tmp_path.iterdir()] == ["deberta"]


def test_a_class_of_which_only_noise_is_left_is_refused(
    class_settings: Make, topics: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lope_train.data.injected.read_marks",
        lambda version, _: {
            row["lope_row_id"]: [Mark("label", "label.flip", 0, 6)]
            for row in version.dataset()
            if row["label"] == "number"
        },
    )
    with pytest.raises(LopeTrainError, match="no row to train on of the class 'number'"):
        train(class_settings(tmp_path / "run", route="edits"))
