"""Tasks through lm-evaluation-harness: its prompts, its figures, the same items everywhere, clear refusals."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lope_train.errors import RunError, SettingsError
from lope_train.evaluation.likelihood import has_virtual_tokens
from lope_train.evaluation.results import evaluate
from lope_train.evaluation.table import results_table, summary
from lope_train.evaluation.tasks import load as harness_tasks
from lope_train.evaluation.tasks.load import describe, load_local, metric_of
from lope_train.evaluation.tasks.local import TaskError, load_task, members, task_file
from lope_train.evaluation.tasks.sets import TaskSet, build_task_sets
from lope_train.inference import Subject, find_subjects
from lope_train.models import load_base, load_tokenizer
from lope_train.runs import load_run
from lope_train.tuner import inference_modes

pytest.importorskip("lm_eval")

TASKS = ("piqa", "social_iqa", "arc_easy", "mmlu_history", "gsm8k")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few rows of each task, in the form in which it is published."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("piqa", "siqa", "arc_easy", "mmlu/test", "mmlu/dev", "gsm8k"):
        (folder / name).mkdir(parents=True)

    def lines(file: str, rows: list[Any]) -> None:
        (folder / file).write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))

    lines("piqa/valid.jsonl", [_piqa(i) for i in range(12)])
    lines("piqa/valid-labels.lst", [str(i % 2) for i in range(12)])
    for split in ("dev", "train"):
        lines(f"siqa/{split}.jsonl", [_siqa(i) for i in range(7)])
        lines(f"siqa/{split}-labels.lst", [str(i % 3 + 1) for i in range(7)])
    for split in ("test", "train"):
        (folder / f"arc_easy/ARC-Easy_{split}.json").write_text(json.dumps([_arc(i) for i in range(6)]))
        lines(f"gsm8k/{split}.jsonl", [_gsm8k(i) for i in range(8)])
    for number, member in enumerate(members("mmlu_history")):
        subject = member.removeprefix("mmlu_")
        for split, count in (("test", 3 + number), ("dev", 5)):
            with (folder / f"mmlu/{split}/{subject}_{split}.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["question", "choice0", "choice1", "choice2", "choice3", "answer"])
                writer.writerows([f" What,\nof {subject} {i}? ", "a", "b b", str(i), "d", i % 4] for i in range(count))
    return folder


def _piqa(i: int) -> dict[str, Any]:
    return {"goal": f"How many cups is {i} cups?", "sol1": f"{i} cups", "sol2": 'it\'s "more" ' + "and more" * (i % 3)}


def _siqa(i: int) -> dict[str, Any]:
    answers = {f"answer{letter}": f"{letter} person {i}" for letter in "ABC"}
    return {"context": f"Kim gave Lee {i} pears.", "question": "How does Lee feel?", **answers}


def _arc(i: int) -> dict[str, Any]:
    options = ["sand", "ice and\u00e9", f"{i} stones", "air"][: 3 + i % 2]
    listed = " ".join(f"Answer{n}: {text}" for n, text in enumerate(options, start=1))
    return {
        "instruction": f"Please choose the correct answer to the question: What melts {i} times?\n\n{listed}\n\n"
        "Answer format: answer1/answer2",
        "answer": f"answer{i % 3 + 1}",
    }


def _gsm8k(i: int) -> dict[str, Any]:
    return {
        "question": f"Ann has {i} pears, and gets 2.",
        "answer": f"She has {i} + 2 = <<{i}+2={i + 2}>>\n#### {i + 2}",
    }


def sets_of(data: Path | None, *names: str, noise: tuple[str, ...] = (), **given: Any) -> list[TaskSet]:
    arguments = {"store": None, "limit": None, "alone": True, **given}
    return build_task_sets(names, noise, data, **arguments)[0]


# what is asked


def hub_documents(name: str) -> dict[str, list[dict[str, Any]]]:
    """The rows that `data` holds, as the hub has them."""
    if name == "piqa":
        return {"validation": [{**_piqa(i), "label": i % 2} for i in range(12)], "train": [{**_piqa(0), "label": 0}]}
    if name == "social_iqa":
        rows = [{**_siqa(i), "label": str(i % 3 + 1)} for i in range(7)]
        return {"validation": rows, "train": rows}
    if name == "arc_easy":
        rows = []
        for i in range(6):
            texts = ["sand", "ice and\u00e9", f"{i} stones", "air"][: 3 + i % 2]
            choices = {"text": texts, "label": ["A", "B", "C", "D"][: len(texts)]}
            rows.append({"question": f"What melts {i} times?", "choices": choices, "answerKey": "ABC"[i % 3]})
        return {"test": rows, "validation": rows, "train": rows}
    if name == "gsm8k":
        return {"test": [_gsm8k(i) for i in range(8)], "train": [_gsm8k(i) for i in range(8)]}
    subject = name.removeprefix("mmlu_")
    rows = [
        {"question": f" What,\nof {subject} {i}? ", "choices": ["a", "b b", str(i), "d"], "answer": i % 4}
        for i in range(5)
    ]
    return {"test": rows[:3], "dev": rows}


HUB_FILES = {
    "piqa": ["piqa/piqa.yaml"],
    "social_iqa": ["siqa/siqa.yaml"],
    "arc_easy": ["arc/arc_easy.yaml"],
    "gsm8k": ["gsm8k/gsm8k.yaml"],
    "mmlu_high_school_european_history": [
        "mmlu/default/_default_template_yaml",
        "mmlu/default/mmlu_high_school_european_history.yaml",
    ],
}


@pytest.mark.parametrize(
    ("name", "shots"),
    [*((name, None) for name in HUB_FILES), ("gsm8k", 3), ("mmlu_high_school_european_history", 3)],
)
def test_our_task_files_ask_and_score_as_those_of_lm_eval(
    data: Path, name: str, shots: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    documents = {split: Dataset.from_list(rows) for split, rows in hub_documents(name).items()}
    config: dict[str, Any] = {"custom_dataset": lambda **_: documents}
    for file in HUB_FILES[name]:
        config |= yaml.safe_load((files("lm_eval") / "tasks" / file).read_text())
    config.pop("include", None)
    config.pop("tag", None)
    theirs = ConfigurableTask(config=config)
    if shots is not None and name.startswith("mmlu"):  # else its examples are not read
        monkeypatch.setitem(task_file("mmlu_subject"), "num_fewshot", shots)
    ours = load_local(name, data)[name]
    for task in (theirs, ours):
        task.set_fewshot_seed(1234)
        if shots is not None:
            task.set_config("num_fewshot", shots)
        task.build_all_requests()
    assert [request.args for request in ours.instances] == [request.args for request in theirs.instances]
    assert [ours.doc_to_target(d) for d in ours.eval_docs] == [theirs.doc_to_target(d) for d in theirs.eval_docs]
    for key in ("output_type", "metric_list", "filter_list", "generation_kwargs", "num_fewshot", "repeats"):
        assert ours.get_config(key) == theirs.get_config(key) or (key, shots) == ("num_fewshot", None), key
    assert theirs.VERSION == ours.VERSION


def test_every_subject_is_described_as_in_lm_eval() -> None:
    for member in members("mmlu"):
        theirs = yaml.safe_load((files("lm_eval") / f"tasks/mmlu/default/{member}.yaml").read_text())["description"]
        subject = member.removeprefix("mmlu_").replace("_", " ")
        assert theirs == f"The following are multiple choice questions (with answers) about {subject}.\n\n"


def test_examples_that_no_prompt_shows_are_not_needed(data: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(data, tmp_path / "data"))
    shutil.rmtree(copy / "mmlu/dev")
    (one,) = sets_of(copy, "mmlu_prehistory")
    assert one.ids == sets_of(data, "mmlu_prehistory")[0].ids
    hashes = [describe(load_local("mmlu_prehistory", folder))["tasks"] for folder in (copy, data)]
    assert hashes[0] == hashes[1]


def test_training_splits_are_tasks_with_the_same_prompts(data: Path) -> None:
    for name in ("arc_easy", "social_iqa"):
        task, held = load_local(f"{name}_train", data)[f"{name}_train"], load_local(name, data)[name]
        assert [task.doc_to_text(doc) for doc in task.eval_docs] == [held.doc_to_text(doc) for doc in held.eval_docs]
        assert load_task(f"{name}_train", data)[0]["lope_row_id"] == f"{name}_train-0"


# the figures


def plain_model(folder: Path) -> Any:
    model = load_base(str(folder))
    with torch.no_grad():  # a fresh model is almost uniform; make its choices matter
        for parameter in model.parameters():
            parameter.mul_(3.0)
    return model


def agreement(model: Any, tokenizer: Any, sets: list[TaskSet]) -> None:
    from lm_eval.models.huggingface import HFLM

    from lope_train.evaluation.tasks.lm import LopeLM
    from lope_train.evaluation.tasks.run import evaluate_tasks

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    ours = LopeLM(model, tokenizer)
    # peft's virtual tokens and padding before a prompt do not go together in plain lm-eval
    theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1 if has_virtual_tokens(model) else 3)
    said: dict[Any, list[Any]] = {}
    for one in sets:
        scores = []
        for language_model in (ours, theirs):
            scores.append(evaluate_tasks(language_model, one, lambda _: None))
            said[language_model] = [r.resps[0] for task in one.tasks.values() for r in task.instances]
        assert scores[0] == scores[1], one.name
        for mine, other in zip(said[ours], said[theirs], strict=True):
            if isinstance(mine, str):
                assert mine == other
            else:
                assert mine[0] == pytest.approx(other[0], abs=1e-4, rel=1e-5)
                assert mine[1] == other[1]


def test_a_decoder_agrees_with_plain_lm_eval(tiny_model: Path, data: Path) -> None:
    agreement(plain_model(tiny_model), load_tokenizer(str(tiny_model)), sets_of(data, *TASKS))


@pytest.mark.slow
def test_an_encoder_decoder_agrees_with_plain_lm_eval(tiny_t5: Path, data: Path) -> None:
    agreement(plain_model(tiny_t5), load_tokenizer(str(tiny_t5)), sets_of(data, *TASKS))


@pytest.mark.parametrize("method", ["lope", "lora", "ptuning", "prefix"])
def test_an_adapter_agrees_with_plain_lm_eval(tiny_runs: dict[str, Path], data: Path, method: str) -> None:
    agreement(*load_run(tiny_runs[method]), sets_of(data, *TASKS))


@pytest.mark.parametrize("method", ["ptuning", "prefix"])
def test_answers_with_virtual_tokens_are_the_likeliest(tiny_runs: dict[str, Path], method: str) -> None:
    """Prompts of different lengths, against one token after the other."""
    from lm_eval.api.instance import Instance

    from lope_train.evaluation.tasks.lm import LopeLM

    model, tokenizer = load_run(tiny_runs[method])
    with torch.no_grad():  # makes the choices matter
        for parameter in model.parameters():
            parameter.mul_(3.0)
    texts = ["A pear", "Many pears are here, and more of them there", "So", "Which of these is a fruit? Name it."]
    options: dict[str, Any] = {"until": ["\n\n"], "max_gen_toks": 6}
    answers = LopeLM(model, tokenizer).generate_until(
        [Instance("generate_until", {}, (text, options), i) for i, text in enumerate(texts)]
    )
    for text, answer in zip(texts, answers, strict=True):
        ids = tokenizer(text)["input_ids"]
        read = len(ids)
        with torch.no_grad():
            while len(ids) < read + 6 and ids[-1] != tokenizer.eos_token_id:
                ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        assert answer == tokenizer.decode(ids[read:], skip_special_tokens=True)
        assert answer


def test_an_option_is_computed_once_until_the_model_changes(tiny_model: Path, data: Path) -> None:
    from lope_train.evaluation.tasks.lm import LopeLM
    from lope_train.evaluation.tasks.run import evaluate_tasks

    model = plain_model(tiny_model)
    passes: list[None] = []
    model.register_forward_pre_hook(lambda *_: passes.append(None))
    language_model = LopeLM(model, load_tokenizer(str(tiny_model)))
    one, part = sets_of(data, "mmlu_history", "mmlu_prehistory")
    evaluate_tasks(language_model, one, lambda _: None)
    before = len(passes)
    evaluate_tasks(language_model, part, lambda _: None)
    assert len(passes) == before
    language_model.forget()
    evaluate_tasks(language_model, part, lambda _: None)
    assert len(passes) > before


# the items


def test_items_have_the_ids_of_their_rows(data: Path) -> None:
    for one in sets_of(data, *TASKS):
        assert one.ids == [row["lope_row_id"] for row in load_task(one.name, data)]


def test_a_limit_is_one_fixed_sample_of_a_group(data: Path) -> None:
    whole, few, more = (sets_of(data, "mmlu_history", limit=limit)[0] for limit in (None, 4, 9))
    assert (len(whole.ids), len(few.ids), len(more.ids)) == (18, 4, 9)
    assert set(few.ids) < set(more.ids) < set(whole.ids)
    assert few.ids == [row_id for row_id in whole.ids if row_id in few.ids]
    assert sum(map(len, few.samples.values())) == 4
    assert set(few.tasks) == set(few.samples)


def test_chance_is_of_the_items_options(data: Path) -> None:
    found = {one.name: one.chance for one in sets_of(data, *TASKS)}
    expected = {"piqa": 1 / 2, "social_iqa": 1 / 3, "arc_easy": (1 / 3 + 1 / 4) / 2, "mmlu_history": 1 / 4}
    assert found == pytest.approx({**expected, "gsm8k": None})


# runs


def lone(model: Path) -> list[Subject]:
    return find_subjects([], base=True, model=str(model))


def test_results_in_each_mode_and_with_each_k(tiny_runs: dict[str, Path], data: Path) -> None:
    modes = inference_modes(["masked", "compensated"], [1, 3])
    subjects = find_subjects([tiny_runs["lope"], tiny_runs["lora"]], base=True, modes=modes)
    sets = sets_of(data, "piqa", "gsm8k", limit=5)
    done: list[int] = []
    results = list(evaluate(subjects, sets, done.append))
    assert sum(done) == 6 * 10
    assert list(dict.fromkeys((r.subject.method, r.mode) for r in results)) == [
        ("base", "none"),
        ("lope", "masked"),
        ("lope", "masked + compensated"),
        ("lope", "masked + compensated, K=1"),
        ("lope", "masked + compensated, K=3"),
        ("lora", "none"),
    ]
    scores = {(r.mode, r.set.name): r.score for r in results if r.subject.method == "lope"}
    # all three normal experts are what the run itself compensates with
    assert scores["masked + compensated, K=3", "piqa"] == scores["masked + compensated", "piqa"]


def test_the_summary_holds_every_item(tiny_model: Path, data: Path) -> None:
    sets = sets_of(data, "piqa", "social_iqa", "gsm8k", limit=4)
    results = list(evaluate(lone(tiny_model), sets))
    found = json.loads(json.dumps(summary(results, sets)))
    for one, entry in zip(found["sets"], found["results"], strict=True):
        assert (one["name"], one["items"], one["clean"]) == (entry["data"], 4, None)
        assert len(one["ids"]) == len(entry["right"]) == 4
        assert entry["right"].count("1") == entry["correct"] == round(4 * entry["accuracy"])
        assert set(entry["right"]) <= {"0", "1"}
    assert [entry["accuracy_norm"] is None for entry in found["results"]] == [False, True, True]
    assert set(found["lm_eval"]["tasks"]) == {"piqa", "social_iqa", "gsm8k"}
    assert found["lm_eval"]["tasks"]["gsm8k"]["version"] == 3.0
    assert found["sets"][-1]["chance"] is None
    chances = [[*column.cells][-1] for column in results_table(results, sets).columns]
    assert chances == ["chance", "", "", "50.0", "33.3", "–"]


def test_the_config_hash_is_of_prompts_not_of_data(data: Path) -> None:
    hashes = {name: describe(load_local(name, data))["tasks"][name]["config"] for name in ("piqa", "social_iqa")}
    assert hashes["piqa"] != hashes["social_iqa"]
    again = describe(load_local("social_iqa_train", data))["tasks"]["social_iqa_train"]["config"]
    assert hashes["social_iqa"] == again


def test_the_chat_template_is_applied_where_there_is_one(
    tiny_model: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = sets_of(data, "piqa", limit=3)
    with pytest.raises(SettingsError, match="has no chat template; leave --chat-template out"):
        list(evaluate(lone(tiny_model), sets, chat_template=True))

    def chatty(name: str) -> Any:
        tokenizer = load_tokenizer(name)
        tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
        return tokenizer

    monkeypatch.setattr("lope_train.inference.subjects.load_tokenizer", chatty)
    list(evaluate(lone(tiny_model), sets, chat_template=True))
    prompt = sets[0].tasks["piqa"].instances[0].args[0]
    assert prompt.startswith("<user>Question: How many")
    assert prompt.endswith("\nAnswer:<assistant>")


def test_log_likelihoods_that_are_no_numbers_are_named(
    tiny_model: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        model = load_base(*arguments)
        with torch.no_grad():
            model.lm_head.weight.fill_(float("nan"))
        return model

    monkeypatch.setattr("lope_train.inference.subjects.load_base", broken)
    with pytest.raises(RunError, match=r"tiny-llama \(none\) on piqa: .* option of 'piqa-0' is nan; train it with"):
        list(evaluate(lone(tiny_model), sets_of(data, "piqa")))


# what is wrong


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda data: sets_of(data, "pica"), TaskError, r"no task 'pica'; did you mean 'piqa'\?"),
        (lambda data: sets_of(data, "mmlu"), TaskError, r"abstract_algebra_test\.csv: no such file; .*hendrycks"),
        (lambda data: sets_of(data / "piqa", "piqa"), TaskError, r"valid\.jsonl: no such file; piqa is at https"),
        (lambda data: sets_of(None, "arc_eazy"), TaskError, r"lm-eval has no task 'arc_eazy'; did you mean 'arc_easy'"),
        (lambda data: sets_of(None, "mmlu_nset"), TaskError, r"no task .mmlu_nset.; it is read from local files"),
        (lambda data: find_subjects([], base=True), RunError, "or a model with --base --model"),
    ],
)
def test_what_cannot_be_evaluated(
    data: Path, run: Callable[[Path], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(data)


def test_without_lm_eval_tasks_are_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lope_common.extras.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="--tasks needs lm-eval, which is missing: pip install 'lm-eval>="):
        sets_of(data, "piqa")


def test_a_task_without_an_accuracy_is_refused() -> None:
    class Perplexity:
        def aggregation(self) -> dict[str, Any]:
            return {"word_perplexity": None}

    with pytest.raises(TaskError, match="'wikitext' has no accuracy: it measures word_perplexity, not acc or exact"):
        metric_of("wikitext", Perplexity())


def test_a_task_whose_data_cannot_be_had_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Manager:
        all_tasks = ("piqa",)

        def load(self, names: list[str]) -> Any:
            raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(harness_tasks, "_manager", Manager)
    with pytest.raises(TaskError, match=r"'piqa': cannot be loaded \(ConnectionError: no network\).*--data-dir"):
        sets_of(None, "piqa")


def test_our_own_tasks_of_the_hub_are_limited_and_named_by_index(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of lm-eval as it comes, without ids in its documents."""
    task = load_local("social_iqa", data)["social_iqa"]

    class Manager:
        all_tasks = ("social_iqa",)

        def load(self, names: list[str]) -> Any:
            return {"tasks": {"social_iqa": task}}

    monkeypatch.setattr(harness_tasks, "_manager", Manager)
    (one,) = sets_of(None, "social_iqa", limit=3)
    assert one.ids == sets_of(data, "social_iqa", limit=3)[0].ids
