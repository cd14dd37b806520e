"""Recipes of studies: which methods train on which data, how they are evaluated, and what the paper says."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lope_common.errors import suggest
from lope_data.noise import EditionNumber
from lope_train.methods import METHODS
from lope_train.tuner import Inference, Stage2, stage2_and_inference
from pipelines.errors import PipelineError

PAPER = Path(__file__).parents[1] / "paper"
SCALES = PAPER / "scales.toml"
FIRST_SEED = 614
"""The paper's. Further seeds count up from it; each varies the noise and the training."""
Option = str | int | float | bool | list[str]
Depth = Literal["last", "all"]
"""The layers that an anatomy adapts."""
_Ratio = Annotated[float, Field(gt=0, le=1)]
_RESERVED = ("data", "model", "out", "store", "seed", "held_out", "report_to")
"""Options of training that the study itself gives, or that would change what runs are compared by."""
_OF_ARMS = ("stage2", "inference")
"""Options that only an arm may set: it is compared by what they say."""
_LIKE = "like"
"""The key by which a study takes from another in its folder what it does not state itself."""
_Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Source(_Strict):
    """A file of the data folder, and how it is read.

    `without` leaves out the rows that stand in the study's test file, which no run may learn. `validation` is how many
    of the rest, none of them trained on, choose each run's best step (`--held-out`); None: no step is chosen.
    """

    file: str
    encoding: str | None = None
    pattern: str | None = None
    recipe: str | None = None
    without: Literal["test"] | None = None
    validation: Annotated[int, Field(ge=1)] | None = None


class Noise(_Strict):
    """One build: the share of rows it touches and by what; `level` is the share of a touched row's units.

    `recipe`, a file of `pipelines`, has the ops and what they are given in place of a `mix`.
    """

    ratio: _Ratio
    mix: str | None = None
    recipe: str | None = None
    level: float | None = None


HYNOISE = Noise(ratio=0.05)
"""The paper's ratio."""


class Condition(_Strict):
    """Data to train on: the source, with noise of its own or not (`nois`), and HyNoIse for stage I on top.

    `x` is where a sweep draws it. `train` are further options of training, by arm.
    """

    id: _Id
    label: str
    nois: Noise | None = None
    hynoise: Noise = HYNOISE
    x: float | None = None
    train: dict[str, dict[str, Option]] = Field(default_factory=dict)


class Surgery(_Strict):
    """What an arm of an anatomy changes that no option of training does."""

    stage1: Literal["noise", "clean", "none"] = "noise"
    """Stage I reads HyNoIse, with embedding noise; or what stage II reads, without; or there is none."""
    poisoning: Literal["kept", "zeroed"] = "kept"
    """The poisoning expert in stage II: as stage I left it, or with B = 0, as if it had learned nothing."""
    router: Literal["trained", "fixed"] = "trained"
    """In stage II."""
    removed: Literal["poisoning", "normal"] = "poisoning"
    """The expert that is left out at inference: `normal`, the first of these, with the poisoning one left in."""
    restart: bool = False
    """Of one-stage methods: a pass over the same rows before, then a new head, optimizer and schedule, as stage II."""


class Arm(_Strict):
    """A way to train: options of `lope_train train`. `on` are the conditions it is trained on (default: all).

    `hynoise` takes the place of its conditions' own. `surgery` is for studies whose scales have a `depth`.

    `unrecorded`: its data has no edit records but HyNoIse's, as that of users, whose wrong rows no record knows.

    A study of classifiers states `head = "classification"` in all its arms, of encoders too: it is planned before its
    models are there, and their untrained selves have no head to evaluate.
    """

    id: _Id
    label: str
    train: dict[str, Option]
    on: tuple[str, ...] = ()
    unrecorded: bool = False
    hynoise: Noise | None = None
    surgery: Surgery = Surgery()
    x: float | None = None

    @property
    def deployed(self) -> Inference | None:
        """How its runs are used, which is what comparisons are of; None without a poisoning expert.

        Raises SettingsError where its options contradict each other.
        """
        if (method := METHODS.get(str(self.train.get("method")))) is None or not method.poisoning:
            return None
        stage2, inference = (self.train.get(name) for name in ("stage2", "inference"))
        _, deployed = stage2_and_inference(
            None if stage2 is None else Stage2.of(str(stage2)),
            None if inference is None else Inference.of(str(inference)),
        )
        return deployed


