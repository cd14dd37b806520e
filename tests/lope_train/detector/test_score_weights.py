"""Weights, surprisal and untrained routers are what the model gives; a planted router finds the noise."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lope_train.data import Layout
from lope_train.detector.lines import make_lines
from lope_train.detector.scores import score_lines
from lope_train.detector.token_edits import Mark
from lope_train.detector.weigh import layer_names, weigh
from lope_train.errors import RunError
from lope_train.methods import METHODS
from lope_train.models import load_base
from lope_train.runs import load_run
from lope_train.settings import TrainSettings
from lope_train.training import train
from lope_train.tuner import lope_experts, set_mode

ROWS = [[5, 9, 31, 7, 60, 12], [44, 3], [17, 18, 19, 20]]


@pytest.fixture(scope="module")
def hidden_run(
    tiny_settings: Callable[..., TrainSettings], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainSettings]:
    """A run with two poisoning experts and routers that read the hidden state."""
    settings = tiny_settings(
        tmp_path_factory.mktemp("hidden") / "run", router_input="hidden", num_poisoning=2, num_experts=5
    )
    return train(settings), settings


def measured(model: Any, rows: list[list[int]]) -> dict[int, Any]:
    return {one.row: one for one in weigh(model, rows, True)}


def test_weights_are_those_of_the_forward_pass_of_the_row_alone(tiny_runs: dict[str, Path]) -> None:
    model, _ = load_run(tiny_runs["lope"])
    found = measured(model, ROWS)
    names = layer_names(model)
    assert names == [f"model.layers.{n}.self_attn.{part}_proj" for n in (0, 1) for part in "qv"]
    set_mode(model, "inference", "unmasked")
    for number, row in enumerate(ROWS):
        seen: list[Any] = []
        handles = [
            experts.register_forward_hook(lambda module, given, _, seen=seen: seen.append((module, given[0])))
            for _, experts in lope_experts(model)
        ]
        with torch.no_grad():
            model(input_ids=torch.tensor([row]))
        for handle in handles:
            handle.remove()
        expected = []
        for module, x in seen:
            logits = F.linear(F.linear(x[0], module.A), module.router)
            expected.append(torch.softmax(logits, -1)[:, module.config.poison_columns[0]].detach().numpy())
        assert found[number].weights.shape == (4, len(row))
        np.testing.assert_allclose(found[number].weights, np.stack(expected), rtol=1e-4)


def test_untrained_weights_are_those_of_a_freshly_attached_adapter(
    hidden_run: tuple[Path, TrainSettings], tiny_model: Path
) -> None:
    run, settings = hidden_run
    trained, _ = load_run(run)
    found = measured(trained, ROWS)
    fresh = METHODS[settings.method].attach(load_base(str(tiny_model)), settings, 1).eval()
    expected = measured(fresh, ROWS)
    for number in range(len(ROWS)):
        np.testing.assert_allclose(found[number].untrained, expected[number].weights, rtol=1e-5)
        assert not np.allclose(found[number].untrained, found[number].weights)
        assert (found[number].weights < 1).all()


def test_surprisal_is_the_base_models(tiny_runs: dict[str, Path], tiny_model: Path) -> None:
    model, _ = load_run(tiny_runs["lope"])
    found = measured(model, ROWS)
    base = load_base(str(tiny_model))
    for number, row in enumerate(ROWS):
        with torch.no_grad():
            logs = torch.log_softmax(base(input_ids=torch.tensor([row])).logits[0], -1)
        assert np.isnan(found[number].surprisal[0])
        expected = [-float(logs[n, token]) for n, token in enumerate(row[1:])]
        np.testing.assert_allclose(found[number].surprisal[1:], expected, rtol=1e-4)
    quiet = next(weigh(model, ROWS, False))
    assert quiet.surprisal is None
    with torch.no_grad():  # the adapter is on again, and no hook is left
        changed = model(input_ids=torch.tensor([ROWS[0]])).logits
        assert not torch.allclose(changed, base(input_ids=torch.tensor([ROWS[0]])).logits)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_weights_that_are_no_numbers_are_told_by_layer(tiny_runs: dict[str, Path]) -> None:
    model, _ = load_run(tiny_runs["lope"])
    layers = [experts for _, experts in lope_experts(model)]
    with torch.no_grad():
        layers[3].router.fill_(float("nan"))
    with pytest.raises(RunError, match=r"model\.layers\.1\.self_attn\.v_proj gives weights that are no numbers"):
        list(weigh(model, ROWS, False))


def test_a_planted_router_finds_every_edit(hidden_run: tuple[Path, TrainSettings], tmp_path: Path) -> None:
    """A router that reads the first layer's input, and knows the character that the noise puts in."""
    run = shutil.copytree(hidden_run[0], tmp_path / "run")
    model, tokenizer = load_run(run)
    rows = [
        {
            "lope_row_id": str(n),
            "lope_shape": "instruction",
            "instruction": f"Name the #capital of #France {n}" if n % 2 else f"Name the fruit {n}",
            "output": "Paris",
        }
        for n in range(24)
    ]
    marks = {str(n): [Mark("instruction", "char.insert", at, at + 1) for at in (9, 21)] for n in range(1, 24, 2)}
    layout = Layout({"instruction": {"instruction": "instruction", "output": "output"}}, {})
    lines = make_lines(rows, layout, marks, tokenizer, 256, False)
    assert {token.text for line in lines.lines for token in line.tokens if token.ops} == {"#"}
    (symbol,) = tokenizer("#", add_special_tokens=False)["input_ids"]
    embedded = model.get_input_embeddings().weight[symbol]
    direction = embedded / embedded.pow(2).mean().sqrt()
    with torch.no_grad():
        for _, experts in lope_experts(model):
            experts.router.zero_()
            experts.router[list(experts.config.poison_columns)] = direction
    groups = score_lines(model, lines, layer_names(model)).groups
    assert [group.op for group in groups] == [None, "char.insert"]
    group = groups[1]
    assert (group.positives, group.rows) == (24, 12)
    assert group.detectors["weight_mean"].value > 0.99
    assert group.detectors["weight_mean"].low > 0.99
    assert group.differences["weight_mean"]["untrained_mean"].low > 0
