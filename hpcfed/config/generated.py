"""The table of data sets that are generated from a seed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpcfed.config.section import Count, NonNegative, Section, Seed

REGRESSION = "regression"
GENERATED = ("two-moons", REGRESSION)


class GeneratedConfig(Section):
    """Data that are generated: `two-moons`, and `regression`, a curve over one dimension."""

    seed: Seed = Field(0, description="of points, noise and spikes")
    samples: Count | None = Field(
        None, description="training points; absent: 200 moons; of the curve there are 60"
    )
    test_samples: Count | None = Field(
        None, description="test points; absent: 1000 moons; of the curve there are 600"
    )
    noise: NonNegative | None = Field(
        None, description="standard deviation of the points' noise; absent: 0.1"
    )
    neurons: Annotated[int, Field(ge=2)] | None = Field(
        None, description="input neurons of each coordinate; absent: 10 for moons, 20 for the curve"
    )
