"""The commands of a study, what each needs, and what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lope_train.cli import flag
from lope_train.tuner import Inference
from pipelines.study.cells import Cell, asked_of, hynoise_of, method_of, options_of
from pipelines.study.contents import model_content, run_content
from pipelines.study.recipe import FIRST_SEED, Arm, Condition, Evaluation, Noise, Option, Scale, Source, Study

Kind = Literal["model", "ingest", "build", "items", "export", "train", "evaluate"]
Results = Mapping[str, dict[str, Any]]
"""The JSON that finished jobs printed, by the job's id."""
Names = Mapping[str, tuple[str, float]]
"""What the study calls a version that was asked: the task, and the ratio of the noise in its questions."""
_RECIPES = Path(__file__).parents[1]


@dataclass(frozen=True)
class Job:
    """One command. `words` makes it from the results of `needs`; `cost` compares jobs of one kind.

    `reads` are the contents of what the words only name. `decides` is, of a cell's jobs, all that decides the result,
    without the places of this machine.
    """

    id: str
    kind: Kind
    title: str
    needs: tuple[str, ...]
    words: Callable[[Results], list[str]]
    cost: float = 1.0
    cell: Cell | None = None
    reads: Callable[[Results], list[str]] = lambda _: []
    decides: Callable[[Results], list[str]] = lambda _: []
    asked: Mapping[str, Any] = field(default_factory=dict)
    """Of a training what the recipe says of its cell (`asked_of`)."""
    names: Callable[[Results], Names] = lambda _: {}
    """Of an evaluation."""


@dataclass(frozen=True)
class Setting:
    """What a study is run with, beside its recipe; `tasks` are the contents of the data of its tasks."""

    scale: Scale
    models: tuple[str, ...]
    data_dir: Path
    tasks: Mapping[str, str] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        return [FIRST_SEED + i for i in range(self.scale.seeds)]


def plan(study: Study, setting: Setting, gettable: Iterable[str]) -> list[Job]:
    """The study's jobs, each after what it needs. `gettable` are the models that `get-model` knows."""
    jobs = [_get_model(name) for name in setting.models if name in set(gettable)]
    if study.evaluation.test is not None:
        jobs.append(_ingest("test", study.evaluation.test, setting, None))
    jobs += _source(study.source, setting)
    held_out = "validation" if study.source.validation else None
    made: dict[str, Job] = {}
    for seed in setting.seeds:
        for arm, condition in study.cells():
            options = options_of(arm, condition, setting.scale, seed)
            made |= {job.id: job for job in _versions(study, arm, condition, options, seed)}
    jobs += made.values()
    jobs += _questions(study, setting)
    ready = tuple(job.id for job in jobs if job.kind == "model")
    trained = [options_of(arm, condition, setting.scale, FIRST_SEED) for arm, condition in study.cells()]
    heads = all(options.get("head") == "classification" for options in trained)  # no untrained model has one
    for model in setting.models:
        if not heads:
            jobs.append(_evaluate(Cell(model), None, study.evaluation, setting, ready))
        for seed in setting.seeds:
            for arm, condition in study.cells():
                cell = Cell(model, arm.id, condition.id, seed)
                options = options_of(arm, condition, setting.scale, seed)
                data = data_id(study, setting.scale, arm, condition, seed)
                said = asked_of(study, setting.scale, arm, condition, seed)
                jobs.append(_train(cell, options, data, held_out, ready, said))
                jobs.append(_evaluate(cell, options, study.evaluation, setting, ready, arm.deployed))
    return jobs


def data_id(study: Study, scale: Scale, arm: Arm, condition: Condition, seed: int) -> str:
    """The id of the job that makes the version which a cell is trained with."""
    return _versions(study, arm, condition, options_of(arm, condition, scale, seed), seed)[-1].id


def run_id(cell: Cell) -> str:
    """The id of the job that trains the cell."""
    return " ".join(("train", cell.model, str(cell.arm), str(cell.condition), str(cell.seed)))


def evaluation_id(cell: Cell) -> str:
    """The id of the job that evaluates the cell."""
    return f"evaluate {run_id(cell)}"


def ref(result: Mapping[str, Any]) -> str:
    """What a later command calls a version by."""
    return f"{result['name']}@{result['version']}"


def noisy_id(task: str, ratio: float) -> str:
    """The id of the job that makes a task's questions noisy."""
    return f"noise {task} {ratio}"


def flags(
    options: Mapping[str, Option], flag: Callable[[str], str] = lambda name: f"--{name.replace('_', '-')}"
) -> list[str]:
    """`{max_length = 256, packing = true}` as `--max-length 256 --packing`."""
    words: list[str] = []
    for name, value in options.items():
        option = flag(name)
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
            continue
        for item in value if isinstance(value, list) else [str(value)]:
            words += [option, item]
    return words


