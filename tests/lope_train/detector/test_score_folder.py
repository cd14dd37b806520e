"""What a killed scoring leaves, and who may write into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lope_train.detector.folder import ScoreFolder
from lope_train.errors import RunError, VersionError

REQUEST: dict[str, Any] = {"data": "a", "limit": None}
ROWS = [{"row": number, "row_id": f"r{number}", "end": number / 3} for number in range(5)]


def measure_and_raise(folder: ScoreFolder, rows: list[dict[str, Any]], error: BaseException) -> None:
    with folder.opened():
        folder.add(rows)
        raise error


def killed(out: Path, rows: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        measure_and_raise(ScoreFolder(out, REQUEST), ROWS[:rows], KeyboardInterrupt())


def test_it_resumes_from_what_was_measured_without_a_line_that_was_cut(tmp_path: Path) -> None:
    out = tmp_path / "scores"
    killed(out, 3)
    assert not out.exists()
    with (tmp_path / ".scores.partial" / "measured.jsonl").open("ab") as file:
        file.write(b'[{"row":3,"row_')
    folder = ScoreFolder(out, REQUEST)
    with folder.opened():
        assert folder.measured() == ROWS[:3]
        folder.add(ROWS[3:])
        folder.finish({"rows": 5}, {"rows.csv": b"x"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores"]
    assert sorted(path.name for path in out.iterdir()) == ["measured.jsonl", "rows.csv", "scores.json"]
    again = ScoreFolder(out, REQUEST)
    with again.opened():
        assert again.finished
        assert again.measured() == ROWS
        again.finish({"rows": 5}, {"rows.jsonl": b"y"})
    assert sorted(path.name for path in out.iterdir()) == ["measured.jsonl", "rows.jsonl", "scores.json"]


def test_another_request_is_refused_and_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "scores"
    killed(out, 2)
    other = ScoreFolder(out, {**REQUEST, "limit": 3})
    with pytest.raises(RunError, match="of another request were begun"), other.opened():
        raise AssertionError
    folder = ScoreFolder(out, REQUEST)
    with folder.opened():
        assert len(folder.measured()) == 2
        folder.finish({}, {})
    with pytest.raises(RunError, match="not of this request; name another folder with --out"):
        ScoreFolder(out, {**REQUEST, "limit": 3})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(RunError, match="not of this request"):
        ScoreFolder(tmp_path / "mine", REQUEST)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    one, two = ScoreFolder(tmp_path / "scores", REQUEST), ScoreFolder(tmp_path / "scores", REQUEST)
    with one.opened():
        with pytest.raises(RunError, match="another process is scoring into it"), two.opened():
            raise AssertionError
        one.add(ROWS)
        one.finish({}, {})


def test_one_that_fails_before_its_first_row_leaves_nothing(tmp_path: Path) -> None:
    folder = ScoreFolder(tmp_path / "scores", REQUEST)
    with pytest.raises(KeyboardInterrupt), folder.opened():
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_rows_that_cannot_be_scored_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(VersionError):
        measure_and_raise(ScoreFolder(tmp_path / "scores", REQUEST), ROWS, VersionError("no row to score"))
    assert list(tmp_path.iterdir()) == []
