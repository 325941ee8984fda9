"""Experiment: one TOML file, validated once at the edge, frozen from then on.

Every key has a type, a range and a meaning here and nowhere else; README.md's reference is
generated from this file. Probabilities follow the field's letters: p (mask) and q (drop) are the
chances that something is NOT sent.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Probability = Annotated[float, Field(ge=0, le=1)]
# bounded so that float32 holds them, with room for a product
Positive = Annotated[float, Field(gt=0, le=1e18, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]


class Section(BaseModel):
    """A table of the experiment file: strict types, unknown keys are errors, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _toml_values(cls, value: object) -> object:
        # TOML has arrays where the model has tuples, and integers where it has floats.
        return tuple(value) if isinstance(value, list) else value


class DataConfig(Section):
    """Where the samples come from and how seconds become bins."""

    dataset: str = Field(
        "spoken-digits",
        description='`"spoken-digits"`, `"shd"`, `"ssc"`, `"tonic:NAME"`, a path "module:function" '
        "of your own, or the path of a training file of SHD's layout, relative to the working "
        "directory",
    )
    test: str | None = Field(
        None, description="path of the test file when `dataset` is a path; absent: no test"
    )
    root: str | None = Field(
        None,
        description="folder of downloaded or hand-placed data sets; absent: `HPCFED_DATA`, else "
        "`~/.local/share/hpcfed`",
    )
    classes: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None, description="use only these labels, renumbered in this order; absent: all"
    )
    duration: Positive = Field(1.0, description="seconds of each sample that are used")
    num_bins: Annotated[int, Field(ge=1, le=100_000)] = Field(
        100, description="T, time bins over `duration`"
    )
    counts: bool = Field(
        False, description="keep how many spikes a bin holds; false: one spike or none"
    )
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="part of the training file kept for validation, taken before partitioning"
    )
    split_seed: Seed = Field(0, description="seed of the validation split alone")
    time_jitter: NonNegative = Field(
        0.0, description="training: shift each sample by up to +- this many seconds"
    )
    channel_jitter: Annotated[int, Field(ge=0)] = Field(
        0, description="training: shift each sample by up to +- this many channels"
    )
    drop: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="training: leave out each event with this probability"
    )

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (len(value) < 2 or len(set(value)) < len(value)):
            raise ValueError("needs at least two labels, each once")
        return value


class PartitionConfig(Section):
    """Which client owns which training sample."""

    kind: Literal["group", "iid", "dirichlet", "shards", "quantity"] | str = Field(
        "group",
        description='`"group"` (one speaker a client), `"iid"`, `"dirichlet"` (label skew by '
        '`alpha`), `"shards"` (`classes_per_client`), `"quantity"` (sizes by `alpha`), or a path '
        "`module:function` of your own",
    )
    num_clients: Count | None = Field(
        None, description="N; absent for `group`: one client per group"
    )
    alpha: Positive = Field(0.5, description="concentration of the Dirichlet distribution")
    classes_per_client: Count = Field(2, description="shards given to each client")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind not in {"group", "iid", "dirichlet", "shards", "quantity"}:
            _check_kind(self.kind, "group, iid, dirichlet, shards, quantity")
        if self.kind != "group" and self.num_clients is None:
            raise ValueError(f'kind = "{self.kind}" needs num_clients')
        return self


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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind not in {"snn", "ann"}:
            _check_kind(self.kind, "snn, ann")
        if not self.hidden:
            raise ValueError("hidden needs at least one layer")
        return self


