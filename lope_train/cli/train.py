"""`train`: an adapter, from a noisy version and its parent."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from lope_common.shown import SafeConsole
from lope_train.cli.app import JsonOption, app, start
from lope_train.cli.setting_options import flag, setting_options, typed_settings
from lope_train.errors import SettingsError
from lope_train.methods import METHODS, having
from lope_train.settings.settings import TrainSettings
from lope_train.tuner.inference import Inference

_EXAMPLES = """
[bold]Examples[/bold]

  python -m lope_train train --data sample-hynoise --model smollm2-135m --out runs/lope

  python -m lope_train train --recipe hydralora --data nois --model smollm2-135m --out runs/hydra

  python -m lope_train train --data nois --method lora --on noisy --model ./my-model --out runs/lora-noisy

  python -m lope_train train --data nois-hynoise --one-stage --model smollm2-135m --out runs/table4
"""

_PRESETS = "Recipes and short forms"
_ONE_STAGE = {"method": "hydralora", "on": "noisy", "hynoise": "both"}


@app.command(epilog=_EXAMPLES)
@setting_options()
def train(
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A recipe: a name (hydralora, ablations/no-hynoise, ...) or a TOML file, of settings by their names; "
            "what is typed goes before what it says.",
            rich_help_panel=_PRESETS,
        ),
    ] = None,
    one_stage: Annotated[
        bool,
        typer.Option(
            "--one-stage",
            help="HyNoIse straight into HydraLoRA, as in Table 4: --method hydralora --on noisy --hynoise both.",
            rich_help_panel=_PRESETS,
        ),
    ] = False,
    no_compensation: Annotated[
        bool,
        typer.Option(
            "--no-compensation",
            help="Mask the poisoning expert and amplify no other: --inference masked.",
            rich_help_panel=_PRESETS,
        ),
    ] = False,
    no_mask: Annotated[
        bool,
        typer.Option(
            "--no-mask", help="Leave the poisoning expert in: --inference unmasked.", rich_help_panel=_PRESETS
        ),
    ] = False,
    as_json: JsonOption = False,
    **typed: Any,
) -> None:
    """Trains an adapter on a noisy version and its parent.

    --data, --model and --out are required, here or in the recipe.

    [bold]lope[/bold]: stage I reads the noisy version and trains A and the
    poisoning expert; stage II reads its parent and trains A, the normal
    experts and the router, in the way in which the adapter is used (--stage2;
    the paper's text is --stage2 frozen).
    With --route edits one stage reads the noisy version, and its noise trains
    the poisoning expert alone.

    The other methods: one stage on the parent, or with --on noisy on the noisy
    version.
    """
    from lope_train.settings.recipes import read_recipe, settings_from

    read = {} if recipe is None else read_recipe(recipe)
    given = typed_settings(typed)
    if one_stage:
        given = _with("--one-stage", given, _ONE_STAGE)
    given = _with_inference(given, read, no_compensation, no_mask)
    settings = settings_from(read, given)
    start("train")
    from lope_train.training.run import train as run_training
    from lope_train.world import World

    run = run_training(settings)
    if not World.here().main:  # of processes that train together one speaks, and only its run is there by now
        return
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    classified = record["head"] == "classification"
    evaluate = f"python -m lope_train evaluate {run}"
    evaluate += f" --data {settings.held_out or 'NAME'}" if classified else ""
    console = SafeConsole(stderr=as_json)
    console.print(str(run), style="bold", markup=False, soft_wrap=True)
    console.print(f"evaluate it with: {evaluate}", markup=False, soft_wrap=True)
    if not classified:
        console.print(f"chat with it: python -m lope_train generate {run}", markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps({"path": str(run), "evaluate": evaluate, **record}))


def _with_inference(
    given: dict[str, Any], read: dict[str, Any], no_compensation: bool, no_mask: bool
) -> dict[str, Any]:
    if no_compensation and no_mask:
        raise SettingsError(
            "--no-compensation and --no-mask exclude each other: the first masks the poisoning expert, the second "
            "leaves it in"
        )
    if not (no_compensation or no_mask):
        return given
    short, meant = ("--no-mask", Inference.UNMASKED) if no_mask else ("--no-compensation", Inference.MASKED)
    method = {"method": TrainSettings.model_fields["method"].default, **read, **given}["method"]
    if method in METHODS and not METHODS[method].poisoning:
        raise SettingsError(
            f"{short} is for method {having(lambda m: m.poisoning)}; {method!r} has no poisoning expert"
        )
    return _with(short, given, {"inference": meant})


def _with(short: str, given: dict[str, Any], means: dict[str, Any]) -> dict[str, Any]:
    """What was typed, with what a short form means. Raises SettingsError where that was typed otherwise."""
    for name, value in means.items():
        if given.get(name, value) != value:
            raise SettingsError(f"{short} means {flag(name)} {value}, which contradicts {flag(name)} {given[name]}")
    return {**given, **means}
