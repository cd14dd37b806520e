"""E' = E + alpha * U(-1, 1) (.) M, keyed by seed, step, row and position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from lope_train.training.embedding_noise import embedding_noise, noise_strength, told, uniform


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model).train()


def embedded(
    model: Any,
    ids: Tensor,
    mask: Tensor,
    rows: list[int],
    step: int = 0,
    seed: int = 1,
    scale: Any = "none",
    packed: dict[str, Tensor] | None = None,
) -> Tensor:
    """What the first decoder layer reads, less the embeddings without noise."""
    seen: list[Tensor] = []
    handle = model.model.layers[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        with torch.no_grad(), embedding_noise(model, 0.5, seed, scale) as noise:
            noise.next_batch(step, packed or {"row": torch.tensor(rows), "attention_mask": mask})
            model(input_ids=ids, attention_mask=mask)
            model_embeddings = model.get_input_embeddings().weight[ids]
    finally:
        handle.remove()
    return seen[0] - model_embeddings


def test_pads_get_none_and_tokens_get_alpha_times_uniform(model: Any) -> None:
    ids = torch.full((2, 40), 5)
    mask = torch.ones(2, 40, dtype=torch.long)
    mask[1, 25:] = 0
    noise = embedded(model, ids, mask, rows=[0, 1])
    assert not noise[1, 25:].any()
    kept = noise[mask.bool()]
    assert kept.abs().max() < 0.5
    assert kept.std().item() == pytest.approx(0.5 / 3**0.5, rel=0.05)


def test_splitting_and_padding_a_batch_changes_nothing(model: Any) -> None:
    lengths = [9, 4, 7]
    ids = torch.randint(3, 200, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * n + [0] * (9 - n) for n in lengths])
    whole = embedded(model, ids, mask, rows=[10, 11, 12])
    for row, length in enumerate(lengths):
        one = slice(row, row + 1), slice(0, length)
        alone = embedded(model, ids[one], mask[one], rows=[10 + row])
        assert torch.equal(alone[0], whole[row, :length])
        left = torch.cat([torch.zeros(1, 3, dtype=torch.long), mask[one]], dim=1)
        padded = embedded(model, torch.nn.functional.pad(ids[one], (3, 0), value=2), left, rows=[10 + row])
        assert torch.equal(padded[0, 3:], whole[row, :length])
        assert not padded[0, :3].any()


def test_seed_step_row_and_position_all_count() -> None:
    rows, positions = torch.arange(2).unsqueeze(1), torch.arange(3).expand(2, 3)
    base = uniform(1, 0, rows, positions, 8)
    assert torch.equal(base, uniform(1, 0, rows, positions, 8))
    others = [
        uniform(2, 0, rows, positions, 8),
        uniform(1, 1, rows, positions, 8),
        uniform(1, 0, rows + 2, positions, 8),
        uniform(1, 0, rows, positions + 3, 8),
    ]
    values = torch.cat([base, *others]).flatten()
    assert len(values.unique()) == len(values)


def test_values_are_uniform_and_uncorrelated() -> None:
    u = uniform(614, 3, torch.arange(64).unsqueeze(1), torch.arange(64).expand(64, 64), 64).double()
    assert u.abs().max() < 1
    n = u.numel()
    counts = torch.histc(u, 20, -1, 1)
    chi_square = ((counts - n / 20) ** 2 / (n / 20)).sum().item()
    assert chi_square < 43.8  # 0.999 quantile at 19 degrees of freedom
    for dim in range(3):
        neighbours = (u.narrow(dim, 1, 63) * u.narrow(dim, 0, 63)).mean().item() * 3
        assert abs(neighbours) < 4 / n**0.5


def test_values_are_those_of_splitmix64() -> None:
    def mix(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    def literal(seed: int, step: int, row: int, position: int, element: int) -> float:
        gamma = 0x9E3779B97F4A7C15
        key = mix((mix((mix((mix((seed + gamma) % 2**64) + step) % 2**64) + row) % 2**64) + position) % 2**64)
        cell = mix((key + (element + 1) * gamma) % 2**64) >> 41
        return (cell + 0.5) / 2**22 - 1

    got = uniform(614, 2, torch.tensor([[5], [2**40]]), torch.tensor([[0, 1], [7, 511]]), 3)
    want = [
        [[literal(614, 2, row, position, element) for element in range(3)] for position in positions]
        for row, positions in ((5, (0, 1)), (2**40, (7, 511)))
    ]
    assert got.tolist() == want


def test_no_global_generator_is_moved(model: Any) -> None:
    before = torch.random.get_rng_state()
    embedded(model, torch.full((1, 4), 5), torch.ones(1, 4, dtype=torch.long), rows=[0])
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_hook_is_gone_after_an_error(model: Any) -> None:
    ids = torch.full((1, 4), 5)
    clean = model(ids).logits
    with pytest.raises(IndexError), embedding_noise(model, 0.5, 1):
        model(torch.tensor([[10**6]]))
    assert not model.get_input_embeddings()._forward_hooks
    assert torch.equal(model(ids).logits, clean)


def test_every_forward_pass_needs_its_batch(model: Any) -> None:
    ids = torch.full((1, 4), 5)
    with embedding_noise(model, 0.5, 1) as noise:
        noise.next_batch(0, {"row": torch.tensor([0]), "attention_mask": torch.ones_like(ids)})
        model(ids)
        with pytest.raises(RuntimeError, match="next_batch"):
            model(ids)


def test_a_model_that_is_evaluated_gets_none(model: Any) -> None:
    ids = torch.full((1, 4), 5)
    clean = model.eval()(ids).logits
    with embedding_noise(model, 0.5, 1):
        assert torch.equal(model(ids).logits, clean)


def test_packed_rows_get_the_noise_of_rows_alone(model: Any) -> None:
    ids = torch.randint(3, 200, (1, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 9, dtype=torch.long)
    packed = {
        "row": torch.tensor([[10, 10, 10, 10, 11, 11, 11, -1, -1]]),
        "position_ids": torch.tensor([[0, 1, 2, 3, 0, 1, 2, 0, 1]]),
    }
    for scale in ("none", "neftune"):
        together = embedded(model, ids, mask, rows=[0], packed=packed, scale=scale)
        for row, start, end in ((10, 0, 4), (11, 4, 7)):
            alone = embedded(model, ids[:, start:end], mask[:, start:end], rows=[row], scale=scale)
            torch.testing.assert_close(alone[0], together[0, start:end], rtol=0, atol=1e-7)
        assert not together[0, 7:].any()


def test_the_scale_of_neftune_divides_by_length_and_width(model: Any) -> None:
    ids = torch.full((2, 40), 5)
    mask = torch.ones(2, 40, dtype=torch.long)
    mask[1, 25:] = 0
    plain, scaled = (embedded(model, ids, mask, rows=[0, 1], scale=scale) for scale in ("none", "neftune"))
    for row, length in ((0, 40), (1, 25)):
        torch.testing.assert_close(scaled[row], plain[row] / (length * 32) ** 0.5, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shared", [False, True])
def test_of_an_encoder_decoder_only_the_encoder_gets_noise(shared: bool) -> None:
    config = T5Config(
        vocab_size=32, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=4, decoder_start_token_id=0, dropout_rate=0
    )
    model = T5ForConditionalGeneration(config).train()
    if shared:  # one module for both, as after a resize of the vocabulary
        model.set_input_embeddings(model.shared)
        assert model.encoder.get_input_embeddings() is model.decoder.get_input_embeddings()
    read: dict[str, Tensor] = {}
    for name in ("encoder", "decoder"):
        block = model.get_submodule(name).block[0]
        block.register_forward_pre_hook(lambda _, args, name=name: read.update({name: args[0]}))
    batch = {"input_ids": torch.tensor([[3, 4, 5]]), "labels": torch.tensor([[6, 7]])}
    model(**batch)
    clean = dict(read)
    with embedding_noise(model, 0.5, 1) as noise:
        noise.next_batch(0, {"row": torch.tensor([0]), "attention_mask": torch.ones(1, 3, dtype=torch.long)})
        model(**batch)
    assert not torch.equal(read["encoder"], clean["encoder"])
    assert torch.equal(read["decoder"], clean["decoder"])


def test_the_ratio_is_of_the_noise_that_is_added_to_the_embeddings_that_get_it(model: Any) -> None:
    ids = torch.full((8, 100), 5)
    mask = torch.ones_like(ids)
    spread = model.get_input_embeddings().weight.std().item()
    for scale in ("none", "neftune"):
        added = embedded(model, ids, mask, rows=[*range(8)], scale=scale)
        strength = noise_strength(model, 0.5, scale)
        assert strength["embedding_noise_ratio"] == pytest.approx(added.std().item() / spread, rel=0.03)
        assert strength.get("embedding_noise_tokens") == (100 if scale == "neftune" else None)


def test_the_ratio_is_of_embeddings_as_they_are_after_a_scaled_lookup() -> None:
    config = Gemma3TextConfig(
        vocab_size=500,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    model = Gemma3ForCausalLM(config)
    weight = model.get_input_embeddings().weight.detach()
    ratio = noise_strength(model, 0.5)["embedding_noise_ratio"]
    assert ratio == pytest.approx(0.5 / 3**0.5 / (weight.std().item() * 64**0.5), rel=0.01)


def test_the_ratio_of_an_encoder_decoder_is_of_its_encoder() -> None:
    model = T5ForConditionalGeneration(T5Config(vocab_size=64, d_model=32, d_kv=8, num_layers=1, num_heads=4))
    encoder = torch.nn.Embedding(64, 32)
    torch.nn.init.normal_(encoder.weight, std=4.0)
    model.encoder.set_input_embeddings(encoder)
    assert noise_strength(model, 0.5)["embedding_noise_ratio"] == pytest.approx(0.5 / 3**0.5 / 4, rel=0.05)


def test_of_a_large_vocabulary_some_embeddings_are_measured(model: Any) -> None:
    torch.manual_seed(0)
    model.resize_token_embeddings(100_000)
    embedding = model.get_input_embeddings()
    torch.nn.init.normal_(embedding.weight, std=2.0)
    seen: list[Tensor] = []
    handle = embedding.register_forward_hook(lambda _, args, output: seen.append(args[0].flatten()))
    ratio = noise_strength(model, 0.5)["embedding_noise_ratio"]
    handle.remove()
    ids = torch.cat(seen)
    assert 8_000 < len(ids) <= 2**14
    assert ids.max() > 99_000
    assert ratio == pytest.approx(0.5 / 3**0.5 / 2, rel=0.01)


def test_a_ratio_that_cannot_be_measured_says_why(model: Any) -> None:
    embedding = model.get_input_embeddings()
    with torch.no_grad():
        embedding.weight.zero_()
    assert noise_strength(model, 0.5)["embedding_noise_ratio"] == "not measured: the embedding's spread is 0"
    with torch.no_grad():
        embedding.weight.fill_(torch.nan)
    assert noise_strength(model, 0.5)["embedding_noise_ratio"] == "not measured: the embedding's spread is nan"
    strength = noise_strength(model.to("meta"), 0.5)
    assert told(strength) == ("embedding noise 0.5, its ratio not measured: the embedding's weights are not whole here")


def test_the_ratio_of_sharded_embeddings_is_not_measured(model: Any) -> None:
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        embedding = model.get_input_embeddings()
        mesh = init_device_mesh("cpu", (1,))
        embedding.weight = torch.nn.Parameter(distribute_tensor(embedding.weight.detach(), mesh, [Shard(0)]))
        strength = noise_strength(model, 0.5)
    finally:
        distributed.destroy_process_group()
    assert strength["embedding_noise_ratio"] == "not measured: the embedding's weights are not whole here"


def test_measuring_changes_nothing(model: Any) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    noise_strength(model, 0.5)
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("strength", "text"),
    [
        ({"embedding_alpha": 0.0, "embedding_noise_ratio": 0.0}, ""),
        (
            {"embedding_alpha": 0.05, "embedding_noise_ratio": 0.213},
            "embedding noise 0.05, 21.3 % of the embedding's spread",
        ),
        (
            {"embedding_alpha": 5.0, "embedding_noise_ratio": 0.0888, "embedding_noise_tokens": 100},
            "embedding noise 5, 8.88 % of the embedding's spread in rows of 100 tokens",
        ),
    ],
)
def test_the_strength_in_words(strength: dict[str, Any], text: str) -> None:
    assert told(strength) == text
