"""An artificial inner ear: a sound becomes the spikes of up to 700 bushy cells.

The model that made the Spiking Heidelberg Digits (Cramer et al. 2020, arXiv:1910.07407): loudness
0.3 (root mean square) -> Hann window over the whole clip -> basilar membrane -> hair cells -> bushy
cells. Channel 0 is the base of the cochlea (22.5 kHz), the last channel the apex (110 Hz).

The spikes are a function of (samples, ear, seed, recording number) alone. A second of sound at 700
channels costs well under a second of one core; benchmarks/inner_ear.py measures it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.datasets.ear.basilar_membrane import AUDIO_RATE, VELOCITY_RATE, membrane, velocity
from hpcfed.datasets.ear.hair_cell import hear
from hpcfed.errors import InputError

F64 = NDArray[np.float64]

LOUDNESS = 0.3
_BYTES_AT_ONCE = 1 << 23  # of membrane velocity: stays in the cache, and far below 1 GB


@dataclass(frozen=True)
class InnerEar:
    """An ear: its number of channels, the membrane's stiffness C0 and the seed of its fibres."""

    num_channels: int = 700
    seed: int = 0
    stiffness: float = 1e9


@dataclass(frozen=True)
class Spikes:
    """Spikes in time order (ties by channel): times (E,) float64 in s, channels (E,) uint16."""

    times: F64
    channels: NDArray[np.uint16]


def listen(ear: InnerEar, samples: F64, sample_rate: int, recording: int = 0) -> Spikes:
    """Return the spikes of one mono recording, samples (N,) at ``sample_rate`` Hz.

    ``recording`` numbers the sound within its collection: it gives each its own random words.
    Raises InputError for silence, non-finite samples or fewer than 2 ms of sound.
    """
    clip = window(resample(samples, sample_rate))
    num_samples = len(clip) // 2 + 1
    table = membrane(ear.num_channels, ear.stiffness)
    spectrum = _spectrum(clip)
    at_once = max(1, _BYTES_AT_ONCE // (8 * len(spectrum)))
    parts = []
    for first in range(0, ear.num_channels, at_once):
        channels = range(first, min(first + at_once, ear.num_channels))
        moved = velocity(table, spectrum, channels)[:, :num_samples]
        parts.append(hear(moved, first, Stream(ear.seed, Purpose.INNER_EAR, recording)))
    steps = np.concatenate([part[0] for part in parts])
    channel = np.concatenate([part[1] for part in parts])
    order = np.argsort(steps, kind="stable")
    return Spikes(steps[order] / VELOCITY_RATE, channel[order].astype(np.uint16))


def resample(samples: F64, sample_rate: int) -> F64:
    """Return ``samples`` at 48 kHz, whatever their rate: the model depends on it.

    Band-limited by a Kaiser window 24 zero crossings to each side, 80 dB down.
    """
    if sample_rate == AUDIO_RATE:
        return samples
    common = math.gcd(AUDIO_RATE, sample_rate)
    up, down = AUDIO_RATE // common, sample_rate // common
    widest = max(up, down)
    taps = signal.firwin(2 * 24 * widest + 1, 1.0 / widest, window=("kaiser", 8.0))
    return np.asarray(signal.resample_poly(samples, up, down, window=taps))


def window(samples: F64) -> F64:
    """Return ``samples`` at root mean square 0.3 under a Hann window as long as the clip."""
    half = len(samples) // 2
    if half < AUDIO_RATE // 1000 or not np.isfinite(samples).all():
        raise InputError(f"{len(samples)} samples at 48 kHz; at least 2 ms, all finite, are needed")
    loudness = math.sqrt(float(np.mean(samples**2)))
    if loudness == 0.0:
        raise InputError("the audio is silent: all samples are zero")
    shaped = samples * (LOUDNESS / loudness)
    rise = np.hanning(2 * half)[:half]
    shaped[:half] *= rise
    shaped[-half:] *= rise[::-1]
    return np.asarray(shaped)


def _spectrum(clip: F64) -> NDArray[np.complex64]:
    """Return the lower half of the clip's FFT, silence appended to a length that is fast."""
    num_samples = fft.next_fast_len((len(clip) + 1) // 2 + 1, real=True)
    full = fft.rfft(clip, n=2 * (num_samples - 1))
    return np.asarray(full[:num_samples], np.complex64)
