"""Binary weights and the real latent weights behind them: the equations, compiled.

A latent weight l stands for a weight w of +1 or -1, times a scale c. Straight-through (Hubara and
others 2016, arXiv 1602.02830): w = sign(l), and the gradient by w is taken for that by l. Bayesian
(Jang, Skatchkovsky, Simeone 2020, arXiv 2012.08300; Meng and others 2020, arXiv 2002.10778): w is
+1 with probability s(2 l), s the logistic function; training relaxes it, with u uniform::

    d = log(u / (1 - u)) / 2;  w = tanh((l + d) / tau)
    k = (dw/dl) / (d tanh(l)/dl) = (cosh(l) / cosh((l + d) / tau))^2 / tau

and k times the gradient by w is that by the posterior's mean tanh(l). k is computed in its closed
form in float64: the quotient (1 - w^2) / (tau (1 - tanh(l)^2)) has no digits left at large l. P
parameters; words are addressed by (step, bin, entry).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import compiled, inlined, inner
from hpcfed.base.philox import draw
from hpcfed.learning.constants import Real, Reals
from hpcfed.networks.layout import Layout

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

REAL, SIGN, RELAXED = range(3)  # weights are the latent ones; their signs; drawn and relaxed
_CHUNK = 1024  # words: what is drawn at once


class Binary(NamedTuple):
    """What there is to know of latent weights.

    Attributes:
        kind: REAL, SIGN or RELAXED.
        temperature: tau.
        prior: l0, half the log-odds of + before any data.
        strength: rho, of the pull towards l0.
        limit: latent weights are kept within +- this.
        bounds: (m + 1,) where parts of the flat vector begin, and its end.
        scales: (m,) c of each part; 0 where weights are real whatever ``kind`` says.
    """

    kind: int
    temperature: float
    prior: float
    strength: float
    limit: float
    bounds: I64
    scales: F64


Latent = Callable[[Layout], Binary]  # tells a layout's parts apart


@inlined
def decay(exponent: float) -> float:
    """Return exp(-x) of x from 0 to 36, to 1e-13 of itself: a Taylor polynomial, squared 10 times.

    Unlike a library's it is straight on, so that several are computed at once.
    """
    x = exponent * -(2.0**-10)
    total = 1 / 40320
    for factor in (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        total = total * x + factor
    for _ in range(10):
        total *= total
    return total


@inner
def relax_all(
    latents: Reals, words: U32, settings: tuple[float, float], weights: Reals, slopes: Reals
) -> None:
    """Write c w and c k, (n,) each, of latent weights (n,) and words; ``settings`` are tau and c.

    With a = exp(-2 |l|), and n / m = exp(2 (l + d)) as n = u, m = (1 - u) a, or for negative l
    n = u a, m = 1 - u: at tau = 1 this is w = (n - m) / (n + m), k = u (1 - u) ((1 + a) / (n +
    m))^2, one division and no logarithm.
    """
    temperature, scale = settings
    if temperature != 1.0:
        _relax_warm(latents, words, settings, weights, slopes)
        return
    for i in range(len(weights)):
        latent, up = np.float64(latents[i]), (np.float64(words[i]) + 0.5) * 2.0**-32
        down, small = 1.0 - up, decay(2.0 * abs(latent))
        above = up * small if latent < 0.0 else up
        below = down if latent < 0.0 else down * small
        inverse = 1.0 / (above + below)
        part = (1.0 + small) * inverse
        weights[i] = scale * ((above - below) * inverse)
        slopes[i] = scale * (up * down * part * part)


@inner
def _relax_warm(
    latents: Reals, words: U32, settings: tuple[float, float], weights: Reals, slopes: Reals
) -> None:
    temperature, scale = settings
    for i in range(len(weights)):
        latent, up = np.float64(latents[i]), (np.float64(words[i]) + 0.5) * 2.0**-32
        exponent = (2.0 * latent + math.log(up / (1.0 - up))) / temperature  # 2 (l + d) / tau
        small, size = math.exp(-2.0 * abs(latent)), math.exp(-abs(exponent))
        weight, part = (1.0 - size) / (1.0 + size), (1.0 + small) / (1.0 + size)
        weights[i] = scale * (-weight if exponent < 0.0 else weight)
        slopes[i] = scale * (part * part * size / (small * temperature))


@compiled
def relax(latents: F64, words: U32, temperature: float, weights: F64, slopes: F64) -> None:
    """Write w and k, (n,) each, of latent weights (n,) and words (n,)."""
    relax_all(latents, words, (temperature, 1.0), weights, slopes)


@inner
def draw_weights(
    binary: Binary, latents: Reals, address: U32, start: int, weights: Reals, slopes: Reals
) -> None:
    """Write the weights (P,), and what turns their gradient into that of the latents (P,).

    Words of the stream at ``address`` are taken from ``start`` on, one an entry.
    """
    for part in range(len(binary.scales)):
        first, stop, scale = binary.bounds[part], binary.bounds[part + 1], binary.scales[part]
        own, drawn, factors = latents[first:stop], weights[first:stop], slopes[first:stop]
        if scale == 0.0 or binary.kind == REAL:
            for i in range(stop - first):
                drawn[i] = own[i]
                factors[i] = 1.0
        elif binary.kind == SIGN:
            for i in range(stop - first):
                drawn[i] = scale if own[i] >= 0.0 else -scale
                factors[i] = scale
        else:
            place, settings = (address, start + first), (binary.temperature, scale)
            _draw_part(settings, own, place, drawn, factors)


@inner
def _draw_part(
    settings: tuple[float, float],
    latents: Reals,
    place: tuple[U32, int],
    weights: Reals,
    slopes: Reals,
) -> None:
    """Draw one part's weights; ``place`` is the address of the stream and the first word's."""
    words, (address, start), at = np.empty(_CHUNK, np.uint32), place, 0
    while at < len(latents):
        skipped = (start + at) % 4
        draw(words, (start + at) // 4, address)
        stop = at + min(len(latents) - at, _CHUNK - skipped)
        relax_all(latents[at:stop], words[skipped:], settings, weights[at:stop], slopes[at:stop])
        at = stop


@compiled
def draw_all(
    binary: Binary, latents: Reals, address: U32, start: int, weights: Reals, slopes: Reals
) -> None:
    """Do what ``draw_weights`` does, for Python to call."""
    draw_weights(binary, latents, address, start, weights, slopes)


@inner
def turn(slopes: Reals, gradient: Reals) -> None:
    """Turn the gradient by the weights (P,) into that by the latent weights, in place."""
    for i in range(len(gradient)):
        gradient[i] *= slopes[i]


@inner
def pull(binary: Binary, rate: Real, latents: Reals) -> None:
    """Take the step of the divergence from the prior, l -= rate rho (l - l0), in place.

    Its gradient by the posterior's mean is rho (l - l0). It is a step of its own, as a decoupled
    weight decay is (Loshchilov and Hutter 2019, arXiv 1711.05101): with plain SGD that is the sum
    of both gradients, and Adam leaves its size as it is.
    """
    if binary.kind != RELAXED or binary.strength == 0.0:
        return
    part_of, prior = latents.dtype.type(binary.strength) * rate, latents.dtype.type(binary.prior)
    for part in range(len(binary.scales)):
        if binary.scales[part] != 0.0:
            own = latents[binary.bounds[part] : binary.bounds[part + 1]]
            for i in range(len(own)):
                own[i] -= part_of * (own[i] - prior)


@inner
def keep_within(binary: Binary, latents: Reals) -> None:
    """Cut latent weights to +- the limit, in place; real ones stay."""
    if binary.kind == REAL:
        return
    most = latents.dtype.type(binary.limit)
    for part in range(len(binary.scales)):
        if binary.scales[part] != 0.0:
            for i in range(binary.bounds[part], binary.bounds[part + 1]):
                latents[i] = min(max(latents[i], -most), most)
