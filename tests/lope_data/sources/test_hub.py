"""The hub: configurations and splits are asked for, a revision becomes a commit. A fake of its client; no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import pytest

from lope_data.errors import SourceError
from lope_data.sources import Reading, open_source, open_splits

FIRST, SECOND = "1" * 40, "2" * 40
GLUE = {"sst2": ["train", "validation", "test"], "cola": ["train"]}
Cli = Callable[..., Any]


class FakeHub:
    """Datasets by id: configurations and their splits, and files. Each split has a row that says where it is from."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.datasets: dict[str, dict[str, list[str]]] = {
            "me/glue": dict(GLUE),
            "me/one": {"default": ["train", "test"]},
        }
        self.files = {"me/glue": ["README.md"], "me/one": ["README.md", "train.jsonl", "data/dev.jsonl"]}
        self.refs = {None: SECOND, "main": SECOND, "old": FIRST, FIRST: FIRST, SECOND: SECOND}
        self.default: str | None = None
        self.asked: list[tuple[Any, ...]] = []

    def dataset_info(self, _: Any, name: str, *, revision: str | None, timeout: float) -> SimpleNamespace:
        if name not in self.datasets:
            raise ConnectionError(f"404: no {name}\nand more")
        if revision not in self.refs:
            raise ConnectionError("404: no such revision")
        siblings = [SimpleNamespace(rfilename=file) for file in self.files[name]]
        return SimpleNamespace(sha=self.refs[revision], siblings=siblings)

    def config_names(self, name: str, *, revision: str) -> list[str]:
        return list(self.datasets[name])

    def default_config(self, name: str, *, revision: str) -> str | None:
        return self.default

    def split_names(self, name: str, config: str, *, revision: str) -> list[str]:
        return self.datasets[name][config]

    def load_dataset(self, name: str, config: str, *, split: str, revision: str | None) -> datasets.Dataset:
        self.asked.append((name, config, split, revision))
        return datasets.Dataset.from_dict({"text": [f"{name} {config} {split} {revision}"] * 4, "label": list("xyxy")})

    def load_dataset_builder(self, name: str, config: str | None) -> SimpleNamespace:
        found = config or next(iter(self.datasets[name]))
        info = SimpleNamespace(splits=dict.fromkeys(self.datasets[name][found]))
        return SimpleNamespace(
            info=info, config=SimpleNamespace(name=found), cache_dir=f"/cache/{name}/{found}/0.0.0/{FIRST}"
        )

    def download(self, name: str, file: str, *, repo_type: str, revision: str | None) -> str:
        assert repo_type == "dataset"
        if file not in self.files[name]:
            raise ConnectionError(f"404: no {file}")
        path = self.cache / name / "snapshots" / self.refs[revision] / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"text": f"{file} {self.refs[revision][0]}", "label": "x"}) + "\n")
        return str(path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeHub:
    fake = FakeHub(tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        "huggingface_hub.HfApi.dataset_info", lambda self, name, **more: fake.dataset_info(self, name, **more)
    )
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fake.download)
    monkeypatch.setattr(datasets, "get_dataset_config_names", fake.config_names)
    monkeypatch.setattr(datasets, "get_dataset_default_config_name", fake.default_config)
    monkeypatch.setattr(datasets, "get_dataset_split_names", fake.split_names)
    monkeypatch.setattr(datasets, "load_dataset", fake.load_dataset)
    monkeypatch.setattr(datasets, "load_dataset_builder", fake.load_dataset_builder)
    return fake


def refused(source: str, **reading: Any) -> str:
    with pytest.raises(SourceError) as error:
        open_source(source, Reading(**reading))
    return str(error.value)


def text(source: str, **reading: Any) -> str:
    return str(open_source(source, Reading(**reading)).read()["text"].to_pylist()[0])


def test_several_splits_are_listed_and_none_is_read(hub: FakeHub) -> None:
    assert refused("me/one").startswith("me/one: holds the splits train, test, and a version holds one; name it, as in")
    assert "has no split 'tets', only train, test; did you mean 'test'?" in refused("me/one", split="tets")
    assert hub.asked == []
    assert text("me/one", split="test") == f"me/one default test {SECOND}"
    assert [(split, found.name) for split, found in open_splits("me/one", Reading()).items()] == [
        ("train", "me--one-train"),
        ("test", "me--one-test"),
    ]


def test_several_configurations_are_listed(hub: FakeHub) -> None:
    assert refused("me/glue", split="train") == (
        "me/glue: has the configurations sst2, cola; name one, as in --config sst2"
    )
    assert refused("me/glue", config="sst3") == (
        "me/glue: has no configuration 'sst3', only sst2, cola; did you mean 'sst2'?"
    )
    found = open_source("me/glue", Reading(config="cola"))
    assert (found.name, found.read()["text"][0].as_py()) == ("me--glue-cola-train", f"me/glue cola train {SECOND}")
    hub.default = "cola"
    assert open_source("me/glue").name == "me--glue-train"


def test_what_is_read_is_recorded_whole(hub: FakeHub) -> None:
    """So that a replay reads the same whatever was typed, and the same read twice is one version."""
    whole = Reading(config="default", split="test", revision=SECOND)
    for asked in ({}, {"config": "default"}, {"revision": "main"}, {"revision": SECOND, "config": "default"}):
        assert open_source("me/one", Reading(split="test", **asked)).reading == whole
    assert open_source("me/one", Reading(split="test", revision="old")).reading.revision == FIRST
    assert {revision for *_, revision in hub.asked} == {FIRST, SECOND}
    assert open_source("me/glue", Reading(config="cola")).reading == Reading(
        config="cola", split="train", revision=SECOND
    )


