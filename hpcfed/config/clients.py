"""The tables that say who the clients are and who takes part."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from hpcfed.config.section import Count, Positive, Probability, Section, Seed, check_kind

Partition = Literal["group", "iid", "dirichlet", "dirichlet-capped", "shards", "quantity"]


class PartitionConfig(Section):
    """Which client owns which training sample."""

    kind: Partition | str = Field(
        "group",
        description='`"group"` (one speaker a client), `"iid"`, `"dirichlet"` (label skew by '
        '`alpha`), `"dirichlet-capped"` (nothing more for who has a fair share, and at least '
        '`min_samples` for each), `"shards"` (`classes_per_client`), `"quantity"` (sizes by '
        "`alpha`), or a path `module:function` of your own",
    )
    num_clients: Count | None = Field(
        None, description="N; absent for `group`: one client per group"
    )
    alpha: Positive = Field(0.5, description="concentration of the Dirichlet distribution")
    classes_per_client: Count = Field(2, description="shards given to each client")
    min_samples: Count | None = Field(
        None, description="of each client, for `dirichlet-capped`; absent: 10"
    )
    seed: Seed | None = Field(
        None, description="of who owns what alone; absent: the experiment's `seed`"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = get_args(Partition)
        if self.kind not in known:
            check_kind(self.kind, ", ".join(known))
        if self.min_samples is not None and self.kind != "dirichlet-capped":
            raise ValueError('min_samples is for kind = "dirichlet-capped"')
        if self.kind == "group" and self.seed is not None:
            raise ValueError('seed is of random partitions, and kind = "group" draws nothing')
        if self.kind != "group" and self.num_clients is None:
            raise ValueError(f'kind = "{self.kind}" needs num_clients')
        return self


class ParticipationConfig(Section):
    """Which clients take part in a round."""

    drop_probability: Probability | tuple[Probability, ...] = Field(
        0.0, description="q, a client sends nothing this round; or one value per client"
    )
    clients_per_round: Count | None = Field(
        None, description="so many clients take part, drawn without replacement; absent: by q"
    )
    straggler_probability: Probability | None = Field(
        None, description="a client that takes part is late, and is left out; absent: 0"
    )
    first_is_on_time: bool | None = Field(
        None, description="the first of those that take part is never late; absent: it may be"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.clients_per_round is not None and self.drop_probability != 0.0:
            raise ValueError(
                "clients_per_round and drop_probability both say who takes part; give one of them"
            )
        if self.first_is_on_time is not None and self.straggler_probability is None:
            raise ValueError("first_is_on_time is for stragglers; set straggler_probability")
        return self
