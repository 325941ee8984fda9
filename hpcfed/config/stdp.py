"""The table of spike-timing-dependent plasticity, whose defaults are those of published networks.

Diehl and Cook 2015 (doi:10.3389/fncom.2015.00099), with the equations and settings of Firmin,
Boulet and Talbi 2024 (arXiv 2403.00450). Potentials are in mV, times in s.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hpcfed.config.section import Count, NonNegative, Positive, Section

Potential = Annotated[float, Field(ge=-1e6, le=1e6)]


class ExcitatoryConfig(Section):
    """The neurons that learn."""

    tau: Positive = Field(0.1, description="membrane time constant, s")
    rest: Potential = Field(-65.0, description="potential without input, mV")
    reset: Potential = Field(-60.0, description="potential after a spike, mV")
    threshold: Potential = Field(-52.0, description="firing threshold without what it has adapted")
    refractory: NonNegative = Field(0.005, description="seconds after a spike without input")
    theta_plus: NonNegative = Field(0.05, description="rise of the own threshold at a spike, mV")
    tau_theta: Positive = Field(1e4, description="time constant by which it falls, s")


class InhibitoryConfig(Section):
    """The neurons, one for each excitatory one, that silence all others of these."""

    tau: Positive = Field(0.01, description="membrane time constant, s")
    rest: Potential = Field(-60.0, description="potential without input, mV")
    reset: Potential = Field(-45.0, description="potential after a spike, mV")
    threshold: Potential = Field(-40.0, description="firing threshold, mV")
    refractory: NonNegative = Field(0.002, description="seconds after a spike without input")


class StdpConfig(Section):
    """Spike-timing-dependent plasticity in a layer whose neurons compete."""

    neurons: Count = Field(100, description="excitatory neurons, and as many inhibitory ones")
    blocks: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="neurons are in so many blocks; a client trains one of them, dealt in turn, as "
        "if there were no other, and the network is the union; absent: all train all",
    )
    prediction: Literal["all", "proportion", "counts"] | None = Field(
        None,
        description="a sample's class: of the neurons of which label spike most; the same, each "
        "weighted by how much of its activity its label has; or under which class the counts of "
        "all neurons are most probable; absent: all",
    )
    intensity: Positive | None = Field(
        None, description="of images, spikes a second of a white pixel; absent: 128"
    )
    norm: Positive | None = Field(
        None,
        description="sum of the weights onto a neuron, to which they are scaled after each sample; "
        "absent: a tenth of the number of inputs",
    )
    start: Positive = Field(0.3, description="initial weights are uniform from 0 to this")
    depression: NonNegative = Field(
        0.01,
        description="an input spike takes this times `client.learning_rate` times the neuron's "
        "trace, where the neuron's spike adds `client.learning_rate` times the input's trace",
    )
    tau_trace: Positive = Field(0.02, description="time constant of traces, 1 at a spike, s")
    excitation: NonNegative = Field(
        22.5, description="what a neuron's spike adds to its inhibitory one, mV"
    )
    inhibition: NonNegative = Field(
        120.0, description="what an inhibitory spike takes from all other neurons, mV"
    )
    excitatory: ExcitatoryConfig = ExcitatoryConfig()
    inhibitory: InhibitoryConfig = InhibitoryConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.blocks is not None and self.neurons % self.blocks:
            raise ValueError(
                f"neurons = {self.neurons} are not {self.blocks} equal blocks; change either"
            )
        for name, layer in (("excitatory", self.excitatory), ("inhibitory", self.inhibitory)):
            if not max(layer.rest, layer.reset) < layer.threshold:
                raise ValueError(
                    f"{name}.threshold = {layer.threshold:g} mV is not above rest and reset: its "
                    "neurons would never cease to spike"
                )
        return self

    @property
    def num_blocks(self) -> int:
        """How many blocks there are; 1 where all clients train all neurons."""
        return self.blocks or 1

    @property
    def white(self) -> float:
        """Spikes a second of a white pixel."""
        return self.intensity or 128.0
