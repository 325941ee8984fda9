"""The table of the network."""

from __future__ import annotations

from typing import Any, Literal, Self  # Any: a free table, read by the user's own code

from pydantic import Field, model_validator

from hpcfed.config.section import Count, NonNegative, Positive, Section, check_kind


class ModelConfig(Section):
    """The network: hidden layers of spiking neurons (or their ANN twin) and a readout."""

    kind: Literal["snn", "ann"] | str = Field(
        "snn",
        description='`"snn"`, `"ann"` (leaky ReLU twin of the same shape), or a path '
        "`module:function` of your own",
    )
    hidden: tuple[Count, ...] = Field((128,), description="neurons of each hidden layer")
    recurrent: bool = Field(False, description="recurrent weights within each hidden layer")
    neuron: Literal["lif", "alif", "if"] = Field("lif", description="spiking neuron model")
    tau_mem: Positive = Field(0.02, description="membrane time constant, s")
    tau_syn: Positive = Field(0.01, description="synaptic time constant, s")
    tau_adapt: Positive = Field(0.2, description="time constant of ALIF's threshold, s")
    threshold: Positive = Field(1.0, description="firing threshold")
    beta: NonNegative = Field(0.2, description="ALIF: rise of the threshold at a spike")
    surrogate: Literal["superspike", "triangle", "tanh", "circ", "heavi_erfc"] = Field(
        "superspike", description="derivative that stands in for the spike's"
    )
    surrogate_slope: Positive = Field(10.0, description="steepness s of the surrogate")
    reset_gradient: Literal["detached", "full"] = Field(
        "detached", description="whether gradients pass through the reset"
    )
    readout: Literal["mean", "last", "max"] = Field(
        "mean", description="logits over time: mean, last bin, or maximum"
    )
    init: Literal["uniform", "normal", "normal-absolute"] = Field(
        "uniform",
        description="initial weights: within +- `init_scale`/sqrt(fan-in); standard deviation "
        "`init_scale`/sqrt(fan-in); standard deviation `init_scale`",
    )
    init_scale: Positive = Field(1.0, description="scale of the initial weights")
    warm_start: str | None = Field(
        None, description="run file whose parameters are the initial ones"
    )

    own: dict[str, Any] | None = Field(
        None, description="a free table `[model.own]`, for a network of your own"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind not in {"snn", "ann"}:
            check_kind(self.kind, "snn, ann")
        elif self.own is not None:
            raise ValueError(f'own is for a network of your own; kind = "{self.kind}" reads none')
        if not self.hidden:
            raise ValueError("hidden needs at least one layer")
        return self
