"""Recipes of studies: the committed ones are whole at every scale, and what is wrong in one is said in one line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pipelines.errors import PipelineError
from pipelines.steps import load
from pipelines.study.cells import Cell, check_training
from pipelines.study.jobs import Setting, plan, run_id
from pipelines.study.recipe import PAPER, SCALES, Scale, Study, load_scales
from pipelines.study.run import choose_scale, page_name

STUDIES = sorted(path.stem for path in PAPER.glob("*.toml") if path != SCALES)
RECIPE = """
title = "tiny"
about = "a study"
reference = "lora"

[source]
file = "rows.jsonl"

[[conditions]]
id = "orig"
label = "Orig"

[[conditions]]
id = "nois"
label = "Nois"
nois = { ratio = 0.5 }

[[arms]]
id = "lora"
label = "LoRA"
train = { method = "lora" }

[[arms]]
id = "lope"
label = "LoPE"
on = ["nois"]
train = { method = "lope", r = 2 }

[evaluation]
tasks = ["piqa"]
"""


def written(folder: Path, text: str) -> Study:
    path = folder / "tiny.toml"
    path.write_text(text)
    recipe = load(str(path))
    assert isinstance(recipe, Study)
    return recipe


def paper(name: str) -> Study:
    recipe = load(f"paper/{name}")
    assert isinstance(recipe, Study)
    return recipe


def commands(study: Study, scale: Scale, models: tuple[str, ...] = ("m",)) -> dict[str, list[str]]:
    """Every job's words, where each result is named after its job."""
    results = {}
    words = {}
    for job in plan(study, Setting(scale, models, Path("data")), ()):
        assert all(need in results for need in job.needs), job.id  # what it needs is before it
        words[job.id] = job.words(results)
        results[job.id] = {"name": job.id.replace(" ", "-"), "version": "0", "path": job.id}
    return words


