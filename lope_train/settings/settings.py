"""Everything a training run is asked for, checked before anything is read or written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler

from lope_common.errors import did_you_mean, suggest
from lope_common.places import STORE_HELP
from lope_train.errors import SettingsError
from lope_train.methods import METHODS, Noise, Stage, StageChoices, having
from lope_train.tuner.inference import STAGE2, Inference, Stage2, stage2_and_inference

_OF_LOSS = {
    "gce_q": "gce",
    "transition": "forward",
    "noise_rate": "small-loss",
    "warmup_epochs": "small-loss",
    "label_smoothing": "cross-entropy",
}
"""Settings that one loss has, by their names."""
_NOT_ROUTED = {
    "stage1": "it has one stage, which reads all rows",
    "train_router": "it trains the router anyway",
    "stage2": "it has no stage II",
    "on": "it reads the noisy version",
    "embedding_alpha": "noise in the embeddings comes to every token, and would leave none clean",
    "embedding_scale": "it has no noise in the embeddings",
    "loss": "it knows where the noise is, and other losses are for where nobody does",
}
"""Settings that do not go with routing unless they are as by default, and why not."""
NO_PACKING = "it gives one class a sequence, and rows in one could not be kept apart"

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]  # so that options and errors list them


def one_line(error: ValidationError, model: type[BaseModel]) -> str:
    """The first thing wrong, in one line: the setting, the value, and what would be allowed."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"][:1])
    if first["type"] == "extra_forbidden":
        return f"unknown setting {name!r}{suggest(name, model.model_fields)}"
    if first["type"] == "missing":
        return f"setting {name!r} is missing"
    reason = first["msg"][0].lower() + first["msg"][1:]
    if first["type"] in ("literal_error", "enum"):
        reason += did_you_mean(str(first["input"]), re.findall(r"'([^']+)'", reason))
    return f"setting {name!r} is {first['input']!r}: {reason}"


def _panel(title: str) -> dict[str, JsonValue]:
    """Marks the first field of a group, by whose title the command line shows its options."""
    return {"panel": title}


