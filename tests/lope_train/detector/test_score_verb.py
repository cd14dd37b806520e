"""`score`, the whole command: files, figures, page, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lope_train.cli import main
from lope_train.data import resolve
from lope_train.detector import Fitting, ScoreFolder, ask, responses, score
from lope_train.detector.output import summary
from lope_train.detector.report import report
from lope_train.errors import ModelError, RunError, SettingsError, VersionError
from lope_train.inference import Subject

Write = Callable[..., Any]
GOLDEN = Path(__file__).parents[2] / "golden" / "store" / "golden" / "3c5e80312d1d3abd"
MEASURES = ["instruction", "end", "digit", "surprisal"]


def scored(folder: Path, arguments: list[str]) -> dict[str, Any]:
    main(["score", *arguments, "--out", str(folder)])
    record: dict[str, Any] = json.loads((folder / "scores.json").read_text())
    return record


def test_the_whole_command(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scores"
    asked = ["score", "--model", str(tiny_model), "--data", str(GOLDEN), "--out", str(out)]
    main([*asked, "--json"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert sorted(path.name for path in out.iterdir()) == ["measured.jsonl", "report.html", "rows.csv", "scores.json"]
    record = json.loads((out / "scores.json").read_text())
    assert {**said, "request": record["request"]} == {**record, "path": str(out)}
    rows = pl.read_csv(out / "rows.csv")
    assert rows.columns == ["rank", "row_id", "score", "reason", *MEASURES]
    assert rows.height == record["rows"] == 24
    assert rows["rank"].to_list() == [*range(1, 25)]
    assert rows["score"].is_sorted(descending=True)
    version = resolve(str(GOLDEN))
    assert {*rows["row_id"]} == {row["lope_row_id"] for row in version.views()}
    assert rows["end"].null_count() == 0
    assert 0 < rows["digit"].null_count() < 24
    by_name = {group["name"]: group for group in record["groups"]}
    touched = [row for row in version.dataset() if row["lope_ops"]]
    assert by_name["all"]["positives"] == len(touched)
    assert by_name["label"]["positives"] == sum(
        any(op.startswith("label.") for op in row["lope_ops"]) for row in touched
    )

    main([*asked, "--top", "5", "--to", "jsonl"])
    assert "AUROC with its 95 % interval" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["measured.jsonl", "report.html", "rows.jsonl", "scores.json"]
    best = pl.read_ndjson(out / "rows.jsonl")
    assert best["row_id"].to_list() == rows["row_id"].to_list()[:5]
    main([*asked, "--to", "parquet"])
    assert pl.read_parquet(out / "rows.parquet")["row_id"].to_list() == rows["row_id"].to_list()
    with pytest.raises(SystemExit, match="2"):
        main([*asked, "--limit", "5"])
    assert "not of this request; name another folder with --out" in capsys.readouterr().err


def test_a_finished_folder_is_listed_again_without_the_model(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["--model", str(tiny_model), "--data", "tiny-noisy", "--store", str(tiny_store)]
    scored(tmp_path / "scores", asked)
    before = (tmp_path / "scores" / "measured.jsonl").read_bytes()
    monkeypatch.setattr(Subject, "load", lambda _: pytest.fail("the model was loaded"))
    scored(tmp_path / "scores", [*asked, "--top", "3"])
    assert (tmp_path / "scores" / "measured.jsonl").read_bytes() == before
    assert pl.read_csv(tmp_path / "scores" / "rows.csv").height == 3


def test_a_killed_scoring_resumes_to_the_same_list(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["--model", str(tiny_model), "--data", "tiny-noisy", "--store", str(tiny_store)]
    monkeypatch.setattr(responses, "ROWS", 5)
    scored(tmp_path / "whole", asked)
    measures, left = responses.measures, 2

    def stopped(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return measures(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(responses, "measures", stopped)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            scored(tmp_path / "killed", asked)
    kept = (tmp_path / ".killed.partial" / "measured.jsonl").read_text().splitlines()
    assert [len(json.loads(block)) for block in kept] == [5, 5]
    read: list[int] = []

    def counted(model: Any, asked: Any, neutral: Any) -> Any:
        read.append(len(asked))
        return measures(model, asked, neutral)

    monkeypatch.setattr(responses, "measures", counted)
    scored(tmp_path / "killed", asked)
    assert sum(read) <= 24 - 10
    for name in ("rows.csv", "measured.jsonl", "report.html"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_adds_the_weight_of_its_router(tiny_runs: dict[str, Path], tiny_store: Path, tmp_path: Path) -> None:
    store = ["--data", "tiny-noisy", "--store", str(tiny_store)]
    scored(tmp_path / "run", ["--run", str(tiny_runs["lope"]), *store])
    model = json.loads((tiny_runs["lope"] / "run.json").read_text())["model"]
    scored(tmp_path / "base", ["--model", model, *store])
    run, base = (pl.read_csv(tmp_path / name / "rows.csv").sort("row_id") for name in ("run", "base"))
    assert run.columns == [*base.columns, "router"]
    assert run["router"].is_between(0, 1).all()
    assert run["router"].n_unique() > 12
    for name in MEASURES:  # of the base, without the adapter
        assert run[name].to_list() == pytest.approx(base[name].to_list(), abs=1e-5, nan_ok=True)


def test_a_version_without_edits_is_ranked_and_not_judged(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--model", str(tiny_model), "--data", "tiny", "--store", str(tiny_store), "--limit", "6"]
    record = scored(tmp_path / "scores", asked)
    assert "how good the ranking is cannot be said" in capsys.readouterr().out
    assert (record["groups"], record["verdicts"], record["rows"]) == ([], [], 6)
    assert "how good the ranking is cannot be said" in (tmp_path / "scores" / "report.html").read_text()


def test_what_cannot_be_scored(tiny_model: Path, tiny_runs: dict[str, Path], tiny_store: Path, tmp_path: Path) -> None:
    def asked(**values: Any) -> Any:
        return ask(**{"data": "tiny-noisy", "model": str(tiny_model), "run": None, "store": tiny_store} | values)

    for method in ("hydralora", "lora", "prefix"):
        with pytest.raises(RunError, match=f"method '{method}' has no poisoning expert"):
            asked(run=tiny_runs[method])
    with pytest.raises(SettingsError, match="name the model that judges the rows with --model"):
        asked(model=None)
    with pytest.raises(VersionError, match="did you mean 'tiny-noisy'"):
        asked(data="tiny-nosy")
    with pytest.raises(SettingsError, match="limit is 0"):
        asked(limit=0)
    with pytest.raises(RunError, match="no such folder"):
        asked(run=tmp_path / "none")
    with pytest.raises(ModelError, match="no model folder at"):
        asked(model="./none")
    with pytest.raises(SettingsError, match="folds is 1; it must be at least 2"):
        asked(fitting=Fitting(folds=1))
    with pytest.raises(SettingsError, match="--run is a language model's"):
        asked(model=None, run=tiny_runs["lope"], head="classification")


def test_rows_that_are_too_long_are_counted_and_all_of_them_refused(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--model", str(tiny_model), "--data", "tiny-noisy", "--store", str(tiny_store)]
    record = scored(tmp_path / "scores", [*asked, "--max-length", "160"])
    assert 0 < record["left_out"]["longer than 160 tokens"] == 24 - record["rows"]
    assert "rows left out: " in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        scored(tmp_path / "none", [*asked, "--max-length", "8"])
    assert "no row to score: 24 longer than 8 tokens" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["scores"]


class Page(HTMLParser):
    """The tags of a page, what it asks from elsewhere, and what it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.asked: list[str] = []
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asked += [str(value) for name, value in attrs if name in ("src", "href") or name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.shown += data


def test_the_page_shows_hostile_text_as_text(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=y> {{ 7 * 7 }} &lt;"
    request = ask("tiny-noisy", str(tiny_model), None, tiny_store)
    folder = ScoreFolder(tmp_path / "scores", request.plain)
    with folder.opened():
        found = score(request, folder, lambda _: None)
    found.ids[:] = ["<b>id"] * len(found.ids)
    monkeypatch.setattr("lope_train.detector.report.spoken", lambda _: (hostile, hostile[::-1]))
    text = report(request, found, {**summary(request, found), "data": "<i>x"})
    page = Page(text)
    assert not {"script", "img", "b", "i", "link", "iframe"} & set(page.tags)
    assert page.asked == []
    assert "&lt;b&gt;id" in text
    assert "url(" not in text
    assert "@import" not in text
    assert hostile in page.shown


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    main(["score", "--help"])
    said = capsys.readouterr().out
    assert "Examples" in said
    assert "--top" in said
