"""Make the embedded data set spoken-digits: synthetic voices say 0-9 in English and German.

espeak-ng (the wheel ``espeakng-loader``, GPL-3.0-or-later) speaks each word in a fresh process with
fixed seeds (speak_word.py), so that it repeats bit for bit; hpcfed's own inner ear turns it into
spikes. Classes are in the order of the Spiking Heidelberg Digits: English zero to nine, then German
null to neun. A speaker is a voice variant with its own pitch and rate; no training speaker uses the
variant of a test speaker.

    python scripts/make_spoken_digits.py OUT_FOLDER [--workers N]

writes spoken-digits-train.h5.xz and spoken-digits-test.h5.xz.
"""

from __future__ import annotations

import argparse
import io
import lzma
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.datasets.ear.inner_ear import InnerEar, listen
from hpcfed.datasets.shd_writer import SpikeRow, write_shd

ENGLISH = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
WORDS = ENGLISH + GERMAN
SEED = 2024
TAKES = {"train": 3, "test": 3}  # how often each speaker says each word
TIME_STEP_S = 2.0**-10  # times on this grid are exact in float16 and compress well
QUIET = 0.01  # of the peak: what is softer before and after the word is cut
MARGIN_S = 0.02
SPEAK = Path(__file__).with_name("speak_word.py")


@dataclass(frozen=True)
class Speaker:
    """A voice variant of espeak-ng, its usual pitch (0-99), rate (words a minute) and accent."""

    name: str
    variant: str
    pitch: int
    rate: int
    english: str = "en-us"


TRAIN = (
    Speaker("ada", "f1", 55, 150),
    Speaker("ben", "m1", 45, 145, "en"),
    Speaker("cleo", "f2", 50, 165),
    Speaker("dan", "m3", 40, 160),
    Speaker("eva", "f4", 60, 140, "en"),
    Speaker("finn", "m5", 50, 170),
    Speaker("gus", "m7", 45, 150),
    Speaker("ida", "Annie", 55, 160),
    Speaker("jon", "Gene", 45, 140),
    Speaker("lia", "linda", 50, 155, "en"),
    Speaker("max", "ed", 50, 165),
    Speaker("nik", "Michael", 50, 145),
)
TEST = (
    Speaker("ora", "f3", 55, 155),
    Speaker("pit", "m4", 45, 150),
    Speaker("ria", "f5", 50, 160, "en"),
    Speaker("sam", "m2", 50, 145),
)


@dataclass(frozen=True)
class Utterance:
    """One take of one word by one speaker, with the prosody of this take."""

    word: str
    voice: str
    rate: int
    pitch: int
    pitch_range: int
    seed: int

    def arguments(self) -> list[str]:
        """Return what the speaking process is started with."""
        numbers = (self.rate, self.pitch, self.pitch_range, self.seed)
        return [self.word, self.voice, *map(str, numbers)]


def main() -> None:
    """Write both splits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    offset = 0
    for split, speakers in (("train", TRAIN), ("test", TEST)):
        path = arguments.out / f"spoken-digits-{split}.h5.xz"
        path.write_bytes(make_split(split, speakers, offset, arguments.workers))
        offset += len(speakers)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def make_split(split: str, speakers: tuple[Speaker, ...], offset: int, workers: int) -> bytes:
    """Return the compressed file of one split; its speakers are numbered from ``offset``."""
    said = [
        (index, label, take)
        for index in range(len(speakers))
        for label in range(len(WORDS))
        for take in range(TAKES[split])
    ]
    first = offset * len(WORDS) * TAKES["train"]
    jobs = [
        (utterance(speakers[index], label, first + number), first + number)
        for number, (index, label, _) in enumerate(said)
    ]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        heard = pool.map(hear_utterance, jobs, chunksize=8)
        rows = [
            SpikeRow(times, units, label, offset + index)
            for (times, units), (index, label, _) in zip(heard, said, strict=True)
        ]
    file = io.BytesIO()
    names = [f"{speaker.name} ({speaker.variant})" for speaker in TRAIN + TEST]
    write_shd(file, rows, WORDS, names, InnerEar().num_channels)
    return lzma.compress(file.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def utterance(speaker: Speaker, label: int, number: int) -> Utterance:
    """Return how take ``number`` sounds: rate within 15 %, pitch within 8, its range 30 to 70."""
    rate, pitch, pitch_range = Stream(SEED, Purpose.AUGMENTATION, client=number).uniforms(3)
    language = speaker.english if label < len(ENGLISH) else "de"
    return Utterance(
        word=WORDS[label],
        voice=f"{language}+{speaker.variant}",
        rate=round(speaker.rate * (0.85 + 0.3 * rate)),
        pitch=round(speaker.pitch - 8 + 16 * pitch),
        pitch_range=round(30 + 40 * pitch_range),
        seed=number + 1,
    )


def hear_utterance(
    job: tuple[Utterance, int],
) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """Speak in a process of its own, listen, and put the spikes on the time grid."""
    spoken, number = job
    command = [sys.executable, str(SPEAK), *spoken.arguments()]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    sample_rate = int.from_bytes(answer[:4], "little")
    samples = np.frombuffer(answer[4:], np.int16) / 2.0**15
    loud = np.flatnonzero(np.abs(samples) > QUIET * np.abs(samples).max())
    margin = round(MARGIN_S * sample_rate)
    word = samples[max(loud[0] - margin, 0) : loud[-1] + margin]
    spikes = listen(InnerEar(seed=SEED), word, sample_rate, number)
    ticks = np.floor(spikes.times / TIME_STEP_S).astype(np.int64)
    once = np.unique(ticks * 1000 + spikes.channels)  # in order of (time, channel)
    return (once // 1000) * TIME_STEP_S, (once % 1000).astype(np.uint16)


if __name__ == "__main__":
    main()
