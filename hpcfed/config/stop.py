"""The table that says when a run ends before its last round."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpcfed.config.section import Count, Probability, Section

Share = Annotated[float, Field(gt=0, le=1)]


class SilentConfig(Section):
    """A network falls silent: too many training samples send too few spikes through a layer."""

    alpha: Count | tuple[Count, ...] = Field(
        1,
        description="a sample is silent in a hidden layer with fewer spikes than this; or a number "
        "for each hidden layer",
    )
    beta: Probability = Field(
        0.2, description="the run ends when more than this part of the samples is, in any layer"
    )
    rounds: Count = Field(1, description="so many rounds one after the other")


class StopConfig(Section):
    """Ends a run that will not come to anything; its status is finished, its verdict says why."""

    silent: SilentConfig = SilentConfig()
    saturated: Share = Field(
        0.95,
        description="a sample is saturated in a hidden layer of which this part of all neurons and "
        "bins spikes; the run ends as for silence",
    )
    diverged: bool = Field(
        True, description="the run ends, and has not failed, when losses or updates are not finite"
    )
