"""Random small worlds for the event engine, and what torch autograd makes of them in float64.

T time bins, B batch, C channels, H hidden neurons, K classes, P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import reference_network as twin
import torch
from hypothesis import assume
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.learning.autograd.training import matrices, rate_penalty
from hpcfed.networks.contract import Pass
from hpcfed.networks.layout import Layout
from hpcfed.networks.network import build_network
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Shape, shape_of

LEARN = Pass(learn=True, rates=True)

# kernels take sixty-four neurons at once, then sixteen
WIDTHS = st.integers(1, 70) | st.integers(120, 150)
MODELS = st.fixed_dictionaries(
    {
        "hidden": st.lists(WIDTHS, min_size=1, max_size=3),
        "recurrent": st.booleans(),
        "neuron": st.sampled_from(["lif", "alif", "if"]),
        "tau_mem": st.floats(0.011, 0.1),
        "tau_syn": st.floats(0.011, 0.1),
        "tau_adapt": st.floats(0.011, 0.3),
        "threshold": st.floats(0.2, 2.0),
        "beta": st.floats(0.0, 1.0),
        "surrogate": st.sampled_from(["superspike", "triangle", "tanh"]),
        "surrogate_slope": st.floats(0.5, 10.0),
        "reset_gradient": st.sampled_from(["detached", "full"]),
        "readout": st.sampled_from(["mean", "last", "max"]),
    }
)
LEAKY = st.fixed_dictionaries(
    {
        "hidden": st.lists(WIDTHS, min_size=1, max_size=3),
        "recurrent": st.booleans(),
        "neuron": st.just("leaky"),
        "leak": st.floats(0.3, 1.0),
        "reset": st.sampled_from(["subtract", "zero", "none"]),
        "threshold": st.floats(0.2, 2.0),
        "surrogate": st.sampled_from(["superspike", "triangle", "tanh"]),
        "surrogate_slope": st.floats(0.5, 10.0),
        "surrogate_scale": st.sampled_from([None, 0.3, 2.0]),
        "reset_gradient": st.sampled_from(["detached", "full"]),
        "readout": st.sampled_from(["mean", "last", "current"]),
    }
)
CLIENTS = st.sampled_from([{}, {"rate_lower": 0.06, "rate_upper": 0.07, "rate_strength": 2.0}])


@dataclass(frozen=True)
class World:
    """A network with weights (P,) float64 of which every layer spikes, and a batch (B,) of events.

    ``rates`` are the fractions of neurons that spike in a bin, by layer.
    """

    experiment: Experiment
    layout: Layout
    params: NDArray[np.float64]
    events: EventSet
    samples: NDArray[np.int64]
    rates: list[float]

    @property
    def shape(self) -> Shape:
        """C and K."""
        return shape_of(self.events)


@dataclass(frozen=True)
class Expected:
    """What the oracle makes of a world: gradient (P,), loss, spikes [(B, T, H) bool]."""

    gradient: NDArray[np.float64]
    loss: float
    spikes: list[NDArray[np.bool_]]


@st.composite
def worlds(
    draw: st.DrawFn,
    dtype: type[np.floating] = np.float64,
    models: st.SearchStrategy[dict[str, object]] = MODELS,
) -> World:
    """Draw a world with hidden rates of 1 to 20 % and weights that are exact in ``dtype``."""
    num_bins, num_samples = draw(st.integers(1, 30)), draw(st.integers(1, 40))
    channels, classes = draw(st.integers(1, 60)), draw(st.integers(2, 25))
    density, counts = draw(st.floats(0.01, 0.5)), draw(st.booleans())
    tables = {
        "data": {"duration": num_bins / 100, "num_bins": num_bins, "counts": counts},
        "model": draw(models),
        "client": draw(CLIENTS),
    }
    experiment = Experiment.model_validate(tables)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    present = rng.random((num_samples + 3, num_bins, channels)) < density
    values = present * (rng.integers(1, 4, present.shape) if counts else 1)
    events = events_of(values, rng.integers(0, classes, len(values)), classes, counts=counts)
    samples = rng.permutation(len(values))[:num_samples]
    layout = build_network(experiment, Shape((channels,), classes)).layout
    params, rates = spiking_params(experiment, layout, events, samples, rng)
    assume(all(0.01 <= rate <= 0.2 for rate in rates))
    params = params.astype(dtype).astype(np.float64)
    return World(experiment, layout, params, events, samples, rates)


def events_of(
    values: NDArray[np.integer], labels: NDArray[np.integer], num_classes: int, *, counts: bool
) -> EventSet:
    """Return the store of ``values`` (S, T, C), spikes in each cell; samples may be silent."""
    num_samples, num_bins, num_channels = values.shape
    rows, bins, channels = np.nonzero(values)
    per_bin = np.count_nonzero(values, axis=2)
    return EventSet(
        channels=channels.astype(np.uint16),
        counts=values[rows, bins, channels].astype(np.uint16) if counts else None,
        bin_offsets=np.pad(per_bin.cumsum(1), ((0, 0), (1, 0))).astype(np.uint32),
        sample_offsets=np.append(0, per_bin.sum(1).cumsum()).astype(np.int64),
        labels=labels.astype(np.int64),
        groups=np.zeros(num_samples, np.int64),
        num_channels=num_channels,
        duration=num_bins / 100,
        class_names=tuple(map(str, range(num_classes))),
        group_names=("nobody",),
    )


def spiking_params(
    experiment: Experiment,
    layout: Layout,
    events: EventSet,
    samples: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], list[float]]:
    """Return random weights, each layer's scaled until 2 to 18 % spike, and the rates reached."""
    network = build_network(experiment, Shape((events.num_channels,), len(events.class_names)))
    dense = torch.tensor(events.dense(samples), dtype=torch.float64)
    parts = {name: part for name, part, _ in layout.slices()}
    params = np.concatenate([rng.normal(0.1, 1, r * c) / np.sqrt(c) for r, c in layout.shapes])
    rates = []
    for index in range(len(experiment.model.hidden)):
        own = [part for name, part in parts.items() if name.startswith(f"hidden{index}.")]
        low, high = 0.03, 300.0
        for _ in range(14):
            gain, trial = np.sqrt(low * high), params.copy()
            for part in own:
                trial[part] *= gain
            with torch.no_grad():
                spikes = network.forward(matrices(layout, torch.tensor(trial)), dense, LEARN).spikes
            rate = float(spikes[index].mean())
            if 0.02 <= rate <= 0.18:
                break
            low, high = (gain, high) if rate < 0.02 else (low, gain)
        params = trial
        rates.append(rate)
    return params, rates


