"""Where a version came from and what was made from it, as a tree. Reads manifests only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.text import Text
from rich.tree import Tree

from lope_common.shown import safe, say
from lope_data.errors import LopeDataError
from lope_data.report.listing import entries, made_of, size_of
from lope_data.report.rates import brief_table, by_step, remarks
from lope_data.store.store import Store
from lope_data.store.version import Version

if TYPE_CHECKING:
    from lope_data.store.manifest_model import Link, Manifest

_NAMED = 5  # rows that were left out
_DEEPEST = 4  # levels of a tree that are indented; a longer chain goes on below, for it would leave no room


@dataclass(frozen=True)
class Node:
    """A version of a chain.

    Attributes:
        name, version, content_digest: what the last version's manifest says of it.
        tags: that mean it, `latest` too.
        found: the version, where it is in the store.
        problem: why it is not shown in full; empty if it is.
    """

    name: str
    version: str
    content_digest: str
    tags: list[str]
    found: Version | None
    problem: str = ""

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def record(self) -> dict[str, Any]:
        """For scripts."""
        facts = {"ref": self.ref, "content_digest": self.content_digest, "tags": self.tags}
        return facts | {"problem": self.problem or None, "manifest": self.found.manifest.plain if self.found else None}


@dataclass(frozen=True)
class Lineage:
    """`chain`: from the ingested source to the version asked for; `children`: references of what was made from it."""

    chain: list[Node]
    children: list[str]

    @property
    def version(self) -> Version:
        """The version asked for."""
        version = self.chain[-1].found
        assert version is not None
        return version

    @property
    def record(self) -> dict[str, Any]:
        """For scripts: the manifest of the version, and what is known of its lineage."""
        version = self.version
        return {
            "ref": version.ref,
            "path": str(version.folder),
            "tags": self.chain[-1].tags,
            "bytes": size_of(version.folder),
            "manifest": version.manifest.plain,
            "lineage": [node.record for node in self.chain[:-1]],
            "children": self.children,
        }


def lineage(version: Version, store: Store) -> Lineage:
    """The lineage of a version; `store` is where its ancestors are looked for if it lies outside a store."""
    manifest = version.manifest
    home = _store_of(version)
    tags = _tags(home, manifest.name, manifest.version) if home else []
    node = Node(manifest.name, manifest.version, manifest.content_digest, tags, version)
    around = home or store
    ancestors = [_ancestor(around, link) for link in reversed(manifest.parents)]
    children = [
        f"{entry.name}@{entry.version}"
        for entry in entries(around)
        if entry.manifest and (link := made_of(entry.manifest)) and _is_of(link, version)
    ]
    return Lineage([*ancestors, node], children)


def _is_of(link: Link, version: Version) -> bool:
    mine = version.link  # newer writers may say more in theirs
    return (link.ref, link.content_digest) == (mine.ref, mine.content_digest)


def _store_of(version: Version) -> Store | None:
    """The store that the version lies in; None for a copy elsewhere."""
    folder = Path(os.path.abspath(version.folder))  # noqa: PTH100  (a resolved one would follow links)
    manifest = version.manifest
    here = (folder.parent.name, folder.name) == (manifest.name, manifest.version)
    return Store(folder.parents[1]) if here else None


def _tags(store: Store, name: str, version: str) -> list[str]:
    try:
        refs = store.refs(name)
    except (LopeDataError, OSError):
        return []
    return sorted((ref for ref in refs if refs[ref] == version), key=lambda ref: (ref != "latest", ref))


def _ancestor(store: Store, link: Link) -> Node:
    name, version, content_digest = link.name, link.version, link.content_digest
    tags = _tags(store, name, version)
    try:
        found = store.find(name, version)
    except (LopeDataError, OSError) as error:
        return Node(name, version, content_digest, tags, None, f"damaged: {error}")
    if found is None:
        return Node(name, version, content_digest, tags, None, "not in this store")
    if found.manifest.content_digest != content_digest:
        return Node(name, version, content_digest, tags, None, "holds other rows than when the next one was made")
    return Node(name, version, content_digest, tags, found)


def show_lineage(console: Console, found: Lineage) -> None:
    """Prints the tree, then what there is to say of the version itself."""
    version = found.version
    manifest = version.manifest
    say(console, Text(version.ref, style="bold"))
    console.print(_tree(found))
    if manifest.kind == "build":
        for line in remarks(manifest):
            say(console, safe(line.strip()), indent=2 * line.startswith(" "), style="dim")
    recipe = f"{manifest.recipe.name}, edition {manifest.recipe.edition}" if manifest.kind == "build" else ""
    facts = {
        "recipe": recipe,
        "shapes": ", ".join(f"{name} {count:,}" for name, count in sorted(manifest.shapes.items())),
        "skipped": _skipped(manifest),
        "without": _without(manifest),
        "own ops": ", ".join(f"{op} of {module}" for op, module in sorted(manifest.op_modules.items())),
        "hints": ", ".join(f"{name} {value}" for name, value in sorted(manifest.hints.plain.items())),
        "libraries": ", ".join(f"{name} {value}" for name, value in sorted(manifest.libraries.items())),
        "files": f"{len(manifest.files) + 1:,}, {decimal(size_of(version.folder))}",
        "folder": str(version.folder),
    }
    console.print()
    for name, value in facts.items():
        if value:
            say(console, Text(f"{name}: ", style="dim").append(safe(value), style="default"))


def _tree(found: Lineage) -> Tree:
    source = found.version.manifest.source
    label = Text("source ").append(safe(source.name), style="bold").append(f"  {_brief(source.fingerprint)}")
    root = place = Tree(label, guide_style="dim", highlight=False)
    for depth, node in enumerate(found.chain):
        below = place.add(Group(*_label(node)))
        place = below if depth + 1 < _DEEPEST else place
    for ref in found.children:
        place.add(Text(ref).append("  was made from it", style="dim"))
    return root


def _label(node: Node) -> Iterator[RenderableType]:
    head = Text(node.ref, style="bold")
    if node.tags:
        head.append(f"  {', '.join(node.tags)}", style="cyan")
    yield head
    if node.problem:
        yield Text(f"{safe(node.problem)}; content {_brief(node.content_digest)}", style="red")
    if node.found is None:
        return
    manifest = node.found.manifest
    touched = f", {manifest.touched:,} touched" if manifest.kind == "build" else ""
    seed = f"; seed {manifest.seed}"
    yield Text(f"{manifest.kind}: {manifest.rows:,} rows{touched}{seed}; content {_brief(manifest.content_digest)}")
    if manifest.kind == "ingest" and manifest.without is not None:
        yield Text(manifest.without.told)
    if manifest.kind == "ingest" and manifest.curated is not None:
        yield Text(manifest.curated.told)
    lines = by_step(manifest.report)
    for step in manifest.steps:
        mine = lines.get(step.name, [])
        rows = sum(line.rows for line in mine)
        text = f"step {safe(step.name)}: ratio {step.ratio:g}, level {step.level:g}, {rows:,} rows"
        yield Text(text, style="italic")
        if mine:
            yield brief_table(mine)


def _brief(digest: str) -> str:
    return safe(digest.removeprefix("sha256:")[:12])


def _skipped(manifest: Manifest) -> str:
    """The first of the broken rows that were left out of a source."""
    rows = manifest.skipped if manifest.kind == "ingest" else []
    first = ", ".join(one.place for one in rows[:_NAMED])
    return f"{len(rows):,} broken rows: {first}{', ...' * (len(rows) > _NAMED)}" if rows else ""


def _without(manifest: Manifest) -> str:
    """How many rows of a source were left out since they stand in another version, and the first of them."""
    without = manifest.without if manifest.kind == "ingest" else None
    if without is None:
        return ""
    first = ", ".join(map(str, without.first[:_NAMED]))
    named = f": {first}{', ...' * (without.rows > _NAMED)}" if first else ""
    return f"{without.ref}; {without.rows:,} rows left out, which are {without.found:,} of its rows{named}"
