"""`train`: versions in, a run folder out, stage by stage."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

from peft import PeftModel

from lope_common.places import typed_path
from lope_common.shown import one_line
from lope_train.data.classified import ClassifiedCollator, check_trained, classes_of, load_classified
from lope_train.data.collate import Collator
from lope_train.data.injected import edited_rows, find_injected
from lope_train.data.tokens import Tokens, load_tokens, notice
from lope_train.data.transitions import read_transition
from lope_train.data.versions import Version, parent, resolve
from lope_train.errors import RunError, SettingsError, VersionError
from lope_train.keyed import global_seed
from lope_train.methods import METHODS, Reads, Stage
from lope_train.models.heads import is_encoder
from lope_train.models.load import context_length, fingerprint, load_base, load_tokenizer, resolve_head
from lope_train.runs.adapter import CONFIG, RUN, WEIGHTS, load_adapter, load_weights, read_json, write_json
from lope_train.runs.folder import METRICS, RunFolder, kept_stage
from lope_train.settings.recipes import dump
from lope_train.settings.settings import NO_PACKING, TrainSettings
from lope_train.training.deployed import ending
from lope_train.training.estimate import estimate, needs_estimate
from lope_train.training.objective import CROSS_ENTROPY, objective_of
from lope_train.training.pooling import check_pooling
from lope_train.training.progress import Progress
from lope_train.training.routing import learned_rows
from lope_train.training.selection import selection_of
from lope_train.training.stage import REPORT, StageRows, check_reporters, run_stage, steps_of
from lope_train.tuner.head import reset_head
from lope_train.world import World

LIBRARIES = ("lope", "torch", "transformers", "peft", "accelerate", "datasets", "safetensors")
EMBEDDING_ALPHA = 0.05
"""Strength of the embedding noise where neither the settings nor the version give one; the paper's."""
SETTINGS = "settings.toml"
_PLACES = {"out", "store", "report_to"}
"""Settings that do not change the weights: a run may be resumed under others."""