def test_what_is_not_there(hub: FakeHub) -> None:
    hub.datasets["me/glue"]["none"] = []
    assert refused("me/glue", config="none") == "me/glue: has no splits on the hub"
    assert refused("me/two") == (
        "me/two: no such file, embedded sample (sample, sample-heldout) or dataset on the hub (404: no me/two)"
    )
    assert "or dataset on the hub at the revision new (404: no such revision)" in refused("me/one", revision="new")


def test_out_of_reach_the_cache_is_read(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = open_source("me/one", Reading(split="train"))
    assert found.reading == Reading(split="train", config="default", revision=FIRST)
    assert hub.asked == [("me/one", "default", "train", None)]
    assert open_source("me/one", Reading(split="train", revision=FIRST)).fingerprint == found.fingerprint
    assert f"the cache holds the revision {FIRST}, not {SECOND}" in refused("me/one", split="train", revision=SECOND)


def test_the_commit_is_in_the_manifest_and_a_replay_reads_it(hub: FakeHub, lope_data: Cli) -> None:
    said = lope_data("ingest", "me/one", "--split", "train", "--revision", "old", "--json").json
    manifest = json.loads((Path(said["path"]) / "manifest.json").read_text())
    assert manifest["recipe"]["source"] == {"config": "default", "revision": FIRST, "split": "train"}
    assert lope_data("build", "--from", "me--one-train", "--mix", "char.case", "--ratio", "0.5").code == 0
    hub.refs |= {None: SECOND, "old": SECOND}  # the branch has moved on
    run = lope_data("verify", "me--one-train-hynoise", "--replay")
    assert (run.code, run.err) == (0, "")
    assert hub.asked[-1] == ("me/one", "default", "train", FIRST)


def test_a_newer_revision_is_a_new_version_of_the_same_name(hub: FakeHub, lope_data: Cli) -> None:
    old, new = (
        lope_data("ingest", "me/one", "--split", "test", "--revision", revision, "--json").json
        for revision in ("old", "main")
    )
    assert (old["name"], new["name"]) == ("me--one-test", "me--one-test")
    assert old["version"] != new["version"]
    assert lope_data("ingest", "me/one", "--split", "test", "--json").json["version"] == new["version"]


def test_a_file_of_a_dataset(hub: FakeHub) -> None:
    found = open_source("hf://datasets/me/one/data/dev.jsonl")
    assert (found.name, found.reading) == ("me--one-dev", Reading(revision=SECOND))
    assert found.read()["text"].to_pylist() == ["data/dev.jsonl 2"]
    for asked in (("@old", {}), ("", {"revision": "old"}), ("@old", {"revision": "old"})):
        source = f"hf://datasets/me/one{asked[0]}/train.jsonl"
        found = open_source(source, Reading(**asked[1]))
        assert (found.name, found.reading.revision, found.place.source) == (
            "me--one-train",
            FIRST,
            "hf://datasets/me/one/train.jsonl",
        )
        assert found.read()["text"].to_pylist() == ["train.jsonl 1"]
    assert text("hf://datasets/me/one@old", split="train") == f"me/one default train {FIRST}"


def test_files_of_a_dataset_by_a_pattern(hub: FakeHub) -> None:
    hub.files["me/one"] = [f"sst2/{name}-0000{i}-of-00002.jsonl" for name in ("train", "test") for i in range(2)]
    source = "hf://datasets/me/one/sst2/*.jsonl"
    assert refused(source).startswith(f"{source}: holds the splits train, test, and a version holds one")
    found = open_source(source, Reading(split="test"))
    assert (found.name, found.reading) == ("me--one-sst2-test", Reading(split="test", revision=SECOND))
    assert found.read()["text"].to_pylist() == [f"sst2/test-0000{i}-of-00002.jsonl 2" for i in range(2)]
    assert open_source("hf://datasets/me/one/**/train-*").name == "me--one-train"


@pytest.mark.parametrize(
    ("source", "reading", "message"),
    [
        ("hf://models/me/one/a.jsonl", {}, "not of the form hf://datasets/OWNER/NAME/PATH"),
        ("hf://datasets/one", {}, "not of the form hf://datasets/OWNER/NAME/PATH"),
        (
            "hf://datasets/me/one@old/train.jsonl",
            {"revision": "main"},
            "names the revision old, and --revision another",
        ),
        ("hf://datasets/me/one/train.jsonl", {"config": "default"}, "--config is for a whole dataset"),
        ("hf://datasets/me/one/train.jsonl", {"split": "train"}, "has no splits; leave --split out"),
        ("hf://datasets/me/one/trai.jsonl", {}, "cannot be downloaded from the hub (404: no trai.jsonl)"),
        ("hf://datasets/me/one/x*.jsonl", {}, "cannot be downloaded from the hub (404: no x*.jsonl)"),
        ("hf://datasets/me/two/train.jsonl", {}, "cannot be downloaded from the hub (404: no me/two)"),
        ("hf://datasets/me/one/README.md", {}, "cannot tell the kind of file"),
    ],
)
def test_what_files_of_a_dataset_cannot_be(hub: FakeHub, source: str, reading: dict[str, str], message: str) -> None:
    assert message in refused(source, **reading)


def test_files_of_a_dataset_out_of_reach(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert open_source("hf://datasets/me/one/train.jsonl").reading == Reading(revision=SECOND)
    assert "HF_HUB_OFFLINE is set" in refused("hf://datasets/me/one/*.jsonl")


def test_a_replay_of_a_file_reads_its_commit(hub: FakeHub, lope_data: Cli) -> None:
    assert lope_data("ingest", "hf://datasets/me/one@old/train.jsonl").code == 0
    hub.refs["old"] = SECOND
    run = lope_data("verify", "me--one-train", "--replay")
    assert (run.code, run.err) == (0, "")