@pytest.mark.parametrize("scale", load_scales())
@pytest.mark.parametrize("name", STUDIES)
def test_committed_studies_are_whole_at_every_scale(name: str, scale: str) -> None:
    study = paper(name)
    chosen = choose_scale(study, scale, {}, {})
    scaled = study.scaled(chosen)
    check_training(scaled, chosen)
    assert commands(scaled, chosen)
    assert chosen.models


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_hydralora_with_as_many_passes_as_lope(name: str) -> None:
    study = paper(name)
    assert any(arm.train.get("method") == "hydralora" and arm.train.get("epochs") == 2 for arm in study.arms)
    assert f"python -m pipelines run paper/{name}" in (PAPER / f"{name}.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_of_the_paper_has_its_stage_2(name: str) -> None:
    study = paper(name)
    lope = [arm for arm in study.arms if arm.train["method"] == "lope"]
    assert all(arm.train.get("stage2") == "frozen" for arm in lope)
    assert {arm.deployed for arm in lope} <= {"compensated"}


def test_an_arm_answers_in_the_way_in_which_it_is_used_and_in_what_the_study_asks(tmp_path: Path) -> None:
    def asked(text: str) -> str:
        words = commands(written(tmp_path, text), Scale(train={}))["evaluate train m lope nois 614"]
        return words[words.index("--inference") + 1]

    masked = RECIPE.replace("r = 2 }", 'r = 2, stage2 = "masked" }')
    assert masked != RECIPE
    assert asked(RECIPE) == "compensated"
    assert asked(masked) == "masked"
    assert asked(masked + 'inference = ["unmasked", "masked"]\n') == "masked,unmasked"
    assert asked(RECIPE.replace("r = 2 }", 'r = 2, stage2 = "frozen", inference = "masked" }')) == "masked"


def test_a_study_of_classification_heads_asks_no_untrained_model(tmp_path: Path) -> None:
    one = RECIPE.replace('method = "lora"', 'method = "lora", head = "classification"')
    head = one.replace('method = "lope"', 'method = "lope", head = "classification"')
    assert "evaluate train m None None None" in commands(written(tmp_path, one), Scale())
    assert "evaluate train m None None None" in commands(written(tmp_path, RECIPE), Scale())
    assert "evaluate train m None None None" not in commands(written(tmp_path, head), Scale())


def test_every_table_and_figure_has_a_study() -> None:
    asked = {f"table{n}" for n in (1, 2, 3, 4, 5, 6, 8)} | {f"figure{n}" for n in (3, 4, 5, 6)}
    assert asked | {"trec", "sst2", "robustness"} <= set(STUDIES)


def test_every_build_of_a_study_is_of_its_edition(tmp_path: Path) -> None:
    """Without it a build would be of the newest, and a study mean another thing once there is one more."""
    noisy = RECIPE.replace('tasks = ["piqa"]', 'tasks = ["piqa"]\nnoise = [0.2]')
    study = written(tmp_path, noisy)
    for recipe, edition in ((study, "1"), (study.model_copy(update={"edition": 7}), "7")):
        words = commands(recipe, Scale())
        builds = [line for line in words.values() if line[:2] == ["lope_data", "build"]]
        assert len(builds) >= 3
        assert {line[line.index("--edition") + 1] for line in builds} == {edition}


TEST = """
[evaluation.test]
file = "test.jsonl"
"""


def test_a_source_without_the_rows_of_the_test_file_is_read_after_it(tmp_path: Path) -> None:
    with_test = RECIPE + TEST
    words = commands(written(tmp_path, with_test.replace('"rows.jsonl"', '"rows.jsonl"\nwithout = "test"')), Scale())
    assert words["source"][-2:] == ["--without", "test@0"]
    assert [name for name in words if name in ("source", "test")] == ["test", "source"]
    assert "--without" not in words["test"]
    assert "--without" not in commands(written(tmp_path, with_test), Scale())["source"]


def test_the_rows_that_choose_a_step_are_none_of_those_trained_on(tmp_path: Path) -> None:
    """They are what the source has beside the training rows, and beside the test's; every run is given them."""
    source = '"rows.jsonl"\nwithout = "test"\nvalidation = 50'
    study = written(tmp_path, (RECIPE + TEST).replace('"rows.jsonl"', source).replace("[[arms]]", "[[arms]]", 1))
    scale = Scale(rows=100, train={"patience": 2})
    check_training(study, scale)
    words = commands(study, scale)
    assert words["whole source"][-2:] == ["--without", "test@0"]
    assert words["rows of the source"] == ["lope_data", "export", "whole-source@0"]
    read = ["lope_data", "ingest", "rows of the source", "--name"]
    assert words["source"] == [*read, "source", "--limit", "100"]
    assert words["validation"] == [*read, "validation", "--limit", "50", "--without", "source@0"]
    trained = [said for name, said in words.items() if name.startswith("train ")]
    assert trained
    assert all(said[said.index("--held-out") + 1] == "validation@0" for said in trained)
    with pytest.raises(PipelineError, match=r"evaluation\.test\.validation"):
        written(tmp_path, RECIPE + TEST + "validation = 5\n")


@pytest.mark.parametrize("name", ["noisy-labels", "noisy-labels-sst2"])
@pytest.mark.parametrize("scale", ["smoke", "small", "gpu", "paper"])
def test_noisy_labels_is_whole_at_every_scale(scale: str, name: str) -> None:
    study = load(f"study/{name}")
    assert isinstance(study, Study)
    chosen = choose_scale(study, scale, {}, {})
    scaled = study.scaled(chosen)
    check_training(scaled, chosen)
    assert commands(scaled, chosen, chosen.models)


def test_a_study_takes_what_it_does_not_state_from_the_one_it_is_like(tmp_path: Path) -> None:
    first = written(tmp_path, RECIPE + TEST)
    text = (
        'like = "tiny"\ntitle = "other"\n[source]\nfile = "b.jsonl"\nwithout = "test"\n[evaluation.test]\nfile = "c"\n'
    )
    (tmp_path / "other.toml").write_text(text)
    other = load(str(tmp_path / "other.toml"))
    assert isinstance(other, Study)
    assert (other.title, other.source.file, other.arms, other.conditions) == (
        "other",
        "b.jsonl",
        first.arms,
        first.conditions,
    )
    assert other.evaluation.tasks == first.evaluation.tasks
    assert other.evaluation.test is not None
    assert other.evaluation.test.file == "c"
    for name, message in (("none", "there is no .*none.toml"), ("../tiny", "there is no"), ("other", "is itself like")):
        (tmp_path / "third.toml").write_text(text.replace('"tiny"', f'"{name}"'))
        with pytest.raises(PipelineError, match=message):
            load(str(tmp_path / "third.toml"))


def test_noise_may_be_a_recipe_of_ours(tmp_path: Path) -> None:
    nois = "nois = { ratio = 0.25, recipe = 'data/pairwise.toml' }"
    words = commands(written(tmp_path, RECIPE.replace("nois = { ratio = 0.5 }", nois)), Scale())
    (build,) = [said for name, said in words.items() if name.startswith("nois ") and " hynoise " not in name]
    path = Path(build[build.index("--recipe") + 1])
    assert path.is_file()
    assert build[build.index("--ratio") + 1] == "0.25"
    assert tomllib.loads(path.read_text())["steps"][0]["params"]["label.flip"] == {"transition": "pairwise"}


def test_an_unrecorded_arm_knows_no_noise_but_hynoise(tmp_path: Path) -> None:
    """Its data is built on a source with the noisy version's rows, which nothing calls noisy."""
    words = commands(written(tmp_path, RECIPE.replace('on = ["nois"]', 'on = ["nois"]\nunrecorded = true')), Scale())
    (nois,) = [name for name in words if name.startswith("nois ") and name.endswith("614") and "hynoise" not in name]
    read = words[f"{nois} unrecorded"]
    assert words[f"{nois} rows"] == ["lope_data", "export", f"{nois.replace(' ', '-')}@0"]
    assert read == ["lope_data", "ingest", f"{nois} rows", "--name", "unrecorded"]
    trained = words[run_id(Cell("m", "lope", "nois", 614))]
    (hynoise,) = [
        line for line in words.values() if "hynoise" in line and f"{nois}-unrecorded@0".replace(" ", "-") in line
    ]
    assert trained[trained.index("--data") + 1].startswith(f"{nois}-unrecorded-hynoise".replace(" ", "-"))
    assert hynoise[:2] == ["lope_data", "build"]


def test_a_part_of_the_conditions_is_run(tmp_path: Path) -> None:
    study = written(tmp_path, RECIPE)
    part = study.scaled(Scale(conditions=("orig",)))
    assert [(arm.id, condition.id) for arm, condition in part.cells()] == [("lora", "orig")]
    assert [arm.id for arm in part.arms] == ["lora"]
    with pytest.raises(PipelineError, match="the study has no condition 'nios'; did you mean 'nois'"):
        study.scaled(Scale(conditions=("nios",)))


@pytest.mark.parametrize("name", ["trec", "sst2"])
def test_no_study_trains_on_what_it_tests_with(name: str) -> None:
    assert paper(name).source.without == "test"


def test_an_edition_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="edition: there is no edition 7 of recipes: this lope_data knows only 1"):
        written(tmp_path, f"edition = 7\n{RECIPE}")


