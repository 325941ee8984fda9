"""The table of data sets that are generated from a seed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hpcfed.config.section import Count, NonNegative, Section, Seed

TWO_MOONS, REGRESSION, TIMING = "two-moons", "regression", "timing"
GENERATED = (TWO_MOONS, REGRESSION, TIMING)


class GeneratedConfig(Section):
    """Data that are generated: `two-moons`, `regression` (a curve), and `timing` alone."""

    seed: Seed = Field(0, description="of points, noise, times and spikes")
    samples: Count | None = Field(
        None,
        description="training samples; absent: 200 moons, 400 of timing; of the curve there are 60",
    )
    test_samples: Count | None = Field(
        None,
        description="test samples; absent: 1000 moons, 400 of timing; of the curve there are 600",
    )
    noise: NonNegative | None = Field(
        None,
        description="standard deviation of the points' noise; of timing the probability of a spike "
        "at any time, in a 60th of the window; absent: 0.1, of timing 0.02",
    )
    neurons: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="input neurons of each coordinate, of timing all; absent: 10 for moons, 20 for "
        "the curve, 60 for timing",
    )
