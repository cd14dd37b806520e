"""`score`, the whole command: files, figures, page, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lope_train.cli import main
from lope_train.detector.output import ScoreFolder, summary
from lope_train.detector.report import report
from lope_train.detector.scores import ask, score
from lope_train.errors import ModelError, RunError, SettingsError, VersionError
from lope_train.settings import TrainSettings
from lope_train.training import train

GOLDEN = Path(__file__).parents[2] / "golden" / "store"


def table(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


@pytest.fixture
def run(tiny_runs: dict[str, Path], tmp_path: Path) -> Path:
    """With room for rows of some hundred bytes, each a token."""
    run = Path(shutil.copytree(tiny_runs["lope"], tmp_path / "lope"))
    record = json.loads((run / "run.json").read_text())
    record["settings"]["max_length"] = 512
    (run / "run.json").write_text(json.dumps(record))
    return run


def test_the_whole_command(run: Path, tiny_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    golden = GOLDEN / "golden" / "3c5e80312d1d3abd"
    arguments = ["score", str(run), "--data", str(golden), "--choose-on", "tiny-noisy", "--store", str(tiny_store)]
    main([*arguments, "--json"])
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    out = run.parent / "lope-scores-golden"
    assert said["path"] == str(out)
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "rows.arrow", "scores.json", "tokens.arrow"]
    record = json.loads((out / "scores.json").read_text())
    assert {**record, "path": said["path"]} == said
    assert (record["rows"], record["layers"], record["run"]) == (24, 4, "lope")
    assert record["best"]["layer"].startswith("model.layers.")
    assert record["best"]["shared_rows"] == 0
    assert str(run.parent) not in json.dumps(record)

    tokens, rows = table(out / "tokens.arrow"), table(out / "rows.arrow")
    assert tokens.num_rows == record["tokens"]
    assert rows.num_rows == 24
    assert tokens.column_names == [
        *("row_id", "position", "completion", "token", "path", "start", "end"),
        *("weight_mean", "weight_best", "surprisal", "subwords", "untrained_mean", "untrained_best"),
        *("counted", "ops"),
    ]
    own = tokens["weight_mean"].to_numpy()
    assert ((own > 0) & (own < 1)).all()
    assert sum(bool(ops) for ops in tokens["ops"].to_pylist()) == record["edited_tokens"] > 0
    assert tokens["surprisal"].null_count == 24  # the first of each row
    by_op = {group["op"] or group["level"]: group for group in record["groups"]}
    shuffled = by_op["word.shuffle"]
    assert shuffled["positives"] == sum("word.shuffle" in ops for ops in tokens["ops"].to_pylist())
    assert shuffled["too_few"] == (not shuffled["detectors"])
    assert by_op["label"]["unit"] == "rows"
    assert by_op["label"]["positives"] == sum(bool(ops) for ops in rows["label_ops"].to_pylist())
    assert by_op["char"]["detectors"].keys() == {
        *("weight_mean", "weight_best", "surprisal", "subwords", "untrained_mean", "untrained_best")
    }

    before = {path.name: path.read_bytes() for path in out.iterdir()}
    main(arguments)  # the same request again
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert "AUROC with its 95 % interval" in capsys.readouterr().out
    assert [path.name for path in run.parent.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(SystemExit):
        main([*arguments, "--limit", "5"])
    assert "not of this request; name another folder with --out" in capsys.readouterr().err


def test_a_version_without_edits_is_weighed_and_not_judged(
    run: Path, tiny_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scores"
    main(["score", str(run), "--data", "tiny", "--store", str(tiny_store), "--out", str(out), "--limit", "6"])
    assert "AUROC needs edits" in capsys.readouterr().out
    record = json.loads((out / "scores.json").read_text())
    assert (record["groups"], record["rows"], record["best"]) == ([], 6, None)
    assert record["trained_on_these_rows"]
    assert "weight_best" not in table(out / "tokens.arrow").column_names
    assert "nothing to judge" in (out / "report.html").read_text()


def test_what_cannot_be_scored(tiny_runs: dict[str, Path], tiny_store: Path, tmp_path: Path) -> None:
    lope = tiny_runs["lope"]

    def asked(run: Path = lope, data: str = "tiny-noisy", other: str | None = None, limit: int | None = None) -> Any:
        return ask(run, data, other, tiny_store, limit, None)

    for method in ("hydralora", "lora", "prefix"):
        with pytest.raises(RunError, match=f"method '{method}' has no poisoning expert"):
            asked(tiny_runs[method])
    with pytest.raises(SettingsError, match="judged by its own choice"):
        asked(other="tiny-noisy")
    with pytest.raises(VersionError, match="no edits of text to choose a layer by"):
        asked(other="tiny")
    with pytest.raises(VersionError, match="did you mean 'tiny-noisy'"):
        asked(data="tiny-nosy")
    with pytest.raises(SettingsError, match="limit is 0"):
        asked(limit=0)
    with pytest.raises(RunError, match="no such folder"):
        asked(tmp_path / "none")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "notes.txt").touch()
    with pytest.raises(RunError, match="name another folder with --out"):
        ScoreFolder(taken, asked())
    bare = Path(shutil.copytree(lope, tmp_path / "bare"))
    (bare / "adapter_model.safetensors").unlink()
    with pytest.raises(RunError, match=r"no adapter_model\.safetensors"):
        ScoreFolder(None, asked(bare))


def test_rows_too_long_for_the_run_are_left_out(run: Path, tiny_store: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["settings"]["max_length"] = 8
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(VersionError, match="no row to score: 0 unusable, 24 too_long, 0 unaligned"):
        score(ask(run, "tiny-noisy", None, tiny_store, None, None))


def test_an_encoder_decoder_is_refused(
    tiny_settings: Callable[..., TrainSettings], tiny_t5: Path, tiny_store: Path, tmp_path: Path
) -> None:
    run = train(tiny_settings(tmp_path / "t5", model=str(tiny_t5)))
    with pytest.raises(ModelError, match="T5Config is an encoder-decoder"):
        score(ask(run, "tiny-noisy", None, tiny_store, None, None))


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


def test_the_page_shows_hostile_text_as_text(run: Path, tiny_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=y> {{ 7 * 7 }} &lt;"
    request = ask(run, "tiny-noisy", None, tiny_store, None, None)
    from lope_train.detector import lines as detector_lines
    from lope_train.detector import scores as detector

    def spoilt(rows: Any, layout: Any, _marks: Any, *rest: Any) -> Any:
        rows = [{**row, "instruction": hostile} if row["instruction"] else row for row in rows]
        rows[0]["lope_row_id"] = "<b>id"
        return detector_lines.make_lines(rows, layout, {}, *rest)

    monkeypatch.setattr(detector, "make_lines", spoilt)
    scored = score(request)
    text = report(scored, summary(ScoreFolder(None, request).asked, request, scored))
    page = Page(text)
    assert not {"script", "img", "b", "link", "iframe"} & set(page.tags)
    assert page.asked == []
    assert "&lt;b&gt;id" in text
    assert "url(" not in text
    assert "@import" not in text
    assert hostile in page.shown


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    main(["score", "--help"])
    said = capsys.readouterr().out
    assert "Examples" in said
    assert "--choose-on" in said
