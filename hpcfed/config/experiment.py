"""Experiment: one TOML file, validated once at the edge, frozen from then on.

Every key has a type, a range and a meaning here and nowhere else; the reference of the docs is
generated from this file. Probabilities follow the field's letters: p (mask) and q (drop) are the
chances that something is NOT sent.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hpcfed.config.clients import ParticipationConfig, PartitionConfig
from hpcfed.config.data import DataConfig
from hpcfed.config.evaluation import EvaluationConfig
from hpcfed.config.fitting import rule_faults
from hpcfed.config.learning import ClientConfig
from hpcfed.config.model import ModelConfig
from hpcfed.config.rule import RuleConfig
from hpcfed.config.section import Count, NonNegative, Positive, Section, Seed
from hpcfed.config.server import ServerConfig, UplinkConfig
from hpcfed.config.soft_lif import soft_lif_faults
from hpcfed.config.stop import StopConfig


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
    track: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] | None = Field(
        None,
        description="trackers that get every round's figures, through packages of theirs that "
        "have to be installed; absent: none",
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
    rule: RuleConfig | None = None
    client: ClientConfig = Field(default_factory=lambda: ClientConfig.model_validate({}))
    participation: ParticipationConfig = ParticipationConfig()
    uplink: UplinkConfig = UplinkConfig()
    server: ServerConfig = ServerConfig()
    evaluation: EvaluationConfig | None = None
    stop: StopConfig | None = None
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

    @property
    def learning_rule(self) -> RuleConfig:
        """The rule by which clients learn, given or not."""
        return self.rule or RuleConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        rule = self.learning_rule
        asks_model = not (rule.is_circuit or rule.is_stdp)
        if self.model.kind == "snn" and asks_model:  # one of your own may have its own
            _check_time_constants(self)
        if self.server.rescale:
            _check_rescale(self)
        if self.uplink.error_feedback and self.server.rescale:
            raise ValueError(
                "server.rescale with uplink.error_feedback counts what is sent later twice; "
                "set one of them to false"
            )
        if faults := [*rule_faults(self), *soft_lif_faults(self)]:
            raise ValueError("; ".join(faults))
        return self


def _check_time_constants(experiment: Experiment) -> None:
    if experiment.model.neuron == "leaky" and experiment.model.readout == "current":
        return
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
    if experiment.server.average == "all" and experiment.participation.first_is_on_time:
        raise ValueError(
            'server.rescale with average = "all" divides by the probability of arrival, which is '
            "not the same for all clients with participation.first_is_on_time"
        )
    if experiment.server.average == "received":
        raise ValueError('server.rescale has no meaning with server.average = "received"')
    if experiment.uplink.mask in ("top-k", "groups"):
        raise ValueError(
            f'server.rescale needs a random mask, uplink.mask is "{experiment.uplink.mask}"'
        )
    if experiment.uplink.mask != "none" and experiment.uplink.mask_probability == 1:
        raise ValueError("server.rescale divides by 1 - uplink.mask_probability, which is 0")
