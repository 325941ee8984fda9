"""Images from files: CIFAR's batches, IDX, folders of pictures, and the embedded digits."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcfed.config import DataConfig
from hpcfed.datasets import image_files, load
from hpcfed.datasets.image_sources import find_images
from hpcfed.errors import InputError
from hpcfed.samples.images import ImageSet


def records(labels: list[list[int]]) -> bytes:
    """Return CIFAR records whose pixels are their number, the channels told apart."""
    parts = []
    for number, numbers in enumerate(labels):
        planes = [np.full(1024, 10 * number + channel, np.uint8) for channel in range(3)]
        parts.append(bytes(numbers) + b"".join(plane.tobytes() for plane in planes))
    return b"".join(parts)


def idx_bytes(array: np.ndarray) -> bytes:
    return (
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


def mnist(folder: Path, packed: bool, count: int = 5) -> None:
    """Write both splits as MNIST's files are called."""
    folder.mkdir(parents=True)
    pixels = np.arange(count * 4 * 6, dtype=np.uint8).reshape(count, 4, 6)
    for split in ("train", "t10k"):
        for what, array in (("images-idx3", pixels), ("labels-idx1", np.arange(count) % 3)):
            content = idx_bytes(array.astype(np.uint8))
            name = f"{split}-{what}-ubyte" + (".gz" if packed else "")
            (folder / name).write_bytes(gzip.compress(content) if packed else content)


def config(dataset: str, **keys: object) -> DataConfig:
    return DataConfig(dataset=dataset, **keys)


