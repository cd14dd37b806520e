"""The command line itself, which verbs add themselves to, and the options that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lope_common.cli import new_app, path
from lope_common.errors import shown
from lope_common.places import STORE_HELP
from lope_data.errors import RecipeError
from lope_data.sources.formats import listed

RECIPE_HELP = "A recipe: a name (hynoise, ...) or a TOML file"
BUILD_RECIPE_HELP = f"{RECIPE_HELP}, or the manifest.json of a build; default: HyNoIse."

app = new_app("Versioned noisy datasets: exact, recorded and reproducible noise for text.")

SourceOption = Annotated[
    str | None,
    typer.Option(
        help=f"A file ({listed(text=True)}, also .gz, .bz2, .zst; {listed(text=False)}), a folder or "
        "pattern of them, a saved dataset, a hub id, hf://datasets/OWNER/NAME/PATH, the URL of a file (https://, "
        "s3://, ...), or - for JSON lines on standard input; default: the sample."
    ),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|all",
        help="The split to read, where the source has several: of a folder, a saved DatasetDict or a hub id.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    str | None,
    typer.Option(help="Configuration of a hub id; default: the dataset's own.", show_default=False),
]
RevisionOption = Annotated[
    str | None,
    typer.Option(
        help="Branch, tag or commit of a hub id; default: the newest. The commit is recorded.", show_default=False
    ),
]
RatioOption = Annotated[float | None, typer.Option(help="Share of rows to touch, 0 to 1.")]
MixOption = Annotated[
    str | None,
    typer.Option(help="Weights of levels or ops, char=1,word=1,label=1; or a preset: default, paper, human."),
]
LevelOption = Annotated[float | None, typer.Option(help="Share of a touched row's units to change, 0 to 1.")]
SeedOption = Annotated[int | None, typer.Option(help="Keys all randomness.")]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME=COLUMN,...",
        help="What columns stand for, where their names do not say: text=body,label=category; choices several times.",
        show_default=False,
    ),
]
EditionOption = Annotated[
    int | None,
    typer.Option(
        help="Edition of recipes: what levels and presets stand for. Default: the recipe's; without one, the newest.",
        show_default=False,
    ),
]
ImportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="FILE.py|MODULE",
        help="Import ops of your own from there. Repeat for several.",
        show_default=False,
    ),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help="Ingest this many rows of the source: a keyed sample, a version of its own."),
]
WithoutOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[@VERSION]",
        help="Leave out the rows of the source that stand in this version, whatever their label; a test set, ingested "
        "first.",
        show_default=False,
    ),
]
RefArgument = Annotated[
    str,
    typer.Argument(
        metavar="REF", help="NAME, NAME@TAG, NAME@VERSION (or its first digits), or a folder.", show_default=False
    ),
]
StoreOption = Annotated[Path | None, typer.Option(parser=path, help=STORE_HELP)]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Threads; default: the cores. Never changes the result.")
]
ShardRowsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Rows of a data file; default: as makes 50 files, 10,000 to 100,000. Never changes content.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object as the last line of stdout, for scripts.")
]


def overrides(mix: str | None = None, **typed: Any) -> Mapping[str, Any]:
    """What was typed, for `named_recipe`."""
    return {**typed, "mix": None if mix is None else _parse_mix(mix)}


def _parse_mix(text: str) -> str | dict[str, float]:
    if "=" not in text and "," not in text:
        return text
    mix: dict[str, float] = {}
    for part in text.split(","):
        key, _, value = (piece.strip() for piece in part.partition("="))
        try:
            weight = float(value)
        except ValueError:
            raise RecipeError(
                f"--mix {shown(text)}: {shown(part)} is not NAME=WEIGHT, as in char=1,word=1,label=1"
            ) from None
        if key in mix:
            raise RecipeError(f"--mix {shown(text)}: {shown(key)} stands there twice")
        mix[key] = weight
    return mix
