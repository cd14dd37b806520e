"""What a method of training is: everything that the rest of lope_train needs to know of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from lope_train.errors import ModelError
from lope_train.tuner.inference import STAGE2, Inference, Stage2

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from torch import Tensor, nn

    from lope_train.tuner.config import Normalize, RouterInput, Theta
    from lope_train.tuner.experts import Mode

Reads = Literal["noisy", "parent"]
_EXPERTS = "LOPE"
"""The kind of adapter of `lope_train.tuner`, whose layers have modes."""

HEAD = "head"
"""What counts call a classification head, which any method trains whole beside its adapter."""
HEAD_PATTERN = "*.modules_to_save.*"
"""The pattern (fnmatch) of its parameters' full names, as peft has them."""

WHOLE_ADAPTER = {"fsdp": "it needs its adapter whole in every process"}
"""Of a method whose adapter peft computes with outside of the model's forward pass."""
WHOLE_PROMPT = WHOLE_ADAPTER | {"packing": "rows in one sequence could not be kept apart"}
"""Of a method that puts virtual tokens before a sequence."""


class Noise(NamedTuple):
    """The parts of HyNoIse (Sec. 3.2.1) that a stage is trained under."""

    discrete: bool
    """The noisy version is read, not its parent."""
    continuous: bool
    """The input embeddings get noise."""


class StageChoices(NamedTuple):
    """What decides the stages of a method; all but `noise` is of methods with a poisoning expert."""

    noise: Noise
    stage2: Stage2 = STAGE2
    routed: bool = False
    """One stage, whose gradients go by where noise was injected."""
    injected: bool = False
    """Stage I of two reads the rows that noise came to alone."""
    train_router: bool = False
    """Stage I of two trains the router too."""


class AdapterSettings(Protocol):
    """What a method may read of the settings of a training; `TrainSettings` says what each is."""

    @property
    def r(self) -> int: ...
    @property
    def lora_alpha(self) -> int: ...
    @property
    def lora_dropout(self) -> float: ...
    @property
    def target_modules(self) -> tuple[str, ...] | None: ...
    @property
    def num_experts(self) -> int: ...
    @property
    def num_poisoning(self) -> int: ...
    @property
    def router_input(self) -> RouterInput: ...
    @property
    def compensation_experts(self) -> int | None: ...
    @property
    def normalize(self) -> Normalize: ...
    @property
    def theta(self) -> Theta: ...
    @property
    def inference(self) -> Inference | None: ...
    @property
    def num_virtual_tokens(self) -> int: ...
    @property
    def seed(self) -> int: ...


