"""Recipes of pipelines: a list of commands, each of which may use what earlier ones gave."""

from __future__ import annotations

import re
import tomllib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lope_common.extras import check_installed
from lope_common.recipes import Recipes
from lope_train.libraries import ADAPTERS, NEEDS
from pipelines.errors import PipelineError
from pipelines.study.recipe import Study, is_study, parse

RECIPES = Recipes("", ("*.toml", "paper/*.toml", "study/*.toml"), frozenset({"paper/scales"}), "pipeline")
STUDIES_NEED = {*ADAPTERS, "lm_eval", "matplotlib", "scipy"}
REFERENCE = re.compile(r"\{([a-z0-9-]+)(?:\.([a-z_]+))?\}")
Value = str | int | float | bool | list[str]


class Step(BaseModel):
    """One command.

    Attributes:
        id: what later steps call its result: `{id}`, or `{id.key}` for a key of its JSON.
        run: the module and its subcommand.
        arguments, options: as on the command line; `max_length = 256` is `--max-length 256`.
        title: said before it runs, and in the report.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    run: Literal["lope_data build", "lope_train get-model", "lope_train train", "lope_train evaluate"]
    title: str
    arguments: tuple[str, ...] = ()
    options: dict[str, Value] = Field(default_factory=dict)


class Pipeline(BaseModel):
    """A whole recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    about: str = ""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _references_look_back(self) -> Pipeline:
        known: set[str] = set()
        for step in self.steps:
            for text in (*step.arguments, *(str(value) for value in step.options.values())):
                for used, _ in REFERENCE.findall(text):
                    if used not in known:
                        raise ValueError(f"step {step.id!r} uses {{{used}}}, which no step before it is called")
            if step.id in known:
                raise ValueError(f"two steps are called {step.id!r}")
            known.add(step.id)
        return self


def load(typed: str) -> Pipeline | Study:
    """The recipe of that name (`demo` is pipelines/demo.toml), or of that file: a list of steps or a study.

    Raises:
        PipelineError: there is none, or something in it is wrong; says what and where.
    """
    with RECIPES.file(typed, PipelineError) as path:
        try:
            read = tomllib.loads(path.read_text(encoding="utf-8"))
            return parse(path, read) if is_study(read) else Pipeline.model_validate(read)
        except OSError as error:
            raise PipelineError(f"{path} cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PipelineError(f"{path} cannot be read: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise PipelineError(f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}") from error


def check_libraries(recipe: Pipeline | Study, name: str) -> None:
    """Raises PipelineError, which says what to install, where something that the recipe needs is missing."""
    needed = STUDIES_NEED
    if isinstance(recipe, Pipeline):
        commands = [step.run.split() for step in recipe.steps]
        needed = {module for package, verb in commands if package == "lope_train" for module in NEEDS[verb]}
    check_installed(f"{name} needs", needed, PipelineError)
