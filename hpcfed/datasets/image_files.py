"""Images from files that need no pickle: CIFAR's binary batches, IDX, a folder of pictures.

S samples, C channels, H height, W width.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcfed.datasets.checks import numbered_classes
from hpcfed.errors import InputError
from hpcfed.samples.images import ImageSet

U8 = NDArray[np.uint8]

NOBODY = ("all",)  # the one group of images whose makers nobody tells apart
PICTURES = (".png", ".jpg", ".jpeg")
_CIFAR_SHAPE = (3, 32, 32)
_IDX_UNSIGNED = 0x08


def cifar(paths: Sequence[Path], label_bytes: int = 1) -> ImageSet:
    """Return the images of CIFAR's binary batches, of any number of records each.

    A record is ``label_bytes`` labels, of which the last is the class (CIFAR-100 has the coarse
    one before), and 3 x 32 x 32 pixels. Names stand in *.meta.txt or fine_label_names.txt beside.
    Raises InputError for a file that is not whole records.
    """
    record = np.dtype([("labels", np.uint8, (label_bytes,)), ("pixels", np.uint8, _CIFAR_SHAPE)])
    parts = []
    for path in paths:
        content = _bytes(path)
        if not content or len(content) % record.itemsize:
            raise InputError(
                f"{path}: {len(content)} bytes are no whole records of {record.itemsize} "
                "(labels and 3 x 32 x 32 pixels); fetch it again"
            )
        parts.append(np.frombuffer(content, record))
    labels = np.concatenate([part["labels"][:, -1] for part in parts]).astype(np.int64)
    pixels = np.concatenate([part["pixels"] for part in parts])
    return _set(pixels, labels, _names_beside(paths[0], int(labels.max()) + 1))


def idx(images: Path, labels: Path) -> ImageSet:
    """Return the images of a pair of IDX files, gzipped or not (MNIST's format).

    Those of EMNIST, known by the file's name, lie on their side there (Cohen et al. 2017, arXiv
    1702.05373), and are turned upright. Raises InputError for files that are none, or do not fit
    together.
    """
    pixels, classes = _idx_array(images, (3, 4)), _idx_array(labels, (1,))
    if len(pixels) != len(classes):
        raise InputError(f"{images}: {len(pixels)} images, but {labels} has {len(classes)} labels")
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if images.name.startswith("emnist"):
        pixels = np.ascontiguousarray(np.swapaxes(pixels, 2, 3))
    return _set(pixels, classes.astype(np.int64), numbered_classes(int(classes.max()) + 1))


def labels_beside(images: Path) -> Path:
    """Return where the labels of an IDX file of images lie, by the names that MNIST's have."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    return images.with_name(name)


def folder(path: Path) -> ImageSet:
    """Return the pictures below a folder, whose folders are the classes, in order of their names.

    Pictures are gray if all are, else of three colours. Raises InputError for what is no picture,
    and for pictures of several sizes.
    """
    classes, files = listed(path)
    labels = np.array([classes.index(file.relative_to(path).parts[0]) for file in files])
    pixels = list(_pictures(files))
    if len({picture.shape[1:] for picture in pixels}) > 1:
        sizes = {picture.shape[1:]: file for picture, file in zip(pixels, files, strict=True)}
        (first, one), (second, other), *_ = sizes.items()
        raise InputError(
            f"{path}: {one} is {first[0]} x {first[1]}, {other} is {second[0]} x {second[1]}; make "
            "them of one size"
        )
    channels = max(len(picture) for picture in pixels)
    same = [np.broadcast_to(picture, (channels, *picture.shape[1:])) for picture in pixels]
    return _set(np.stack(same), labels, tuple(classes))


def listed(path: Path) -> tuple[list[str], list[Path]]:
    """Return the classes of a folder and its pictures, by path. Raises InputError without any."""
    classes = sorted(item.name for item in path.iterdir() if item.is_dir())
    files = [
        file
        for name in classes
        for file in sorted((path / name).rglob("*"))
        if file.suffix.lower() in PICTURES
    ]
    if not files:
        raise InputError(
            f"{path}: no pictures; expected a folder for each class with {', '.join(PICTURES)}"
        )
    return classes, files


def _pictures(files: Sequence[Path]) -> Iterator[U8]:
    """Yield each picture as (1, H, W) if it is gray, else (3, H, W)."""
    from PIL import Image

    for file in files:
        try:
            with Image.open(file) as picture:
                gray = picture.mode in ("1", "L", "I;16")
                found = np.asarray(picture.convert("L" if gray else "RGB"))
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"{file}: cannot be read as a picture: {error}") from None
        yield found[None] if gray else found.transpose(2, 0, 1)


def _idx_array(path: Path, ranks: Sequence[int]) -> U8:
    content = _bytes(path)
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise InputError(f"{path}: cannot be unpacked: {error}") from None
    if len(content) < 4 or content[:3] != bytes([0, 0, _IDX_UNSIGNED]) or content[3] not in ranks:
        raise InputError(
            f"{path}: no IDX file of whole numbers below 256 with {' or '.join(map(str, ranks))} "
            "axes"
        )
    begin = 4 + 4 * content[3]
    shape = tuple(int(n) for n in np.frombuffer(content[4:begin], ">u4"))
    if len(content) - begin != math.prod(shape) or not shape or not shape[0]:
        raise InputError(
            f"{path}: {len(content) - begin} bytes of data, its header says {shape}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def _names_beside(path: Path, num_classes: int) -> tuple[str, ...]:
    for name in ("batches.meta.txt", "fine_label_names.txt"):
        file = path.with_name(name)
        if file.is_file():
            found = tuple(file.read_text(encoding="utf-8").split())
            if len(found) >= num_classes:
                return found
    return numbered_classes(num_classes)


def _set(pixels: U8, labels: NDArray[np.int64], names: tuple[str, ...]) -> ImageSet:
    return ImageSet(pixels, labels, np.zeros(len(labels), np.int64), names, NOBODY)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
