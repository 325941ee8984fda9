"""Random stacks of layers on random images have autograd's gradients, in float64."""

from __future__ import annotations

from typing import Any  # of many types

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from stack_worlds import assert_same_gradient
from tiny_images import images
from tiny_images import settings as experiment_of

from hpcfed.config.stack import Convolution, Pool, parse
from hpcfed.errors import InputError
from hpcfed.networks.stack import stages
from hpcfed.samples.samples import Shape

pytestmark = pytest.mark.timeout(900)  # the first example compiles kernels

CONVOLUTIONS = st.builds(
    "{}c{}s{}p{}".format,
    st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(0, 3),
)  # fmt: skip
BEFORE = st.sampled_from(["p2", "m2", "m3", "d0.3"]) | CONVOLUTIONS
HIDDEN = st.tuples(
    st.lists(BEFORE, max_size=2),
    CONVOLUTIONS,
    st.lists(BEFORE, max_size=2),
    st.sampled_from([[], ["p"], ["d0.4"]]),
    st.lists(st.integers(1, 80), max_size=2),
)
MODELS = st.fixed_dictionaries(
    {
        "norm": st.sampled_from([None, "bntt", "batch", "tebn", "group"]),
        "leak": st.floats(0.3, 1.0),
        "reset": st.sampled_from(["subtract", "zero", "none"]),
        "fire_first": st.booleans(),
        "threshold": st.floats(0.3, 1.5),
        "surrogate": st.sampled_from(["superspike", "triangle", "tanh"]),
        "reset_gradient": st.sampled_from(["detached", "full"]),
        "readout": st.sampled_from(["mean", "last", "current"]),
    }
)
SIZES = st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))


@settings(
    max_examples=20, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
@given(
    hidden=HIDDEN,
    model=MODELS,
    size=SIZES,
    bins=st.integers(1, 4),
    batch=st.integers(1, 5),
    encoder=st.sampled_from(["direct", "poisson", "signed-poisson"]),
)
def test_gradients_of_any_stack_are_autograds(
    hidden: tuple[Any, ...], model: dict[str, Any], size: tuple[int, int, int], bins: int,
    batch: int, encoder: str,
) -> None:  # fmt: skip
    assume(bins > 1 or not model["fire_first"])  # no spike is heard: autograd may have no gradient
    before, first, between, last, dense = hidden
    entries = [*before, first, *between, *last, *dense]
    data = {"num_bins": bins, "duration": 0.01 * bins, "encoder": encoder}
    experiment = experiment_of("event", model=model | {"hidden": entries}, data=data)
    try:
        stages(experiment.model, Shape(size, 3))
    except InputError:  # nothing is left of the picture
        assume(False)
    assert any(isinstance(parse(entry), Convolution | Pool) for entry in entries)
    assert_same_gradient(experiment, images(batch, size))
