"""The pages of results are what their records say: each is made again by the command that it shows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs" / "results").glob("*.jsonl"))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_page_is_what_its_record_says(record: Path, tmp_path: Path) -> None:
    committed = record.with_suffix(".md").read_text(encoding="utf-8")
    (command,) = re.findall(r"```console\n\$ python -m (pipelines results .*)\n```", committed)
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    shutil.copy(record, folder)
    words = [sys.executable, "-m", *shlex.split(command)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / record.name).with_suffix(".md").read_text(encoding="utf-8") == committed
    for figure in re.findall(r"!\[.*\]\(([\w.-]+)\)", committed):
        assert (record.parent / figure).is_file()
