"""The dataset card: README.md with the front matter that the Hugging Face hub reads. Names and rows are untrusted."""

from __future__ import annotations

import json
import re

import pyarrow as pa

from lope_common.shown import markdown
from lope_data.rows.json_type import type_name
from lope_data.store.manifest_model import Facts, IngestFacts, Line

_TASKS = {
    "instruction": "text-generation",
    "chat": "text-generation",
    "multiple_choice": "multiple-choice",
    "classification": "text-classification",
    "prompt_completion": "text-generation",
    "text": "text-generation",
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
_CLASSES = 20  # whose names are given
_OURS = {
    "lope_row_id": "the row's id, the same in every version of the chain",
    "lope_shape": "the shape of the row",
    "lope_ops": "what this version did to the row, in order",
    "lope_weight": "what the row counts for in training; 1 is what other rows count for",
    "lope_keys": "the keys that the row's object has in the source, in order",
}


def card(facts: Facts, schema: pa.Schema, rows: str = "data-*.arrow") -> str:
    """The text of a version's README.md.

    Args:
        facts: of the version, from its manifest or before there is one.
        schema: of the rows.
        rows: the files of rows beside the card, as a glob pattern.
    """
    parts = [
        _front_matter(facts, rows),
        _about(facts),
        _lineage(facts),
        _noise(facts),
        _columns(facts, schema),
        _use(facts, rows),
    ]
    return "\n".join(part for part in parts if part)


def about(facts: Facts) -> str:
    """What a version is, in one sentence of plain text."""
    rows = facts.rows
    if facts.kind == "ingest" and facts.curated is not None:
        return f"{rows:,} rows {facts.curated.told}; as there, they may hold noise."
    if facts.kind == "ingest":
        return f"{rows:,} clean rows of the source {facts.source.name}, as lope_data reads them{_left_out(facts)}."
    parent, touched = facts.parents[0], facts.touched
    return f"{rows:,} rows of {parent.ref}, {touched:,} of them with noise by lope_data, every edit on record."


def keyword(facts: Facts) -> str:
    """What kind of version it is: `noisy`, `curated` or `clean`."""
    if facts.kind == "build":
        return "noisy"
    return "clean" if facts.curated is None else "curated"


def _left_out(facts: IngestFacts) -> str:
    many, without = len(facts.skipped), facts.without
    left_out = [f"{many:,} that are broken there (manifest.json)"] if many else []
    if without is not None:
        left_out.append(f"{without.rows:,} that stand in {without.ref} too")
    return f", without {' and '.join(left_out)}" if left_out else ""


def _front_matter(facts: Facts, rows: str) -> str:
    size = next((size for size, limit in _SIZES.items() if facts.rows < limit), "10B<n<100B")
    noisy = facts.kind == "build"
    tasks = sorted({_TASKS[shape] for shape in facts.shapes if shape in _TASKS})
    configs = {"default": rows} | ({"edits": "edits/*.parquet"} if noisy else {})
    # JSON's strings are YAML's
    lines = ["---", f"pretty_name: {json.dumps(facts.name)}"]
    lines += ["tags:", "- lope", f"- {keyword(facts)}"]
    lines += ["size_categories:", f"- {size}"]
    lines += ["task_categories:", *(f"- {task}" for task in tasks)] if tasks else []
    lines += ["configs:"]
    for name, pattern in configs.items():
        lines += [f"- config_name: {name}", "  data_files:", "  - split: train", f"    path: {json.dumps(pattern)}"]
    return "\n".join([*lines, "---"])


def _about(facts: Facts) -> str:
    shapes = ", ".join(f"{markdown(shape)} ({rows:,})" for shape, rows in sorted(facts.shapes.items()))
    lines = [f"# {markdown(facts.name)}", "", markdown(about(facts)), "", f"Shapes of rows: {shapes}."]
    if facts.kind == "build" and facts.shortfall:
        lines += ["", f"{facts.shortfall:,} rows fewer than asked: no op of the mix can change more."]
    return "\n".join([*lines, ""])


def _lineage(facts: Facts) -> str:
    lines = ["## Lineage", "", "| version | content digest |", "|---|---|"]
    chain = (facts, *facts.parents)
    lines += [f"| `{one.ref}` | `{one.content_digest}` |" for one in chain]
    source = facts.source
    if facts.kind == "ingest" and facts.curated is not None:
        lines += [f"| rows of `{facts.curated.ref}` | `{facts.curated.content_digest}` |", ""]
    else:
        lines += [f"| source {markdown(source.name)} | `{source.fingerprint}` (fingerprint of its bytes) |", ""]
    if facts.kind == "build":
        own = {op: f" of {markdown(module)}" for op, module in facts.op_modules.items()}
        ops = ", ".join(
            f"{_code(op)} {markdown(version)}{own.get(op, '')}" for op, version in sorted(facts.ops.items())
        )
        lines += [f"Seed {facts.seed}; recipe {markdown(facts.recipe.name)}; ops and their versions: {ops}."]
        lines += ["`manifest.json` holds the recipe, whole.", ""]
    return "\n".join(lines)


def _noise(facts: Facts) -> str:
    if not facts.report:
        return ""
    head = ["step", "op", "rows asked", "rows", "level asked", "expected", "realised", "95 % interval", "CER", "units"]
    lines = ["## Noise", "", f"| {' | '.join(head)} |", f"|---|---|{'--:|' * (len(head) - 2)}"]
    lines += [f"| {' | '.join(_rates(line))} |" for line in facts.report]
    lines += [
        "",
        "Realised: changed units of the rows dealt; expected: the level under the floor of one unit a row; CER: the "
        "character error rate.",
        "",
    ]
    if hints := {key: value for key, value in facts.hints.plain.items() if value is not None}:
        said = ", ".join(f"{markdown(key)} {markdown(json.dumps(value))}" for key, value in sorted(hints.items()))
        lines += [f"Hints for a trainer, which are no part of the rows: {said}.", ""]
    return "\n".join(lines)


def _rates(line: Line) -> list[str]:
    units, interval = line.units, line.interval
    return [
        markdown(line.step),
        _code(line.op),
        f"{line.rows_asked:,.1f}",
        f"{line.rows:,}",
        f"{line.level:.1%}",
        f"{line.expected / units:.1%}" if units else "–",
        f"{line.changed / units:.1%}" if units else "–",
        "–" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}",
        "–" if line.cer is None else f"{line.cer:.1%}",
        f"{units:,} × {markdown(line.unit)}",
    ]


