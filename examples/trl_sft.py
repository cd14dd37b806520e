"""LoPE with TRL's SFTTrainer: stage I on a noisy version, stage II on the version it was made from.

    python -m lope_data build --ratio 0.1
    python examples/trl_sft.py --data sample-hynoise --model ./my-model --out runs/trl

The text's noise is in the version. The noise in the embeddings, which `python -m lope_train train` adds in stage I, is
not among what SFTTrainer does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Literal

import torch
from datasets import Dataset
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

import lope_data
import lope_train
from lope_train.data import Layout, PromptTemplate
from lope_train.models import load_tokenizer


def rows_of(version: lope_data.Version, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Columns `prompt` and `completion`, as SFTTrainer takes them and computes the loss on the completion alone."""
    views = map(Layout.of(version.manifest.plain).view, version.dataset)
    examples = filter(None, map(PromptTemplate(tokenizer).render, views))
    # SFTTrainer adds what starts a text; a chat template has it too
    start = str(tokenizer.bos_token) if tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id else ""
    return Dataset.from_list(
        [{"prompt": example.prompt.removeprefix(start), "completion": example.completion} for example in examples]
    )


def train(
    model: PeftModel,
    stage: Literal["stage1", "stage2"],
    rows: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    **asked: Any,
) -> None:
    """Train in place what the stage trains, with an optimizer and a schedule of its own."""
    lope_train.set_mode(model, stage)
    settings = SFTConfig(
        learning_rate=2e-4,
        lr_scheduler_type="cosine",
        per_device_train_batch_size=4,
        max_length=512,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.accelerator.is_available(),
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        **asked,
    )
    SFTTrainer(model, settings, train_dataset=rows, processing_class=tokenizer).train()


def poisoning_experts(model: PeftModel) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters() if name.endswith(".B_poison")}


def main() -> None:
    parser = argparse.ArgumentParser(description="LoPE with TRL's SFTTrainer")
    parser.add_argument("--data", required=True, help="the noisy version: NAME[@VERSION] or its folder")
    parser.add_argument("--model", required=True, help="the base model's folder or hub id")
    parser.add_argument("--out", type=Path, required=True, help="where the adapter is saved")
    parser.add_argument("--store", help="folder of the versions; default: $LOPE_STORE, else ./lope-store")
    parser.add_argument("--max-steps", type=int, default=-1, help="of each stage; default: one pass over the rows")
    options = parser.parse_args()

    noisy = lope_data.open(options.data, store=options.store)
    if noisy.parent is None:
        parser.error(f"{noisy.ref} has no parent for stage II to read; name a version that was built on another")
    tokenizer = load_tokenizer(options.model)
    base = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    model = get_peft_model(base, lope_train.LopeConfig(r=4, num_experts=4, task_type="CAUSAL_LM"))
    asked = {"output_dir": str(options.out), "num_train_epochs": 1, "max_steps": options.max_steps}

    train(model, "stage1", rows_of(noisy, tokenizer), tokenizer, **asked)
    after_stage1 = poisoning_experts(model)
    train(model, "stage2", rows_of(noisy.parent, tokenizer), tokenizer, **asked)
    for name, tensor in poisoning_experts(model).items():
        assert tensor.any(), f"{name} learned nothing in stage I"
        assert tensor.equal(after_stage1[name]), f"{name} moved in stage II"

    model.save_pretrained(options.out)
    fresh = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(fresh, options.out)  # in mode `inference`: poison masked, the others compensate
    for name, tensor in poisoning_experts(loaded).items():
        assert tensor.equal(after_stage1[name].to(tensor.device)), f"{name} is not as it was saved"
    print(f"{options.out}: {len(after_stage1)} poisoning experts, trained in stage I and not moved in stage II")


if __name__ == "__main__":
    main()
