"""That `evaluate --tasks` gives what lm-evaluation-harness gives with its own model class, and how fast.

    python -m benchmarks.agreement.lm_eval --data-dir DIR --limit 40
    python -m benchmarks.agreement.lm_eval --data-dir DIR --limit 40 --run runs/lope

Both ask the same items of the same tasks. Says the accuracy of each, the largest difference of log-likelihoods and the
seconds. Fails where an item is right in one alone, or where a difference is above 1e-3.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import lm_eval.evaluator  # noqa: F401  # takes seconds, which are of neither
import torch
from lm_eval.models.huggingface import HFLM

from lope_train.cli import quiet_libraries
from lope_train.evaluation import LopeLM, build_task_sets, evaluate_tasks, quiet_harness
from lope_train.models import load_base, load_tokenizer
from lope_train.runs import load_run

TOLERANCE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--run", type=Path, help="a run folder instead of a base model")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tasks", default="piqa,social_iqa,arc_easy,mmlu")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--batch-size", type=int, default=8, help="of plain lm-eval")
    options = parser.parse_args()
    quiet_libraries()
    model: Any
    if options.run is None:
        model, tokenizer = load_base(options.model), load_tokenizer(options.model)
    else:
        model, tokenizer = load_run(options.run)
    if torch.accelerator.is_available():
        torch.nn.Module.to(model, torch.accelerator.current_accelerator())
    with quiet_harness():
        plain = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=options.batch_size)
    ours = LopeLM(model, tokenizer)
    sets, _ = build_task_sets(options.tasks.split(","), [], options.data_dir, None, options.limit, True)
    print(f"{options.run or options.model} on {model.device}, {torch.get_num_threads()} threads, {model.dtype}\n")
    print("| task | items | accuracy, ours | plain | items that differ | largest difference | s, ours | plain |")
    print("|---|---|---|---|---|---|---|---|")
    failed = False
    for one in sets:
        found: dict[str, tuple[Any, list[Any], float]] = {}
        for name, language_model in (("ours", ours), ("plain", plain)):
            started = time.perf_counter()
            score = evaluate_tasks(language_model, one, lambda _: None)
            seconds = time.perf_counter() - started
            answers = [request.resps[0] for task in one.tasks.values() for request in task.instances]
            found[name] = (score, answers, seconds)
        (mine, ours_said, ours_took), (theirs, plain_said, plain_took) = found["ours"], found["plain"]
        differ = sum(a != b for a, b in zip(mine.right, theirs.right, strict=True))
        pairs = [(a[0], b[0]) for a, b in zip(ours_said, plain_said, strict=True) if not isinstance(a, str)]
        largest = max((abs(a - b) for a, b in pairs), default=0.0)
        failed |= differ > 0 or largest > TOLERANCE
        print(
            f"| {one.name} | {len(one.ids)} | {mine.accuracy:.4f} | {theirs.accuracy:.4f} | {differ} "
            f"| {largest:.1e} | {ours_took:.1f} | {plain_took:.1f} |",
            flush=True,
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
