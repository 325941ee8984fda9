"""Which files of which data sets lie on whose servers, and their checksums."""

from __future__ import annotations

from dataclasses import dataclass

# The data sets' own page, and the checksums published there (as tonic 1.7 has them).
BASE_URL = "https://zenkelab.org/datasets/"


@dataclass(frozen=True)
class RemoteFile:
    """An archive on the server: data set, split, and MD5 (hex) of the archive."""

    name: str
    split: str
    md5: str

    @property
    def archive(self) -> str:
        """File name on the server."""
        return f"{self.name}_{self.split}.h5.zip"


REMOTE = (
    RemoteFile("shd", "train", "f3252aeb598ac776c1b526422d90eecb"),
    RemoteFile("shd", "test", "1503a5064faa34311c398fb0a1ed0a6f"),
    RemoteFile("ssc", "train", "d102be95e7144fcc0553d1f45ba94170"),
    RemoteFile("ssc", "valid", "b4eee3516a4a90dd0c71a6ac23a8ae43"),
    RemoteFile("ssc", "test", "a35ff1e9cffdd02a20eb850c17c37748"),
)


@dataclass(frozen=True)
class RemoteImages:
    """A file on a server: its name, MD5 (hex), and which files of an archive are wanted."""

    name: str
    md5: str
    holds: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImagePlace:
    """Where a set of images is to be had: the publisher's folder, and its files."""

    url: str
    files: tuple[RemoteImages, ...]


# The publishers' own pages, and the checksums given there (as torchvision 0.24 has them).
REMOTE_IMAGES = {
    "cifar10": ImagePlace(
        "https://www.cs.toronto.edu/~kriz/",
        (
            RemoteImages(
                "cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
                (
                    *(f"data_batch_{number}.bin" for number in range(1, 6)),
                    "test_batch.bin",
                    "batches.meta.txt",
                ),
            ),
        ),
    ),
    "cifar100": ImagePlace(
        "https://www.cs.toronto.edu/~kriz/",
        (
            RemoteImages(
                "cifar-100-binary.tar.gz",
                "03b5dce01913d631647c71ecec9e9cb8",
                ("train.bin", "test.bin", "fine_label_names.txt"),
            ),
        ),
    ),
    "mnist": ImagePlace(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        (
            RemoteImages("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            RemoteImages("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            RemoteImages("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            RemoteImages("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    ),
    "fashion-mnist": ImagePlace(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        (
            RemoteImages("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            RemoteImages("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            RemoteImages("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            RemoteImages("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    ),
}