class ClientConfig(Section):
    """Local training."""

    engine: Literal["auto", "norse", "event", "gpu"] = Field(
        "auto",
        description='`"event"`: numba on a CPU, cost follows the spikes; `"norse"`: torch, every '
        'network, on a GPU if there is one; `"gpu"`: Triton, all clients of a rank at once on a '
        'GPU; `"auto"`: event where it has what the network needs',
    )
    epochs: Count | None = Field(
        None, description="passes over the client's samples a round; 1 unless `steps` is given"
    )
    steps: Count | None = Field(None, description="gradient steps a round, instead of `epochs`")
    batch_size: Count = Field(32, description="samples of one gradient step")
    optimizer: Literal["sgd", "adam"] = Field("adam", description="starts fresh each round")
    learning_rate: Positive = Field(0.001, description="step size in round 0")
    schedule: Literal["constant", "linear", "cosine", "exponential"] = Field(
        "constant",
        description="learning rate over rounds, from 1 to `schedule_factor` times `learning_rate`",
    )
    schedule_rounds: Count = Field(
        100, description="rounds until the schedule ends; it stays there"
    )
    schedule_factor: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="factor of the learning rate at the schedule's end"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="of SGD")
    weight_decay: NonNegative = Field(0.0, description="added to the gradient times the weight")
    proximal: NonNegative = Field(
        0.0, description="FedProx mu: pull towards the received parameters"
    )
    clip_norm: NonNegative = Field(0.0, description="largest gradient norm; 0: no clipping")
    rate_lower: Probability = Field(
        0.0, description="penalise neurons that spike in less than this part of the bins"
    )
    rate_upper: Probability = Field(
        1.0, description="penalise neurons that spike in more than this part of the bins"
    )
    rate_strength: NonNegative = Field(1.0, description="weight of both rate penalties")
    threads: Count = Field(1, description="clients trained at once on each rank")

    @model_validator(mode="before")
    @classmethod
    def _default_length(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("steps") is None:
            return {"epochs": 1} | values
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps exclude each other; give one of them")
        if self.rate_lower > self.rate_upper:
            raise ValueError("rate_lower is above rate_upper")
        if self.momentum and self.optimizer == "adam":
            raise ValueError('momentum belongs to optimizer = "sgd"')
        return self


class ParticipationConfig(Section):
    """Which clients take part in a round."""

    drop_probability: Probability | tuple[Probability, ...] = Field(
        0.0, description="q, a client sends nothing this round; or one value per client"
    )


class UplinkConfig(Section):
    """What a client sends: how its update is masked, coded and carried."""

    mask: Literal["none", "bernoulli", "random-k", "top-k"] = Field(
        "none", description="which entries of the update are sent"
    )
    mask_probability: Probability = Field(
        0.0, description="p: probability (for -k the fraction) of entries NOT sent"
    )
    dtype: Literal["float32", "float16", "int8"] = Field(
        "float32", description="how a value travels; int8 adds one float32 scale per client"
    )
    error_feedback: bool = Field(
        False, description="keep what was not sent and add it to the next update"
    )
    transport: Literal["auto", "gather", "reduce"] = Field(
        "auto", description="same bits either way; `auto` picks by predicted bytes"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mask == "none" and self.mask_probability > 0:
            raise ValueError('mask_probability has no effect with mask = "none"; set mask')
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
    client_weights: Literal["samples", "uniform"] = Field(
        "samples", description="weight of a client in the average"
    )
    optimizer: Literal["plain", "momentum", "adam"] = Field("plain", description="server optimiser")
    learning_rate: Positive = Field(1.0, description="server step size")
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of `momentum`")
    on_rejected: Literal["record", "stop"] = Field(
        "record", description="what to do when a client's update is not finite or reaches 2^12"
    )


class RunConfig(Section):
    """How the run behaves; nothing here changes the trained parameters."""

    eval_every: Count = Field(1, description="rounds between evaluations; always after the last")
    checkpoint_seconds: NonNegative = Field(
        10.0, description="seconds between writes of the run file; 0: every round"
    )
    on_rank_failure: Literal["continue", "stop"] = Field(
        "continue",
        description="when a rank dies: those left go on, or the job is started again, with the "
        "same bits; or the run stops, resumable, with code 75",
    )
    max_restarts: Annotated[int, Field(ge=0)] = Field(
        3, description="how often `--ranks` and sweeps start a job again that has died"
    )
    watchdog_min: Positive = Field(
        10.0, description="minutes of waiting after which the late ranks are named"
    )


class Experiment(Section):
    """A whole experiment: one run is a function of this and of the data alone."""

    name: Annotated[str, Field(min_length=1)] = Field(
        "experiment", description="names the default output folder results/NAME"
    )
    seed: Seed = Field(0, description="of every random word of the run")
    data: DataConfig = DataConfig()
    partition: PartitionConfig = PartitionConfig()
    model: ModelConfig = ModelConfig()
    client: ClientConfig = Field(default_factory=lambda: ClientConfig.model_validate({}))
    participation: ParticipationConfig = ParticipationConfig()
    uplink: UplinkConfig = UplinkConfig()
    server: ServerConfig = ServerConfig()
    run: RunConfig = RunConfig()

    @field_validator("name")
    @classmethod
    def _folder_name(cls, value: str) -> str:
        if "/" in value or "\0" in value or value in {".", ".."}:
            raise ValueError(f"{value!r} names a folder below results/ and cannot hold a slash")
        return value

    @property
    def dt(self) -> float:
        """Seconds of one time bin."""
        return self.data.duration / self.data.num_bins

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.model.kind == "snn":  # a network of your own may have constants of its own
            _check_time_constants(self)
        if self.server.rescale:
            _check_rescale(self)
        if self.uplink.error_feedback and self.server.rescale:
            raise ValueError(
                "server.rescale with uplink.error_feedback counts what is sent later twice; "
                "set one of them to false"
            )
        return self


def _check_kind(value: str, known: str) -> None:
    module, _, function = value.partition(":")
    if not (function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ValueError(f'kind = "{value}" is none of {known}, nor a path "module:function"')


def _check_time_constants(experiment: Experiment) -> None:
    # IF neurons have no time constants of their own, but their readout is leaky
    names = ["tau_mem", "tau_syn"] + ["tau_adapt"] * (experiment.model.neuron == "alif")
    for name in names:
        tau = getattr(experiment.model, name)
        if experiment.dt / tau > 1:
            raise ValueError(
                f"model.{name} = {tau:g} s is shorter than a time bin ({experiment.dt:g} s = "
                "data.duration / data.num_bins): the step is unstable; raise data.num_bins"
            )


def _check_rescale(experiment: Experiment) -> None:
    if experiment.server.average == "received":
        raise ValueError('server.rescale has no meaning with server.average = "received"')
    if experiment.uplink.mask == "top-k":
        raise ValueError('server.rescale needs a random mask, uplink.mask is "top-k"')
    if experiment.uplink.mask != "none" and experiment.uplink.mask_probability == 1:
        raise ValueError("server.rescale divides by 1 - uplink.mask_probability, which is 0")
