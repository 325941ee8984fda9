"""The table of evaluation by several draws, and of what is evaluated besides."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpcfed.config.section import Section


class EvaluationConfig(Section):
    """Evaluation by a committee, where weights are random, and answers that are kept."""

    draws: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="members of the committee, whose probabilities are averaged; 0 or absent: the "
        "most probable weights alone",
    )
    answers: bool | None = Field(
        None,
        description="after the last round, keep what the network says of each test sample (without "
        "a test, of validation); absent: with this table, and where samples are points",
    )
    unknown: bool | None = Field(
        None,
        description="keep as well what it says of classes that `data.classes` leaves out; "
        "absent: nothing",
    )
