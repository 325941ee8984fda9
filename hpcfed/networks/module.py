"""A torch module of one's own as a network: ``hpcfed.module`` is the one adapter for all of them.

Its parameters are parts of the layout, from the values that the module was made with; persistent
buffers of float32 are statistics, as those of a batch norm; all else, a frozen parameter or a
neuron's threshold, stays as the module was made. Every pass has a copy of the module as it was
made, which shares the parameters' storage, so that neurons begin at rest whatever library they are
from, threads do not meet, and nothing of a batch is left. What a module draws from torch's
generator follows from the run's words.

T time bins, B batch, K classes, P parameters.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any  # Any: what a user's module takes and returns

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.errors import InputError
from hpcfed.networks.contract import Activity, Layer, Pass, Product
from hpcfed.networks.layout import Layout, Part
from hpcfed.networks.watching import Seen, Watch, first_of, is_neuron, watched

F32 = NDArray[np.float32]
U32 = NDArray[np.uint32]

_ONE_AT_A_TIME = threading.Lock()  # torch has one generator for all threads


@dataclass(frozen=True)
class OwnModule:
    """What ``module`` returns: a torch module, and how it is to be used."""

    network: nn.Module
    each_bin: bool
    spiking: tuple[type[nn.Module], ...] | None


def module(
    network: nn.Module,
    *,
    each_bin: bool = False,
    spiking: Sequence[type[nn.Module]] | None = None,
) -> OwnModule:
    """Return a torch module as a network, for a function that ``model.kind`` names to return.

    ``network`` takes events (T, B, C), or (T, B, polarity, height, width) of a sensor, or images
    (B, channel, height, width), which ``data.encoder`` puts into bins, (T, B, ...); all float32.
    It returns logits (B, K), or a tuple that begins with them. With ``each_bin`` it takes one bin
    after the other, (B, ...), and what it returned beside the output as a second argument, if it
    has one; logits are then the mean of its outputs over the bins.

    ``spiking`` are the classes of layers whose output is spikes, (T, B, ...) or, bin by bin,
    (B, ...); None: the neurons of norse, snnTorch and SpikingJelly; (): none, and nothing is
    counted. What cannot be meant is refused with an InputError when a run begins.
    """
    if not isinstance(network, nn.Module):
        raise InputError(
            f"hpcfed.module was given {type(network).__name__}; expected a torch.nn.Module"
        )
    if spiking is None:
        return OwnModule(network, each_bin, None)
    if not isinstance(spiking, Sequence) or not all(isinstance(kind, type) for kind in spiking):
        raise InputError(f"hpcfed.module: spiking = {spiking!r}; expected classes, as [MyNeurons]")
    return OwnModule(network, each_bin, tuple(spiking))


@dataclass(frozen=True)
class ModuleNetwork:
    """A torch module between an input and K classes; implements ``contract.Network``.

    Attributes:
        root: the module as it was made, never called.
        each_bin: whether it takes one bin after the other.
        shapes: those of the parts as the module has them, of which some have no axis.
        statistics: names of the parts that are statistics.
        seen: where spikes come from.
        initial: (P,) float32, the values that it was made with.
        constants: SHA-256 (hex) of all that it holds and nobody trains or sends.
        seed: of what it draws.
    """

    root: nn.Module
    each_bin: bool
    layout: Layout
    shapes: Mapping[str, tuple[int, ...]]
    statistics: frozenset[str]
    seen: Seen
    initial: F32
    constants: str
    seed: int

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers whose spikes are counted."""
        return self.seen.layers

    @property
    def products(self) -> tuple[Product, ...]:
        """The weights of which it is counted what enters; none unless that is known of all."""
        return self.seen.products

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, call: Pass) -> Activity:
        """Return logits (B, K), spikes, and new statistics where it learns."""
        used = _copied(self.root, inputs.device).train(call.learn)
        given = {name: self._value(name, value) for name, value in weights.items()}
        watch = Watch(used, self.seen, counting=not call.learn)
        # what is evaluated draws the same words for every batch
        draw = Stream(self.seed, Purpose.NETWORK).words if call.words is None else call.words
        with _drawing(draw(2), inputs.device):
            logits = _passed(
                used, lambda *of: functional_call(used, given, of), inputs, self.each_bin
            )
        new = {name: given[name].detach() for name in self.statistics}
        spikes = watch.spikes(with_gradients=call.rates)
        return Activity(logits, spikes, new if call.learn else {}, watch.entering)

    def _value(self, name: str, value: Tensor) -> Tensor:
        """Return a part in the shape that the module has it; of a statistic a copy to write to."""
        shaped = value.reshape(self.shapes[name])
        return shaped.detach().clone() if name in self.statistics else shaped


