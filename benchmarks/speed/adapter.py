"""LoPE beside peft's LoRA and a loop over experts: time of a step, what is saved for backward, inference.

    python -m benchmarks.speed.adapter --model smollm2-135m --rows 4 --length 256
    python -m benchmarks.speed.adapter --config llama-1b --device cuda --dtype bfloat16 --rows 8 --length 512

All variants adapt the same layers of the same base in one process, dropout 0, adapters in float32, and take turns;
what is printed are medians, and ratios of medians. `--config llama-1b` is a random model of that size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from lope_train.data import Collator, load_tokens, resolve
from lope_train.models import load_base, load_tokenizer
from lope_train.training import CompletionLoss, split_by_length
from lope_train.tuner import LopeConfig, matches, set_mode, target_modules

RANK, EXPERTS = 4, 4
AIMS = {
    "step, LoPE / LoRA": 1.05,
    "step, LoPE / loop": 0.7,
    "saved, LoPE / loop": 0.4,
    "inference, LoPE / LoRA": 1.10,
    "data, of a step": 0.05,
}


class ExpertLoop(nn.Module):
    """HydraLoRA as published: for each expert A(dropout(x)) anew, its B, its weight; the router reads x."""

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        d_out, d_in = base_layer.weight.shape
        self.base_layer = base_layer
        self.dropout = nn.Identity()
        self.A = nn.Linear(d_in, RANK, bias=False)
        self.B = nn.ModuleList(nn.Linear(RANK, d_out, bias=False) for _ in range(EXPERTS))
        self.router = nn.Linear(d_in, EXPERTS, bias=False)
        self.to(base_layer.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        result = self.base_layer(x)
        x = x.to(self.A.weight.dtype)
        weights = torch.softmax(self.router(x), dim=-1, dtype=torch.float32).to(result.dtype)
        for i, expert in enumerate(self.B):
            result = result + weights[..., i].unsqueeze(-1) * expert(self.A(self.dropout(x))).to(result.dtype) * (
                32 / RANK
            )
        return result


def load(arguments: argparse.Namespace) -> nn.Module:
    dtype = getattr(torch, arguments.dtype)
    if arguments.config == "llama-1b":
        config = LlamaConfig(
            vocab_size=32000,
            hidden_size=2048,
            intermediate_size=5632,
            num_hidden_layers=22,
            num_attention_heads=32,
            num_key_value_heads=4,
        )
        torch.manual_seed(0)
        model: Any = LlamaForCausalLM(config).to(dtype)
    else:
        model = load_base(arguments.model, arguments.dtype)
    return model.to(arguments.device).eval()  # type: ignore[no-any-return]


def looped(model: nn.Module, targets: list[str]) -> nn.Module:
    model.requires_grad_(False)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and any(matches(name, target) for target in targets):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, ExpertLoop(layer))
    return model


def lora(model: nn.Module, targets: list[str]) -> nn.Module:
    config = LoraConfig(r=RANK * EXPERTS, lora_alpha=32, target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(model, config)  # type: ignore[no-any-return, arg-type]


def lope(model: nn.Module, targets: list[str]) -> nn.Module:
    adapted = experts(model, target_modules=targets)
    set_mode(adapted, "stage2", "unmasked")  # as the paper has it
    return adapted


def hydralora(model: nn.Module, targets: list[str]) -> nn.Module:
    return experts(model, target_modules=targets, num_poisoning=0, router_input="hidden")


def experts(model: nn.Module, **options: Any) -> nn.Module:
    config = LopeConfig(r=RANK, num_experts=EXPERTS, task_type="CAUSAL_LM", **options)  # type: ignore[arg-type]
    return get_peft_model(model, config)  # type: ignore[no-any-return, arg-type]


VARIANTS: dict[str, Callable[[nn.Module, list[str]], nn.Module]] = {
    f"LoRA, peft, rank {RANK * EXPERTS}": lora,
    "LoPE, stage II": lope,
    "HydraLoRA, ours": hydralora,
    "HydraLoRA, loop": looped,
}
LORA, LOPE, HYDRA, LOOP = VARIANTS


def filled(model: nn.Module) -> nn.Module:
    """With adapters that are not zero, as they are once trained."""
    source = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(mark in name for mark in (".lora_", ".lope_", ".A.", ".B.", ".router.")):
                parameter.copy_(torch.randn(parameter.shape, generator=source) * 0.01)
    return model


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def in_turns(calls: dict[str, Callable[[], object]], repeats: int, device: str) -> dict[str, float]:
    """Median seconds of each call, after two that are not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 2):
        for name, call in calls.items():
            synchronise(device)
            start = time.perf_counter()
            call()
            synchronise(device)
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def training_step(model: nn.Module, ids: Tensor) -> Callable[[], object]:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)

    def step() -> None:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def saved_bytes(model: nn.Module, ids: Tensor) -> int:
    """Bytes that a forward pass keeps for backward, weights left out, each storage once."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, int] = {}
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)  # so that its address is not given to another
        return tensor

    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()  # type: ignore[operator]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(inputs_embeds=embedded, use_cache=False).logits.sum()
    return sum(storages.values())


def decoding(model: nn.Module, ids: Tensor) -> Callable[[], object]:
    """One token after a prompt, with its cache."""
    with torch.inference_mode():
        cache = model(input_ids=ids[:1], use_cache=True).past_key_values

    def step() -> None:
        with torch.inference_mode():
            model(input_ids=ids[:1, -1:], past_key_values=cache, use_cache=True)
            cache.crop(-1)

    return step


def prefill(model: nn.Module, ids: Tensor) -> Callable[[], object]:
    def step() -> None:
        with torch.inference_mode():
            model(input_ids=ids, use_cache=False, logits_to_keep=1)

    return step


def data_share(model: nn.Module, arguments: argparse.Namespace, console: Console) -> float:
    """Median seconds of fetching and collating a batch over those of a step of training on it."""
    tokenizer = load_tokenizer(arguments.model)
    version = resolve(arguments.data)
    with tempfile.TemporaryDirectory() as cache:
        times = []
        for _ in range(2):
            start = time.perf_counter()
            rows = load_tokens(version, tokenizer, max_length=512, cache=Path(cache)).dataset
            times.append(time.perf_counter() - start)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
        batches = [order[i : i + 16] for i in range(0, 16 * min(10, len(rows) // 16), 16)]
        collate, loss = Collator(tokenizer), CompletionLoss.of(model)  # type: ignore[arg-type]
        set_mode(model, "stage2", "unmasked")
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)
        fetching, stepping = [], []
        for batch in batches:
            start = time.perf_counter()
            inputs = collate(rows.__getitems__(batch))
            fetching.append(time.perf_counter() - start)
            del inputs["row"]
            inputs = {name: tensor.to(arguments.device) for name, tensor in inputs.items()}
            for part in split_by_length(inputs, 4):
                loss(model, part)[0].backward()
            optimizer.step()
            optimizer.zero_grad()
            stepping.append(time.perf_counter() - start)
    console.print(
        f"{version.ref}, {len(rows)} rows: tokenised in {times[0]:.2f} s, opened again in {times[1]:.2f} s; "
        f"a batch of 16 fetched and collated in {1000 * median(fetching):.2f} ms, "
        f"a step on it takes {1000 * median(stepping):.0f} ms"
    )
    return median(fetching) / median(stepping)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--config", choices=["llama-1b"], help="a random model of this size instead of --model")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--targets", default="qv", choices=["qv", "all"])
    parser.add_argument("--data", help="a version: also what reading it takes beside a step on it")
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=30)
    arguments = parser.parse_args()
    console = Console(width=110)

    targets = target_modules(load(arguments))
    if arguments.targets == "all":
        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    models = {name: filled(put(load(arguments), targets)) for name, put in VARIANTS.items()}
    vocabulary = models[LOPE].config.vocab_size  # type: ignore[union-attr]
    ids = torch.randint(10, int(vocabulary) - 10, (arguments.rows, arguments.length)).to(arguments.device)

    steps = in_turns({n: training_step(m, ids) for n, m in models.items()}, arguments.repeats, arguments.device)
    base = saved_bytes(load(arguments).requires_grad_(False), ids)
    saved = {name: (saved_bytes(model, ids) - base) / 2**20 for name, model in models.items()}
    ways: dict[str, nn.Module] = {LORA: models[LORA]}
    set_mode(models[LOPE], "inference")
    ways["LoPE, masked + compensated"] = models[LOPE]
    whole = in_turns({n: prefill(m, ids) for n, m in ways.items()}, arguments.repeats, arguments.device)
    token = in_turns({n: decoding(m, ids) for n, m in ways.items()}, arguments.repeats * 5, arguments.device)

    name = arguments.config or arguments.model
    title = f"{name}, {', '.join(targets)}, {arguments.dtype}, {arguments.device}, "
    title += f"{arguments.rows} x {arguments.length} tokens"
    table = Table(title=title, title_justify="left")
    for column in ("variant", "training step", "to LoRA", "to loop", "saved by adapters", "to loop"):
        table.add_column(column, justify="right" if column != "variant" else "left")
    for variant in VARIANTS:
        table.add_row(
            variant,
            f"{1000 * steps[variant]:.0f} ms",
            f"{steps[variant] / steps[LORA]:.3f}",
            f"{steps[variant] / steps[LOOP]:.3f}",
            f"{saved[variant]:.1f} MiB",
            f"{saved[variant] / saved[LOOP]:.3f}",
        )
    console.print(table)
    table = Table(title="inference", title_justify="left")
    for column in ("variant", "prompts", "to LoRA", "one token", "to LoRA"):
        table.add_column(column, justify="right" if column != "variant" else "left")
    for variant in ways:
        table.add_row(
            variant,
            f"{1000 * whole[variant]:.0f} ms",
            f"{whole[variant] / whole[LORA]:.3f}",
            f"{1000 * token[variant]:.1f} ms",
            f"{token[variant] / token[LORA]:.3f}",
        )
    console.print(table)
    last = "LoPE, masked + compensated"
    got = {
        "step, LoPE / LoRA": steps[LOPE] / steps[LORA],
        "step, LoPE / loop": steps[LOPE] / steps[LOOP],
        "saved, LoPE / loop": saved[LOPE] / saved[LOOP],
        "inference, LoPE / LoRA": whole[last] / whole[LORA],
    }
    if arguments.data:
        got["data, of a step"] = data_share(models[LOPE], arguments, console)
    for aim, most in AIMS.items():
        if aim not in got:
            continue
        console.print(f"{aim}: {got[aim]:.3f}, aim {most}: {'met' if got[aim] <= most else 'NOT met'}")


if __name__ == "__main__":
    main()
