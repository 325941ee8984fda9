"""Where data sets lie on disk: the known names, and the files of SHD and SSC below a root.

The root is ``data.root``, else ``HPCFED_DATA``, else ``~/.local/share/hpcfed``. Files that were
placed by hand are found in ROOT/shd, ROOT/SHD and ROOT itself.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from hpcfed.config.data import IMAGES
from hpcfed.config.generated import GENERATED
from hpcfed.errors import InputError

EMBEDDED = "spoken-digits"
SPLITS = {"shd": ("train", "test"), "ssc": ("train", "valid", "test")}
KNOWN = (EMBEDDED, *SPLITS, *GENERATED, *IMAGES)
# of images, below the root, with the names that other tools give them among them
IMAGE_FOLDERS = {
    "cifar10": ("cifar10", "cifar-10-batches-bin"),
    "cifar100": ("cifar100", "cifar-100-binary"),
    "mnist": ("mnist", "MNIST/raw"),
    "fashion-mnist": ("fashion-mnist", "FashionMNIST/raw"),
}


@dataclass(frozen=True)
class KnownSet:
    """A data set that is known by name, whether it is there, and where (to be put)."""

    name: str
    present: bool
    where: str


def data_root(root: str | None) -> Path:
    """Return the folder of data sets; it need not exist."""
    chosen = root or os.environ.get("HPCFED_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".local" / "share" / "hpcfed"


def candidates(name: str, split: str, root: Path) -> list[Path]:
    """Return the paths at which the file of one split is looked for, in this order."""
    file = f"{name}_{split}.h5"
    return [root / name / file, root / name.upper() / file, root / file]


def find_file(name: str, split: str, root: Path) -> Path:
    """Return the path of one split's file. Raises InputError saying where it was looked for."""
    paths = candidates(name, split, root)
    for path in paths:
        if path.is_file():
            return path
    packed = [
        p
        for path in paths
        for end in (".zip", ".gz")
        if (p := path.with_name(path.name + end)).is_file()
    ]
    raise InputError(
        f'data.dataset = "{name}": no file {paths[0].name}; looked for '
        f"{', '.join(map(str, paths))}. "
        + (f"Unpack {packed[0]}" if packed else f"Run: hpcfed data fetch {name}")
        + ", or set data.root (or HPCFED_DATA) to the folder that holds it"
    )


def known_sets(root: Path) -> list[KnownSet]:
    """Return the known data sets, and for each whether all of its files are there."""
    sets = [KnownSet(EMBEDDED, True, "part of hpcfed")]
    for name, splits in SPLITS.items():
        found = [[p for p in candidates(name, s, root) if p.is_file()] for s in splits]
        present = all(found)
        sets.append(KnownSet(name, present, str(found[0][0].parent if present else root / name)))
    sets += [KnownSet(name, True, "part of hpcfed, generated") for name in GENERATED]
    sets.append(KnownSet("digits", True, "part of hpcfed"))
    for name, folders in IMAGE_FOLDERS.items():
        there = [root / folder for folder in folders if any((root / folder).glob("*"))]
        sets.append(KnownSet(name, bool(there), str((there or [root / name])[0])))
    return sets


def unknown_name(name: str) -> InputError:
    """Return the error for a name that is neither a known data set nor a file."""
    near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.5)
    hint = f'did you mean "{near[0]}"? ' if near else ""
    return InputError(
        f'data.dataset = "{name}": no such data set or file; {hint}Known are '
        f'{", ".join(KNOWN)}, "tonic:NAME", "module:function" and the path of a training file'
    )