def test_a_run_is_trained_with_its_seed_in_noise_and_training(tmp_path: Path) -> None:
    words = commands(written(tmp_path, RECIPE), Scale(rows=7, seeds=2))
    assert words["source"][-2:] == ["--limit", "7"]
    trained = words[run_id(Cell("m", "lope", "nois", 615))]
    assert trained[trained.index("--seed") + 1] == "615"
    data = trained[trained.index("--data") + 1]
    (hynoise,) = [line for name, line in words.items() if f"{name.replace(' ', '-')}@0" == data]
    assert hynoise[hynoise.index("--seed") + 1] == "615"
    parent = hynoise[hynoise.index("--from") + 1]
    (nois,) = [line for name, line in words.items() if f"{name.replace(' ', '-')}@0" == parent]
    assert nois[nois.index("--ratio") + 1] == "0.5"
    assert run_id(Cell("m", "lope", "orig", 614)) not in words  # that arm is on nois alone


def test_conditions_that_differ_in_hynoise_alone_share_the_runs_of_what_never_reads_it() -> None:
    study = paper("figure4")
    words = commands(study, Scale())
    hydra = {tuple(words[run_id(Cell("m", "hydralora-2", c.id, 614))]) for c in study.conditions}
    lope = {tuple(words[run_id(Cell("m", "lope", c.id, 614))]) for c in study.conditions}
    assert (len(hydra), len(lope)) == (1, 4)


def test_questions_are_made_noisy_once_for_all_runs() -> None:
    words = commands(paper("robustness"), Scale(seeds=3, questions=5))
    assert sum(line[:2] == ["lope_train", "items"] for line in words.values()) == 3
    assert sum(line[:2] == ["lope_data", "build"] and "piqa-noise" in line for line in words.values()) == 3
    asked = words["evaluate " + run_id(Cell("m", "lora", "nois", 614))]
    assert asked.count("--noise") == 9
    assert asked[asked.index("--limit") + 1] == "5"


