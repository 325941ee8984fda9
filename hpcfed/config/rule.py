"""The table of the learning rule: by which rule clients learn, and what one's own rule reads."""

from __future__ import annotations

from typing import Any, Self  # Any: a free table, read by the user's own code

from pydantic import Field, model_validator

from hpcfed.config.section import Section, check_kind

BACKPROP = "backprop"


class RuleConfig(Section):
    """By which rule clients learn; absent: `backprop`."""

    kind: str = Field(
        BACKPROP,
        description='`"backprop"` (surrogate gradients, by `client.engine`), or a path '
        "`module:NAME` to a Rule of your own",
    )
    own: dict[str, Any] | None = Field(
        None, description="a free table `[rule.own]`, for a rule of your own"
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.kind != BACKPROP:
            check_kind(self.kind, f'"{BACKPROP}"')
        elif self.own is not None:
            raise ValueError(
                'rule.own is for a rule of your own; rule.kind = "backprop" reads none'
            )
        return self