def test_batches_of_any_number_of_records_are_one_set(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(records([[3], [0]]))
    (tmp_path / "data_batch_2.bin").write_bytes(records([[1]]))
    (tmp_path / "test_batch.bin").write_bytes(records([[2]]))
    (tmp_path / "batches.meta.txt").write_text("cat\ndog\nowl\newe\n")
    found = load(config(f"images:{tmp_path}", validation_fraction=0.0))
    assert isinstance(found.train, ImageSet)
    assert (found.train.shape, found.train.labels.tolist()) == ((3, 32, 32), [3, 0, 1])
    assert found.train.class_names == ("cat", "dog", "owl", "ewe")
    assert found.train.pixels[1, 2].tolist() == [[12] * 32] * 32
    assert found.test is not None
    assert found.test.labels.tolist() == [2]


def test_of_two_labels_the_last_is_the_class(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.bin").write_bytes(records([[9, 1], [9, 0]]))
    found = load(config(f"images:{tmp_path}", validation_fraction=0.0))
    assert found.train.labels.tolist() == [1, 0]


@pytest.mark.parametrize("cut", [0, 1, 3072])
def test_a_cut_batch_is_bad_input(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(records([[3]])[:cut])
    with pytest.raises(InputError, match=r"data_batch_1\.bin: \d+ bytes are no whole records"):
        image_files.cifar([path])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "folder"),
    [("mnist", "mnist"), ("mnist", "MNIST/raw"), ("fashion-mnist", "fashion-mnist")],
)
def test_mnist_is_found_as_it_comes_and_where_others_put_it(
    tmp_path: Path, name: str, folder: str, packed: bool
) -> None:
    mnist(tmp_path / folder, packed)
    found = load(config(name, root=str(tmp_path), validation_fraction=0.0))
    assert (found.train.shape, found.train.labels.tolist()) == ((1, 4, 6), [0, 1, 2, 0, 1])
    assert found.train.pixels[1, 0, 0].tolist() == list(range(24, 30))
    assert found.test is not None


def test_emnist_lies_on_its_side_and_is_turned(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    for split in ("train", "test"):
        stem = tmp_path / f"emnist-letters-{split}"
        Path(f"{stem}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
        Path(f"{stem}-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([1, 2], np.uint8)))
    train, test = (f"images:{tmp_path}/emnist-letters-{split}-images-idx3-ubyte"
                   for split in ("train", "test"))  # fmt: skip
    found = load(config(train, test=test, validation_fraction=0.0))
    assert found.train.shape == (1, 4, 3)
    np.testing.assert_array_equal(found.train.pixels[:, 0], pixels.transpose(0, 2, 1))
    assert found.test is not None
    assert found.test.num_samples == 2


def test_an_idx_file_of_ones_own_has_its_labels_beside_it(tmp_path: Path) -> None:
    mnist(tmp_path / "a", packed=False)
    path = tmp_path / "a" / "train-images-idx3-ubyte"
    found = load(config(f"images:{path}", test=str(path), validation_fraction=0.0))
    assert found.train.num_samples == 5
    (tmp_path / "a" / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="train-labels-idx1-ubyte: cannot be read"):
        load(config(f"images:{path}"))


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0", b"\0\0\x0d\3" + bytes(12), b"\0\0\x08\3" + bytes(12), b"\x1f\x8b broken",
     idx_bytes(np.zeros((2, 3, 3), np.uint8))[:-1]],
)  # fmt: skip
def test_what_is_no_idx_file_is_bad_input(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    (tmp_path / "labels").write_bytes(idx_bytes(np.zeros(2, np.uint8)))
    with pytest.raises(InputError, match="images: "):
        image_files.idx(path, tmp_path / "labels")


def pictures(folder: Path, names: list[str], mode: str = "RGB", ending: str = "png") -> None:
    for place, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = (place, 20, 30) if mode == "RGB" else place
        Image.new(mode, (6, 4), colour).save(path.with_suffix(f".{ending}"))


def test_pictures_are_read_by_class_in_the_order_of_their_paths(tmp_path: Path) -> None:
    pictures(tmp_path, ["dog/b", "cat/z", "dog/a", "cat/deep/a"])
    (tmp_path / "notes.txt").write_text("no picture")
    found = load(config(f"images:{tmp_path}", validation_fraction=0.0)).train
    assert (found.shape, found.class_names) == ((3, 4, 6), ("cat", "dog"))
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.pixels[:, 0, 0, 0].tolist() == [3, 1, 2, 0]


def test_a_folder_of_the_working_directory_is_no_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        Image.new("L", (2, 2)).save(tmp_path / "pictures" / name / "a.png")
    monkeypatch.chdir(tmp_path)
    found = load(DataConfig(dataset="images:pictures", validation_fraction=0.0))
    assert found.train.class_names == ("one", "two")


def test_gray_pictures_have_one_channel_and_become_three_beside_coloured_ones(
    tmp_path: Path,
) -> None:
    pictures(tmp_path / "gray", ["a/x", "b/y"], "L")
    assert image_files.folder(tmp_path / "gray").shape == (1, 4, 6)
    pictures(tmp_path / "both", ["a/x"], "L")
    pictures(tmp_path / "both", ["b/y"], "RGB", "jpg")
    assert image_files.folder(tmp_path / "both").shape == (3, 4, 6)


def test_pictures_of_two_sizes_and_what_is_no_picture_are_bad_input(tmp_path: Path) -> None:
    pictures(tmp_path, ["a/x", "b/y"])
    Image.new("RGB", (5, 4)).save(tmp_path / "b" / "y.png")
    with pytest.raises(InputError, match=r"x\.png is 4 x 6, .*y\.png is 4 x 5"):
        image_files.folder(tmp_path)
    (tmp_path / "b" / "y.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"y\.png: cannot be read as a picture"):
        image_files.folder(tmp_path)
    with pytest.raises(InputError, match="no pictures; expected a folder for each class"):
        image_files.folder(tmp_path / "a")


def test_copies_of_a_folder_made_in_opposite_orders_are_the_same_samples(tmp_path: Path) -> None:
    names = ["dog/b", "cat/z", "dog/a"]
    for folder, order in (("one", names), ("two", names[::-1])):
        for name in order:
            pictures(tmp_path / folder, [name])
    one, two = (load(config(f"images:{tmp_path / folder}")) for folder in ("one", "two"))
    assert one.digest == two.digest
    (tmp_path / "two" / "dog" / "a.png").rename(tmp_path / "two" / "dog" / "c.png")
    assert load(config(f"images:{tmp_path / 'two'}")).digest != one.digest


def test_missing_files_are_said_with_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"or .*batches-bin. Run: hpcfed data fetch cifar10"):
        load(config("cifar10", root=str(tmp_path)))
    with pytest.raises(InputError, match="no such file or folder of images"):
        load(config(f"images:{tmp_path / 'absent'}"))
    with pytest.raises(InputError, match="has a test split of its own"):
        load(config("digits", test="x"))


def test_a_test_set_of_another_shape_is_refused(tmp_path: Path) -> None:
    mnist(tmp_path / "a", packed=False)
    pictures(tmp_path / "b", ["x/1", "y/2"])
    with pytest.raises(InputError, match=r"\(3, 4, 6\), the network expects .*\(1, 4, 6\)"):
        load(config(f"images:{tmp_path / 'a'}", test=f"images:{tmp_path / 'b'}"))


def test_images_come_from_the_cache_as_a_read_only_map(tmp_path: Path) -> None:
    mnist(tmp_path / "mnist", packed=True)
    chosen = config("mnist", root=str(tmp_path))
    first, again = load(chosen).train, load(chosen).train
    assert not again.pixels.flags.writeable
    assert not again.pixels.flags.owndata
    assert again.pixels.tobytes() == first.pixels.tobytes()
    assert (again.class_names, again.group_names) == (first.class_names, first.group_names)


def test_forms_of_the_embedded_digits_are_the_clients() -> None:
    found = load(config("digits", validation_fraction=0.0))
    assert (found.train.num_samples, found.train.shape) == (1287, (1, 8, 8))
    assert found.test is not None
    assert found.test.num_samples == 510
    assert found.train.group_names == tuple(f"form {k}" for k in range(10))
    assert found.test.group_names == tuple(f"form {k}" for k in range(10, 14))
    starts = [0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287]
    assert np.bincount(found.train.groups).tolist() == np.diff(starts).tolist()
    assert np.unique(found.train.pixels).tolist() == [round(k * 255 / 16) for k in range(17)]


def test_the_embedded_digits_say_their_licence() -> None:
    from importlib import resources

    packed = resources.files("hpcfed.datasets").joinpath("data", "digits.npz")
    with packed.open("rb") as stream, np.load(stream) as file:
        assert "CC BY 4.0" in str(file["licence"])
        assert "10.24432/C50P49" in str(file["licence"])


def test_cifar_has_the_mean_of_its_pixels(test_data: Path) -> None:
    found = find_images(config(f"images:{test_data / 'cifar10_subset'}"))
    assert found.test is not None
    pixels = image_files.cifar(sorted((test_data / "cifar10_subset").glob("data_*.bin"))).pixels
    assert pixels.shape == (10_000, 3, 32, 32)
    means = pixels.mean(axis=(0, 2, 3)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=0.01)