def oracle(world: World) -> Expected:
    """Return gradient, loss and spikes of the world's batch by torch autograd, in float64."""
    network = build_network(world.experiment, world.shape)
    leaf = torch.tensor(world.params, requires_grad=True)
    dense = torch.tensor(world.events.dense(world.samples), dtype=torch.float64)
    labels = torch.tensor(world.events.labels[world.samples])
    logits, spikes, *_ = network.forward(matrices(world.layout, leaf), dense, LEARN)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss = loss + rate_penalty(world.experiment.client, spikes)
    (gradient,) = torch.autograd.grad(loss, leaf)
    layers = [(layer.detach() > 0).transpose(0, 1).numpy() for layer in spikes]
    return Expected(gradient.numpy(), loss.item(), layers)


def count_ties(world: World, margin: float) -> tuple[int, int, bool]:
    """Return neuron-steps within ``margin`` of the threshold, all neuron-steps, and a third thing.

    That is whether the maximum over time of a readout has a rival within ``margin`` that is not
    equal to it: rounding then decides which bin the gradient goes through.
    """
    weights = world.layout.split(world.params)
    dense = world.events.dense(world.samples).astype(np.float64)
    trace = twin.run(world.experiment, weights, dense)
    distances = [layer.distances for layer in trace.layers]
    close = sum(int((np.abs(distance) <= margin).sum()) for distance in distances)
    highest = trace.outputs.max(0)
    rivals = (trace.outputs > highest - margin) & (trace.outputs != highest)
    close_maximum = world.experiment.model.readout == "max" and bool(rivals.any())
    return close, sum(distance.size for distance in distances), close_maximum


def largest_difference(world: World, ours: NDArray[np.floating], expected: Expected) -> float:
    """Return the largest relative difference of a gradient (P,) in a weight matrix's maximum norm.

    A matrix of zeros must be one of zeros: anything else is infinitely different. Triangle and tanh
    vanish away from the threshold, as differences of numbers close to 1 and rounded as such: with
    them a matrix is not held to more digits than one a thousandth of the largest.
    """
    gradient, worst = expected.gradient, 0.0
    vanishes = world.experiment.model.surrogate != "superspike"
    least = 1e-3 * float(np.abs(gradient).max()) if vanishes else 0.0
    for _, part, _ in world.layout.slices():
        error = float(np.abs(ours[part].astype(np.float64) - gradient[part]).max())
        if error:
            scale = max(least, float(np.abs(gradient[part]).max()))
            worst = max(worst, error / scale if scale else np.inf)
    return worst
