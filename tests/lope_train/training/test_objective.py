"""Losses and their gradients, against the formulas as they are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import Tensor

from lope_train.data import Collator, load_tokens, resolve
from lope_train.models import load_base, load_tokenizer
from lope_train.training import CompletionLoss, split_by_length
from lope_train.training.objective import CrossEntropy, Forward, GeneralizedCrossEntropy, Objective
from lope_train.tuner import LopeConfig

TRANSITION = [[0.7, 0.2, 0.1, 0.0], [0.0, 1.0, 0.0, 0.0], [0.3, 0.0, 0.3, 0.4], [0.1, 0.1, 0.1, 0.7]]


def literal(name: str, logits: Tensor, targets: Tensor) -> Tensor:
    """One prediction at a time, of probabilities."""
    total = torch.zeros((), dtype=logits.dtype)
    for one, label in zip(logits, targets.tolist(), strict=True):
        p = one.exp() / one.exp().sum()
        if name.startswith("gce"):
            q = float(name[3:])
            total = total + (1 - p[label] ** q) / q
        elif name == "forward":
            given = sum((TRANSITION[true][label] * p[true] for true in range(4)), torch.zeros((), dtype=logits.dtype))
            total = total - given.log()
        else:
            e = float(name.removeprefix("smooth"))
            weights = torch.full((4,), e / 4, dtype=logits.dtype)
            weights[label] += 1 - e
            total = total - (weights * p.log()).sum()
    return total


OBJECTIVES: dict[str, Objective] = {
    "gce0.7": GeneralizedCrossEntropy(),
    "gce1.0": GeneralizedCrossEntropy(1.0),
    "gce0.01": GeneralizedCrossEntropy(0.01),
    "forward": Forward(TRANSITION),
    "smooth0.0": CrossEntropy(),
    "smooth0.3": CrossEntropy(0.3),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_value_and_gradient_are_those_of_the_formula(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(40, 4, dtype=torch.float64, generator=generator)
    targets = torch.randint(4, (40,), generator=generator)
    exact = logits.clone().requires_grad_()
    wanted = literal(name, exact, targets)
    (gradient,) = torch.autograd.grad(wanted, exact)
    ours = logits.float().requires_grad_()
    found = OBJECTIVES[name](ours, targets)
    (own,) = torch.autograd.grad(found, ours)
    torch.testing.assert_close(found.double(), wanted.detach(), rtol=2e-6, atol=0)
    torch.testing.assert_close(own.double(), gradient, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_extreme_logits_give_numbers(name: str) -> None:
    logits = torch.tensor([[200.0, -200.0, 0.0, 0.0], [-1e4, 1e4, 0.0, 0.0]], requires_grad=True)
    found = OBJECTIVES[name](logits, torch.tensor([0, 1]))
    (gradient,) = torch.autograd.grad(found, logits)
    assert found.isfinite()
    assert gradient.isfinite().all()


def test_gce_of_an_unlikely_label_has_a_bound_and_hardly_a_gradient() -> None:
    logits = torch.tensor([[-40.0, 0.0]], requires_grad=True)
    for q in (0.3, 0.7, 1.0):
        found = GeneralizedCrossEntropy(q)(logits, torch.tensor([0]))
        (gradient,) = torch.autograd.grad(found, logits)
        assert found.item() == pytest.approx(1 / q, rel=1e-4)
        assert gradient.abs().max() < 1e-4


def test_the_true_transition_makes_the_noisy_labels_as_likely_as_they_are() -> None:
    """Patrini et al., theorem 2: at the minimiser of the corrected loss p is that of the clean labels."""
    clean = torch.tensor([0.6, 0.1, 0.2, 0.1])
    noisy = clean @ torch.tensor(TRANSITION)
    logits = torch.zeros(1, 4, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = [share * Forward(TRANSITION)(logits, torch.tensor([y])) for y, share in enumerate(noisy)]
        total = torch.stack(losses).sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    for _ in range(20):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(logits.detach().softmax(-1)[0], clean, atol=2e-3, rtol=0)


@pytest.mark.parametrize("objective", [GeneralizedCrossEntropy(), CrossEntropy(0.1)])
def test_of_tokens_it_is_of_the_labelled_ones_in_parts_too(
    objective: Objective, tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    model: Any = get_peft_model(load_base(str(tiny_model)), LopeConfig(r=2, task_type="CAUSAL_LM"))
    rows = load_tokens(resolve("tiny", tiny_store), tokenizer, max_length=512, cache=tmp_path).dataset
    batch = Collator(tokenizer)([rows[number] for number in (0, 5, 11, 16, 20)])
    batch.pop("row")
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    targets = batch["labels"][:, 1:]
    wanted = objective(logits[targets != -100], targets[targets != -100])
    loss = CompletionLoss.of(model, objective)
    found, count = loss(model, batch)
    assert count == (targets != -100).sum()
    parts = torch.stack([loss(model, part)[0] for part in split_by_length(batch, 2)]).sum()
    for ours in (found, parts):
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=0)
