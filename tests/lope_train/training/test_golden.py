"""The committed version is read by this half too, by FORMAT.md alone."""

from __future__ import annotations

from pathlib import Path

from lope_train.data import parent, resolve

STORE = Path(__file__).parents[2] / "golden" / "store"


def test_the_golden_version_and_its_parent() -> None:
    noisy = resolve("golden", STORE)
    clean = parent(noisy, STORE)
    rows, before = noisy.dataset(), clean.dataset()
    assert noisy.rows == clean.rows == len(rows) == 24
    assert noisy.embedding_alpha == 0.05
    assert rows["lope_row_id"][:] == before["lope_row_id"][:]
    changed = [
        {k: v for k, v in a.items() if k != "lope_ops"} != {k: v for k, v in b.items() if k != "lope_ops"}
        for a, b in zip(rows, before, strict=True)
    ]
    assert changed == [bool(ops) for ops in rows["lope_ops"]]
    assert sum(changed) == noisy.manifest["touched"] == 12