class TrainSettings(BaseModel):
    """One training run. Raises `SettingsError` where a value is out of range or contradicts another.

    The paper gives learning rate, epochs, seed, r and the experts; the other defaults are ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: str = Field(
        min_length=1,
        json_schema_extra=_panel("Data and model"),
        description="The noisy version: NAME[@VERSION] or its folder.",
    )
    method: MethodName = Field("lope", description=f"In more than one stage: {having(lambda m: m.passes > 1)}.")
    model: str = Field(min_length=1, description="A model folder, a hub id, or a name that get-model knows.")
    head: Literal["lm", "classification"] | None = Field(
        None,
        description="lm: learn to write answers. classification: learn the labels of classification rows. Default: "
        "classification for an encoder such as BERT, else lm.",
    )
    out: Path = Field(description="The run's folder; must not exist, or be empty.")
    store: Path | None = Field(None, description=STORE_HELP)
    on: Literal["parent", "noisy"] = Field("parent", description="What one-stage methods read.")
    hynoise: Literal["both", "discrete", "continuous", "none"] | None = Field(
        None,
        description="Parts of HyNoIse: noise in text, in embeddings. "
        f"Default: {having(lambda m: m.reads_both)} both, others what `on` reads.",
    )
    held_out: str | None = Field(
        None,
        min_length=1,
        description="A version to measure the loss on in the last stage, whose weights at the lowest are kept.",
    )

    epochs: float = Field(
        1.0, gt=0, le=10_000, json_schema_extra=_panel("Schedule"), description="Passes over the rows, in each stage."
    )
    learning_rate: float = Field(2e-4, gt=0, le=1, description="At its highest, after the warm-up.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="After the warm-up.")
    warmup: float = Field(0.03, ge=0, lt=1, description="Share of the steps, linear.")
    weight_decay: float = Field(0.0, ge=0, description="Of AdamW.")
    batch_size: int = Field(16, ge=1, description="Rows an optimizer step, over all processes.")
    gradient_accumulation: int = Field(1, ge=1, description="Parts that a process takes its rows of a step in.")
    patience: int | None = Field(
        None, ge=1, description="Stop after that many measurements of held_out without a lower loss."
    )
    seed: int = Field(614, ge=0, lt=2**32, description="Keys initial values, order and noise.")

    loss: Literal["cross-entropy", "gce", "forward", "small-loss"] = Field(
        "cross-entropy",
        json_schema_extra=_panel("Wrong labels"),
        description="Of the last stage; stage I of two keeps cross-entropy. gce: unlikely labels count for less. "
        "forward: by --transition, for classes. small-loss: without the rows of the largest losses.",
    )
    gce_q: float | None = Field(
        None, gt=0, le=1, description="Of gce: near 0 as cross-entropy, 1 as the mean absolute error. Default: 0.7."
    )
    transition: Path | None = Field(
        None,
        description="Of forward: a JSON {true: {given: probability}} or CSV file of how often each class is given as "
        "each. Default: estimated out of fold.",
    )
    noise_rate: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Of small-loss: the share of rows to leave out. Default: estimated out of fold, for classes.",
    )
    warmup_epochs: int | None = Field(
        None, ge=1, description="Of small-loss: epochs on all rows, before the first decision. Default: 1."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="With cross-entropy alone.")

    max_length: int = Field(
        512,
        ge=8,
        json_schema_extra=_panel("Rows"),
        description="Tokens a row; longer rows are left out and counted.",
    )
    truncate: bool = Field(False, description="Cut rows that are too long instead.")
    packing: bool = Field(False, description="Several rows in one sequence, kept apart by positions and attention.")

    r: int = Field(4, ge=1, json_schema_extra=_panel("Adapter"), description="Rank of the adapter.")
    lora_alpha: int = Field(32, ge=1, description="The adapter is scaled by alpha / r.")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="On the adapter's input.")
    target_modules: tuple[str, ...] | None = Field(
        None, min_length=1, description="Modules to adapt, by name or end. Default: the query and value projections."
    )
    num_experts: int = Field(
        4, ge=1, le=1024, description=f"Of {having(lambda m: m.experts)}; poisoning ones included."
    )
    num_poisoning: int = Field(
        1, ge=1, description=f"Of {having(lambda m: m.poisoning)} alone; the other methods have none."
    )
    router_input: Literal["latent", "hidden"] = Field(
        "latent", description="The router reads A x (latent, the paper's shape) or x (hidden, HydraLoRA's)."
    )
    compensation_experts: int | None = Field(
        None, ge=0, description="K of DyCompEnSate: normal experts that are amplified. Default: all."
    )
    normalize: Literal["sum", "none"] = Field("sum", description="beta of DyCompEnSate: conserve the weight, or 1.")
    theta: Literal["cosine", "zero"] = Field("cosine", description="zero: a control that only renormalises.")
    stage2: Stage2 | None = Field(
        None,
        description="The poisoning expert in stage II: left in, frozen (the paper's text), or out, as at inference. "
        f"Default: as inference, else {STAGE2.value}.",
    )
    inference: Inference | None = Field(
        None,
        description="What is done with the poisoning expert once trained. Default: as stage2 has it; of frozen "
        f"{Stage2.FROZEN.deployed.value}.",
    )
    route: Literal["none", "edits"] = Field(
        "none",
        description=f"Of {having(lambda m: m.poisoning)}. edits: one stage on the noisy version, in which tokens with "
        "an edit record train the poisoning expert alone, and all others all else.",
    )
    stage1: Literal["all", "injected"] = Field(
        "all", description="The rows of stage I: all, or those with an edit record."
    )
    train_router: bool = Field(False, description="In stage I too, not in stage II alone.")
    num_virtual_tokens: int = Field(20, ge=1, le=10_000, description=f"Of {having(lambda m: m.virtual_tokens)}.")

    embedding_alpha: float | None = Field(
        None,
        ge=0,
        json_schema_extra=_panel("Embedding noise"),
        description="Strength of the embedding noise. Default: the version's hint, else 0.05.",
    )
    embedding_scale: Literal["none", "neftune"] = Field(
        "none", description="neftune: alpha / sqrt(length * width) instead of alpha."
    )

    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", json_schema_extra=_panel("Machine"), description="Of the frozen base; adapters are float32."
    )
    quantization: Literal["4bit", "8bit"] | None = Field(None, description="Of the frozen base, by bitsandbytes.")
    bf16: bool = Field(False, description="Compute in bfloat16 (autocast).")
    activation_checkpointing: bool = Field(False, description="Less memory, a third more time.")
    fsdp: bool = Field(False, description="Shard the model over the processes (torchrun, accelerate launch).")
    save_every: int = Field(50, ge=1, description="Steps between checkpoints, and measurements of held_out.")
    report_to: tuple[Literal["tensorboard", "wandb"], ...] = Field(
        (), description="Where metrics go besides metrics.jsonl."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _checked(cls, values: Any, handler: ModelWrapValidatorHandler[TrainSettings]) -> TrainSettings:
        try:
            settings = handler(values)
        except ValidationError as error:
            raise SettingsError(one_line(error, cls)) from None
        settings._check_method()
        settings._check_route()
        settings._check_noise()
        settings._check_loss()
        if METHODS[settings.method].poisoning and settings.num_poisoning >= settings.num_experts:
            raise SettingsError(
                f"num_poisoning is {settings.num_poisoning} of num_experts {settings.num_experts}: "
                "at least one expert must be normal"
            )
        if settings.patience is not None and settings.held_out is None:
            raise SettingsError("'patience' needs 'held_out': name the version whose loss decides when to stop")
        if settings.batch_size % settings.gradient_accumulation:
            raise SettingsError(
                f"batch_size {settings.batch_size} cannot be taken in {settings.gradient_accumulation} equal parts "
                "(gradient_accumulation)"
            )
        if METHODS[settings.method].poisoning:
            ways = stage2_and_inference(settings.stage2, settings.inference)
            for name, way in zip(("stage2", "inference"), ways, strict=True):
                if name != "stage2" or settings.route == "none":
                    object.__setattr__(settings, name, way)  # frozen for all but its own making
        return settings

    def _check_method(self) -> None:
        if self.head == "classification" and self.packing:
            raise SettingsError(f"packing does not go with a classification head: {NO_PACKING}; leave it out")
        for name, why in METHODS[self.method].cannot.items():
            if getattr(self, name):
                raise SettingsError(f"{name} does not go with method {self.method!r}: {why}; leave it out")
        for name in ("stage2", "inference"):
            if getattr(self, name) is not None and not METHODS[self.method].poisoning:
                raise SettingsError(
                    f"{name} is for method {having(lambda m: m.poisoning)}; {self.method!r} has one stage and no "
                    "poisoning expert; leave it out"
                )

    def _check_route(self) -> None:
        fields = type(self).model_fields
        for name in ("route", "stage1", "train_router"):
            if getattr(self, name) != fields[name].default and not METHODS[self.method].poisoning:
                raise SettingsError(
                    f"{name} is for method {having(lambda m: m.poisoning)}; {self.method!r} has no poisoning expert; "
                    "leave it out"
                )
        if self.stage1 == "injected" and not self.noise.discrete:
            raise SettingsError(
                f"stage1 'injected' contradicts hynoise {self.hynoise!r}: stage I would read the clean version; leave "
                "one out"
            )
        if self.route == "none":
            return
        for name, why in _NOT_ROUTED.items():
            if getattr(self, name) not in (fields[name].default, 0):
                raise SettingsError(f"{name} does not go with route 'edits': {why}; leave it out")
        if self.hynoise not in (None, "discrete"):
            raise SettingsError(
                f"hynoise {self.hynoise!r} contradicts route 'edits': noise is read in the text, where edits say what "
                "it is, and there is none in the embeddings; leave it out"
            )

    def _check_loss(self) -> None:
        for name, loss in _OF_LOSS.items():
            if getattr(self, name) and self.loss != loss:
                raise SettingsError(f"{name} is for loss {loss!r}, and loss is {self.loss!r}; leave it out")
        if self.loss == "small-loss" and self.epochs <= (self.warmup_epochs or 1):
            raise SettingsError(
                f"small-loss leaves rows out after {self.warmup_epochs or 1} epochs, and there are {self.epochs:g}: "
                "raise epochs"
            )

    def _check_noise(self) -> None:
        method = METHODS[self.method]
        if method.reads_both:
            if self.on == "noisy":
                raise SettingsError(
                    f"method {self.method!r} reads the noisy version in {method.reads['noisy']} and its parent in "
                    f"{method.reads['parent']}; 'on' is for the one-stage methods"
                )
        elif self.hynoise is not None and self.noise.discrete != (self.on == "noisy"):
            raise SettingsError(
                f"hynoise {self.hynoise!r} contradicts on {self.on!r}: the noise in the text is in the noisy version, "
                "so `discrete` and `both` go with on 'noisy', `continuous` and `none` with on 'parent'"
            )
        if not self.noise.continuous:
            fields = type(self).model_fields
            for name in ("embedding_alpha", "embedding_scale"):
                if getattr(self, name) not in (fields[name].default, 0):
                    raise SettingsError(
                        f"{name} is of noise in the embeddings, and there is none: give hynoise 'continuous' (with on "
                        "'noisy' or lope: 'both'), or leave it out"
                    )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is trained one after the other."""
        return METHODS[self.method].stages(
            StageChoices(
                self.noise, self.stage2 or STAGE2, self.route == "edits", self.stage1 == "injected", self.train_router
            )
        )

    @property
    def noise(self) -> Noise:
        """The parts of HyNoIse: of the first stage, where there are two."""
        both = METHODS[self.method].reads_both and self.route == "none"
        read = "both" if both else "discrete" if self.on == "noisy" or self.route == "edits" else "none"
        chosen = self.hynoise or read
        return Noise(chosen in ("both", "discrete"), chosen in ("both", "continuous"))