def _columns(facts: Facts, schema: pa.Schema) -> str:
    lines = ["## Columns", "", "| column | type | |", "|---|---|---|"]
    for field in schema:
        said = _OURS.get(field.name) or markdown(_meaning(facts, field.name))
        lines.append(f"| {markdown(field.name)} | {markdown(type_name(field.type))} | {said} |")
    return "\n".join([*lines, ""])


def _meaning(facts: Facts, column: str) -> str:
    """What a column of the source holds, by the layout."""
    layout = facts.layout
    said = [
        f"{role} of {shape}"
        for shape, has in sorted(layout.columns.items())
        for role, named in sorted(has.items())
        if column in ([named] if isinstance(named, str) else named)
    ]
    for path, names in sorted(layout.classes.items()):
        if path in (column, f"{column}[]"):
            more = [f"and {len(names) - _CLASSES:,} more"] if len(names) > _CLASSES else []
            said.append(f"numbers from 0 of the classes {', '.join(names[:_CLASSES] + more)}")
    return "; ".join(said)


def _use(facts: Facts, rows: str) -> str:
    ref, source = facts.ref, "the source"
    if facts.kind == "ingest" and facts.curated is not None:
        source = facts.curated.ref
    imports = "".join(f" --import {module}" for module in sorted(set(facts.op_modules.values())))
    if rows.endswith(".arrow"):
        opened = f'rows = datasets.load_from_disk("{facts.name}/{facts.version}")  # this folder'
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
$ python -m lope_data verify {ref} --replay{imports}   # built again from {source}, the digests compared
```

`manifest.json` says what was asked and done, `edits/` holds every edit with the text before and after, `croissant.json`
describes the files to other tools.
"""


def _code(text: str) -> str:
    return f"`{text}`" if re.fullmatch(r"[\w.]+", text, re.ASCII) else markdown(text)
