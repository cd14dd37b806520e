"""What differs between two versions by their manifests: facts, recipes, rates. Reads no rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lope_data.store.manifest_model import Layout, Line, Manifest

_FACTS = ("kind", "seed", "depth", "rows", "touched", "shortfall", "shapes", "hints", "content_digest")


@dataclass(frozen=True)
class Keys:
    """Nested mappings compared key by key, the keys as dotted paths, the values as JSON.

    Attributes:
        same: how many keys have the same value.
        changed: key -> (value in A, value in B).
        only_a, only_b: key -> value.
    """

    same: int
    changed: dict[str, tuple[str, str]]
    only_a: dict[str, str]
    only_b: dict[str, str]


@dataclass(frozen=True)
class Difference:
    """`facts`: of the manifests, those that differ; `rates`: (step, op, line of A's report, line of B's)."""

    same_content: bool
    facts: Keys
    recipe: Keys
    rates: list[tuple[str, str, Line | None, Line | None]]

    @property
    def record(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "same_content": self.same_content,
            "facts": vars(self.facts),
            "recipe": vars(self.recipe),
            "rates": [
                {"step": step, "op": op, "a": a.plain if a else None, "b": b.plain if b else None}
                for step, op, a, b in self.rates
            ],
        }


def manifest_difference(a: Manifest, b: Manifest) -> Difference:
    """Compares two manifests."""
    lines = [{(line.step, line.op): line for line in manifest.report} for manifest in (a, b)]
    return Difference(
        a.content_digest == b.content_digest,
        compare_keys(_facts(a), _facts(b)),
        compare_keys(a.recipe.plain, b.recipe.plain),
        [(*key, lines[0].get(key), lines[1].get(key)) for key in lines[0] | lines[1]],
    )


def compare_keys(a: Mapping[str, Any], b: Mapping[str, Any]) -> Keys:
    """Compares nested mappings and lists."""
    flat_a, flat_b = _flat("", a), _flat("", b)
    both = sorted(flat_a.keys() & flat_b.keys())
    changed = {key: (flat_a[key], flat_b[key]) for key in both if flat_a[key] != flat_b[key]}
    return Keys(
        len(both) - len(changed),
        changed,
        {key: flat_a[key] for key in sorted(flat_a.keys() - flat_b.keys())},
        {key: flat_b[key] for key in sorted(flat_b.keys() - flat_a.keys())},
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    said, source = manifest.plain, manifest.source
    facts = {key: said[key] for key in _FACTS if key in said}
    facts["source"] = {"name": source.name, "fingerprint": source.fingerprint}
    facts["layout"] = _layout_text(manifest.layout)
    return facts | ({"parent": manifest.parents[0].ref} if manifest.parents else {})


def _layout_text(layout: Layout) -> str:
    """A layout in one line: `chat: messages=conversations; classes of label: no, yes; absent: note`."""
    parts = [
        f"{shape}: {', '.join(f'{role}={_names(name)}' for role, name in sorted(has.items()))}"
        for shape, has in sorted(layout.columns.items())
    ]
    parts += [f"classes of {path}: {', '.join(names)}" for path, names in sorted(layout.classes.items())]
    for what, columns in (("absent", layout.absent), ("raw", layout.raw)):
        if columns:
            parts.append(f"{what}: {', '.join(columns)}")
    return "; ".join(parts)


def _names(name: str | list[str]) -> str:
    return name if isinstance(name, str) else "+".join(name)


def _flat(path: str, value: Any) -> dict[str, str]:
    """`steps[0].mix.char.insert` -> JSON of what stands there; an empty mapping or list stands for itself."""
    found: dict[str, str] = {}
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            found |= _flat(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, list) and value:
        for i, inner in enumerate(value):
            found |= _flat(f"{path}[{i}]", inner)
    elif path:
        found[path] = json.dumps(value, ensure_ascii=False)
    return found
