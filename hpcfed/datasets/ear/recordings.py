"""Which recordings there are, what is said in them and by whom.

Labels come from the file names by a pattern, ``{label}_{speaker}_{index}.wav``, or from a CSV file
with the columns file, label and perhaps speaker.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError

DEFAULT_PATTERN = "{label}_{speaker}_{index}.wav"
SUFFIXES = (".wav", ".flac")
_NOBODY = ""


@dataclass(frozen=True)
class Recording:
    """One audio file: its name (the path under the folder, with ``/``), label and speaker."""

    path: Path
    name: str
    label: str
    speaker: str = _NOBODY


def find_recordings(waves: Path, pattern: str | None, labels: Path | None) -> list[Recording]:
    """Return the recordings of a folder (searched recursively) or of one file, sorted by name.

    ``pattern`` is matched against as many trailing parts of the path as it has; each {field} stands
    for one or more characters but ``/``, as few as possible; .wav and .flac stand for each other.
    With ``labels`` only the files listed there count. Raises InputError naming the file.
    """
    if pattern is not None and labels is not None:
        raise InputError("both a pattern and a CSV file of labels are given; give one of them")
    paths = _audio_files(waves)
    if labels is not None:
        return _from_csv(labels, paths)
    expression = _expression(pattern or DEFAULT_PATTERN)
    return [_from_name(path, name, expression, pattern) for name, path in paths.items()]


def ordered_names(names: Iterable[str]) -> list[str]:
    """Return the different names in order: by number if all are whole numbers, else as text."""
    distinct = sorted(set(names))
    if all(re.fullmatch(r"-?\d+", name) for name in distinct):
        return sorted(distinct, key=int)
    return distinct


def read_audio(path: Path, duration: float | None) -> tuple[NDArray[np.float64], int]:
    """Return the first ``duration`` s (None: all) as (N,) float64, and the rate.

    More than one channel is averaged to one.
    Raises InputError naming the file if it is not readable audio, is silent or is not finite.
    """
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate = int(file.samplerate)
            count = -1 if duration is None else max(1, round(duration * rate))
            samples = file.read(count, dtype="float64", always_2d=True).mean(axis=1)
    except (soundfile.SoundFileError, OSError) as error:
        raise InputError(f"{path}: not readable as wav or flac audio ({error})") from None
    if len(samples) * 500 < rate:
        raise InputError(f"{path}: {len(samples)} samples at {rate} Hz; at least 2 ms are needed")
    if not np.isfinite(samples).all():
        raise InputError(f"{path}: has samples that are not finite; write the file again")
    if not samples.any():
        raise InputError(f"{path}: is silent, all samples are zero; remove it or record it again")
    return np.asarray(samples, np.float64), rate


def _audio_files(waves: Path) -> dict[str, Path]:
    if waves.is_file():
        return {waves.name: waves}
    if not waves.is_dir():
        raise InputError(f"{waves}: no such file or folder; expected recordings (wav, flac)")
    found = {
        path.relative_to(waves).as_posix(): path
        for path in waves.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    }
    if not found:
        raise InputError(f"{waves}: holds no recordings; expected files ending in .wav or .flac")
    return dict(sorted(found.items()))


def _expression(pattern: str) -> re.Pattern[str]:
    stem, dot, suffix = pattern.rpartition(".")
    if f".{suffix.lower()}" not in SUFFIXES or not dot:
        stem = pattern
    parts = re.split(r"\{(\w+)\}", stem)
    fields = parts[1::2]
    if "label" not in fields or len(set(fields)) < len(fields):
        raise InputError(
            f"pattern {pattern}: needs the field {{label}} and each field once, "
            f"as in {DEFAULT_PATTERN}"
        )
    texts = [re.escape(part) for part in parts[::2]]
    groups = [f"(?P<{field}>[^/]+?)" for field in fields]
    body = "".join(text + group for text, group in zip(texts, [*groups, ""], strict=True))
    return re.compile(rf"(?:.*/)?{body}\.(?:wav|flac)", re.IGNORECASE)


def _from_name(
    path: Path, name: str, expression: re.Pattern[str], pattern: str | None
) -> Recording:
    match = expression.fullmatch(name)
    if match is None:
        raise InputError(
            f"{path}: the name does not match the pattern {pattern or DEFAULT_PATTERN}; "
            "give --pattern or --labels"
        )
    found = match.groupdict()
    return Recording(path, name, found["label"], found.get("speaker", _NOBODY))


def _from_csv(table: Path, paths: dict[str, Path]) -> list[Recording]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{table}: not readable as CSV ({error})") from None
    recordings: dict[str, Recording] = {}
    for line, row in enumerate(rows, start=2):
        name, label = row.get("file"), row.get("label")
        if not name or not label:
            raise InputError(f"{table} line {line}: expected the columns file, label[, speaker]")
        if name not in paths:
            raise InputError(f"{table} line {line}: {name} is not among the recordings")
        if name in recordings:
            raise InputError(f"{table} line {line}: {name} is listed twice")
        recordings[name] = Recording(paths[name], name, label, row.get("speaker") or _NOBODY)
    if not recordings:
        raise InputError(
            f"{table}: lists no recordings; expected the columns file, label[, speaker]"
        )
    return [recordings[name] for name in sorted(recordings)]
