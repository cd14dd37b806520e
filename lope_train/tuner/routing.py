"""Gradient routing (Cloud et al. 2024, arXiv 2410.04332): which positions of a batch train the poisoning expert, and
which train all else.

The mode `routed` computes what stage I computes, all experts in the forward pass. What it changes is which gradients
reach which weights, by the position, in a row, at which a layer runs:

- where noise was injected, the poisoning expert and its rows of the router learn. The outputs of the normal experts are
  detached, and no gradient reaches A, the other rows of the router, and a classification head;
- elsewhere all learns but the poisoning expert, whose output is detached.

It is the position of the layer's output that counts, not that of the loss. The loss at a position goes back, through
attention, to the layers at all positions before it, and what they learn of it is by their own positions. Of a row with
a wrong response every position is injected, its prompt too, so that nothing of that loss reaches what is clean. Of a
row with noise in its prompt and a right response, the normal experts learn that response from all clean positions,
which read the noisy ones, and the poisoning expert learns to be of use where the noise is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lope_train.errors import ModelError
from lope_train.tuner.head import wrappers

if TYPE_CHECKING:
    from lope_train.tuner.experts import LopeExperts


class Routing:
    """What the experts in mode `routed` and a head ask at each forward pass; made by `gradient_routing`."""

    def __init__(self) -> None:
        self._injected: Tensor | None = None
        self._whole: Tensor | None = None
        self._copies = False

    def set(self, injected: Tensor, tokens: Tensor) -> None:
        """Route the forward passes from now on by `injected`, the positions where noise was injected, of those with
        `tokens` and not pads; both bool (b, l).
        """
        self._injected = injected
        self._whole = (injected | ~tokens).all(1, keepdim=True)

    def at(self, shape: torch.Size) -> Tensor:
        """`injected` for an input (b, l, d) of this shape, as (b, l, 1).

        Raises ModelError where the input is of other positions, RuntimeError where nothing was set.
        """
        if self._injected is None:
            raise RuntimeError("gradient routing: set() must be called before each forward pass")
        if shape[:-1] != self._injected.shape:
            raise ModelError(
                f"gradient routing needs layers that run over tokens of rows, {tuple(self._injected.shape)} of them, "
                f"and one runs over {tuple(shape[:-1])}; train without --route, or name other --target-modules"
            )
        return self._injected.unsqueeze(-1)

    def recomputing(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """The `context_fn` of torch's checkpoint: what is computed again is routed as it was the first time, whatever
        was set since.
        """
        return nullcontext(), self._as(self._injected, self._whole)

    @contextmanager
    def _as(self, *then: Tensor | None) -> Iterator[None]:
        now = self._injected, self._whole
        self._injected, self._whole = then
        try:
            yield
        finally:
            self._injected, self._whole = now

    def _head(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """A module of a head, with its weights detached at injected positions, or, where it runs once a row, in rows
        that are injected as a whole.
        """
        if self._copies or not torch.is_grad_enabled():
            return None
        once = output.ndim == 2 and self._whole is not None and len(output) == len(self._whole)
        injected = self._whole if once else self.at(output.shape)
        assert injected is not None
        detached = {name: weight.detach() for name, weight in module.named_parameters(recurse=False)}
        self._copies = True  # it calls this hook too
        try:
            stopped: Tensor = torch.func.functional_call(module, detached, arguments)
        finally:
            self._copies = False
        return torch.where(injected, stopped, output)


@contextmanager
def gradient_routing(model: nn.Module) -> Iterator[Routing]:
    """Within the context the experts of the active adapters, in mode `routed`, and a head ask the `Routing` that is
    given. It is taken away at the end, also after an error.
    """
    from lope_train.tuner.modes import lope_experts

    routing = Routing()
    layers: list[LopeExperts] = [layer for _, layer in lope_experts(model)]
    hooks = [module.register_forward_hook(routing._head) for module in _head_parts(model)]
    try:
        for layer in layers:
            layer.routing = routing
        yield routing
    finally:
        for layer in layers:
            layer.routing = None
        for hook in hooks:
            hook.remove()


def _head_parts(model: nn.Module) -> Iterator[nn.Module]:
    """The modules of the active adapters' head that have weights of their own: linear layers and norms."""
    for _, wrapper in wrappers(model):
        for adapter in wrapper.active_adapters:
            for module in wrapper.modules_to_save[adapter].modules():
                if any(True for _ in module.parameters(recurse=False)):
                    yield module
