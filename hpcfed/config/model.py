"""The table of the network."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self  # Any: a free table, read by the user's own code

from pydantic import Field, model_validator

from hpcfed.config.repeat import RepeatConfig
from hpcfed.config.section import Count, NonNegative, Positive, Section, check_kind
from hpcfed.config.soft_lif import SOFT_LIF, SoftLifConfig, model_faults
from hpcfed.config.stack import Entry, Repeated, Residual, Weighted, parse

LEAK = 0.95
NORM_EPSILON, NORM_MOMENTUM = 1e-4, 0.1


class ModelConfig(Section):
    """The network: hidden layers of spiking neurons (or their ANN twin) and a readout."""

    kind: Literal["snn", "ann", "soft-lif"] | str = Field(
        "snn",
        description='`"snn"`, `"ann"` (leaky ReLU twin of the same shape), `"soft-lif"` (trained '
        "by the rate of LIF neurons, evaluated by their spikes), or a path `module:function` of "
        "your own",
    )
    hidden: tuple[Entry, ...] = Field(
        (128,),
        description='hidden layers: neurons of a dense one, `"64c3"` a convolution (channels, '
        'kernel; stride `s2`, padding `p0`, groups `g4` after it), `"p2"` and `"m2"` average and '
        'maximum pools, `"p"` the average of all pixels, `"d0.3"` dropout, `"64x3"` a '
        "depthwise-separable convolution, a list of convolutions a residual block, and with "
        '`"repeat"` before them one that is repeated, as `[model.repeat]` says',
    )
    recurrent: bool = Field(False, description="recurrent weights within each dense hidden layer")
    neuron: Literal["lif", "alif", "if", "leaky"] = Field(
        "lif", description="spiking neuron model; leaky: u = `leak` u + input, without a current"
    )
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
    readout: Literal["mean", "last", "max", "current"] = Field(
        "mean",
        description="logits over time: mean, last bin, or maximum of a leaky voltage; or the mean "
        "current, without leak",
    )
    init: Literal["uniform", "normal", "normal-absolute", "xavier", "vgg"] = Field(
        "uniform",
        description="initial weights: within +- `init_scale`/sqrt(fan-in); standard deviation "
        "`init_scale`/sqrt(fan-in); standard deviation `init_scale`; within +- `init_scale` "
        "sqrt(6/(fan-in + fan-out)); `init_scale` times the standard deviation sqrt(2/fan-out) of "
        "convolutions, 0.01 of dense layers",
    )
    init_scale: Positive = Field(1.0, description="scale of the initial weights")
    norm: Literal["none", "bntt", "batch", "tebn", "group"] | None = Field(
        None, description="norm of what flows into a layer's neurons; absent: none"
    )
    norm_shift: bool | None = Field(None, description="norms shift as well; absent: they scale")
    norm_dense: bool | None = Field(
        None, description="dense layers have norms as well; absent: they have"
    )
    norm_federate: Literal["all", "affine", "local"] | None = Field(
        None,
        description="of norms, what clients share: all; scale and shift, while each keeps its "
        "statistics; or nothing. The evaluated network has what it began with of the rest; absent: "
        "all",
    )
    norm_freeze_after: Count | None = Field(
        None, description="rounds after which norms use the averaged statistics; absent: never"
    )
    norm_variance: Literal["averaged", "pooled"] | None = Field(
        None,
        description="variances are averaged as they are, or with that between the clients' means; "
        "absent: averaged",
    )
    residual: Literal["before", "spike-add"] | None = Field(
        None,
        description="residual blocks add what flows into their last neurons, or the spikes that "
        "come out of them (SEW); absent: before",
    )
    repeat: RepeatConfig | None = Field(
        None, description="how a repeated block is repeated; absent: four times, with a step of 1/4"
    )
    soft_lif: SoftLifConfig | None = None
    activation: Literal["leaky-relu", "relu"] | None = Field(
        None, description="of an ANN; absent: leaky ReLU, slope 0.01 below zero"
    )
    leak: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="of leaky neurons, what is left of u after a bin; absent: 0.95"
    )
    reset: Literal["subtract", "zero", "none"] | None = Field(
        None, description="of leaky neurons at a spike; absent: subtract the threshold"
    )
    fire_first: bool | None = Field(
        None, description="leaky neurons fire before they integrate; absent: after"
    )
    surrogate_scale: Positive | None = Field(None, description="height of the surrogate; absent: 1")
    warm_start: str | None = Field(
        None, description="run file whose parameters are the initial ones"
    )

    own: dict[str, Any] | None = Field(
        None, description="a free table `[model.own]`, for a network of your own"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind not in {"snn", "ann", SOFT_LIF}:
            check_kind(self.kind, f"snn, ann, {SOFT_LIF}")
        elif self.own is not None:
            raise ValueError(f'own is for a network of your own; kind = "{self.kind}" reads none')
        specs = [parse(entry) for entry in self.hidden]
        if not any(isinstance(spec, Weighted | Residual | Repeated) for spec in specs):
            raise ValueError("hidden needs at least one layer with weights")
        for name in ("leak", "reset", "fire_first"):
            if getattr(self, name) is not None and self.neuron != "leaky":
                raise ValueError(f'{name} is for neuron = "leaky", and neuron = "{self.neuron}"')
        self._check_norms()
        if self.residual is not None and not any(isinstance(spec, Residual) for spec in specs):
            raise ValueError("residual is for residual blocks, and hidden has none")
        self._check_repeated(any(isinstance(spec, Repeated) for spec in specs))
        if faults := list(model_faults(self)):
            raise ValueError("; ".join(faults))
        return self

    def _check_repeated(self, is_repeated: bool) -> None:
        if not is_repeated:
            if self.repeat is not None:
                raise ValueError('[model.repeat] is for a block with "repeat", and hidden has none')
            return
        if self.recurrent:
            raise ValueError("recurrent weights and a repeated block are not combined")
        if self.kind == "ann" and self.repetition.neurons is not None:
            raise ValueError("repeat.neurons is for spiking neurons, and an ann has none")

    def _check_norms(self) -> None:
        """Raise ValueError for keys of norms, or of their statistics, where there are none."""
        without = self.norm in (None, "none")
        names = ["norm_shift", "norm_dense", "norm_federate"]
        if without or self.norm == "group":
            names += ["norm_freeze_after", "norm_variance"]
        for name in names if without else names[3:]:
            if getattr(self, name) is not None:
                what = "norms" if without else "norms with statistics"
                raise ValueError(f"{name} is for {what}, and there is none")
        if self.norm_federate == "affine" and self.norm == "group":
            raise ValueError('norm_federate = "affine" keeps statistics, and groups have none')
        if self.norm_federate in ("affine", "local") and self.norm_variance is not None:
            raise ValueError(
                "norm_variance is for averages, and norm_federate leaves statistics where they are"
            )

    @property
    def repetition(self) -> RepeatConfig:
        """How a repeated block is repeated."""
        return self.repeat or RepeatConfig()

    @property
    def rates(self) -> SoftLifConfig:
        """What holds of neurons that learn by rates."""
        return self.soft_lif or SoftLifConfig()

    @property
    def is_repeated(self) -> bool:
        """Whether there is a block that is repeated."""
        return any(isinstance(parse(entry), Repeated) for entry in self.hidden)

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of the dense hidden layers, where there are no others."""
        return tuple(entry for entry in self.hidden if isinstance(entry, int))

    @property
    def is_dense(self) -> bool:
        """Whether there are dense layers alone, without norms."""
        return all(isinstance(e, int) for e in self.hidden) and self.norm in (None, "none")