class Allocation(Protocol):
    """What moves an adapter's ranks while it trains, and what resuming that takes."""

    def step(self, number: int) -> None:
        """After optimizer step `number`, while the gradients are still there."""

    def penalty(self) -> Tensor:
        """What is added to the loss of each step."""

    def save(self, folder: Path) -> None:
        """Write into a checkpoint what `load` needs."""

    def load(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Go on from a checkpoint, of whose adapter `config` is."""


@dataclass(frozen=True)
class Stage:
    """One pass of training with an optimizer and a schedule of its own."""

    name: str
    reads: Reads
    mode: Mode | None
    """The mode of the layers of `LopeLinear`; None for an adapter of peft, which has one way to train."""
    embedding_noise: bool = False
    forward: Inference = Inference.UNMASKED
    """What its forward pass does with the poisoning experts, where there are any."""
    injected: bool = False
    """It reads the rows that noise came to alone."""

    @property
    def routed(self) -> bool:
        """Whether its gradients go by where noise was injected."""
        return self.mode == "routed"


def one_stage(mode: Mode | None = None) -> Callable[[StageChoices], tuple[Stage, ...]]:
    """The stages of a method that trains once, on what the noise says."""
    return lambda choices: (Stage("training", reads_of(choices.noise), mode, choices.noise.continuous),)


def reads_of(noise: Noise) -> Reads:
    """The version that is read under the noise."""
    return "noisy" if noise.discrete else "parent"


def in_layers(*names: str) -> dict[str, str]:
    """`Method.parameters` that peft keeps under these names in the layers it adapts."""
    return {name: f"*.{name}.*" for name in names}


@dataclass(frozen=True)
class Method:
    """A method of training. Errors, help, counts, cards and studies say of it what stands here."""

    name: str
    """What users type; the name of its file."""
    label: str
    """Its name in text for people."""
    peft_type: str
    """What `adapter_config.json` says."""
    config: Callable[[Any, AdapterSettings, int], PeftConfig]
    """The adapter: of a base model, the settings, and the number of steps of its last stage. Raises ModelError."""
    stages: Callable[[StageChoices], tuple[Stage, ...]]
    """What is trained one after the other."""
    parameters: Mapping[str, str]
    """The parameters of its adapter: what counts call them, and the pattern (fnmatch) of their full names. All train,
    unless the mode of a stage says otherwise."""
    uncounted: frozenset[str] = frozenset()
    """Those of `parameters` that the trained adapter does without, or that the paper leaves out of its %Param."""
    frozen: tuple[str, ...] = ()
    """Patterns of what peft lets train though nothing should."""
    poisoning: bool = False
    """It has poisoning experts, so it has ways of inference and can be asked where the noise is."""
    virtual_tokens: bool = False
    """It puts tokens of its own before a sequence, and adapts no modules."""
    allocation: Callable[[PeftModel], Allocation] | None = None
    """For ranks that are moved while it trains."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Settings that it cannot be trained with, and why not."""

    @property
    def experts(self) -> bool:
        """Whether its adapter is one of `lope_train.tuner`: a shared A, and experts B behind a router by token."""
        return self.peft_type == _EXPERTS

    @property
    def passes(self) -> int:
        """How often it goes through the rows in an epoch: the number of its stages."""
        return len(self._usual)

    @property
    def reads(self) -> dict[Reads, str]:
        """Which version it reads in which stage, where the noise is both discrete and continuous."""
        return {stage.reads: stage.name for stage in self._usual}

    @property
    def reads_both(self) -> bool:
        """Whether it reads the noisy version and its parent, so that there is nothing to choose."""
        return len(self.reads) > 1

    @property
    def _usual(self) -> tuple[Stage, ...]:
        return self.stages(StageChoices(Noise(discrete=True, continuous=True)))

    def attach(self, model: Any, settings: AdapterSettings, steps: int) -> PeftModel:
        """The base `model` with the adapter on it, as peft has it; `steps` are those of the last stage.

        Raises ModelError where the adapter does not fit the model.
        """
        from peft import TaskType, get_peft_model

        from lope_train.tuner.head import has_head, head_modules, widen_head

        config: Any = self.config(model, settings, steps)
        config.task_type = TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM
        if has_head(model):
            config.task_type = TaskType.SEQ_CLS
            # peft matches ends of names, and has its own network for virtual tokens beside the base model
            within = "base_model." if self.virtual_tokens else ""
            config.modules_to_save = [within + name for name in head_modules(model)]
        try:
            adapted: PeftModel = get_peft_model(model, config)
        except ValueError as error:  # of virtual tokens: what sizes the model has
            raise ModelError(f"method {self.name!r} does not fit {type(model).__name__}: {error}") from error
        widen_head(adapted)
        return adapted

    def enter(self, model: PeftModel, stage: Stage) -> int:
        """Make `model` train what `stage` trains, assert it by name; returns the number of those parameters."""
        from lope_train.tuner.modes import assert_trained, set_mode, trained_names

        if stage.mode is not None:
            set_mode(model, stage.mode, stage.forward)
            names = trained_names(model, stage.mode)
        else:
            names = {name for name, _ in self.adapter_parameters(model)}
            for name, parameter in model.named_parameters():
                if any(fnmatchcase(name, pattern) for pattern in self.frozen):
                    parameter.requires_grad_(False)
        assert_trained(model, names)
        return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)

    def part(self, name: str) -> str | None:
        """What counts call the parameter of this full name, HEAD those of a classification head; None where it is not
        of the adapter."""
        parts = {**self.parameters, HEAD: HEAD_PATTERN}
        return next((part for part, pattern in parts.items() if fnmatchcase(name, pattern)), None)

    def adapter_parameters(self, model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
        """The adapter's parameters in a model, by their full names."""
        return ((name, parameter) for name, parameter in model.named_parameters() if self.part(name) is not None)
