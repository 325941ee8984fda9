"""The tables of what is sent, and of what the root makes of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hpcfed.config.section import Count, NonNegative, Positive, Probability, Section


class UplinkConfig(Section):
    """What a client sends: how its update is masked, coded and carried."""

    mask: Literal["none", "bernoulli", "random-k", "top-k", "groups"] = Field(
        "none",
        description="which entries of the update are sent; groups: those of the rule's most "
        "important ones (of glm and wta the bases of synaptic kernels)",
    )
    groups: Count | None = Field(
        None, description='of `mask = "groups"`: how many a client sends, each named by a byte'
    )
    mask_probability: Probability = Field(
        0.0, description="p: probability (for -k the fraction) of entries NOT sent"
    )
    dtype: Literal["float32", "float16", "int8", "sign"] = Field(
        "float32",
        description="how a value travels; int8 adds one float32 scale per client, sign is one bit "
        "a value and the mean magnitude of a client's values (with error_feedback it converges)",
    )
    error_feedback: bool = Field(
        False, description="keep what was not sent and add it to the next update"
    )
    noise: NonNegative | None = Field(
        None,
        description="standard deviation of noise on what the root receives, in units of the mean "
        "magnitude of each part's update; absent: 0",
    )
    transport: Literal["auto", "gather", "reduce"] = Field(
        "auto", description="same bits either way; `auto` picks by predicted bytes"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mask == "none" and self.mask_probability > 0:
            raise ValueError('mask_probability has no effect with mask = "none"; set mask')
        if (self.mask == "groups") != (self.groups is not None):
            raise ValueError('mask = "groups" and groups need each other')
        return self


class ServerConfig(Section):
    """How the root turns what arrived into new parameters."""

    rounds: Count = Field(50, description="communication rounds; may grow on resume")
    average: Literal["participants", "all", "received"] = Field(
        "participants",
        description="divide by the participants' weight, all clients' weight, or per entry by "
        "the weight that arrived",
    )
    rescale: bool = Field(
        False,
        description="divide by the probability of arrival: the mask's, for `all` the "
        "participation's too",
    )
    client_weights: Literal["samples", "uniform", "spikes"] = Field(
        "samples",
        description='weight of a client in the average; spikes, of `rule.kind = "stdp"`: for each '
        'neuron how often it spiked there, with `average = "received"`',
    )
    optimizer: Literal["plain", "momentum", "adam"] = Field("plain", description="server optimiser")
    learning_rate: Positive = Field(1.0, description="server step size")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of `momentum`")
    on_rejected: Literal["record", "stop"] = Field(
        "record", description="what to do when a client's update is not finite or reaches 2^12"
    )