def test_the_base_model_is_evaluated_once(tmp_path: Path) -> None:
    words = commands(written(tmp_path, RECIPE), Scale(seeds=3), ("a", "b"))
    assert sum("--base" in line for line in words.values()) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('reference = "lora"', 'reference = "lore"'), "reference is 'lore', which is no arm; arms: lora, lope"),
        (('on = ["nois"]', 'on = ["noise"]'), "arm 'lope' is on 'noise'; conditions: orig, nois"),
        (('id = "lope"', 'id = "lora"'), "two arms are called 'lora'"),
        (('id = "nois"', 'id = "orig"'), "two conditions are called 'orig'"),
        (('tasks = ["piqa"]', ""), "evaluation has neither tasks nor a test file"),
        (("ratio = 0.5", "ratio = 50"), "conditions.1.nois.ratio"),
        (('train = { method = "lora" }', "train = {}"), "arm 'lora': train has no method"),
        (("[source]", "[sauce]"), "source"),
        (('id = "lope"', 'id = "base"'), "no arm can be called 'base'"),
        (("r = 2", 'data = "other"'), "arm 'lope': train cannot set 'data', the study does"),
        (('tasks = ["piqa"]', 'tasks = ["piqa"]\nnoise = [0.0]'), "evaluation.noise.0"),
        (('tasks = ["piqa"]', 'tasks = ["piqa"]\nexperts = [-1]'), "evaluation.experts.0"),
        (('label = "Orig"', 'label = "Orig"\nx = inf'), "conditions.0.x"),
        (
            ('label = "Orig"', 'label = "Orig"\ntrain = { lope = { stage2 = "masked" } }'),
            "condition 'orig': train cannot set 'stage2'; make an arm of it",
        ),
        (
            ('"rows.jsonl"', '"rows.jsonl"\nwithout = "test"'),
            "source.without is 'test', and evaluation has no test file",
        ),
        (
            ('tasks = ["piqa"]', 'tasks = ["piqa"]\n[evaluation.test]\nfile = "t"\nwithout = "test"'),
            "evaluation.test.without: only the source is read without the test file's rows",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(PipelineError, match=re.escape(message)) as raised:
        written(tmp_path, RECIPE.replace(*change))
    assert "\n" not in str(raised.value)


def test_an_unknown_option_of_training_is_found_before_anything_runs(tmp_path: Path) -> None:
    study = written(tmp_path, RECIPE.replace("r = 2", "rnk = 2"))
    with pytest.raises(PipelineError, match=re.escape("arm 'lope' on 'nois': unknown setting 'rnk'")):
        check_training(study, Scale())


def test_more_experts_than_there_are_is_found_before_anything_runs(tmp_path: Path) -> None:
    study = written(tmp_path, RECIPE.replace('tasks = ["piqa"]', 'tasks = ["piqa"]\nexperts = [1, 4]'))
    with pytest.raises(PipelineError, match=re.escape("experts has 4, but there are 3 normal experts")):
        check_training(study, Scale())


def test_what_a_condition_sets_for_an_arm_counts_everywhere(tmp_path: Path) -> None:
    noisy = 'nois = { ratio = 0.5 }\nhynoise = { ratio = 0.15 }\ntrain = { lora = { on = "noisy" } }'
    words = commands(written(tmp_path, RECIPE.replace("nois = { ratio = 0.5 }", noisy)), Scale())
    trained = words[run_id(Cell("m", "lora", "nois", 614))]
    data = trained[trained.index("--data") + 1]
    (built,) = [line for name, line in words.items() if f"{name.replace(' ', '-')}@0" == data]
    assert built[built.index("--ratio") + 1] == "0.15"


def test_a_page_of_another_size_has_another_name() -> None:
    whole = page_name("table1", "small", {"rows": None, "arms": (), "models": None})
    assert whole == "table1-small"
    part = page_name("table1", "small", {"rows": 5, "arms": ("lora",), "models": None})
    assert part.startswith("table1-small-")
    assert part != page_name("table1", "small", {"rows": 6, "arms": ("lora",), "models": None})


@pytest.mark.parametrize(
    ("scale", "sizes", "parts", "message"),
    [
        ("smal", {}, {}, "no scale 'smal'; did you mean 'small'?"),
        ("small", {"rows": 0}, {}, "--rows is 0; it must be at least 1"),
        ("small", {}, {"arms": ("lopee",)}, "the study has no arm 'lopee'; did you mean 'lope'?"),
        ("small", {}, {"tasks": ("pica",)}, "the study has no task 'pica'; did you mean 'piqa'?"),
    ],
)
def test_bad_scales(scale: str, sizes: dict[str, int], parts: dict[str, tuple[str, ...]], message: str) -> None:
    study = paper("table1")
    with pytest.raises(PipelineError, match=re.escape(message)):
        study.scaled(choose_scale(study, scale, sizes, parts))


def test_a_scale_takes_what_was_typed_and_the_studys_own_before_the_common() -> None:
    study = paper("table1")
    small = choose_scale(study, "small", {"rows": 9}, {"arms": ("lora",)})
    assert (small.rows, small.questions, small.seeds) == (9, 500, 3)
    assert small.tasks == ("piqa", "arc_easy", "social_iqa")
    assert [arm.id for arm in study.scaled(small).arms] == ["hydralora-2", "lora"]  # the reference is always there
