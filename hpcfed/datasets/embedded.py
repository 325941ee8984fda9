"""The data sets that travel inside the package, as files of SHD's layout in memory.

``spoken-digits`` is synthetic speech for trying and testing: 0-9 in English and German, spoken by
espeak-ng voices and heard by hpcfed's own inner ear (scripts/make_spoken_digits.py makes it).
"""

from __future__ import annotations

import lzma
from importlib import resources

from hpcfed.errors import InputError

EMBEDDED = ("spoken-digits",)


def embedded_files(name: str) -> tuple[bytes, bytes]:
    """Return the HDF5 files (train, test) of an embedded data set, decompressed.

    Raises InputError for a name that is not in ``EMBEDDED``.
    """
    if name not in EMBEDDED:
        known = ", ".join(EMBEDDED)
        raise InputError(f"data set {name}: not one of the embedded ones, which are {known}")
    folder = resources.files("hpcfed.datasets").joinpath("data")
    train, test = (
        lzma.decompress(folder.joinpath(f"{name}-{split}.h5.xz").read_bytes())
        for split in ("train", "test")
    )
    return train, test
