"""From the name of a set of images to the files that hold it; ``images:PATH`` is one's own.

A path is a folder of CIFAR's binary batches (data_batch_*.bin or train.bin, and test_batch.bin or
test.bin), an IDX file of images with its labels beside it, or a folder with a folder of pictures
for each class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib import resources
from pathlib import Path

from hpcfed.config import DataConfig
from hpcfed.config.data import IMAGES, OWN_IMAGES
from hpcfed.datasets import handwritten, image_files
from hpcfed.datasets.places import IMAGE_FOLDERS, data_root
from hpcfed.datasets.sources import Source, Sources, check_no_test
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.images import ImageSet

EMBEDDED = "digits"
_IDX = "{}-images-idx3-ubyte"


def find_images(config: DataConfig) -> Sources:
    """Find the files of ``config.dataset``. Raises InputError if they are missing."""
    name, root = config.dataset, data_root(config.root)
    if not name.startswith(OWN_IMAGES):
        check_no_test(config)
    if name == EMBEDDED:
        packed = resources.files("hpcfed.datasets").joinpath("data", "digits.npz").read_bytes()
        digest = hashlib.sha256(packed).hexdigest()
        train, test = (
            Source(
                f"digits ({split})",
                f"{digest}-{split}",
                partial(_embedded, packed, split),
                binned=False,
            )
            for split in ("train", "test")
        )
        return Sources(train, test)
    if name in IMAGES:
        return _known(name, root)
    path = Path(name.removeprefix(OWN_IMAGES)).expanduser()
    found = _at(path)
    if config.test is None:
        return found
    return Sources(found.train, _at(Path(config.test.removeprefix(OWN_IMAGES)).expanduser()).train)


def _embedded(packed: bytes, split: str, _: Binning) -> ImageSet:
    return handwritten.digits(packed, split)


def _known(name: str, root: Path) -> Sources:
    places = [root / folder for folder in IMAGE_FOLDERS[name]]
    for place in places:
        found = _batches(place) if name.startswith("cifar") else _mnist(place)
        if found is not None:
            return found
    raise InputError(
        f'data.dataset = "{name}": its files are not in {" or ".join(map(str, places))}. Run: '
        f"hpcfed data fetch {name}, or set data.root (or HPCFED_DATA) to the folder that holds them"
    )


def _at(path: Path) -> Sources:
    if path.is_file():
        return Sources(_idx_source(path), None)
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder of images")
    found = _batches(path) or _mnist(path)
    if found is not None:
        return found
    _, files = image_files.listed(path)
    names = [str(file.relative_to(path)) for file in files]
    return Sources(_source(str(path), files, partial(image_files.folder, path), names), None)


def _batches(place: Path) -> Sources | None:
    """Return CIFAR's splits in a folder: of 10 classes by several batches, of 100 by one file."""
    many, one = sorted(place.glob("data_batch_*.bin")), place / "train.bin"
    files, test, labels = (many, "test_batch.bin", 1) if many else ([one], "test.bin", 2)
    if not all(file.is_file() for file in files):
        return None
    beside = place / test
    return Sources(
        _source(str(place), files, partial(image_files.cifar, files, labels)),
        _source(str(beside), [beside], partial(image_files.cifar, [beside], labels))
        if beside.is_file()
        else None,
    )


def _mnist(place: Path) -> Sources | None:
    """Return MNIST's splits in a folder, gzipped or not."""
    found = {}
    for split in ("train", "t10k"):
        plain = place / _IDX.format(split)
        found[split] = next((p for p in (plain, Path(f"{plain}.gz")) if p.is_file()), None)
    if found["train"] is None:
        return None
    test = found["t10k"]
    return Sources(_idx_source(found["train"]), None if test is None else _idx_source(test))


def _idx_source(images: Path) -> Source:
    labels = image_files.labels_beside(images)
    if labels == images:
        raise InputError(
            f'{images}: expected an IDX file with "images" in its name, and beside it one with '
            '"labels" in that place'
        )
    return _source(str(images), [images, labels], partial(image_files.idx, images, labels))


def _source(
    name: str, files: Sequence[Path], read: Callable[[], ImageSet], names: Sequence[str] = ()
) -> Source:
    """Return a source whose digest is that of the files' names (below a folder) and bytes."""
    total = hashlib.sha256("|".join(names).encode())
    for file in files:
        try:
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    return Source(name, total.hexdigest(), lambda _: read(), binned=False)