def fitted(own: OwnModule, inputs: Tensor, classes: int, num_bins: int, seed: int) -> ModuleNetwork:
    """Return the network of a module for such ``inputs``, one sample: (T, 1, ...) or (1, ...).

    Raises InputError for a module that cannot be trained, or does not fit.
    """
    network = own.network
    if hasattr(network, "_orig_mod"):
        raise InputError("the module is one of torch.compile; return it as it was before")
    parts, statistics, constants = _sorted(network)
    layout = Layout(
        tuple(Part(name, _axes(value)) for name, value in parts.items())
        + tuple(
            Part(name, _axes(value), trained=False, masked=False)
            for name, value in statistics.items()
        )
    )
    tried = _copied(network, inputs.device).eval()
    own_values = dict[str, Tensor](tried.named_parameters())

    def called(*arguments: Any) -> Any:  # as passes call it
        return functional_call(tried, own_values, arguments)

    def run() -> None:
        with _drawing(Stream(seed, Purpose.NETWORK).words(2), inputs.device):
            _check_logits(_tried(tried, called, inputs, own.each_bin), inputs, classes)

    return ModuleNetwork(
        root=network,
        each_bin=own.each_bin,
        layout=layout,
        shapes={name: value.shape for name, value in (parts | statistics).items()},
        statistics=frozenset(statistics),
        seen=watched(tried, own.spiking, num_bins, run),
        initial=_flat([*parts.values(), *statistics.values()]),
        constants=_digest(constants),
        seed=seed,
    )


@contextmanager
def made_under(seed: int) -> Iterator[None]:
    """Let what is made of a torch module's values follow from a run's seed."""
    with _drawing(Stream(seed, Purpose.INITIAL_WEIGHTS).words(2), torch.device("cpu")):
        yield


@contextmanager
def _drawing(words: U32, device: torch.device) -> Iterator[None]:
    """Let torch draw by ``words`` (2,) within, and leave its generators as they were."""
    number = (int(words[0]) << 32) | int(words[1])
    devices = [device] if device.type == "cuda" else []
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(number)
        if devices:
            torch.cuda.manual_seed(number)
        yield


def _passed(network: nn.Module, call: Callable[..., Any], inputs: Tensor, each_bin: bool) -> Any:
    """Return what comes out of ``call`` for ``inputs``, or the mean over bins (T, B, ...)."""
    if not each_bin:
        return first_of(call(inputs))
    takes_state = len(inspect.signature(network.forward).parameters) > 1
    outputs, state = [], None
    for one in inputs:
        found = call(one) if state is None else call(one, state)
        outputs.append(first_of(found))
        if takes_state and isinstance(found, tuple | list) and len(found) > 1:
            state = found[1]
    return torch.stack(outputs).mean(0)


def _tried(network: nn.Module, call: Callable[..., Any], inputs: Tensor, each_bin: bool) -> Any:
    try:
        return _passed(network, call, inputs, each_bin)
    except Exception as error:  # whatever a user's module does wrong
        raise InputError(
            f"the module fails on one sample of shape {tuple(inputs.shape)}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _check_logits(logits: Any, inputs: Tensor, classes: int) -> None:
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (1, classes):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"the module returned {found} for one sample of shape {tuple(inputs.shape)}, expected "
            f"logits (1, {classes}): batch, classes"
        )
    if not logits.requires_grad:
        raise InputError(
            "the module's logits have no gradient for any of its parameters; let them follow from "
            "some, without detach or no_grad in between"
        )


def _sorted(
    network: nn.Module,
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Return the parameters that are trained, the statistics and the constants, by name."""
    parts, constants = dict[str, Tensor](), dict[str, Tensor]()
    for name, parameter in network.named_parameters():
        _check(name, parameter)
        (parts if parameter.requires_grad else constants)[name] = parameter
    if not parts:
        raise InputError("the module has no parameters that are trained")
    neurons = tuple(f"{n}." for n, layer in network.named_modules() if n and is_neuron(layer))
    kept, statistics = network.state_dict().keys(), dict[str, Tensor]()
    for name, value in network.named_buffers():
        if name not in kept or name.endswith("num_batches_tracked"):
            continue  # a neuron's state; what a norm with a momentum does not look at
        moves = value.dtype == torch.float32 and not name.startswith(neurons)
        (statistics if moves else constants)[name] = value
    _check_norms(network)
    return parts, statistics, constants


def _check(name: str, value: Tensor) -> None:
    if is_lazy(value):
        raise InputError(
            f"the module's parameter {name} has no shape yet, as those of lazy modules; give its "
            "layers their input's size, or call it once on a sample before you return it"
        )
    if value.dtype != torch.float32:
        raise InputError(
            f"the module's parameter {name} is {str(value.dtype).removeprefix('torch.')}; expected "
            "float32, as module.float() makes it"
        )
    if not value.numel():
        raise InputError(f"the module's parameter {name} is empty; take it out")


def _check_norms(network: nn.Module) -> None:
    for name, layer in network.named_modules():
        buffers = dict(layer.named_buffers(recurse=False))
        if "num_batches_tracked" in buffers and getattr(layer, "momentum", 0.1) is None:
            raise InputError(
                f"the module's {name} averages over all batches that it has seen (momentum=None), "
                "and clients that begin anew in each round see few; give it a momentum"
            )


def _copied(root: nn.Module, device: torch.device) -> nn.Module:
    """Return the module as it was made, with the same parameters, on a device."""
    shared: dict[int, object] = {id(value): value for value in root.parameters()}
    try:
        found = copy.deepcopy(root, shared)
    except Exception as error:  # whatever a user's module holds
        raise InputError(
            f"the module cannot be copied ({type(error).__name__}: {error}); return it as it is "
            "made, before it has seen a sample"
        ) from error
    return found if device.type == "cpu" else found.to(device)


def _axes(value: Tensor) -> tuple[int, ...]:
    return tuple(value.shape) or (1,)


def _flat(values: Sequence[Tensor]) -> F32:
    return torch.cat([value.detach().flatten() for value in values]).cpu().numpy()


def _digest(values: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256()
    for name, value in values.items():
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()
