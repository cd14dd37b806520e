"""The dataset card: README.md with the front matter that the Hugging Face hub reads. Names and rows are untrusted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

_TASKS = {
    "instruction": "text-generation",
    "chat": "text-generation",
    "multiple_choice": "multiple-choice",
    "classification": "text-classification",
}
_SIZES = {
    "n<1K": 10**3,
    "1K<n<10K": 10**4,
    "10K<n<100K": 10**5,
    "100K<n<1M": 10**6,
    "1M<n<10M": 10**7,
    "10M<n<100M": 10**8,
    "100M<n<1B": 10**9,
    "1B<n<10B": 10**10,
}
_OURS = {
    "lope_row_id": "the row's id, the same in every version of the chain",
    "lope_shape": "the shape of the row",
    "lope_ops": "what this version did to the row, in order",
}


def card(manifest: Mapping[str, Any], schema: pa.Schema, rows: str = "data-*.arrow") -> str:
    """The text of a version's README.md.

    Args:
        manifest: of the version; `files` and its hash need not be there yet.
        schema: of the rows.
        rows: the files of rows beside the card, as a glob pattern.
    """
    parts = [
        _front_matter(manifest, rows),
        _about(manifest),
        _lineage(manifest),
        _noise(manifest),
        _columns(schema),
        _use(manifest, rows),
    ]
    return "\n".join(part for part in parts if part)


def about(manifest: Mapping[str, Any]) -> str:
    """What a version is, in one sentence of plain text."""
    rows = manifest["rows"]
    if manifest["kind"] == "ingest":
        return f"{rows:,} clean rows of the source {manifest['source']['name']}, as lope_data reads them."
    parent, touched = manifest["parents"][0], manifest["touched"]
    return (
        f"{rows:,} rows of {parent['name']}@{parent['version']}, {touched:,} of them with noise by lope_data, "
        "every edit on record."
    )


def _front_matter(manifest: Mapping[str, Any], rows: str) -> str:
    size = next((size for size, limit in _SIZES.items() if manifest["rows"] < limit), "10B<n<100B")
    noisy = manifest["kind"] == "build"
    tasks = sorted({_TASKS[shape] for shape in manifest["shapes"] if shape in _TASKS})
    configs = {"default": rows} | ({"edits": "edits/*.parquet"} if noisy else {})
    # JSON's strings are YAML's
    lines = ["---", f"pretty_name: {json.dumps(manifest['name'])}"]
    lines += ["tags:", "- lope", f"- {'noisy' if noisy else 'clean'}"]
    lines += ["size_categories:", f"- {size}"]
    lines += ["task_categories:", *(f"- {task}" for task in tasks)] if tasks else []
    lines += ["configs:"]
    for name, pattern in configs.items():
        lines += [f"- config_name: {name}", "  data_files:", "  - split: train", f"    path: {json.dumps(pattern)}"]
    return "\n".join([*lines, "---"])


def _about(manifest: Mapping[str, Any]) -> str:
    shapes = ", ".join(f"{_plain(shape)} ({rows:,})" for shape, rows in sorted(manifest["shapes"].items()))
    lines = [f"# {_plain(manifest['name'])}", "", _plain(about(manifest)), "", f"Shapes of rows: {shapes}."]
    if manifest.get("shortfall"):
        lines += ["", f"{manifest['shortfall']:,} rows fewer than asked: no op of the mix can change more."]
    return "\n".join([*lines, ""])


def _lineage(manifest: Mapping[str, Any]) -> str:
    lines = ["## Lineage", "", "| version | content digest |", "|---|---|"]
    chain = (manifest, *manifest["parents"])
    lines += [f"| `{link['name']}@{link['version']}` | `{link['content_digest']}` |" for link in chain]
    source = manifest["source"]
    lines += [f"| source {_plain(source['name'])} | `{source['fingerprint']}` (fingerprint of its bytes) |", ""]
    if manifest["kind"] == "build":
        ops = ", ".join(f"{_code(op)} {_plain(version)}" for op, version in sorted(manifest["ops"].items()))
        lines += [
            f"Seed {manifest['seed']}; recipe {_plain(manifest['recipe']['name'])}; ops and their versions: {ops}."
        ]
        lines += ["`manifest.json` holds the recipe, whole.", ""]
    return "\n".join(lines)


def _noise(manifest: Mapping[str, Any]) -> str:
    if not manifest["report"]:
        return ""
    head = ["step", "op", "rows asked", "rows", "level asked", "expected", "realised", "95 % interval", "CER", "units"]
    lines = ["## Noise", "", f"| {' | '.join(head)} |", f"|---|---|{'--:|' * (len(head) - 2)}"]
    lines += [f"| {' | '.join(_rates(line))} |" for line in manifest["report"]]
    lines += [
        "",
        "Realised: changed units of the rows dealt; expected: the level under the floor of one unit a row; CER: the "
        "character error rate.",
        "",
    ]
    if hints := {key: value for key, value in manifest["hints"].items() if value is not None}:
        said = ", ".join(f"{_plain(key)} {_plain(json.dumps(value))}" for key, value in sorted(hints.items()))
        lines += [f"Hints for a trainer, which are no part of the rows: {said}.", ""]
    return "\n".join(lines)


def _rates(line: Mapping[str, Any]) -> list[str]:
    units, interval = line["units"], line["interval"]
    return [
        _plain(line["step"]),
        _code(line["op"]),
        f"{line['rows_asked']:,.1f}",
        f"{line['rows']:,}",
        f"{line['level']:.1%}",
        f"{line['expected'] / units:.1%}" if units else "–",
        f"{line['changed'] / units:.1%}" if units else "–",
        "–" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}",
        "–" if line["cer"] is None else f"{line['cer']:.1%}",
        f"{units:,} × {_plain(line['unit'])}",
    ]


def _columns(schema: pa.Schema) -> str:
    lines = ["## Columns", "", "| column | type | |", "|---|---|---|"]
    lines += [f"| {_plain(field.name)} | {_plain(str(field.type))} | {_OURS.get(field.name, '')} |" for field in schema]
    return "\n".join([*lines, ""])


def _use(manifest: Mapping[str, Any], rows: str) -> str:
    ref = f"{manifest['name']}@{manifest['version']}"
    if rows.endswith(".arrow"):
        opened = f'rows = datasets.load_from_disk("{manifest["name"]}/{manifest["version"]}")  # this folder'
    else:
        kind = {"jsonl": "json"}.get(rows.rpartition(".")[2], rows.rpartition(".")[2])
        opened = f'rows = datasets.load_dataset("{kind}", data_files="{rows}", split="train")  # in this folder'
    return f"""## Use

```python
import datasets
{opened}

import lope_data
version = lope_data.open("{ref}")  # from a store: dataset, manifest, edits, parent
```

```console
$ python -m lope_data verify {ref}            # every file against its hash
$ python -m lope_data verify {ref} --replay   # built again from the source, the digests compared
```

`manifest.json` says what was asked and done, `edits/` holds every edit with the text before and after, `croissant.json`
describes the files to other tools.
"""


def _plain(text: str) -> str:
    """Text that Markdown, and HTML in it, shows as it is, on one line."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    return re.sub(r"([\\`*_{}\[\]()<>#!|~$&])", r"\\\1", shown)


def _code(text: str) -> str:
    return f"`{text}`" if re.fullmatch(r"[\w.]+", text, re.ASCII) else _plain(text)
