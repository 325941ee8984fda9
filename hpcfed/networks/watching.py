"""Which layers of a torch module spike, and what enters its weights: found by trying it once.

The neurons of norse, snnTorch and SpikingJelly are known by the names of their classes; none of
the libraries is imported for it. T time bins, B batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple  # Any: what a user's layer takes and returns

import torch
from torch import Tensor, nn

from hpcfed.errors import InputError
from hpcfed.networks.contract import Layer, Product

# library -> classes that its neurons descend from
_FAMILIES = {
    "norse": ("SNN", "SNNCell", "SNNRecurrent", "SNNRecurrentCell"),
    "snntorch": ("SpikingNeuron",),
    "spikingjelly": ("BaseNode",),
}
_WITHOUT_SPIKES = re.compile(r"LI(?!F)|NonSpiking")  # leaky integrators of norse; by their names
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
WHOLE, BINS, BATCH_FIRST = "whole", "bins", "batch first"


class Source(NamedTuple):
    """A layer of neurons: its name in the module, how it gives spikes, and how often in a pass.

    ``form`` is WHOLE for (T, B, ...), BATCH_FIRST for (B, T, ...), BINS for (B, ...) in each bin.
    """

    name: str
    form: str
    times: int


@dataclass(frozen=True)
class Seen:
    """What trying a module has shown: where spikes come from, and what is counted.

    ``num_bins`` is T.
    """

    num_bins: int
    sources: tuple[Source, ...]
    layers: tuple[Layer, ...]
    products: tuple[Product, ...]


def is_neuron(layer: nn.Module) -> bool:
    """Say whether a layer is one of neurons, spiking or not, of a known library."""
    return any(
        kind.__module__.partition(".")[0] == library and kind.__name__ in names
        for library, names in _FAMILIES.items()
        for kind in type(layer).__mro__
    )


def first_of(found: Any) -> Any:
    """Return what a module gives, without the states beside it."""
    while isinstance(found, tuple | list) and found:
        found = found[0]
    return found


class Watch:
    """What flows through the layers of one copy of a module, in one pass."""

    def __init__(self, root: nn.Module, seen: Seen, counting: bool) -> None:
        """Watch the layers that ``seen`` knows; count what enters weights if ``counting``."""
        self._seen, self._outputs, layers = (
            seen,
            dict[str, list[Tensor]](),
            dict(root.named_modules()),
        )
        self.entering: dict[str, Tensor] = {}
        for source in seen.sources:
            self._outputs[source.name] = []
            layers[source.name].register_forward_hook(_keeping(self._outputs[source.name]))
        for product in seen.products if counting else ():
            layers[_owner(product.name)].register_forward_pre_hook(self._entering(product.name))

    def spikes(self, with_gradients: bool) -> list[Tensor]:
        """Return the spikes (T, B, ...) of each layer: booleans, unless gradients are asked."""
        found: list[Tensor] = []
        for name, form, times in self._seen.sources:
            outputs, expected = self._outputs[name], _calls(form, times, self._seen.num_bins)
            if len(outputs) != expected:
                raise InputError(
                    f"the module's layer {name} was called {len(outputs)} times, and {expected} "
                    "when it was tried; call it alike in every pass, or give spiking=()"
                )
            found += (_in_bins(form, outputs[k::times]) for k in range(times))
        return found if with_gradients else [layer.detach().bool() for layer in found]

    def _entering(self, name: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def count(layer: nn.Module, given: tuple[Any, ...]) -> None:
            signal = given[0].detach()
            total = signal.abs().sum(dtype=torch.float64)
            found = torch.stack([signal.count_nonzero().double(), total])
            self.entering[name] = self.entering[name] + found if name in self.entering else found

        return count


def watched(
    root: nn.Module,
    kinds: tuple[type[nn.Module], ...] | None,
    num_bins: int,
    run: Callable[[], object],
) -> Seen:
    """Return what ``run``, a pass of one sample through ``root``, shows of its layers.

    Those that spike are of ``kinds``, or those that are known. Raises InputError for one whose
    output cannot be spikes in T bins.
    """
    trial = _Trial(root, kinds)
    run()
    sources = tuple(_source(name, found, num_bins) for name, found in trial.outputs.items())
    return Seen(
        num_bins,
        sources,
        tuple(layer for source in sources for layer in trial.layers(source, num_bins)),
        trial.products(num_bins),
    )


class _Trial:
    """One pass of one sample: what layers of neurons gave, and what each product did before."""

    def __init__(self, root: nn.Module, kinds: tuple[type[nn.Module], ...] | None) -> None:
        self.outputs: dict[str, list[Tensor]] = {}
        self._root, self._before = root, dict[str, list[str]]()
        self._done, self._entered = dict[str, int](), dict[str, int]()
        self._waiting: list[str] = []  # weights that no layer of neurons has come after yet
        for name, layer in root.named_modules():
            if isinstance(layer, _WEIGHTED):
                layer.register_forward_hook(self._multiplied(name))
            elif _spikes(layer, kinds):
                layer.register_forward_hook(self._fired(name))

    def layers(self, source: Source, num_bins: int) -> tuple[Layer, ...]:
        """Return the layers that a source is."""
        output = _in_bins(source.form, self.outputs[source.name][:: source.times])
        own = dict(self._root.named_modules())[source.name].parameters(recurse=False)
        within = sum(value.numel() for value in own if value.dim() == 2)
        done = sum(self._done[name] for name in self._before[source.name])
        operations = done // (num_bins * source.times) + within
        names = [
            source.name or "neurons",
            *(f"{source.name}.{k}" for k in range(2, 1 + source.times)),
        ]
        return tuple(Layer(name, prod(output.shape[2:]), operations) for name in names)

    def products(self, num_bins: int) -> tuple[Product, ...]:
        """Return the products; none unless all weights are known, and each acts in every bin."""
        matrices = {n for n, value in self._root.named_parameters() if value.dim() > 1}
        known = {f"{name}.weight" for name in self._done}
        if matrices - known or any(done % num_bins for done in self._done.values()):
            return ()
        return tuple(
            Product(f"{name}.weight", done // num_bins, self._entered[name])
            for name, done in self._done.items()
        )

    def _multiplied(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def count(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            weight: Tensor = layer.weight  # type: ignore[assignment]
            done = output.numel() * weight[0].numel()
            if name not in self._done:
                self._waiting.append(name)
            self._done[name] = self._done.get(name, 0) + done
            self._entered[name] = self._entered.get(name, 0) + given[0].numel()

        return count

    def _fired(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def count(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            self.outputs.setdefault(name, []).append(first_of(output))
            self._before.setdefault(name, self._waiting)
            self._waiting = []

        return count


def _spikes(layer: nn.Module, kinds: tuple[type[nn.Module], ...] | None) -> bool:
    if kinds is not None:
        return isinstance(layer, kinds)
    return is_neuron(layer) and not _WITHOUT_SPIKES.match(type(layer).__name__)


def _source(name: str, outputs: list[Tensor], num_bins: int) -> Source:
    """Return how a layer gives spikes, by what it gave of one sample."""
    shape, calls = outputs[0].shape, len(outputs)
    if all(one.shape == shape for one in outputs):
        if tuple(shape[:2]) == (num_bins, 1):
            return Source(name, WHOLE, calls)
        if shape[:1] == (1,) and calls % num_bins == 0:
            return Source(name, BINS, calls // num_bins)
        if tuple(shape[:2]) == (1, num_bins):
            return Source(name, BATCH_FIRST, calls)
    shapes = ", ".join(sorted({str(tuple(one.shape)) for one in outputs}))
    raise InputError(
        f"the module's layer {name} gave {shapes} in {calls} calls for one sample; expected spikes "
        f"({num_bins}, 1, ...), or (1, ...) in each of data.num_bins = {num_bins} bins; give "
        "spiking=() to have none counted"
    )


def _calls(form: str, times: int, num_bins: int) -> int:
    return times * num_bins if form == BINS else times


def _in_bins(form: str, outputs: list[Tensor]) -> Tensor:
    """Return the outputs of one layer as (T, B, ...)."""
    if form == BINS:
        return torch.stack(outputs)
    return outputs[0].transpose(0, 1) if form == BATCH_FIRST else outputs[0]


def _keeping(found: list[Tensor]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def keep(layer: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        found.append(first_of(output))

    return keep


def _owner(name: str) -> str:
    return name.removesuffix("weight").removesuffix(".")