class Evaluation(_Strict):
    """What every run answers.

    `tasks` are lm-eval's; `test` is a file whose rows have options (classification). `noise` are ratios at which the
    tasks' questions are made noisy. `inference` and `experts` (K of the compensation) are ways to treat the poisoning
    expert, beside the one in which an arm's runs are used.
    """

    tasks: tuple[str, ...] = ()
    test: Source | None = None
    noise: tuple[_Ratio, ...] = ()
    noise_mix: str = "char=1,word=1"
    inference: tuple[Inference, ...] = ()
    experts: tuple[Annotated[int, Field(ge=0)], ...] = ()


class Plot(_Strict):
    """A figure of the page.

    bars: accuracy by arm; sweep: accuracy over the `x` of conditions, arms or K; robustness: over the noise of the
    questions; movement: of A and B in stage I; map: the matrices themselves.
    """

    kind: Literal["bars", "sweep", "robustness", "movement", "map"]
    over: Literal["condition", "arm", "experts"] = "condition"
    axis: str = ""
    title: str


class Figure(_Strict):
    """A figure of the paper, in per cent: what it reports for an arm on a condition."""

    arm: str
    condition: str
    model: str = "LLaMA2-7B"
    mode: str | None = None
    values: dict[str, float]


class Scale(_Strict):
    """How large a study is: training rows and questions a task (None: all), number of seeds, options of training.

    `arms`, `conditions` and `tasks` are those of the study that are run (empty: all). `depth` makes it an anatomy.
    """

    rows: int | None = None
    questions: int | None = None
    seeds: Annotated[int, Field(ge=1)] = 1
    train: dict[str, Option] = Field(default_factory=dict)
    models: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    depth: Depth | None = None
    about: str = ""