def _get_model(name: str) -> Job:
    return Job(f"model {name}", "model", f"model {name}", (), lambda _: ["lope_train", "get-model", name])


def _ingest(job_id: str, source: Source, setting: Setting, limit: int | None) -> Job:
    words = ["lope_data", "ingest", str(setting.data_dir / source.file)]
    words += flags({name: v for name, v in (("encoding", source.encoding), ("pattern", source.pattern)) if v})
    if source.recipe:
        words += ["--recipe", str(_RECIPES / source.recipe)]
    if limit is not None:
        words += ["--limit", str(limit)]
    if source.without is None:
        return Job(job_id, "ingest", f"read {source.file}", (), lambda _: words)
    test = source.without

    def after(results: Results) -> list[str]:
        return [*words, "--without", ref(results[test])]

    return Job(job_id, "ingest", f"read {source.file} without the rows of the {test} file", (test,), after)


def _source(source: Source, setting: Setting) -> list[Job]:
    """What is trained on, and what chooses the best step: two parts of one file, which has no row twice."""
    if source.validation is None:
        return [_ingest("source", source, setting, setting.scale.rows)]
    whole, rows = "whole source", "rows of the source"

    def read(name: str, limit: int | None, without: str | None = None) -> Job:
        def words(results: Results) -> list[str]:
            words = ["lope_data", "ingest", results[rows]["path"], "--name", name]
            words += [] if limit is None else ["--limit", str(limit)]
            return words if without is None else [*words, "--without", ref(results[without])]

        needs = (rows,) if without is None else (rows, without)
        return Job(name, "ingest", f"read the {name} rows", needs, words)

    return [
        _ingest(whole, source, setting, None),
        Job(rows, "export", rows, (whole,), lambda results: ["lope_data", "export", ref(results[whole])]),
        read("source", setting.scale.rows),
        read("validation", source.validation, "source"),
    ]


def _build(job_id: str, parent: str, noise: Noise, name: str, seed: int, edition: int) -> Job:
    options: dict[str, Option] = {"edition": edition, "ratio": noise.ratio, "seed": seed, "name": name}
    options |= {key: value for key, value in (("mix", noise.mix), ("level", noise.level)) if value is not None}
    what = noise.mix or noise.recipe
    title = f"{name}: {100 * noise.ratio:g} % of the rows{f' ({what})' if what else ''}, seed {seed}"
    words = flags(options) + ([] if noise.recipe is None else ["--recipe", str(_RECIPES / noise.recipe)])
    return Job(job_id, "build", title, (parent,), lambda r: ["lope_data", "build", "--from", ref(r[parent]), *words])


def _versions(study: Study, arm: Arm, condition: Condition, options: Mapping[str, Option], seed: int) -> list[Job]:
    """Nois where the condition has it, and HyNoIse on top; the last is what is trained with."""
    jobs, parent = [], "source"
    if condition.nois is not None:
        jobs.append(_build(f"nois {_spec(condition.nois)} {seed}", parent, condition.nois, "nois", seed, study.edition))
        jobs += _without_records(jobs[-1]) if arm.unrecorded else []
        parent = jobs[-1].id
    hynoise = hynoise_of(arm, condition, options)
    return [*jobs, _build(f"{parent} hynoise {_spec(hynoise)} {seed}", parent, hynoise, "hynoise", seed, study.edition)]


def _without_records(built: Job) -> list[Job]:
    """The rows of a noisy version as a source, of which nothing says that they are noisy."""
    rows = Job(
        f"{built.id} rows",
        "export",
        f"{built.title}, rows",
        (built.id,),
        lambda r: ["lope_data", "export", ref(r[built.id])],
    )

    def read(results: Results) -> list[str]:
        return ["lope_data", "ingest", results[rows.id]["path"], "--name", "unrecorded"]

    return [rows, Job(f"{built.id} unrecorded", "ingest", f"{built.title}, without its records", (rows.id,), read)]


def _spec(noise: Noise) -> str:
    return f"{noise.ratio} {noise.mix or noise.recipe} {noise.level}"


def _questions(study: Study, setting: Setting) -> list[Job]:
    """The tasks' questions with noise, the same for every run."""
    evaluation = study.evaluation
    jobs: list[Job] = []
    for task in evaluation.tasks if evaluation.noise else ():
        jobs += _noisy_questions(task, evaluation, setting, study.edition)
    return jobs


