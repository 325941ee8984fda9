"""The tables of the learning rule: by which rule clients learn, and what it needs to be told."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self  # Any: a free table, read by the user's own code

from pydantic import Field, model_validator

from hpcfed.config.section import Count, NonNegative, Positive, Section, check_kind
from hpcfed.config.stdp import StdpConfig

BACKPROP = "backprop"
STRAIGHT_THROUGH = "straight-through"
BAYES = "bayes"
LOCAL = "local"
GLM = "glm"
WTA = "wta"
STDP = "stdp"
KINDS = (BACKPROP, STRAIGHT_THROUGH, BAYES, LOCAL, GLM, WTA, STDP)
BINARY = (STRAIGHT_THROUGH, BAYES)
CIRCUITS = (GLM, WTA)

_TABLES = {
    "binary": BINARY,
    "bayes": (BAYES,),
    "local": (*BINARY, LOCAL),
    "circuit": CIRCUITS,
    "stdp": (STDP,),
}

Open = Annotated[float, Field(gt=0, lt=1)]


class BinaryConfig(Section):
    """Binary weights, of `straight-through` and `bayes`, and the real latent weights behind."""

    start: Positive = Field(
        1.0,
        description="latent weights begin at +- this, by the sign of what `model.init` draws",
    )
    limit: Annotated[float, Field(gt=0, le=18)] = Field(
        6.0, description="latent weights are kept within +- this"
    )
    scale: Positive = Field(1.0, description="weights are + or - this / sqrt(fan-in)")
    sends: Literal["latents", "probabilities", "bits"] = Field(
        "latents",
        description="what a client sends: changes of its latent weights; for bayes the "
        "probabilities of +; or one bit a weight, bayes a sample of its posterior, "
        "straight-through its signs",
    )
    merge: Literal["log-odds", "majority"] | None = Field(
        None,
        description="bits become latent weights: half the log-odds of the part of votes for +, or "
        "+-`start` by the majority; absent: log-odds",
    )
    vote_clip: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.01, description="averaged probabilities and parts of votes are kept so far from 0 and 1"
    )


class BayesConfig(Section):
    """Bayesian learning of binary weights."""

    prior: Open = Field(0.5, description="probability of + before any data")
    strength: NonNegative = Field(
        5e-4,
        description="rho: weight of the divergence from the prior, beside the mean loss; each step "
        "takes `client.learning_rate` rho of the way to the prior",
    )
    temperature: Positive = Field(1.0, description="tau of the relaxed weights in training")
    noise: Literal["batch", "bin"] = Field(
        "batch", description="weights are drawn for each batch, or anew in each time bin"
    )


class LocalConfig(Section):
    """Learning by local readouts (DECOLLE): an update of all layers in every time bin."""

    tau_ref: Positive = Field(0.002, description="time constant of the refractory trace, s")
    burn_in: Annotated[int, Field(ge=0)] = Field(
        10, description="time bins before the first update, and before the readout counts"
    )


class CircuitConfig(Section):
    """Probabilistic neurons, of `glm`, and circuits of which one value wins, of `wta`."""

    hidden: Annotated[int, Field(ge=0)] = Field(0, description="hidden units")
    values: Annotated[int, Field(ge=1, le=8)] | None = Field(
        None,
        description="values that a spike of `wta` can have, of input and units; absent: 2 "
        "(polarities of a sensor, or with `data.counts` one spike in a bin and more); `glm` has 1",
    )
    bases: Annotated[int, Field(ge=1, le=32)] = Field(
        8, description="raised cosines over the past that make each synaptic kernel"
    )
    window: Annotated[int, Field(ge=2, le=1000)] = Field(
        10, description="time bins of the past that kernels see"
    )
    width: Positive = Field(0.5, description="mu: larger is narrower cosines")
    feedback: bool = Field(False, description="units see their own past")
    lateral: bool = Field(
        False,
        description="outputs see each other's past; of `glm` hidden units see theirs as well",
    )
    kappa: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2, description="what eligibility traces keep from bin to bin"
    )
    beta: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="what the baselines of the learning signal keep"
    )
    gamma: NonNegative = Field(
        1.0, description="weight of hidden units' divergence from the reference"
    )
    silence: Open = Field(
        0.7, description="probability that a hidden unit is silent, in the reference"
    )
    smoothing: Literal["signal", "update"] | None = Field(
        None,
        description="kappa smooths the learning signal, or the hidden units' updates; absent: "
        "signal for glm, update for wta",
    )
    start: NonNegative = Field(0.05, description="initial parameters lie within +- this")
    every: Count = Field(1, description="time bins between local steps")
    bins: Count | None = Field(
        None,
        description="a round is so many time bins, and the next goes on within the sample; absent: "
        "whole samples, as `[client]` says",
    )


class RuleConfig(Section):
    """By which rule clients learn; absent: `backprop`."""

    kind: str = Field(
        BACKPROP,
        description='`"backprop"` (surrogate gradients, by `client.engine`); '
        '`"straight-through"` and `"bayes"`, binary weights by the same gradients, or with '
        '`[rule.local]` by local ones; `"local"`, real weights by local gradients; `"glm"` and '
        '`"wta"`, probabilistic neurons and winner-take-all circuits that learn online from local '
        'feedback and one reward; `"stdp"`, neurons that compete and learn without labels; or a '
        "path `module:NAME` to a Rule of your own",
    )
    binary: BinaryConfig | None = None
    bayes: BayesConfig | None = None
    local: LocalConfig | None = None
    circuit: CircuitConfig | None = None
    stdp: StdpConfig | None = None
    own: dict[str, Any] | None = Field(
        None, description="a free table `[rule.own]`, for a rule of your own"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.kind not in KINDS:
            check_kind(self.kind, ", ".join(f'"{kind}"' for kind in KINDS))
        elif self.own is not None:
            raise ValueError(
                f'rule.own is for a rule of your own; rule.kind = "{self.kind}" reads none'
            )
        for name, kinds in _TABLES.items():
            if getattr(self, name) is not None and self.kind not in kinds:
                raise ValueError(
                    f'rule.{name} is for {" and ".join(kinds)}; rule.kind = "{self.kind}" reads '
                    "none"
                )
        self._check_binary()
        if self.kind == GLM and self.circuit_settings.values not in (None, 1):
            raise ValueError('rule.circuit.values is for rule.kind = "wta"; spikes of glm have one')
        return self

    def _check_binary(self) -> None:
        settings = self.binary_settings
        if settings.start > settings.limit:
            raise ValueError("rule.binary.start is above rule.binary.limit")
        if settings.sends == "probabilities" and self.kind == STRAIGHT_THROUGH:
            raise ValueError(
                'rule.binary.sends = "probabilities" is for bayes: straight-through weights have '
                "none; send latents or bits"
            )
        if settings.merge is not None and settings.sends != "bits":
            raise ValueError(
                f'rule.binary.merge is for bits, and rule.binary.sends = "{settings.sends}"'
            )

    @property
    def is_circuit(self) -> bool:
        """Whether units are probabilistic and learn online."""
        return self.kind in CIRCUITS

    @property
    def circuit_settings(self) -> CircuitConfig:
        """What holds of probabilistic units, given or not."""
        return self.circuit or CircuitConfig()

    @property
    def is_stdp(self) -> bool:
        """Whether neurons compete, and learn by the timing of spikes."""
        return self.kind == STDP

    @property
    def has_loss(self) -> bool:
        """Whether training has a loss."""
        return not self.is_stdp

    @property
    def stdp_settings(self) -> StdpConfig:
        """What holds of neurons that compete, given or not."""
        return self.stdp or StdpConfig()

    @property
    def is_binary(self) -> bool:
        """Whether weights are binary."""
        return self.kind in BINARY

    @property
    def is_local(self) -> bool:
        """Whether layers learn by readouts of their own."""
        return self.kind == LOCAL or self.local is not None

    @property
    def draws_in_bins(self) -> bool:
        """Whether weights are drawn anew in each time bin."""
        return self.kind == BAYES and self.bayes_settings.noise == "bin"

    @property
    def binary_settings(self) -> BinaryConfig:
        """What holds of binary weights, given or not."""
        return self.binary or BinaryConfig()

    @property
    def bayes_settings(self) -> BayesConfig:
        """What holds of Bayesian learning, given or not."""
        return self.bayes or BayesConfig()

    @property
    def local_settings(self) -> LocalConfig:
        """What holds of local learning, given or not."""
        return self.local or LocalConfig()
