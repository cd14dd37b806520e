"""Recipes: what noise, how much of it, from which seed. Read from TOML, checked whole, and resolved to plain data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lope_common.errors import shown, suggest
from lope_common.recipes import Recipes
from lope_data.errors import RecipeError
from lope_data.models import Strict, known_keys, reason
from lope_data.names import PATTERN
from lope_data.noise.checked import check_params
from lope_data.noise.editions import FIRST, EditionNumber, get_edition, newest_edition
from lope_data.noise.imports import find_op, hint
from lope_data.noise.op import Op, Params
from lope_data.noise.registry import LEVELS, all_ops, get_op
from lope_data.recipe.guard import Constraints, Guard, Protect
from lope_data.recipe.of_version import recipe_of
from lope_data.rows.columns import Columns
from lope_data.rows.shapes import SHAPES
from lope_data.sources.formats import FORMATS
from lope_data.sources.reading import Reading

RECIPES = Recipes("data", ("*.toml",))
"""Those that come with LoPE."""
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False, strict=True)]


_DOTS = 500  # in a line: a key of very many parts takes the reader hours
_LEAST = Fraction(1, 10**6)  # share of an op in a mix


def _weight(value: Any) -> Fraction:
    """A number, or a quotient such as "1/27", in which resolved recipes write weights."""
    number = isinstance(value, int | float | Fraction) and not isinstance(value, bool) and value == value
    quotient = isinstance(value, str) and re.fullmatch(r"[0-9]{1,100}(/[1-9][0-9]{0,99})?", value)
    if not (number and 0 <= value <= 1e6) and not quotient:
        raise ValueError(f'a weight is a number from 0 to 1000000, or a quotient such as "1/27", not {shown(value)}')
    return Fraction(str(value))


Weight = Annotated[Fraction, BeforeValidator(_weight)]
Model = TypeVar("Model", bound=Strict)


class Embedding(Strict):
    """A hint to trainers: the scale of the embedding noise of stage I (paper Sec. 3.2.1). No text op reads it."""

    alpha: Annotated[float, Field(ge=0.0, allow_inf_nan=False, strict=True)] = 0.05


def _op_is_known(name: str) -> bool:
    try:
        return find_op(name) is not None
    except RecipeError as error:
        raise ValueError(str(error)) from None


class Step(Strict):
    """One pass of noise: the share of rows it touches, the ops it deals to them, and how hard these hit.

    Attributes:
        edition: of the recipe that it is a step of: what levels and presets stand for.
        ratio: share of rows touched; exactly round(ratio * rows) of them.
        level: share of a touched row's units that a text op changes; at least one unit.
        mix: weights of levels and ops, or the name of one, or of a preset; a level's ops share its weight equally.
        params: parameters of ops, by op.
        stratify: touch of each class of a classification the same share, to a row.
    """

    edition: EditionNumber = Field(FIRST, exclude=True)  # before `mix`, which is read by it
    name: Annotated[str, Field(pattern=PATTERN)] = "hynoise"
    ratio: Share = 0.05
    level: Share = 0.1
    mix: Mapping[str, Weight] = Field(default="default", validate_default=True)
    params: Mapping[str, Mapping[str, Any]] = Field(default_factory=dict)
    stratify: Annotated[bool, Field(strict=True)] = False

    @field_validator("mix", mode="before")
    @classmethod
    def _preset(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Mapping):
            for level, inner in value.items():
                if level in LEVELS and isinstance(inner, Mapping) and inner:
                    raise ValueError(
                        f'{level}.{next(iter(inner))} is a name with a dot: write it in quotes, "{level}.…"'
                    )
        if not isinstance(value, str):
            return value
        if value in LEVELS:
            return {value: 1.0}
        presets = get_edition(info.data.get("edition", FIRST)).presets
        if value in presets:
            return presets[value]
        if _op_is_known(value):
            return {value: 1.0}
        raise ValueError(f"unknown preset, level or op {shown(value)}{hint(value, [*presets, *LEVELS])}")

    @model_validator(mode="after")
    def _check(self) -> Step:
        for name in self.mix:
            if name in LEVELS and name not in all_ops():
                if not self._members(name):
                    raise ValueError(f"the level {name} has no ops in edition {self.edition} of recipes")
            elif not _op_is_known(name):
                raise ValueError(f"unknown op or level {shown(name)} in mix{hint(name, LEVELS)}")
        if not any(self.mix.values()):
            raise ValueError("the mix has no weight above 0")
        for op, share in self.weights.items():
            if share < _LEAST:
                raise ValueError(f"the share of {op} in the mix is below 0.000001; use 0 to leave it out")
            if share.denominator >= 10**100:
                raise ValueError("the weights of the mix have too many digits; round them")
        for name in self.params:
            if name not in self.weights:
                what = "; put it into the mix" if name in all_ops() else suggest(name, self.weights)
                raise ValueError(f"params for {shown(name)}, which the mix does not use{what}")
        for name, used in self.ops.items():
            try:
                check_params(used, self.params.get(name, {}))
            except ValidationError as error:
                said = reason(error, partial(known_keys, used.params))
                raise ValueError(f"params of {name}: {said}") from error
            except RecipeError as error:
                raise ValueError(str(error)) from error
        return self

    def _members(self, level: str) -> tuple[str, ...]:
        return get_edition(self.edition).levels.get(level, ())

    @cached_property
    def weights(self) -> dict[str, Fraction]:
        """The weight of each op in the mix, exact, summing to 1."""
        weights: dict[str, Fraction] = {}
        for name, weight in self.mix.items():
            group = (name,) if name in all_ops() else self._members(name)
            for op in group:
                weights[op] = weights.get(op, Fraction(0)) + weight / len(group)
        total = sum(weights.values())
        return {op: weights[op] / total for op in all_ops() if weights.get(op)}

    @cached_property
    def ops(self) -> dict[str, Op]:
        """The ops of the mix, as they were when the step was read: a file that is imported again changes none of it."""
        return {name: get_op(name) for name in self.weights}

    def params_of(self, op: str) -> Params:
        """The parameters of an op, checked."""
        return self.ops[op].params.model_validate(self.params.get(op, {}))


class Recipe(Strict):
    """A whole recipe. `shape`, `columns` and `source` speak of the source and are used when it is ingested.

    `edition` says what levels and presets stand for: a recipe means what it meant when its edition was new.
    """

    edition: EditionNumber = FIRST  # before `steps`, which are read by it
    name: Annotated[str, Field(pattern=PATTERN)] = "hynoise"
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 614
    shape: str | None = None
    columns: Columns = Columns()
    source: Reading = Reading()
    steps: Annotated[tuple[Step, ...], Field(min_length=1)] = Field(default=({},), validate_default=True)
    protect: tuple[Protect, ...] = ()
    constraints: Constraints = Constraints()
    embedding: Embedding = Embedding()

    @field_validator("steps", mode="before")
    @classmethod
    def _of_this_edition(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, list | tuple):
            raise ValueError(f"must be a list, not {shown(value)}")
        edition = info.data.get("edition", FIRST)
        for i, step in enumerate(value):
            if isinstance(step, Mapping) and "edition" in step:
                raise ValueError(f"[{i}]: edition is a key of the whole recipe, which stands above the first table")
            if isinstance(step, Step) and step.edition != edition:
                raise ValueError(f"[{i}]: a step of edition {step.edition} in a recipe of edition {edition}")
        return [{**step, "edition": edition} if isinstance(step, Mapping) else step for step in value]

    @field_validator("shape")
    @classmethod
    def _known_shape(cls, value: str | None) -> str | None:
        if value is not None and value not in SHAPES:
            raise ValueError(f"unknown shape {shown(value)}{suggest(value, SHAPES)}")
        return value

    @model_validator(mode="after")
    def _distinct_steps(self) -> Recipe:
        names = [step.name for step in self.steps]
        if len(set(names)) < len(names):
            raise ValueError("two steps have the same name; steps are told apart by it")
        return self

    @property
    def guard(self) -> Guard:
        """What noise must leave alone."""
        return Guard(self.protect, self.constraints)

    def resolved(self) -> dict[str, Any]:
        """What decides a build's noise, as plain data, with every default and the share of every op spelled out.

        With the seed it is a recipe again, which resolves to the same.
        """
        return {
            **({"edition": self.edition} if self.edition != FIRST else {}),
            "name": self.name,
            "steps": [
                {
                    "name": step.name,
                    "ratio": step.ratio,
                    "level": step.level,
                    "mix": {op: str(weight) for op, weight in step.weights.items()},
                    "params": {op: step.params_of(op).model_dump(mode="json") for op in step.weights},
                    "stratify": step.stratify,
                }
                for step in self.steps
            ],
            "protect": [{"pattern": pattern} for protect in self.protect for pattern in protect.expressions],
            "constraints": self.constraints.model_dump(mode="json"),
        }


def load_recipe(path: Path | None, overrides: Mapping[str, Any]) -> Recipe:
    """A recipe from a TOML file or a build's manifest.json, with what was typed put over it.

    Args:
        path: None: the default recipe, of the newest edition. A manifest is known by its name's end, `.json`.
        overrides: `edition`, `seed`, what a `Reading` says of files, and `ratio`, `level`, `mix` of a recipe's only
            step; None stands for not typed.

    Raises:
        RecipeError: the file cannot be read, or something in it or in the overrides is wrong; says what and where.
    """
    where = "the recipe" if path is None else str(path)
    typed = {key: value for key, value in overrides.items() if value is not None}
    data: dict[str, Any] = {"edition": newest_edition().number} if path is None else _read(path)
    if "edition" in typed:  # the recipe itself is read by it
        data["edition"] = typed.pop("edition")
    recipe = validated(Recipe, data, where)
    if not typed:
        return recipe
    step_keys = [key for key in ("ratio", "level", "mix") if key in typed]
    if step_keys and len(recipe.steps) > 1:
        raise RecipeError(f"--{step_keys[0]} speaks of one step and {where} has {len(recipe.steps)}; set it there")
    data = recipe.model_dump(exclude_unset=True)
    reading = {key: typed.pop(key) for key in Reading.model_fields if key in typed}
    data["source"] = data.get("source", {}) | reading
    data |= {key: value for key, value in typed.items() if key not in step_keys}
    data["steps"] = [
        recipe.steps[0].model_dump(exclude_unset=True) | {k: typed[k] for k in step_keys},
        *data.get("steps", [])[1:],
    ]
    return validated(Recipe, data, "the options" if path is None else f"{path} with the options")


def named_recipe(typed: str | None, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe of that name, which comes with LoPE, or of that file (None: the default one); as `load_recipe`.

    Raises:
        RecipeError: as `load_recipe`; also if there is no such recipe.
    """
    if typed is None:
        return load_recipe(None, overrides)
    if Path(typed).suffix.lower() in FORMATS.keys() - {".json"}:  # a manifest is one of these
        raise RecipeError(f"{shown(typed)} is data, and no recipe; name it as the source, --source")
    with RECIPES.file(typed, RecipeError) as path:
        return load_recipe(path, overrides)


def _read(path: Path) -> dict[str, Any]:
    if "\0" in str(path):
        raise RecipeError(f"cannot read the recipe {shown(str(path))}: no file has such a name")
    if path.suffix == ".json":
        return recipe_of(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        for number, line in enumerate(text.split("\n"), start=1):
            if line.count(".") > _DOTS:
                raise RecipeError(f"cannot read the recipe {path}: line {number} has a key of more than {_DOTS} parts")
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        line_number = error.object[: error.start].count(b"\n") + 1
        why = f"line {line_number} is not UTF-8 (byte {error.object[error.start]:#04x}); save it as UTF-8"
    except RecursionError:
        why = "it is nested too deeply"
    except tomllib.TOMLDecodeError as error:
        why = str(error)
    except ValueError:  # Python's limit on digits
        why = "an integer of thousands of digits"
    except OSError as error:
        why = str(error.strerror)
    raise RecipeError(f"cannot read the recipe {path}: {why}")


def validated(model: type[Model], data: Mapping[str, Any], where: str) -> Model:
    """The data as a recipe, or a part of one.

    Raises:
        LopeDataError: of the model's kind; says where what is wrong.
    """
    return model.checked(data, where)
