"""Recordings to spikes: a folder of wav and flac files becomes one file of SHD's layout.

Each finished recording is kept in the folder OUT.h5.parts beside the output, under a name that is a
digest of everything its spikes depend on; a start after a kill finds what is there and goes on. The
spikes of a recording depend on its sound, its name and the options, not on the other recordings,
the number of workers or the order of work, so that the file is the same byte for byte.
"""

from __future__ import annotations

import glob
import hashlib
import math
import os
import shutil
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np

from hpcfed.base.atomic import replacing
from hpcfed.datasets.ear.inner_ear import InnerEar, listen
from hpcfed.datasets.ear.recordings import Recording, find_recordings, ordered_names, read_audio
from hpcfed.datasets.progress import counted
from hpcfed.datasets.shd_writer import SpikeRow, write_shd
from hpcfed.errors import InputError

_MODEL_VERSION = 1  # grows when the same sound no longer gives the same spikes


@dataclass(frozen=True)
class EncodeOptions:
    """How to encode; what each field means is what the command line's option of that name means.

    Attributes:
        pattern: of file names, ``{label}_{speaker}_{index}.wav`` if neither it nor labels is given.
        labels: CSV file with the columns file, label[, speaker], instead of the pattern.
        channels: of the inner ear.
        duration: only the first so many seconds of each recording; None: all of it.
        seed: of the inner ear's nerve fibres.
        workers: processes; None: one per core that this process may use.
    """

    pattern: str | None = None
    labels: Path | None = None
    channels: int = 700
    duration: float | None = None
    seed: int = 0
    workers: int | None = None


@dataclass(frozen=True)
class Encoded:
    """What was written: the file, its class and speaker names, samples and spikes."""

    path: Path
    class_names: tuple[str, ...]
    speaker_names: tuple[str, ...]
    num_samples: int
    num_spikes: int


def encode(waves: Path, out: Path, options: EncodeOptions | None = None) -> Encoded:
    """Encode the recordings under ``waves`` (a folder or one file) into the new file ``out``.

    Everything is checked before anything is written. Raises InputError for bad options, for an
    ``out`` that exists or cannot be written, and for recordings that cannot be used, naming them.
    """
    options = options or EncodeOptions()
    _check(options, out)
    recordings = find_recordings(waves, options.pattern, options.labels)
    _check_audio(recordings, options.duration)
    parts = out.with_name(f"{out.name}.parts")
    _prepare(out, parts)
    files = _encode_all(recordings, parts, options)
    encoded = _write(out, recordings, files, options.channels)
    shutil.rmtree(parts)
    return encoded


def _check(options: EncodeOptions, out: Path) -> None:
    try:
        exists = out.exists()
    except OSError as error:  # a folder that may not be entered, a name that is too long
        raise _unwritable(out, error) from None
    if exists:
        raise InputError(f"{out}: exists already; remove it or give another name")
    if not 1 <= options.channels <= 1 << 16:
        raise InputError(f"channels {options.channels}: expected 1 to 65536 (SHD has 700)")
    duration = options.duration
    if duration is not None and not 0.0 < duration < math.inf:
        raise InputError(f"duration {duration}: expected a positive number of seconds")
    if not 0 <= options.seed < 1 << 64:
        raise InputError(f"seed {options.seed}: expected 0 to 2**64 - 1")
    if options.workers is not None and options.workers < 1:
        raise InputError(f"workers {options.workers}: expected at least 1")


def _check_audio(recordings: list[Recording], duration: float | None) -> None:
    """Read every recording once: hours of work must not end at the last file."""
    problems = []
    for recording in recordings:
        try:
            read_audio(recording.path, duration)
        except InputError as error:
            problems.append(str(error))
    if problems:
        more = f" (and {len(problems) - 1} more such files)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)


def _prepare(out: Path, parts: Path) -> None:
    """Make the folder ``parts``, try to write, and remove what a kill left of ``out``."""
    try:
        parts.mkdir(parents=True, exist_ok=True)
        for probe in (out.with_name(f"{out.name}.probe"), parts / "probe"):
            with replacing(probe):
                pass
            probe.unlink()
        for left in out.parent.glob(f".{glob.escape(out.name)}.*.tmp"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None


def _unwritable(out: Path, error: OSError) -> InputError:
    return InputError(
        f"{out}: cannot be written ({error.filename or out}: {error.strerror or error}); "
        "give a file in a folder that you may write to"
    )


def _encode_all(recordings: list[Recording], parts: Path, options: EncodeOptions) -> list[Path]:
    """Return the part file of each recording, encoding those that are not there yet."""
    workers = min(options.workers or len(os.sched_getaffinity(0)), len(recordings))
    files: list[Path] = [parts] * len(recordings)
    with counted("encode", len(recordings)) as advance:
        if workers == 1:
            for i, recording in enumerate(recordings):
                files[i] = encode_part(recording, parts, options)
                advance()
            return files
        with _pool(workers) as pool:
            futures = {
                pool.submit(encode_part, recording, parts, options): i
                for i, recording in enumerate(recordings)
            }
            for future in as_completed(futures):
                files[futures[future]] = future.result()
                advance()
    return files


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes; after an exception drop what is queued instead of working through it."""
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let a worker end when its parent was killed; it would wait for work for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def encode_part(recording: Recording, parts: Path, options: EncodeOptions) -> Path:
    """Encode one recording into ``parts`` unless that is done; return its file there."""
    target = parts / f"{_digest(recording, options)}.npz"
    if target.exists():
        return target
    samples, rate = read_audio(recording.path, options.duration)
    ear = InnerEar(options.channels, options.seed)
    spikes = listen(ear, samples, rate, zlib.crc32(recording.name.encode()))
    with replacing(target) as stream:
        np.savez(stream, times=spikes.times.astype(np.float32), units=spikes.channels)
    return target


def _digest(recording: Recording, options: EncodeOptions) -> str:
    choices = (_MODEL_VERSION, recording.name, options.channels, options.duration, options.seed)
    digest = hashlib.sha256(repr(choices).encode())
    digest.update(recording.path.read_bytes())
    return digest.hexdigest()[:32]


def _write(out: Path, recordings: list[Recording], files: list[Path], channels: int) -> Encoded:
    keys = ordered_names(recording.label for recording in recordings)
    speakers = ordered_names(recording.speaker for recording in recordings)
    label_of = {name: i for i, name in enumerate(keys)}
    speaker_of = {name: i for i, name in enumerate(speakers)}
    rows = []
    for recording, file in zip(recordings, files, strict=True):
        with np.load(file) as part:
            times, units = part["times"], part["units"]
        rows.append(
            SpikeRow(times, units, label_of[recording.label], speaker_of[recording.speaker])
        )
    names = tuple(name or "unknown" for name in speakers)
    write_shd(out, rows, keys, names, channels)
    return Encoded(out, tuple(keys), names, len(rows), sum(len(row.times) for row in rows))
