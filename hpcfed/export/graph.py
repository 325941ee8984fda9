"""A network's layers as the graph of NIR: its nodes, and where what they send flows.

T time bins, C channels, H neurons, K classes. What flows into a node from several others is added
up, as residual blocks want it. Average pools are SumPool2d, whose sum is divided by weights behind
it; where none are, by a Scale. All layers work in the same bin: a spike comes through the whole
network without a delay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import ModelConfig
from hpcfed.config.stack import Convolution, Dense, Dropout, Pool, Residual, Separable
from hpcfed.export.neurons import Time, leaky_readout, population
from hpcfed.export.weights import Arrays, folded, whole
from hpcfed.networks.stack import Stage

if TYPE_CHECKING:
    import nir


@dataclass(frozen=True)
class Signal:
    """What flows on: ``factor`` times the sum of what some nodes send, of a shape each."""

    nodes: tuple[str, ...]
    shape: tuple[int, ...]
    factor: float = 1.0


@dataclass
class Drawing:
    """A graph that grows, layer by layer.

    Attributes:
        arrays: the network's parts by name.
    """

    model: ModelConfig
    time: Time
    arrays: Arrays
    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def whole(
        self, stages: Sequence[Stage], voltage: bool, metadata: Mapping[str, object]
    ) -> nir.NIRGraph:
        """Return the graph of ``stages`` and a readout, of its voltage or of its currents."""
        import nir

        shape = stages[0].input
        self.nodes["input"] = nir.Input(input_type={"input": np.array(shape)})
        signal = self._flat("readout", self._through(stages, Signal(("input",), shape)))
        weight = np.asarray(self.arrays["readout"] * signal.factor, np.float32)
        last = self._add("readout", nir.Linear(weight=weight), signal.nodes)
        if voltage:
            node = leaky_readout(self.model, self.time, len(weight))
            last = self._add("readout_voltage", node, last)
        self._add("output", nir.Output(output_type={"output": np.array([len(weight)])}), last)
        names = self._numbered()
        nodes = {names[name]: node for name, node in self.nodes.items()}
        edges = [(names[source], names[sink]) for source, sink in self.edges]
        return nir.NIRGraph(nodes, edges, dict(metadata))

    def _numbered(self) -> dict[str, str]:
        """Return names whose order is that of a sample's way.

        Files have nodes by name, and nirtorch cannot come back to a subgraph that it met too early.
        """
        width = len(str(len(self.nodes)))
        return {
            name: name if name in ("input", "output") else f"{number:0{width}}_{name}"
            for number, name in enumerate(self.nodes)
        }

    def _through(self, stages: Sequence[Stage], signal: Signal) -> Signal:
        for stage in stages:
            match stage.spec:
                case Dropout():
                    continue
                case Pool():
                    signal = self._pool(stage, signal)
                case Residual():
                    signal = self._block(stage, signal)
                case _:
                    signal = self._fired(stage, self._driven(stage, signal))
        return signal

    def _block(self, stage: Stage, signal: Signal) -> Signal:
        *before, last = stage.body
        inner, short = self._through(before, signal), stage.shortcut
        if self.model.residual == "spike-add":
            sent = self._fired(last, self._driven(last, inner))
            if short is None:
                beside = self._plain(last, signal)
            else:
                beside = self._fired(short, self._driven(short, signal))
            return replace(sent, nodes=sent.nodes + beside.nodes)
        drive = self._driven(last, inner)
        beside = self._plain(last, signal) if short is None else self._driven(short, signal)
        return self._fired(last, replace(drive, nodes=drive.nodes + beside.nodes))

    def _pool(self, stage: Stage, signal: Signal) -> Signal:
        import nir

        assert isinstance(stage.spec, Pool)
        size = np.array([stage.spec.size] * 2 if stage.spec.size else stage.input[1:])
        node = nir.SumPool2d(kernel_size=size, stride=size, padding=np.zeros(2, np.int64))
        name = f"pool{sum(1 for one in self.nodes if one.startswith('pool'))}"
        return Signal(
            self._add(name, node, signal.nodes), stage.output, signal.factor / float(size.prod())
        )

    def _plain(self, stage: Stage, signal: Signal) -> Signal:
        """Return ``signal`` with a factor of 1, as what is added to the output of ``stage``."""
        import nir

        if signal.factor == 1.0:
            return signal
        node = nir.Scale(scale=np.full(signal.shape, signal.factor))
        return Signal(self._add(f"{_name(stage)}_beside", node, signal.nodes), signal.shape)

    def _fired(self, stage: Stage, drive: Signal) -> Signal:
        """Return what the neurons of ``stage`` send."""
        recurrent = self.arrays.get(f"{stage.name}.recurrent")
        given = None if recurrent is None else np.asarray(recurrent, np.float32)
        node = population(self.model, self.time, stage.output, given)
        return Signal(self._add(_name(stage), node, drive.nodes), stage.output)

    def _driven(self, stage: Stage, signal: Signal) -> Signal:
        """Return what flows into the neurons of ``stage``."""
        weights, bias = folded(self.model, stage, self.arrays, signal.factor)
        if isinstance(stage.spec, Dense):
            signal = self._flat(_name(stage), signal)
            node = _dense(weights[0], bias)
            return Signal(self._add(f"{_name(stage)}_weights", node, signal.nodes), stage.output)
        sent, specs = signal.nodes, _convolutions(stage)
        for number, (factor, weight) in enumerate(zip(stage.factors, weights, strict=True)):
            is_last = number + 1 == len(specs)
            node = _convolution(specs[number], weight, factor.input, bias if is_last else None)
            name = "weights" if is_last else "within"
            sent = self._add(f"{_name(stage)}_{name}", node, sent)
        return Signal(sent, stage.output)

    def _flat(self, name: str, signal: Signal) -> Signal:
        """Return ``signal`` in a row."""
        import nir

        if len(signal.shape) == 1:
            return signal
        flat = nir.Flatten(input_type={"input": np.array(signal.shape)}, start_dim=0, end_dim=-1)
        node = self._add(f"{name}_flat", flat, signal.nodes)
        return Signal(node, (prod(signal.shape),), signal.factor)

    def _add(self, name: str, node: nir.NIRNode, sources: tuple[str, ...]) -> tuple[str, ...]:
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return (name,)


def _name(stage: Stage) -> str:
    return stage.name.replace(".", "_")  # PyTorch's modules, which readers make, have no dots


def _dense(weight: NDArray[np.float64], bias: NDArray[np.float64] | None) -> nir.NIRNode:
    import nir

    given = weight.astype(np.float32)
    if bias is None:
        return nir.Linear(weight=given)
    return nir.Affine(weight=given, bias=bias.astype(np.float32))


def _convolutions(stage: Stage) -> tuple[Convolution, ...]:
    """Return the convolutions that ``stage`` is, one after the other."""
    spec = stage.spec
    if isinstance(spec, Separable):
        seen = stage.input[0]
        within = Convolution(seen, spec.kernel, spec.stride, spec.padding, seen)
        return within, Convolution(spec.channels, 1, 1, 0, 1)
    assert isinstance(spec, Convolution)
    return (spec,)


def _convolution(
    spec: Convolution,
    weight: NDArray[np.float64],
    shape: tuple[int, ...],
    bias: NDArray[np.float64] | None,
) -> nir.NIRNode:
    """Return a convolution of what has ``shape``."""
    import nir

    return nir.Conv2d(
        input_shape=(shape[1], shape[2]),
        weight=whole(weight, shape[0]).astype(np.float32),
        stride=spec.stride,
        padding=spec.padding,
        dilation=1,
        groups=1,
        bias=np.zeros(len(weight), np.float32) if bias is None else bias.astype(np.float32),
    )