def _noisy_questions(task: str, evaluation: Evaluation, setting: Setting, edition: int) -> list[Job]:
    items, clean = f"items {task}", f"ingest {task}"
    write = ["lope_train", "items", task, "--data-dir", str(setting.data_dir)]
    read = ["--recipe", str(_RECIPES / "data" / "items.toml")]

    def ingest(results: Results) -> list[str]:
        return ["lope_data", "ingest", results[items]["path"], *read]

    return [
        Job(items, "items", f"questions of {task}", (), lambda _: write, reads=lambda _: [setting.tasks[task]]),
        Job(clean, "ingest", f"read the questions of {task}", (items,), ingest),
        *(
            _build(noisy_id(task, noise.ratio), clean, noise, f"{task}-noise", FIRST_SEED, edition)
            for noise in (Noise(ratio=ratio, mix=evaluation.noise_mix) for ratio in evaluation.noise)
        ),
    ]


def _train(
    cell: Cell,
    options: Mapping[str, Option],
    data: str,
    held_out: str | None,
    ready: tuple[str, ...],
    asked: Mapping[str, Any],
) -> Job:
    stages = 1 if options.get("route") == "edits" else method_of(options).passes
    passes = float(str(options.get("epochs", 1))) * stages

    def said(results: Results, model: str) -> list[str]:
        words = ["lope_train", "train", "--data", ref(results[data]), "--model", model, *flags(options, flag)]
        return words if held_out is None else [*words, "--held-out", ref(results[held_out])]

    def reads(results: Results) -> list[str]:
        return [model_content(_model(cell, results))]

    return Job(
        run_id(cell),
        "train",
        _title(cell),
        (*ready, data, *filter(None, [held_out])),
        lambda results: said(results, _model(cell, results)),
        passes,
        cell,
        reads,
        lambda results: [*said(results, "MODEL"), *reads(results)],
        asked,
    )


def _evaluate(
    cell: Cell,
    options: Mapping[str, Option] | None,
    evaluation: Evaluation,
    setting: Setting,
    ready: tuple[str, ...],
    deployed: Inference | None = None,
) -> Job:
    """Of the untrained model where there are no `options` of training; of a run as `deployed`, and in other ways."""
    noisy = [noisy_id(task, ratio) for task in evaluation.tasks for ratio in evaluation.noise]
    needs = [*ready, *noisy, *([] if options is None else [run_id(cell)]), *(["test"] if evaluation.test else [])]
    modes = 1
    asked: dict[str, Option] = {}
    if evaluation.tasks:
        asked |= {"tasks": ",".join(evaluation.tasks), "data_dir": "DATA"}
    if setting.scale.questions is not None:
        asked["limit"] = setting.scale.questions
    if options is None and "dtype" in setting.scale.train:
        asked["dtype"] = setting.scale.train["dtype"]
    if deployed is not None:
        ways = dict.fromkeys((deployed, *evaluation.inference))
        asked["inference"] = ",".join(ways)
        asked["experts"] = [str(k) for k in evaluation.experts]
        modes = len(ways) + len(evaluation.experts)

    def said(results: Results, subject: Sequence[str], places: Mapping[str, Option]) -> list[str]:
        sets = {"data": ref(results["test"])} if evaluation.test else {}
        noise = {"noise": [ref(results[name]) for name in noisy]}
        return ["lope_train", "evaluate", *subject, *flags({**sets, **asked, **noise, **places})]

    def words(results: Results) -> list[str]:
        subject = ["--base", "--model", _model(cell, results)] if options is None else [results[run_id(cell)]["path"]]
        return said(results, subject, {"data_dir": str(setting.data_dir)} if evaluation.tasks else {})

    def reads(results: Results) -> list[str]:
        model = model_content(_model(cell, results))
        run = [] if options is None else [run_content(Path(results[run_id(cell)]["path"]))]
        return [model, *run, *tasks]

    def names(results: Results) -> Names:
        test = {} if evaluation.test is None else {ref(results["test"]): (Path(evaluation.test.file).name, 0.0)}
        noisy = {(task, ratio): noisy_id(task, ratio) for task in evaluation.tasks for ratio in evaluation.noise}
        return test | {ref(results[job]): which for which, job in noisy.items()}

    tasks = [setting.tasks[task] for task in evaluation.tasks if task in setting.tasks]
    cost = modes * (1 + len(evaluation.noise))
    return Job(
        evaluation_id(cell),
        "evaluate",
        _title(cell),
        tuple(needs),
        words,
        cost,
        cell,
        reads,
        lambda results: [*said(results, ["RUN"], {}), *tasks],
        names=names,
    )


def _model(cell: Cell, results: Results) -> str:
    got = results.get(f"model {cell.model}")
    return str(got["path"]) if got else cell.model


def _title(cell: Cell) -> str:
    return " ".join(str(part) for part in (cell.model, cell.arm, cell.condition, cell.seed) if part is not None)
