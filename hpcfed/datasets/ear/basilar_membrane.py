"""How fast the basilar membrane moves at each place of the cochlea, for a given sound.

The shallow-water model of Sieroka, Dosch and Rupp (2006, doi:10.1121/1.2204438) with the parameters
that made the Spiking Heidelberg Digits (Cramer et al. 2020, arXiv:1910.07407). Place c lies between
0 cm (base, high frequencies) and 3.5 cm (apex); v(f, c) is the velocity there for a tone of f Hz.

The response is used as the authors' program uses it: with NumPy's sign of the Fourier transform it
runs backwards in time (an impulse is answered up to 19 ms *before* it sounds). conj(v) would be
causal; data sets made by this model need v as written.

K channels, M samples at half the audio rate, F frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from hpcfed.base.compiled import compiled

F64 = NDArray[np.float64]
C128 = NDArray[np.complex128]

AUDIO_RATE = 48_000  # Hz; the model depends on it: f runs to half of it whatever the sound contains
VELOCITY_RATE = AUDIO_RATE // 2  # Hz: only half of the spectrum is transformed back
LENGTH_CM = 3.5
DAMPING = 0.15  # delta
STIFFNESS_DECAY = 3.0  # alpha, 1/cm
STIFFNESS_OFFSET = 3500.0  # a
MASS = 0.05  # m, g/cm^2
HEIGHT_CM = 0.1  # h
DENSITY = 1.0  # rho, g/cm^3

TABLE_STEP_HZ = 2.0  # a delay of 19 ms turns the phase by 0.24 between entries: cubic error 1e-4
_CHANNELS_AT_ONCE = 16
_FREQUENCIES_AT_ONCE = 500
_NEGLIGIBLE = 1e-6  # beyond its own frequency a place falls off faster than exponentially


@dataclass(frozen=True)
class Membrane:
    """The velocities v(f, c) of K channels at f = 1, 3, 5, ... Hz, up to where they vanish.

    Attributes:
        values: (sum of F_k,) complex64, channel after channel.
        offsets: (K+1,) int64: where each channel starts in ``values``.
    """

    values: NDArray[np.complex64]
    offsets: NDArray[np.int64]

    @property
    def num_channels(self) -> int:
        """Return K."""
        return len(self.offsets) - 1


@lru_cache(maxsize=2)
def membrane(num_channels: int, stiffness: float = 1e9) -> Membrane:
    """Tabulate v for ``num_channels`` places, equally spaced from base to apex.

    ``stiffness`` is C0 of the model: 1e9, or 1e8 as the authors' program had it before August 2021.
    """
    places = np.linspace(0.0, LENGTH_CM, num_channels)
    rows: list[NDArray[np.complex64]] = []
    for first in range(0, num_channels, _CHANNELS_AT_ONCE):
        rows += _rows(places[first : first + _CHANNELS_AT_ONCE], stiffness)
    offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
    return Membrane(np.concatenate(rows), offsets)


def velocity(
    table: Membrane, spectrum: NDArray[np.complex64], channels: range
) -> NDArray[np.float32]:
    """Return Re IFFT(v X) for consecutive ``channels``: (len(channels), M) float32 at 24 kHz.

    ``spectrum`` is X, the first M = N/2 + 1 values of the FFT of N samples at 48 kHz.
    """
    num_samples = len(spectrum)
    half = np.zeros((len(channels), num_samples // 2 + 1), np.complex64)
    for row, channel in enumerate(channels):
        low, high = table.offsets[channel], table.offsets[channel + 1]
        _respond(spectrum, table.values[low:high], half[row])
    return np.asarray(fft.irfft(half, n=num_samples, axis=1), np.float32)


def response(frequency: F64, place: F64, stiffness: float) -> C128:
    """Return v(f, c) as complex128; ``frequency`` in Hz and ``place`` in cm broadcast.

    The principal branches of square root and logarithm are meant.
    """
    omega = 2 * np.pi * frequency
    base = np.zeros_like(place)
    ratio = _pressure(omega, place, stiffness) / _pressure(omega, base, stiffness)
    impedance = _input_impedance(frequency, stiffness)
    return np.asarray(2 * omega / _xi(omega, place, stiffness) * impedance * ratio)


def _rows(places: F64, stiffness: float) -> list[NDArray[np.complex64]]:
    """Tabulate v for a few neighbouring places, stopping where all of them have vanished."""
    parts: list[C128] = []
    peak = 0.0
    for low in range(0, VELOCITY_RATE // 2 + 2, _FREQUENCIES_AT_ONCE):
        index = np.arange(low, low + _FREQUENCIES_AT_ONCE, dtype=np.float64)
        frequency = 1.0 + TABLE_STEP_HZ * index
        parts.append(response(frequency[None], places[:, None], stiffness))
        loudest = float(np.abs(parts[-1]).max())
        peak = max(peak, loudest)
        if loudest < _NEGLIGIBLE * peak:
            break
    return list(np.concatenate(parts, axis=1).astype(np.complex64))


def _xi(omega: F64, place: F64, stiffness: float) -> C128:
    resistance = DAMPING * np.sqrt(stiffness * MASS) * np.exp(-STIFFNESS_DECAY * place / 2)
    restoring = stiffness * np.exp(-STIFFNESS_DECAY * place) - STIFFNESS_OFFSET
    return np.asarray(restoring - MASS * omega**2 - 1j * omega * resistance)


def _wave_number(omega: F64, place: F64, stiffness: float) -> C128:
    return np.asarray(omega * np.sqrt(DENSITY / (HEIGHT_CM * _xi(omega, place, stiffness))))


def _phase(omega: F64, place: F64, stiffness: float) -> C128:
    """Return G(w, c) = 2 g(w, 0)/alpha + the integral of g(w, .) from 0 to c, in closed form."""
    alpha, offset, resistance = (
        STIFFNESS_DECAY,
        STIFFNESS_OFFSET,
        DAMPING * np.sqrt(stiffness * MASS),
    )
    root = np.sqrt(offset + MASS * omega**2)
    decay = np.exp(-alpha * place / 2)
    inertia = 2 * MASS * omega
    above = -alpha * np.sqrt(stiffness - offset - omega * (MASS * omega + 1j * resistance))
    above = above + 1j * alpha * (2 * offset + omega * (inertia + 1j * resistance)) / (2 * root)
    below = -2 * np.sqrt(_xi(omega, place, stiffness))
    below = below + 1j * (2 * offset + omega * (inertia + 1j * decay * resistance)) / root
    below = alpha / (2 * decay) * below
    scale = 2 * np.sqrt(2) * 1j * omega / (alpha * np.sqrt(2 * HEIGHT_CM) * root)
    at_base = _wave_number(omega, np.zeros_like(place), stiffness)
    return np.asarray(2 * at_base / alpha - scale * np.log(above / below))


def _pressure(omega: F64, place: F64, stiffness: float) -> C128:
    phase = _phase(omega, place, stiffness)
    amplitude = np.sqrt(phase / _wave_number(omega, place, stiffness))
    return np.asarray(amplitude * special.hankel1(0, phase))


def _input_impedance(frequency: F64, stiffness: float) -> C128:
    zeta = 4 * np.pi * frequency / STIFFNESS_DECAY * np.sqrt(2 / (HEIGHT_CM * stiffness))
    above = 1j * special.j0(zeta) + special.y0(zeta)
    below = special.j1(zeta) - 1j * special.y1(zeta)
    return np.asarray(np.sqrt(2 * stiffness / HEIGHT_CM) * above / below)


@compiled
def _respond(
    spectrum: NDArray[np.complexfloating],
    row: NDArray[np.complex64],
    half: NDArray[np.complex64],
) -> None:
    """Add v(f_k) X_k, folded to the half spectrum whose real inverse is Re IFFT, to ``half``.

    f_k = linspace(1, 24000, M), as the authors have it; between the table's entries v is the cubic
    through the four nearest.
    """
    num_samples = len(spectrum)
    step = (VELOCITY_RATE - 1.0) / ((num_samples - 1) * TABLE_STEP_HZ)
    for k in range(num_samples):
        position = k * step
        i = int(position)
        if i + 3 > len(row):
            break
        i = max(i - 1, 0)
        t = position - i
        a, b, c, d = t, t - 1.0, t - 2.0, t - 3.0
        value = (
            row[i] * np.float32(-b * c * d / 6)
            + row[i + 1] * np.float32(a * c * d / 2)
            + row[i + 2] * np.float32(-a * b * d / 2)
            + row[i + 3] * np.float32(a * b * c / 6)
        ) * spectrum[k]
        if k == 0:
            half[0] += value.real
        elif 2 * k <= num_samples:
            half[k] += value * np.float32(0.5)
            if 2 * k == num_samples:
                half[k] += np.conj(value) * np.float32(0.5)
        else:
            half[num_samples - k] += np.conj(value) * np.float32(0.5)