def train(settings: TrainSettings) -> Path:
    """Fine-tune as `settings` say, and return the run folder: the adapter's two files, `run.json`, `settings.toml`,
    `metrics.jsonl`, and in `stage1` the adapter as stage I of two left it.

    The folder appears whole at the end. A run that is killed resumes from its last checkpoint when it is asked for
    again, and ends in the same weights, bit for bit on a CPU. The same settings, versions, libraries and machine
    give the same weights. AdamW with torch's betas, gradients clipped at norm 1, a fresh optimizer and schedule in
    each stage. Raises RunError where the folder is taken or the loss is not finite, VersionError and ModelError where
    inputs cannot be read, SettingsError where settings do not fit the model or the processes.
    """
    world = World.here()
    folder = RunFolder(settings.out)
    folder.check()
    check_reporters(settings)
    _check_world(world, settings)
    noisy = resolve(settings.data, settings.store)
    method = METHODS[settings.method]
    stages = settings.stages
    versions: dict[Reads, Version] = {"noisy": noisy}
    if any(stage.reads == "parent" for stage in stages):
        if not noisy.manifest["parents"]:
            raise VersionError(f"{noisy.ref} has no parent, whose rows would be read; {_instead(noisy, stages)}")
        versions["parent"] = parent(noisy, settings.store)
    held_out = resolve(settings.held_out, settings.store) if settings.held_out else None
    head = resolve_head(settings.model, settings.head)
    read_versions = [version for name, version in versions.items() if any(stage.reads == name for stage in stages)]
    classes = classes_of(read_versions) if head == "classification" else None
    tokenizer = load_tokenizer(settings.model, head)
    model: Any = load_base(settings.model, settings.dtype, settings.quantization, classes)
    _check_model(model, settings, head)
    encoder_decoder = bool(model.config.is_encoder_decoder)

    only, shares = edited_rows(noisy, settings.store) if any(stage.injected for stage in stages) else (None, {})

    def tokens(version: Version) -> Tokens:
        max_length, truncate, needed = settings.max_length, settings.truncate, "a prompt or target"
        some = only if version is noisy else None
        if classes is not None:
            loaded = load_classified(version, tokenizer, classes, max_length=max_length, truncate=truncate, only=some)
            needed = "a text and a label"
        else:
            loaded = load_tokens(
                version,
                tokenizer,
                max_length=max_length,
                truncate=truncate,
                packing=settings.packing,
                encoder_decoder=encoder_decoder,
                only=some,
            )
        if world.main and (line := notice(version, loaded.counts, max_length, needed)):
            print(one_line(line), file=sys.stderr)
        return loaded

    world.join()
    with world.main_first():
        read = {name: tokens(version) for name, version in versions.items() if any(s.reads == name for s in stages)}
        measured = tokens(held_out).dataset if held_out else None
        weights = {name: versions[name].weights() for name in read}
    if held_out and held_out.weights() is not None and world.main:
        print(one_line(f"{held_out.ref}: its rows count alike, whatever their weights"), file=sys.stderr)
    injected = None
    if settings.route == "edits":
        injected = find_injected(noisy, read["noisy"], tokenizer, settings.store, classified=classes is not None)
        if world.main and injected.unaligned:
            line = f"{noisy.ref}: {injected.unaligned} rows whose texts the chat template changes count as noise, whole"
            print(one_line(line), file=sys.stderr)
    rows = [
        StageRows(
            versions[stage.reads].ref,
            read[stage.reads].dataset,
            read[stage.reads].counts.unusable + read[stage.reads].counts.too_long,
            measured if stage is stages[-1] else None,
            last=stage is stages[-1],
            injected=injected,
            weights=weights[stage.reads],
            shares={"rows": shares} if stage.injected else {},
        )
        for stage in stages
    ]
    for stage, stage_rows in zip(stages, rows, strict=True):
        read[stage.reads].check_weights(stage_rows.ref, stage_rows.weights)
    last_read = read[stages[-1].reads]
    if classes is not None:
        learned = last_read if injected is None else learned_rows(last_read, injected)
        check_trained(rows[-1].ref, learned, classes, settings.max_length, rows[-1].weights)
    transition = _transition(settings, classes)
    if settings.noise_rate is not None:
        _check_rate(settings.noise_rate, last_read.counts.rows - last_read.counts.unusable - last_read.counts.too_long)
    steps = [steps_of(len(stage_rows.rows), settings) for stage_rows in rows]
    alpha = next(a for a in (settings.embedding_alpha, noisy.embedding_alpha, EMBEDDING_ALPHA) if a is not None)
    plan = _plan(settings, noisy, held_out, fingerprint(settings.model, model.config)) | {
        "head": head,
        "classes": classes and [*classes],
        "transition": transition,
    }
    with folder.opened(plan, world.main) as resumes, global_seed(settings.seed):
        model = method.attach(model, settings, steps[-1])
        if classes is not None:
            reset_head(model, settings.seed, "1")
            check_pooling(model, tokenizer, f"method {settings.method!r} on {settings.model}")
        rate = settings.noise_rate
        estimated = None
        if needs_estimate(settings):
            assert classes is not None
            last_rows = rows[-1]
            estimated = estimate(last_rows.rows, last_rows.ref, classes, settings, folder.folds)
            transition, rate = estimated.transition, estimated.noise_rate
            _check_rate(rate, len(last_rows.rows))
        reports = []
        with Progress(steps, quiet=not world.main) as progress:
            if resumes:
                progress.say(f"{settings.out}: resuming from what {folder.path} holds")
            for number, stage in enumerate(stages, start=1):
                if (report := _done(folder, number)) is not None:
                    reports.append(report)
                    progress.enter(number - 1, stage.name, "was done before")
                    continue
                if number > 1:
                    model = _from_stage(model, folder.result(number - 1), settings, classes)
                if classes is not None:
                    reset_head(model, settings.seed, str(number))  # nothing of the noise goes on through the head
                collator = Collator(tokenizer, encoder_decoder) if classes is None else ClassifiedCollator(tokenizer)
                last = stage is stages[-1]
                reports.append(
                    run_stage(
                        model,
                        number,
                        stage,
                        rows[number - 1],
                        collator,
                        alpha,
                        objective_of(settings, transition) if last else CROSS_ENTROPY,
                        selection_of(settings, rate, classes) if last else None,
                        settings,
                        folder,
                        progress,
                    )
                )
        world.wait()  # until all have read what is now moved
        if world.main:
            _finish(folder, settings, plan | ({"estimated": estimated.named(classes)} if estimated else {}), reports)
            for line in ending(reports[-1]):
                print(one_line(line), file=sys.stderr)
        world.wait()
    return settings.out


def _instead(version: Version, stages: Sequence[Stage]) -> str:
    """What to do about a version without a parent."""
    if len(stages) == 1:
        return "give --on noisy to train on its own rows"
    return (
        f"put noise on it for stage I, `python -m lope_data build --from {version.name} --ratio 0.2`, and train on that"
    )


def _from_stage(model: PeftModel, result: Path, settings: TrainSettings, classes: tuple[str, ...] | None) -> PeftModel:
    """The model with the weights that the stage before left: on a new base where that one's model was sharded."""
    if settings.fsdp:
        base = load_base(settings.model, settings.dtype, settings.quantization, classes)
        return load_adapter(base, result, trainable=True)
    load_weights(model, result)
    return model


def _done(folder: RunFolder, number: int) -> dict[str, Any] | None:
    result = folder.done(number)
    return read_json(result / REPORT) if result else None


