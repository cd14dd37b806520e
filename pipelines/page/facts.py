"""What a study was made of: the settings of its arms, the versions of its data, its commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lope_train.methods import METHODS, Method
from pipelines.results.labels import condition_label
from pipelines.study.outcome import Outcome, Run

if TYPE_CHECKING:
    from lope_data.store import Manifest, Step

_SHOWN = {
    "method": "method",
    "r": "r",
    "lora_alpha": "alpha",
    "learning_rate": "learning rate",
    "epochs": "epochs a stage",
    "batch_size": "batch",
    "max_length": "length",
    "num_experts": "experts",
    "num_poisoning": "of them poisoning",
    "hynoise": "HyNoIse",
    "router_input": "router reads",
    "embedding_alpha": "embedding noise",
    "target_modules": "adapted",
    "dtype": "base in",
}
_OF_SOME: dict[str, Callable[[Method], bool]] = {
    "num_experts": lambda method: method.experts,
    "num_poisoning": lambda method: method.poisoning,
    "router_input": lambda method: method.experts,
    "target_modules": lambda method: not method.virtual_tokens,
}
"""Settings that only some methods read."""
_FEW = 4


def settings_table(outcome: Outcome) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns, and a row for each way that an arm was trained, conditions apart where they differ."""
    rows = []
    for arm in outcome.study.arms:
        ways: dict[tuple[str, ...], list[Run]] = {}
        for run in outcome.runs:
            if run.arm == arm.id:
                ways.setdefault(tuple(_settings(run.record)), []).append(run)
        typed = " ".join(f"{name}={_value(value)}" for name, value in arm.train.items())
        if not ways:
            rows.append({"label": arm.label, "on": "", "typed": typed, "values": [], "runs": 0})
        for way, runs in ways.items():
            conditions = dict.fromkeys(condition_label(outcome.study, run.condition) for run in runs)
            rows.append(
                {
                    "label": arm.label,
                    "on": ", ".join(conditions) if len(ways) > 1 else "",
                    "typed": typed,
                    "values": [*way, _trained(runs[0].record.get("stages", [])), _seconds(runs)],
                    "runs": len(runs),
                }
            )
    return [*_SHOWN.values(), "trained parameters", "seconds a run"], rows


def versions_table(outcome: Outcome) -> list[dict[str, Any]]:
    """A row for each version of the data, parents first."""
    return [_version(manifest) for manifest in sorted(outcome.versions, key=lambda manifest: manifest.depth)]


def sittings(outcome: Outcome) -> list[str]:
    """When, by what code and on what the runs were made."""
    counts = Counter(run.sitting for run in outcome.runs)
    told = sorted(counts.items(), key=lambda one: (one[0].date, one[0].commit))
    return [
        f"{count} run{'s' * (count > 1)} of {one.date}, commit {one.commit or 'unknown'}, on {one.hardware}"
        for one, count in told
    ]


def libraries(outcome: Outcome) -> dict[str, str]:
    """Of training, from the first run, and of the data, from the first version that names them."""
    found: dict[str, str] = {}
    named = [run.record.get("libraries", {}) for run in outcome.runs]
    for one in (*named, *(manifest.libraries for manifest in outcome.versions)):
        for name, version in one.items():
            found.setdefault(name, version)
    return found


def _settings(record: Mapping[str, Any]) -> list[str]:
    settings, values = record.get("settings", {}), []
    method = METHODS.get(settings.get("method"))
    for name in _SHOWN:
        value = settings.get(name)
        if name in _OF_SOME and not (method and _OF_SOME[name](method)):
            values.append("–")
        elif name == "embedding_alpha":
            values.append(_embedding_noise(settings, record.get("stages", [])))
        elif name == "target_modules" and value is None:
            values.append("query, value")
        elif name == "hynoise" and value is None:
            values.append("both" if method and method.reads_both else "–")
        else:
            values.append("–" if value is None else _value(value))
    return values


def _embedding_noise(settings: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> str:
    """As the stages had it: where no strength is asked for, it is the version's. With its ratio to the embeddings."""
    used = [f"{stage['embedding_alpha']:g}{_ratio(stage)}" for stage in stages if stage.get("embedding_alpha")]
    scale = settings.get("embedding_scale", "none")
    return " / ".join(dict.fromkeys(used)) + ("" if scale == "none" else f", {scale}") if used else "–"


def _ratio(stage: Mapping[str, Any]) -> str:
    ratio, tokens = stage.get("embedding_noise_ratio"), stage.get("embedding_noise_tokens")
    if not isinstance(ratio, float):
        return f" ({ratio})" if ratio else ""
    return f" ({100 * ratio:.3g} % of the embedding's spread{f' at {tokens} tokens' if tokens else ''})"


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _trained(stages: Sequence[Mapping[str, Any]]) -> str:
    return " / ".join(f"{stage['trained_parameters']:,}" for stage in stages if "trained_parameters" in stage) or "–"


def _seconds(runs: Sequence[Run]) -> str:
    totals = [sum(stage.get("seconds", 0.0) for stage in run.record.get("stages", [])) for run in runs]
    return f"{sum(totals) / len(totals):,.0f}"


def _version(manifest: Manifest) -> dict[str, Any]:
    noisy = manifest.kind == "build"
    units = sum(line.units for line in manifest.report if line.unit != "target")
    changed = sum(line.changed for line in manifest.report if line.unit != "target")
    return {
        "ref": manifest.ref,
        "rows": manifest.rows,
        "touched": manifest.touched,
        "share": manifest.touched / manifest.rows if manifest.rows else 0.0,
        "asked": [_asked(step) for step in manifest.steps],
        "realised": changed / units if units else None,
        "seed": manifest.seed if noisy else None,
        "digest": manifest.content_digest,
        "parent": manifest.parents[0].ref if noisy else None,
    }


def _asked(step: Step) -> dict[str, Any]:
    ops = list(step.mix)
    kinds = [op.partition(".")[0] for op in ops]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    return {"ratio": step.ratio, "level": step.level, "ops": ", ".join(ops) if len(ops) <= _FEW else counts}
