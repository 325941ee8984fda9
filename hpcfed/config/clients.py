"""The tables that say who the clients are and who takes part."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hpcfed.config.section import Count, Positive, Probability, Section, check_kind


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
            check_kind(self.kind, "group, iid, dirichlet, shards, quantity")
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
