"""Speak one word with espeak-ng and write it to standard output: for make_spoken_digits.py.

One process per word: espeak-ng carries state from word to word, so that only a fresh process with
fixed seeds repeats bit for bit.

    python scripts/speak_word.py WORD VOICE RATE PITCH PITCH_RANGE SEED

VOICE is a language and a variant (en-us+f1), RATE words a minute, PITCH and PITCH_RANGE 0-99. The
output is the sample rate (4 bytes, little-endian) and mono int16 samples.
"""

from __future__ import annotations

import ctypes
import sys

import espeakng_loader

SYNCHRONOUS, UTF8 = 2, 1  # AUDIO_OUTPUT_SYNCHRONOUS and espeakCHARS_UTF8
RATE, PITCH, PITCH_RANGE = 1, 3, 4  # espeak-ng's numbers of its parameters


def main() -> None:
    """Read the arguments, speak, write."""
    word, voice, *numbers = sys.argv[1:]
    rate, pitch, pitch_range, seed = map(int, numbers)
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    sample_rate: int = library.espeak_Initialize(SYNCHRONOUS, 0, data, 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
    ctypes.CDLL(None).srand(seed)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        sys.exit(f"espeak-ng has no voice {voice}")
    for number, value in ((RATE, rate), (PITCH, pitch), (PITCH_RANGE, pitch_range)):
        library.espeak_SetParameter(number, value, 0)
    samples = speak(library, word)
    sys.stdout.buffer.write(sample_rate.to_bytes(4, "little") + samples)


def speak(library: ctypes.CDLL, word: str) -> bytes:
    """Return the int16 samples of ``word`` in the voice that has been set."""
    pieces: list[bytes] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def collect(samples: int | None, count: int, _: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    library.espeak_SetSynthCallback(collect)
    text = word.encode()
    library.espeak_Synth(text, len(text) + 1, 0, 0, 0, UTF8, None, None)
    library.espeak_Synchronize()
    return b"".join(pieces)


if __name__ == "__main__":
    main()
