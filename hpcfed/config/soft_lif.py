"""The table of networks that train by the softened rate of LIF neurons and are tested by spikes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from hpcfed.config.section import NonNegative, Positive, Section
from hpcfed.config.stack import Pool, Repeated, parse

if TYPE_CHECKING:
    from hpcfed.config.experiment import Experiment
    from hpcfed.config.model import ModelConfig

SOFT_LIF = "soft-lif"
_WHOLE = 1e-6  # of a step: windows are that near to a whole number of steps


class SoftLifConfig(Section):
    """LIF neurons, by their softened rate in training and by their spikes in evaluation.

    Defaults are the authors' values for MNIST.
    """

    sigma: Positive = Field(0.02, description="smoothing of the rate around the threshold")
    tau_ref: Positive = Field(0.002, description="refractory time, s")
    tau_rc: Positive = Field(0.022, description="membrane time constant, s")
    amplitude: Positive = Field(0.063, description="neurons send their rate, Hz, times this")
    gain: Positive = Field(
        1.0, description="current J = `gain` times what flows in, plus `bias`; it fires above 1"
    )
    bias: Annotated[float, Field(ge=-1e18, le=1e18)] = Field(
        1.0, description="of the current; with 1 the threshold lies where nothing flows in"
    )
    noise: NonNegative = Field(
        0.0,
        description="standard deviation of what is added in training to rates of J above 1, Hz",
    )
    synapse: NonNegative = Field(
        0.0, description="time constant of the low-pass that spikes go through, s; 0: none"
    )
    settle: NonNegative = Field(
        0.0, description="time at the start of a window that logits leave out, s"
    )
    windows: tuple[Positive, ...] | None = Field(
        None,
        description="after the last round spikes are counted over each of these windows as well, "
        "s, beside `data.duration`; absent: not",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.windows is not None and sorted(set(self.windows)) != list(self.windows):
            raise ValueError("windows are in ascending order, each once")
        if self.windows == ():
            raise ValueError("windows names no window")
        return self


def at_window(experiment: Experiment, seconds: float) -> Experiment:
    """Return the experiment with a window of so many seconds, in steps of the same length."""
    changed = {"duration": seconds, "num_bins": round(seconds / experiment.dt)}
    data = experiment.data.model_copy(update=changed)
    return experiment.model_copy(update={"data": data})


def model_faults(model: ModelConfig) -> Iterator[str]:
    """Yield which keys of ``[model]`` have no meaning for a network of softened rates."""
    if model.kind != SOFT_LIF:
        if model.soft_lif is not None:
            yield f'[model.soft_lif] is for kind = "{SOFT_LIF}", and kind = "{model.kind}"'
        return
    specs = [parse(entry) for entry in model.hidden]
    if any(isinstance(spec, Pool) and spec.maximum for spec in specs):
        yield (
            f'kind = "{SOFT_LIF}" has no maximum pools: the largest of several spikes is not the '
            'largest rate; use average pools, "p2" for "m2"'
        )
    if model.recurrent or any(isinstance(spec, Repeated) for spec in specs):
        yield f'kind = "{SOFT_LIF}" has neither recurrent weights nor repeated blocks'
    if model.norm not in (None, "none", "batch"):
        yield (
            f'norm = "{model.norm}" cannot be folded into the weights of a spiking network; with '
            f'kind = "{SOFT_LIF}" use "batch", or none'
        )
    if model.readout != "mean":
        yield (
            f'readout = "{model.readout}" is of a voltage or a current over time bins; logits of '
            f'kind = "{SOFT_LIF}" are means over the window, readout = "mean"'
        )


def soft_lif_faults(experiment: Experiment) -> Iterator[str]:
    """Yield what a network of softened rates cannot be combined with."""
    model, data, client = experiment.model, experiment.data, experiment.client
    if model.kind != SOFT_LIF:
        return
    where, settings = f'model.kind = "{SOFT_LIF}"', model.rates
    if experiment.learning_rule.is_circuit:
        yield f'{where} and rule.kind = "{experiment.learning_rule.kind}" are two kinds of network'
    if data.encoder is not None:
        yield f"{where} takes pixels as currents; leave data.encoder out"
    if client.rate_lower > 0 or client.rate_upper < 1:
        yield (
            f"{where} has no spikes in training; leave client.rate_lower and client.rate_upper out"
        )
    if experiment.dt > settings.tau_ref * (1 + _WHOLE):
        yield (
            f"a step of {experiment.dt:g} s (data.duration / data.num_bins) is longer than the "
            f"refractory time, model.soft_lif.tau_ref = {settings.tau_ref:g} s, and a neuron "
            f"spikes once a step at most; raise data.num_bins to "
            f"{math.ceil(data.duration / settings.tau_ref)} or more"
        )
    for window in settings.windows or ():
        if not _is_whole(window / experiment.dt):
            yield (
                f"model.soft_lif.windows: {window:g} s is no whole number of steps of "
                f"{experiment.dt:g} s (data.duration / data.num_bins)"
            )
    shortest = min([data.duration, *(settings.windows or ())])
    if round(settings.settle / experiment.dt) >= round(shortest / experiment.dt):
        yield (
            f"model.soft_lif.settle = {settings.settle:g} s leaves nothing of a window of "
            f"{shortest:g} s (data.duration and model.soft_lif.windows)"
        )


def _is_whole(steps: float) -> bool:
    return round(steps) > 0 and abs(steps - round(steps)) <= _WHOLE * steps
