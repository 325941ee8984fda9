"""From the membrane's velocity to spikes: an inner hair cell, 40 nerve fibres, one bushy cell.

Hair cell after Meddis (1986, doi:10.1121/1.393460; 1988, doi:10.1121/1.396050): transmitter moves
between a free pool q, the cleft C and a reprocessing store w, and a fibre fires in a step of dt
with probability P = h dt C unless it fired within the last millisecond. The bushy cell is one leaky
integrate-and-fire neuron per channel that sums 40 such fibres (Cramer et al. 2020,
arXiv:1910.07407).

The fibres are exchangeable and their synapses linear, so that only their number n of spikes counts;
n of a step is exactly Binomial(40 - spikes of the last 23 steps, P), drawn by inversion from one
random word. The words are Philox4x32-10's with counter (step / 4, channel, recording, purpose):
nothing depends on the order in which channels or recordings are heard.

K channels, M steps of 1/24000 s.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import compiled
from hpcfed.base.philox import block
from hpcfed.base.seeds import Stream
from hpcfed.datasets.ear.basilar_membrane import VELOCITY_RATE

DT = 1.0 / VELOCITY_RATE
# Meddis (1988), medium spontaneous rate: y, l, r, x in 1/s, g in 1/s, h in spikes/s.
REPLENISHMENT, LOSS, RECOVERY, REPROCESSING = 5.05, 2500.0, 6580.0, 66.3
RELEASE, RELEASE_OFFSET, RELEASE_HALF = 2000.0, 5.0, 300.0
FIRING, POOL = 50000.0, 1.0
NUM_FIBRES = 40
REFRACTORY_STEPS = VELOCITY_RATE // 1000  # 1 ms, of fibres and of the bushy cell
WEIGHT = 13e3 / NUM_FIBRES * DT
MEMBRANE_DECAY = math.exp(-DT / 1e-3)
SYNAPSE_DECAY = math.exp(-DT / 5e-4)


def rest_state() -> tuple[float, float, float]:
    """Return (q, C, w): the hair cell's equilibrium in silence."""
    release = RELEASE * RELEASE_OFFSET / (RELEASE_OFFSET + RELEASE_HALF)
    cleft = POOL * REPLENISHMENT * release
    cleft /= LOSS * release + REPLENISHMENT * (LOSS + RECOVERY)
    return cleft * (LOSS + RECOVERY) / release, cleft, cleft * RECOVERY / REPROCESSING


def hear(
    velocity: NDArray[np.float32], first_channel: int, words: Stream
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (steps, channels) of all spikes of (K, M) float32 ``velocity``, channel by channel.

    Row k is channel ``first_channel + k``. The round of ``words`` is the recording's number within
    its collection; each channel has its own, as a client would.
    """
    num_channels, num_steps = velocity.shape
    most = num_channels * (num_steps // REFRACTORY_STEPS + 1)
    steps, channels = np.empty(most, np.int64), np.empty(most, np.int64)
    _, recording, purpose, *key = words.address
    count = 0
    for row in range(num_channels):
        counter = np.array([first_channel + row, recording, purpose], np.uint32)
        found = _hear_channel(velocity[row], counter, np.array(key), steps[count:])
        channels[count : count + found] = first_channel + row
        count += found
    return steps[:count].copy(), channels[:count].copy()  # views would keep the buffers alive


@compiled
def _hear_channel(
    velocity: NDArray[np.float32],
    counter: NDArray[np.uint32],
    key: NDArray[np.uint32],
    steps: NDArray[np.int64],
) -> int:
    """Write the steps of one channel's spikes into ``steps``; return how many there are."""
    pool, cleft, store = _REST
    voltage, current, refractory = 0.0, 0.0, 0
    recent = np.zeros(REFRACTORY_STEPS - 1, np.int64)  # fibre spikes of the last 23 steps
    num_recent, slot, found = 0, 0, 0
    words = (np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(0))
    for step in range(len(velocity)):
        pool, cleft, store = _hair_cell(velocity[step], pool, cleft, store)
        lane = step & 3
        if lane == 0:
            number = np.uint32(step >> 2)
            words = block(number, counter[0], counter[1], counter[2], key[0], key[1])
        fired = _binomial(words[lane], NUM_FIBRES - num_recent, FIRING * DT * cleft)
        num_recent += fired - recent[slot]
        recent[slot] = fired
        slot = 0 if slot == REFRACTORY_STEPS - 2 else slot + 1

        current = current * SYNAPSE_DECAY + fired
        if refractory <= 0 and voltage >= 1.0:
            steps[found] = step
            found += 1
            refractory = REFRACTORY_STEPS
        voltage = min(voltage * MEMBRANE_DECAY + current * WEIGHT, 1.0) if refractory <= 0 else 0.0
        refractory -= 1
    return found


@numba.njit(inline="always")
def _hair_cell(velocity, pool, cleft, store):  # type: ignore[no-untyped-def]
    """One Euler step of (q, C, w), all from the old values."""
    drive = np.float64(velocity) + RELEASE_OFFSET
    release = RELEASE * DT * drive / (drive + RELEASE_HALF) if drive > 0.0 else 0.0
    made = REPLENISHMENT * DT * (POOL - pool) if pool < POOL else 0.0
    ejected, recovered, reprocessed = (
        release * pool,
        RECOVERY * DT * cleft,
        REPROCESSING * DT * store,
    )
    return (
        max(pool + made - ejected + reprocessed, 0.0),
        max(cleft + ejected - (LOSS + RECOVERY) * DT * cleft, 0.0),
        max(store + recovered - reprocessed, 0.0),
    )


@numba.njit(inline="always")
def _binomial(word, trials, probability):  # type: ignore[no-untyped-def]
    """Return the Binomial(trials, probability) number at the quantile ``word`` / 2**32."""
    uniform = (np.float64(word) + 0.5) * 2.0**-32
    if uniform <= 1.0 - trials * probability:  # Bernoulli: never above (1 - P)^trials
        return 0
    return _invert(uniform, trials, min(probability, 1.0))


@numba.njit
def _invert(uniform, trials, probability):  # type: ignore[no-untyped-def]
    if probability >= 1.0:
        return trials
    odds = probability / (1.0 - probability)
    mass = 1.0
    for _ in range(trials):
        mass *= 1.0 - probability
    below, count = mass, 0
    while uniform > below and count < trials:
        mass *= odds * (trials - count) / (count + 1)
        below += mass
        count += 1
    return count


_REST = rest_state()
