"""A task's questions, noise on them, and the same items evaluated with it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from lope_data import cli as data_cli
from lope_train import cli
from lope_train.errors import VersionError
from lope_train.evaluation.sets import build_sets
from lope_train.evaluation.tasks.sets import build_task_sets

RECIPE = Path(__file__).parents[3] / "pipelines/data/items.toml"


class Chain:
    """Both command lines in this process, and a folder with PIQA and GSM8K."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._capsys, self._monkeypatch, self.data = capsys, monkeypatch, folder / "data"
        (self.data / "piqa").mkdir(parents=True)
        rows = [{"goal": f"How many cups are {i} cups?", "sol1": f"{i}", "sol2": f"{i} more"} for i in range(12)]
        (self.data / "piqa/valid.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (self.data / "piqa/valid-labels.lst").write_text("\n".join(str(i % 2) for i in range(12)))
        (self.data / "gsm8k").mkdir()
        answers = [{"question": f"What is {i} and one more?", "answer": f"It is\n#### {i + 1}"} for i in range(6)]
        for split in ("test", "train"):
            (self.data / f"gsm8k/{split}.jsonl").write_text("\n".join(map(json.dumps, answers)))

    def train(self, *words: object) -> str:
        """What `lope_train` prints on stdout."""
        cli.main([*map(str, words)])
        return self._capsys.readouterr().out

    def refused(self, *words: object) -> str:
        with pytest.raises(SystemExit) as stopped:
            cli.main([*map(str, words)])
        assert stopped.value.code == 2
        error = self._capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    def make(self, *words: object) -> None:
        """`lope_data` with these words."""
        self._monkeypatch.setattr(sys, "argv", ["lope_data", *map(str, words)])
        data_cli.main()
        self._capsys.readouterr()

    def noise(self, task: str, mix: str = "char=1,word=1") -> Path:
        """The version NAME-noisy, made as the help of `items` says; its store."""
        self.train("items", task, "--data-dir", self.data, "--out", f"{task}.jsonl")
        self.make("ingest", f"{task}.jsonl", "--recipe", RECIPE)
        self.make("build", "--from", task, "--name", f"{task}-noisy", "--ratio", "1.0", "--mix", mix)
        return Path("lope-store")


@pytest.fixture
def chain(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Chain:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOPE_STORE", raising=False)
    return Chain(capsys, monkeypatch, tmp_path)


def test_items_are_lines_with_ids(chain: Chain) -> None:
    said = json.loads(chain.train("items", "piqa", "--data-dir", chain.data, "--out", "deep/piqa.jsonl", "--json"))
    assert said == {"path": "deep/piqa.jsonl", "task": "piqa", "items": 12}
    rows = [json.loads(line) for line in Path("deep/piqa.jsonl").read_text().splitlines()]
    assert rows[3] == {"id": "piqa-3", "question": "How many cups are 3 cups?", "choices": ["3", "3 more"], "answer": 1}
    chain.train("items", "gsm8k", "--data-dir", chain.data, "--out", "gsm8k.jsonl")
    first = json.loads(Path("gsm8k.jsonl").read_text().splitlines()[0])
    assert first == {"id": "gsm8k-0", "instruction": "What is 0 and one more?", "input": "", "output": "It is\n#### 1"}


def test_unknown_tasks_are_refused(chain: Chain) -> None:
    said = chain.refused("items", "pica", "--data-dir", chain.data, "--out", "x.jsonl")
    assert "no task 'pica'; did you mean 'piqa'?" in said
    assert not Path("x.jsonl").exists()


def test_from_items_to_paired_accuracies(chain: Chain, tiny_model: Path) -> None:
    pytest.importorskip("lm_eval")
    for task in ("piqa", "gsm8k"):
        chain.noise(task)
    noise = ["--noise", "gsm8k-noisy", "--noise", "piqa-noisy"]
    subject = ["--base", "--model", tiny_model, "--data-dir", chain.data]
    found = json.loads(chain.train("evaluate", *subject, "--tasks", "piqa,gsm8k", *noise, "--limit", "5", "--json"))
    names = [(one["name"], one["clean"]) for one in found["sets"]]
    assert names == [("piqa", None), ("piqa-noisy", "piqa"), ("gsm8k", None), ("gsm8k-noisy", "gsm8k")]
    for clean, noisy in (found["sets"][:2], found["sets"][2:]):
        assert clean["ids"] == noisy["ids"]
        assert clean["items"] == 5
    for entry in found["results"]:
        assert ("lost" in entry) == entry["data"].endswith("noisy")
    by_name = {entry["data"]: entry for entry in found["results"]}
    for task in ("piqa", "gsm8k"):
        clean, noisy = by_name[task], by_name[f"{task}-noisy"]
        assert noisy["correct"] == clean["correct"] - noisy["lost"] + noisy["gained"]


def test_noise_changes_the_questions_alone(chain: Chain) -> None:
    pytest.importorskip("lm_eval")
    store = chain.noise("piqa")
    (clean, noisy), rest = build_task_sets(["piqa"], ["piqa-noisy"], chain.data, store, None, True)
    assert rest == []
    asked = {}
    for one in (clean, noisy):
        task = one.tasks["piqa"]
        task.set_fewshot_seed(1234)
        task.build_all_requests(samples=one.samples["piqa"])
        asked[one.name] = [request.args for request in task.instances]
    assert [option for _, option in asked["piqa"]] == [option for _, option in asked["piqa-noisy"]]
    changed = [a != b for (a, _), (b, _) in zip(asked["piqa"], asked["piqa-noisy"], strict=True)]
    assert all(changed)
    assert all(context.startswith("Question: ") and context.endswith("\nAnswer:") for context, _ in asked["piqa-noisy"])


def sets_with(chain: Chain, store: Path, *noise: str, tasks: tuple[str, ...] = ("piqa",), **given: Any) -> Any:
    return build_task_sets(tasks, noise, chain.data, store, given.get("limit"), True)[0]


def test_label_noise_is_refused(chain: Chain) -> None:
    pytest.importorskip("lm_eval")
    store = chain.noise("piqa", mix="label.choice")
    with pytest.raises(VersionError, match=r"row 'piqa-0' has another 'answer' than the task.*--mix char=1,word=1"):
        sets_with(chain, store, "piqa-noisy")


def test_a_version_of_other_items_is_refused(chain: Chain) -> None:
    pytest.importorskip("lm_eval")
    store = chain.noise("gsm8k")
    with pytest.raises(VersionError, match=r"gsm8k-noisy@\w+ holds no item of piqa .*first row is 'gsm8k-0'"):
        sets_with(chain, store, "gsm8k-noisy")


def test_a_version_of_some_of_the_items_is_refused(chain: Chain) -> None:
    pytest.importorskip("lm_eval")
    store = chain.noise("piqa")
    labels = chain.data / "piqa/valid-labels.lst"
    shutil.copy(labels, "labels")
    (chain.data / "piqa/valid.jsonl").write_text(
        (chain.data / "piqa/valid.jsonl").read_text() + "\n" + '{"goal": "x", "sol1": "y", "sol2": "z"}'
    )
    labels.write_text(Path("labels").read_text() + "\n0")
    with pytest.raises(VersionError, match=r"1 of the 13 items of piqa are not in it \(first 'piqa-12'\).*items piqa"):
        sets_with(chain, store, "piqa-noisy")


def test_a_version_named_as_the_task_gets_its_whole_name(chain: Chain) -> None:
    pytest.importorskip("lm_eval")
    store = chain.noise("piqa")
    clean, again = sets_with(chain, store, "piqa")
    assert (clean.name, again.clean) == ("piqa", "piqa")
    assert again.name.startswith("piqa@")


def test_a_version_and_a_task_of_one_name_are_two_sets(chain: Chain, tiny_model: Path) -> None:
    pytest.importorskip("lm_eval")
    chain.noise("piqa")
    subject = ["--base", "--model", tiny_model, "--data-dir", chain.data, "--tasks", "piqa", "--data", "piqa"]
    found = json.loads(chain.train("evaluate", *subject, "--limit", "5", "--json"))
    first, second = (one["name"] for one in found["sets"])
    assert first.startswith("piqa@")
    assert second == "piqa"
    assert [entry["data"] for entry in found["results"]] == [first, second]
    said = chain.refused("evaluate", *subject, "--noise", first)
    assert f"'{first}' is asked for twice in --data, --noise and --tasks; name it once" in said


def test_the_noise_on_a_version_is_paired_whatever_tasks_are_called(chain: Chain) -> None:
    pytest.importorskip("lm_eval")
    store = chain.noise("piqa")
    chain.make("build", "--from", "piqa", "--name", "gsm8k", "--ratio", "1.0", "--mix", "char=1,word=1")
    clean, noisy, task = build_sets("piqa", ["gsm8k"], ["gsm8k"], chain.data, store, 5)
    assert (clean.name, noisy.clean, task.name) == ("piqa", "piqa", "gsm8k")
    assert noisy.name.startswith("gsm8k@")
