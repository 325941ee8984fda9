"""The table of local training."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hpcfed.config.section import Count, NonNegative, Positive, Probability, Section


class ClientConfig(Section):
    """Local training."""

    engine: Literal["auto", "norse", "event", "gpu"] = Field(
        "auto",
        description='`"event"`: numba on a CPU, cost follows the spikes; `"norse"`: torch, every '
        'network, on a GPU if there is one; `"gpu"`: Triton on a GPU, all clients of a rank at '
        'once, and of images one after the other; `"auto"`: event where it has what the network '
        "needs",
    )
    epochs: Count | None = Field(
        None, description="passes over the client's samples a round; 1 unless `steps` is given"
    )
    steps: Count | None = Field(None, description="gradient steps a round, instead of `epochs`")
    batch_size: Count = Field(32, description="samples of one gradient step")
    optimizer: Literal["sgd", "adam"] = Field("adam", description="starts fresh each round")
    learning_rate: Positive = Field(0.001, description="step size in round 0")
    schedule: Literal["constant", "linear", "cosine", "exponential", "milestones"] = Field(
        "constant",
        description="learning rate over rounds, from 1 to `schedule_factor` times `learning_rate`; "
        "milestones: times the factor after each of them",
    )
    schedule_milestones: tuple[Count, ...] | None = Field(
        None, description="rounds after which the learning rate falls, for `milestones`"
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
    drop_last: bool | None = Field(
        None, description="leave out a pass's last batch if it is short; absent: it is trained on"
    )
    teacher: str | None = Field(
        None, description="run file of a network whose answers are learned beside the labels"
    )
    teacher_weight: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="a in (1 - a) cross-entropy + a tau^2 divergence from the teacher's softened "
        "probabilities, which is the loss that is trained on and recorded; absent: 0.5",
    )
    teacher_temperature: Positive | None = Field(
        None, description="tau: both networks' logits are divided by it; absent: 1"
    )
    teacher_trust: bool | None = Field(
        None,
        description="code of your own that the teacher's run file names may be imported; absent: "
        "it may not",
    )
    precision: Literal["fp32", "tf32", "bf16"] | None = Field(
        None,
        description="of images on the gpu engine: how products of weights are taken; bf16: what "
        "is sent between layers has it as well; absent: fp32",
    )
    potentials: Literal["float32", "bfloat16"] | None = Field(
        None,
        description="of images on the gpu engine: how potentials are kept for the way back; "
        "absent: float32",
    )
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
        if (self.schedule == "milestones") != (self.schedule_milestones is not None):
            raise ValueError('schedule = "milestones" and schedule_milestones need each other')
        if self.momentum and self.optimizer == "adam":
            raise ValueError('momentum belongs to optimizer = "sgd"')
        for name in ("precision", "potentials"):
            if getattr(self, name) is not None and self.engine != "gpu":
                raise ValueError(f'{name} is for engine = "gpu", and engine = "{self.engine}"')
        for name in ("teacher_weight", "teacher_temperature", "teacher_trust"):
            if getattr(self, name) is not None and self.teacher is None:
                raise ValueError(f"{name} is for a teacher; set teacher to a run file")
        return self

    @property
    def distillation(self) -> tuple[float, float]:
        """Weight and temperature of what is learned from the teacher; weight 0 without one."""
        weight = 0.5 if self.teacher_weight is None else self.teacher_weight
        return (0.0 if self.teacher is None else weight), self.teacher_temperature or 1.0
