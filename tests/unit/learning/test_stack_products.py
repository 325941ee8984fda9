"""The products of one layer alone: of events and of all values they are the same, and torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from stack_worlds import (
    BY_ALL_VALUES,
    BY_EVENTS,
    OneLayer,
    Products,
    ordered_sums,
    stack_products,
    torch_products,
)

from hpcfed.learning.constants import RealType

DENSITIES = (0, 0.01, 0.05, 0.2, 0.5, 1)

# channels, channels made, (kernel, stride, padding), (height, width), images
LAYERS = {
    "kernels of three": OneLayer(16, 16, (3, 1, 1), (8, 8), 5),
    "odd sizes": OneLayer(5, 7, (3, 1, 1), (7, 5), 3),
    "one register, odd rows of pairs": OneLayer(3, 9, (5, 1, 2), (5, 7), 2),
    "two registers": OneLayer(17, 20, (3, 1, 1), (6, 6), 4),
    "three registers": OneLayer(33, 40, (3, 1, 0), (5, 6), 3),
    "four registers and more": OneLayer(20, 70, (3, 1, 1), (5, 5), 3),
    "seventy channels": OneLayer(70, 33, (3, 1, 1), (4, 4), 3),
    "single pixels": OneLayer(8, 12, (1, 1, 0), (4, 5), 3),
    "single pixels with a border": OneLayer(4, 6, (1, 1, 3), (3, 4), 2),
    "kernels of two": OneLayer(6, 5, (2, 1, 1), (5, 4), 2),
    "kernels of two apart": OneLayer(6, 5, (2, 2, 0), (6, 5), 2),
    "stride two": OneLayer(9, 18, (3, 2, 1), (7, 8), 3),
    "stride three, wide border": OneLayer(3, 34, (5, 3, 3), (7, 6), 2),
    "stride larger than the kernel": OneLayer(3, 4, (2, 3, 0), (8, 8), 2),
    "one channel": OneLayer(1, 1, (3, 1, 1), (4, 4), 1),
    "one pixel": OneLayer(5, 6, (3, 1, 1), (1, 1), 1),
    "one column": OneLayer(5, 6, (3, 1, 1), (6, 1), 2),
    "one image that is large": OneLayer(2, 3, (3, 1, 1), (33, 35), 1),
    "more images than are taken at once": OneLayer(4, 5, (3, 1, 1), (9, 9), 9),
    "dense": OneLayer(6, 21, (), (4, 5), 7),
    "dense, more than are taken at once": OneLayer(3, 70, (), (1, 2), 131),
}
VALUED = ("kernels of three", "odd sizes", "four registers and more", "seventy channels",
          "stride three, wide border", "one register, odd rows of pairs", "dense")  # fmt: skip
ALL = LAYERS | {
    f"{name}, with values": OneLayer(*list(vars(LAYERS[name]).values())[:-1], valued=True)
    for name in VALUED
}

pytestmark = pytest.mark.timeout(900)  # the first test compiles kernels


def both_ways(layer: OneLayer, density: float, dtype: RealType) -> Products:
    """Return the products of events, having required the same bits of those of all values."""
    pictures, weights = layer.pictures(density).astype(dtype), layer.weights().astype(dtype)
    found, dense = (
        stack_products(layer, pictures, weights, switch, dtype)
        for switch in (BY_EVENTS, BY_ALL_VALUES)
    )
    for name in vars(found):
        assert_array_equal(getattr(found, name), getattr(dense, name), err_msg=name)
    return found


@pytest.mark.parametrize("name", ALL)
def test_sums_are_those_of_kernel_rows_columns_and_channels_bit_for_bit(name: str) -> None:
    layer = ALL[name]
    for density in DENSITIES:
        found = both_ways(layer, density, np.float32)
        expected = ordered_sums(layer, layer.pictures(density), layer.weights())
        assert_array_equal(found.sums, expected)


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() != "AVX512",
    reason="oneDNN adds in another order on processors without AVX-512",
)
@pytest.mark.parametrize("name", [name for name, layer in ALL.items() if layer.channels >= 16])
def test_sums_are_those_of_onednn_bit_for_bit(name: str) -> None:
    """With fewer channels, or weights whose channels are not last, its order may be another."""
    layer = ALL[name]
    stride, padding = layer.stride_and_padding
    weights = torch.tensor(layer.weights().astype(np.float32))
    weights = weights.contiguous(memory_format=torch.channels_last)
    for density in DENSITIES:
        pictures = torch.tensor(layer.pictures(density).astype(np.float32))
        expected = torch.nn.functional.conv2d(pictures, weights, stride=stride, padding=padding)
        found = both_ways(layer, density, np.float32)
        assert_array_equal(found.sums, expected.numpy())


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_torchs(name: str) -> None:
    layer = ALL[name]
    for density in DENSITIES:
        expected = torch_products(layer, layer.pictures(density), layer.weights())
        for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
            found = both_ways(layer, density, dtype)
            for part in vars(expected):
                reference = getattr(expected, part)
                scale = np.abs(reference).max(initial=0)
                assert_allclose(
                    getattr(found, part), reference, rtol=0, atol=tolerance * scale, err_msg=part
                )
