"""What a verb says of a version that it made or found: to people, and to scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lope_common.shown import SafeConsole

if TYPE_CHECKING:
    from lope_data.store.version import Version

_EXAMPLES_SHOWN = 5


def tell(versions: Mapping[str, Version], *, each: bool, as_json: bool) -> None:
    """Shows versions by split, or the only one, and prints them for scripts where that was asked for."""
    console = SafeConsole(stderr=as_json)
    for version in versions.values():
        _show(console, version)
    if as_json:
        said = {split: _summary(version) for split, version in versions.items()}
        print(json.dumps({"splits": said} if each else next(iter(said.values()))))


def _show(console: SafeConsole, version: Version) -> None:
    """A clean version in two lines; of a noisy one also the rates, and some rows of one that is new."""
    manifest = version.manifest
    if manifest.kind == "build":
        from lope_data.report.rates import show_rates

        show_rates(console, manifest)
    if version.existed:
        console.print(f"{version.ref} exists: nothing to do", markup=False)
    elif manifest.kind == "build":
        from lope_data.report.sample_rows import samples, show_samples

        show_samples(console, samples(version.rows, version.edits, _EXAMPLES_SHOWN))
    if manifest.kind == "build":
        said = f"parent {manifest.parents[0].ref}"
    else:
        shapes = ", ".join(f"{count:,} {shape}" for shape, count in sorted(manifest.shapes.items()))
        said = f"{manifest.rows:,} row{'s' * (manifest.rows != 1)}: {shapes}"
        if manifest.skipped:
            said += f"; {len(manifest.skipped):,} broken, skipped and listed in manifest.json"
        if manifest.without is not None:
            said += f"; {manifest.without.told}"
        if manifest.curated is not None:
            said += f"; {manifest.curated.told}"
    console.print(f"{version.ref}  ({said})", style="bold", markup=False)
    console.print(str(version.folder), markup=False, soft_wrap=True)


def _summary(version: Version) -> dict[str, Any]:
    """The same as plain data."""
    manifest = version.manifest
    said = {
        "path": str(version.folder),
        "name": manifest.name,
        "version": manifest.version,
        "rows": manifest.rows,
        "content_digest": manifest.content_digest,
        "existed": version.existed,
    }
    if manifest.kind == "ingest":
        without = manifest.without
        left_out = {"ref": without.ref, "rows": without.rows, "found": without.found} if without else None
        said |= {"shapes": manifest.shapes, "skipped": len(manifest.skipped), "without": left_out}
        if (curated := manifest.curated) is not None:
            counts = {"dropped": curated.dropped, "relabelled": curated.relabelled, "weighted": curated.weighted or 0}
            said["curated"] = {"ref": curated.ref, **counts}
        return said
    return said | {
        "parent": manifest.parents[0].ref,
        "touched": manifest.touched,
        "shortfall": manifest.shortfall,
        "realised": {
            line.op if len(manifest.recipe.steps) == 1 else f"{line.step}/{line.op}": {
                "rows": line.rows,
                "rows_asked": line.rows_asked,
                "units": line.units,
                "expected": line.expected,
                "changed": line.changed,
                "interval": line.interval,
                "cer": line.cer,
            }
            for line in manifest.report
        },
    }