class Study(_Strict):
    """A whole recipe. `reference` is the arm that others are compared with, by the same seeds and questions.

    `edition` is that of all its noise: what levels and presets stand for.
    """

    edition: EditionNumber = 1
    title: str
    about: str
    source: Source
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1)]
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]
    reference: str
    evaluation: Evaluation
    plots: tuple[Plot, ...] = ()
    paper: tuple[Figure, ...] = ()
    paper_note: str = ""
    scales: dict[_Id, Scale] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_are_known(self) -> Study:
        arms, conditions = [arm.id for arm in self.arms], [condition.id for condition in self.conditions]
        for what, names in (("arms", arms), ("conditions", conditions)):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"two {what} are called {twice[0]!r}")
        if self.reference not in arms:
            raise ValueError(f"reference is {self.reference!r}, which is no arm; arms: {', '.join(arms)}")
        if "base" in arms:
            raise ValueError("no arm can be called 'base': that is the untrained model")
        tables = [("arm", arm.id, arm.train) for arm in self.arms]
        tables += [("condition", c.id, options) for c in self.conditions for options in c.train.values()]
        tables += [("scale", name, scale.train) for name, scale in self.scales.items()]
        for what, name, options in tables:
            if taken := [option for option in options if option in _RESERVED]:
                raise ValueError(f"{what} {name!r}: train cannot set {taken[0]!r}, the study does")
            if what != "arm" and (taken := [option for option in options if option in _OF_ARMS]):
                raise ValueError(f"{what} {name!r}: train cannot set {taken[0]!r}; make an arm of it")
        for arm in self.arms:
            if "method" not in arm.train:
                raise ValueError(f"arm {arm.id!r}: train has no method")
            if unknown := [name for name in arm.on if name not in conditions]:
                raise ValueError(f"arm {arm.id!r} is on {unknown[0]!r}; conditions: {', '.join(conditions)}")
        for condition in self.conditions:
            if unknown := [name for name in condition.train if name not in arms]:
                raise ValueError(f"condition {condition.id!r} trains {unknown[0]!r}, which is no arm")
        for figure in self.paper:
            if figure.arm not in arms or figure.condition not in conditions:
                raise ValueError(f"paper: {figure.arm!r} on {figure.condition!r} is not in this study")
        if not self.evaluation.tasks and self.evaluation.test is None:
            raise ValueError("evaluation has neither tasks nor a test file")
        if self.source.without and self.evaluation.test is None:
            raise ValueError("source.without is 'test', and evaluation has no test file")
        if self.evaluation.test is not None and self.evaluation.test.without:
            raise ValueError("evaluation.test.without: only the source is read without the test file's rows")
        if self.evaluation.test is not None and self.evaluation.test.validation:
            raise ValueError("evaluation.test.validation: only the source has rows for that")
        return self

    def scaled(self, scale: Scale) -> Study:
        """The part of the study that a scale runs, the reference always. Raises PipelineError on unknown names."""
        arms = _chosen("arm", scale.arms, [arm.id for arm in self.arms])
        conditions = _chosen("condition", scale.conditions, [condition.id for condition in self.conditions])
        tasks = _chosen("task", scale.tasks, self.evaluation.tasks)
        kept = {
            arm.id
            for arm in self.arms
            if arm.id in (self.reference, *arms) and (not arm.on or set(arm.on) & set(conditions))
        }
        return self.model_copy(
            update={
                "arms": tuple(arm for arm in self.arms if arm.id in kept),
                "conditions": tuple(one for one in self.conditions if one.id in conditions),
                "paper": tuple(one for one in self.paper if one.arm in kept and one.condition in conditions),
                "evaluation": self.evaluation.model_copy(update={"tasks": tuple(tasks)}),
            }
        )

    def cells(self) -> list[tuple[Arm, Condition]]:
        """Every arm on every condition that it is trained on, in the recipe's order."""
        return [(a, c) for c in self.conditions for a in self.arms if not a.on or c.id in a.on]


def _chosen(what: str, wanted: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for name in wanted:
        if name not in known:
            raise PipelineError(f"the study has no {what} {name!r}{suggest(name, known)}")
    return wanted or known


def is_study(recipe: dict[str, Any]) -> bool:
    """Whether the TOML is a study rather than a list of steps."""
    return "arms" in recipe or _LIKE in recipe


def parse(path: Path, recipe: dict[str, Any]) -> Study:
    """The study, with what it does not state from the one beside it that it is `like`.

    Raises PipelineError, one line, with the file and the key.
    """
    try:
        return Study.model_validate(_completed(path, recipe))
    except ValidationError as error:
        raise PipelineError(f"{path}: {_first(error)}") from error


def _completed(path: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    if (name := recipe.get(_LIKE)) is None:
        return recipe
    other = path.parent / f"{name}.toml"
    if not isinstance(name, str) or Path(name).name != name or not other.is_file():
        raise PipelineError(f"{path}: {_LIKE}: there is no {other}")
    try:
        given = tomllib.loads(other.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise PipelineError(f"{other}: {error}") from error
    if _LIKE in given:
        raise PipelineError(f"{path}: {_LIKE}: {other} is itself like another; name that one")
    own = {key: value for key, value in recipe.items() if key != _LIKE}
    return {**given, **own, "evaluation": {**given.get("evaluation", {}), **own.get("evaluation", {})}}


def load_scales() -> dict[str, Scale]:
    """The scales that every study has. Raises PipelineError."""
    try:
        read = tomllib.loads(SCALES.read_text(encoding="utf-8"))
        return {name: Scale.model_validate(value) for name, value in read.items()}
    except ValidationError as error:
        raise PipelineError(f"{SCALES}: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg'].removeprefix('Value error, ')}" if place else first["msg"]