def _check_world(world: World, settings: TrainSettings) -> None:
    if needs_estimate(settings) and world.size > 1:
        raise SettingsError(
            f"loss {settings.loss!r} estimates {'transition' if settings.loss == 'forward' else 'noise_rate'} in one "
            "process; give it, or train in one"
        )
    if settings.batch_size % (world.size * settings.gradient_accumulation):
        raise SettingsError(
            f"batch_size {settings.batch_size} cannot be shared by {world.size} processes "
            f"in {settings.gradient_accumulation} equal parts each"
        )
    if settings.fsdp and world.size == 1:
        raise SettingsError(
            "fsdp shards the model over several processes, and this is one: "
            "start them with `torchrun --nproc-per-node N -m lope_train train ...`"
        )
    if world.launched_for == "deepspeed" or (world.launched_for == "fsdp" and not settings.fsdp):
        raise SettingsError(
            f"accelerate was configured for {world.launched_for}; models are sharded by the setting fsdp alone"
        )


def _check_model(model: Any, settings: TrainSettings, head: str) -> None:
    config = model.config
    if settings.packing and head == "classification":
        raise SettingsError(f"packing does not go with a classification head: {NO_PACKING}; leave it out")
    limit = context_length(model)
    virtual = settings.num_virtual_tokens if METHODS[settings.method].virtual_tokens else 0
    if limit is not None and settings.max_length + virtual > limit:
        beside = f" and {virtual} virtual ones" if virtual else ""
        raise SettingsError(f"max_length is {settings.max_length}{beside}, but {settings.model} takes {limit} tokens")
    if settings.fsdp and config.is_encoder_decoder:
        raise SettingsError("fsdp does not go with an encoder-decoder: its halves share embeddings; leave it out")
    if settings.fsdp and is_encoder(config):
        raise SettingsError("fsdp does not go with an encoder: accelerate shards its embeddings twice; leave it out")
    if settings.route == "edits" and config.is_encoder_decoder:
        raise SettingsError(
            "route 'edits' does not go with an encoder-decoder: its decoder runs over other tokens than its encoder; "
            "leave it out"
        )
    if settings.packing and config.is_encoder_decoder:
        raise SettingsError("packing does not go with an encoder-decoder: rows in one sequence could not be kept apart")


def _transition(settings: TrainSettings, classes: tuple[str, ...] | None) -> list[list[float]] | None:
    if classes is None and settings.loss == "forward":
        raise SettingsError(
            f"loss 'forward' needs classes, and {settings.model} learns to write answers: give --head classification, "
            "or --loss gce, which goes by tokens"
        )
    if classes is None and needs_estimate(settings):
        raise SettingsError(
            "loss 'small-loss' needs noise_rate: only of a model with a head for classes can it be estimated"
        )
    return None if settings.transition is None else read_transition(settings.transition, classes or ())


def _check_rate(rate: float, rows: int) -> None:
    if round(rate * rows) >= rows:
        raise SettingsError(f"noise_rate {rate:.3g} of {rows} rows leaves none to train on; lower it")


def _plan(settings: TrainSettings, noisy: Version, held_out: Version | None, model_fingerprint: str) -> dict[str, Any]:
    """All that decides the weights but for rounding, which devices and the number of processes change too; what a
    killed run is compared with, and most of run.json."""
    folder = typed_path(settings.model)
    link = next(iter(noisy.manifest["parents"]), None)
    return {
        "method": settings.method,
        "settings": settings.model_dump(mode="json", exclude=_PLACES),
        "model": str(folder.absolute()) if folder.is_dir() else settings.model,
        "model_fingerprint": model_fingerprint,
        "data": {
            "ref": noisy.ref,
            "content_digest": noisy.content_digest,
            "parent": f"{link['name']}@{link['version']}" if link else None,
            "parent_content_digest": link["content_digest"] if link else None,
        },
        "held_out": {"ref": held_out.ref, "content_digest": held_out.content_digest} if held_out else None,
        "libraries": {
            "python": platform.python_version(),
            **{name: library_version(name) for name in LIBRARIES},
        },
    }


def _finish(folder: RunFolder, settings: TrainSettings, plan: dict[str, Any], reports: list[dict[str, Any]]) -> None:
    """Each stage's adapter, the last as the run's, and the record of all, then the run under its own name."""
    try:
        results = [folder.result(number) for number in range(1, len(reports) + 1)]
        for number, result in enumerate(results, start=1):
            kept = folder.path if number == len(results) else kept_stage(folder.path, number)
            kept.mkdir(exist_ok=True)
            for name in (CONFIG, WEIGHTS):
                (kept / name).write_bytes((result / name).read_bytes())
        lines = [(result / METRICS).read_text(encoding="utf-8") for result in results]
        (folder.path / METRICS).write_text("".join(lines), encoding="utf-8")
        record = plan | {"settings": settings.model_dump(mode="json"), "stages": reports}
        write_json(folder.path / RUN, record)
        (folder.path / SETTINGS).write_text(dump(settings), encoding="utf-8")
        folder.finish()
    except OSError as error:
        raise RunError(f"{settings.out}: cannot be written: {error}") from error
