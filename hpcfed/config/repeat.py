"""The table of blocks that are repeated with the same weights."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hpcfed.config.section import Count, Section


class RepeatConfig(Section):
    """How often a block of ``model.hidden`` is repeated, by whom, and with which step."""

    depth: Count | None = Field(
        None, description="iterations C of each client; absent: 4, or as `depths` says"
    )
    depths: tuple[Count, ...] | None = Field(
        None, description="iterations of the clients, dealt to them in turn; absent: `depth`"
    )
    drawn: bool | None = Field(
        None,
        description="each client draws one of `depths` in each round instead; absent: it does not",
    )
    step: Literal["1/C", 1] | None = Field(
        None, description="what an iteration adds is multiplied by; absent: 1/C"
    )
    time: bool | None = Field(
        None,
        description="layers of the block see a channel more, of the time k/C; absent: they do",
    )
    neurons: Literal["fresh", "carried"] | None = Field(
        None,
        description="of spiking networks: in each iteration neurons begin at rest, or where they "
        "ended in the one before; absent: fresh",
    )
    evaluated: Count | None = Field(
        None,
        description="iterations of the evaluated network; absent: `depth`, or the largest of "
        "`depths`",
    )
    curve: tuple[Count, ...] | None = Field(
        None,
        description="after the last round it is evaluated with each of these iterations; absent: "
        "not",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.depth is not None and self.depths is not None:
            raise ValueError("depth and depths both say how often; give one of them")
        if self.depths is not None and not self.depths:
            raise ValueError("depths names no depth")
        if self.drawn is not None and self.depths is None:
            raise ValueError("drawn is for depths, and there are none")
        if self.curve is not None and sorted(set(self.curve)) != list(self.curve):
            raise ValueError("curve is in ascending order, each depth once")
        if self.curve == ():
            raise ValueError("curve names no depth")
        return self

    @property
    def choices(self) -> tuple[int, ...]:
        """What clients are dealt, or draw."""
        return self.depths or (self.depth or 4,)

    @property
    def evaluated_depth(self) -> int:
        """Iterations of the evaluated network."""
        return self.evaluated or max(self.choices)

    @property
    def has_time(self) -> bool:
        """Whether the block's layers see the time."""
        return self.time is not False

    @property
    def carries(self) -> bool:
        """Whether neurons go on where they ended in the iteration before."""
        return self.neurons == "carried"

    def step_of(self, depth: int) -> float:
        """Return what an iteration of ``depth`` adds is multiplied by."""
        return 1.0 if self.step == 1 else 1 / depth
