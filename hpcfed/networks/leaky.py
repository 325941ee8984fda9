"""Leaky neurons through time, compiled: what flows in is normed, integrated and fired in one pass.

T time bins, N samples times pixels, G of each of which B norms apply to (1: one for all), C
channels. The equations are those of ``neurons``; backward, g_z the gradient of a spike and f = 1
where gradients pass through the reset, else 0::

    u = leak v + gain x + offset;  z = [u > theta];  v = u - z (s theta + r u)
    g_u = g_z surrogate'(u - theta) + g_v (1 - r z - f surrogate'(u - theta) (s theta + r u))
    g_v = leak g_u+;  g_x = gain g_u;  g_gain = sum x g_u;  g_offset = sum g_u

with s = 1 for the reset by subtraction, r = 1 for that to zero. Neurons that fire first send each
spike a bin later. Backward, potentials are computed again: x is all that is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import compiled

Real = np.floating
Reals = NDArray[np.floating]

SURROGATES = ("superspike", "triangle")
_CHUNK = 1024  # potentials, and as many for each bin on the way back: 80 KiB at 20 bins


class Leaky(NamedTuple):
    """The constants of the equations, in the dtype of x.

    Attributes:
        slope, scale: of the surrogate.
        one, zero: in that dtype.
        triangle: else superspike.
        delay: bins from a spike to where it counts: 0, or 1 for neurons that fire first.
    """

    leak: Real
    threshold: Real
    subtract: Real
    to_zero: Real
    full: Real
    slope: Real
    scale: Real
    one: Real
    zero: Real
    triangle: bool
    delay: int


@compiled
def fire(
    x: Reals, gain: Reals, offset: Reals, neuron: Leaky, spikes: Reals, flags: NDArray[np.bool_]
) -> None:
    """Write the spikes (T, N, C), also as ``flags``, for x (T, N, C), gain and offset (T, B, C)."""
    num_bins, num_rows, channels = x.shape
    per_norm = num_rows // gain.shape[1]
    length = max(1, _CHUNK // channels)
    potentials = np.empty((length, channels), x.dtype)
    spikes[: neuron.delay] = neuron.zero
    flags[: neuron.delay] = False
    for start in range(0, num_rows, length):
        rows = min(length, num_rows - start)
        potentials[:] = neuron.zero
        for t in range(num_bins):
            place = min(t + neuron.delay, num_bins - 1)  # the last of a delay's is left out
            sent, said = spikes[place], flags[place]
            for i in range(rows if t + neuron.delay < num_bins else 0):
                b = (start + i) // per_norm
                for c in range(channels):
                    normed = gain[t, b, c] * x[t, start + i, c] + offset[t, b, c]
                    u = neuron.leak * potentials[i, c] + normed
                    z = neuron.one if u > neuron.threshold else neuron.zero
                    reset = neuron.subtract * neuron.threshold + neuron.to_zero * u
                    potentials[i, c] = u - z * reset
                    sent[start + i, c] = z
                    said[start + i, c] = u > neuron.threshold


@compiled
def fire_back(
    x: Reals, gain: Reals, offset: Reals, neuron: Leaky, received: Reals, returned: Reals,
    sums: Reals,
) -> None:  # fmt: skip
    """Write the gradient of x (T, N, C), and add those of gain and offset to sums (2, T, B, C).

    ``received`` (T, N, C) is the gradient of the spikes.
    """
    num_bins, num_rows, channels = x.shape
    per_norm = num_rows // gain.shape[1]
    length = max(1, _CHUNK // channels)
    potentials = np.empty((num_bins, length, channels), x.dtype)
    carried = np.empty((length, channels), x.dtype)
    for start in range(0, num_rows, length):
        rows = min(length, num_rows - start)
        carried[:] = neuron.zero
        for t in range(num_bins):
            for i in range(rows):
                b = (start + i) // per_norm
                for c in range(channels):
                    normed = gain[t, b, c] * x[t, start + i, c] + offset[t, b, c]
                    u = neuron.leak * carried[i, c] + normed
                    potentials[t, i, c] = u
                    z = neuron.one if u > neuron.threshold else neuron.zero
                    reset = neuron.subtract * neuron.threshold + neuron.to_zero * u
                    carried[i, c] = u - z * reset
        carried[:] = neuron.zero
        for t in range(num_bins - 1, -1, -1):
            if t + neuron.delay >= num_bins:
                returned[t, start : start + rows] = neuron.zero
                continue
            heard = received[t + neuron.delay]
            for i in range(rows):
                b = (start + i) // per_norm
                for c in range(channels):
                    u = potentials[t, i, c]
                    z = neuron.one if u > neuron.threshold else neuron.zero
                    away = neuron.slope * abs(u - neuron.threshold)
                    if neuron.triangle:
                        slope = neuron.scale * max(neuron.zero, neuron.one - away)
                    else:
                        slope = neuron.scale / ((neuron.one + away) * (neuron.one + away))
                    reset = neuron.subtract * neuron.threshold + neuron.to_zero * u
                    kept = neuron.one - neuron.to_zero * z - neuron.full * slope * reset
                    change = carried[i, c] * kept + heard[start + i, c] * slope
                    carried[i, c] = neuron.leak * change
                    returned[t, start + i, c] = gain[t, b, c] * change
                    sums[0, t, b, c] += x[t, start + i, c] * change
                    sums[1, t, b, c] += change
