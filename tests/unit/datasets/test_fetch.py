"""Downloads from a server on this machine: resumed, checked, and refused with a clear message."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import io
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from shd_files import write_classes

from hpcfed.datasets import fetch as fetch_module
from hpcfed.datasets.fetch import fetch
from hpcfed.datasets.remote import ImagePlace, RemoteFile, RemoteImages
from hpcfed.errors import InputError

SPLITS = ("train", "test")


class Server(ThreadingHTTPServer):
    """A server of files in memory that notes requests, and breaks off after ``budget`` bytes."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges: list[str | None] = []
        self.budget: int | None = None
        self.with_ranges = True
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where the files are."""
        return f"http://127.0.0.1:{self.server_address[1]}/data"


class Handler(BaseHTTPRequestHandler):
    """Answers GET with optional ranges."""

    server: Server

    def do_GET(self) -> None:  # noqa: D102
        content = self.server.files.get(self.path.rpartition("/")[2])
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if content is None:
            self.send_error(404)
            return
        start = int(asked[6:-1]) if asked and self.server.with_ranges else 0
        if asked and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if asked and self.server.with_ranges else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.budget])

    def log_message(self, *_: object) -> None:  # noqa: D102
        pass


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, "_PAUSE_S", 0.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        for split in SPLITS:
            path = write_classes(tmp_path / "made" / f"shd_{split}.h5", [0, 1, 1], 2)
            archive = path.with_name(path.name + ".zip")
            with zipfile.ZipFile(archive, "w") as packed:
                packed.write(path, path.name)
            server.files[archive.name] = archive.read_bytes()
        yield server
        server.shutdown()
        thread.join()


def remote(server: Server) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile("shd", split, hashlib.md5(server.files[f"shd_{split}.h5.zip"]).hexdigest())
        for split in SPLITS
    )


def bring(server: Server, root: Path) -> list[Path]:
    return fetch("shd", str(root), base_url=server.url, remote=remote(server))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_unpacked_and_leaves_nothing_else(server: Server, tmp_path: Path) -> None:
    paths = bring(server, tmp_path / "root")
    assert paths == [tmp_path / "root" / "shd" / f"shd_{split}.h5" for split in SPLITS]
    assert paths[0].read_bytes() == (tmp_path / "made" / "shd_train.h5").read_bytes()
    assert names(paths[0].parent) == ["shd_test.h5", "shd_train.h5"]


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    placed = write_classes(tmp_path / "root" / "SHD" / "shd_train.h5", [0], 2)
    before = placed.read_bytes()
    assert bring(server, tmp_path / "root")[0] == placed
    assert placed.read_bytes() == before
    assert len(server.ranges) == 1


@pytest.mark.parametrize("ending", [".zip", ".gz"])
def test_an_archive_placed_by_hand_is_unpacked_and_kept(
    server: Server, tmp_path: Path, ending: str
) -> None:
    for split in SPLITS:
        archive = tmp_path / "root" / f"shd_{split}.h5{ending}"
        archive.parent.mkdir(exist_ok=True)
        packed = server.files[f"shd_{split}.h5.zip"]
        plain = (tmp_path / "made" / f"shd_{split}.h5").read_bytes()
        archive.write_bytes(packed if ending == ".zip" else gzip.compress(plain))
    bring(server, tmp_path / "root")
    assert server.ranges == []
    assert names(tmp_path / "root" / "shd") == ["shd_test.h5", "shd_train.h5"]
    assert (tmp_path / "root" / f"shd_test.h5{ending}").exists()


def test_a_broken_connection_is_taken_up_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.budget = 2000
    bring(server, tmp_path / "root")
    assert server.ranges[:3] == [None, "bytes=2000-", "bytes=4000-"]


def test_an_interrupted_download_goes_on_with_the_next_call(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "root" / "shd" / ".shd_train.h5.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.files["shd_train.h5.zip"][:1500])
    bring(server, tmp_path / "root")
    assert server.ranges == ["bytes=1500-", None]
    assert names(part.parent) == ["shd_test.h5", "shd_train.h5"]


def test_a_complete_but_unchecked_download_is_not_repeated(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "root" / "shd" / ".shd_train.h5.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.files["shd_train.h5.zip"])
    assert bring(server, tmp_path / "root")[0].exists()


def test_a_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.with_ranges = False
    part = tmp_path / "root" / "shd" / ".shd_train.h5.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 100)
    paths = bring(server, tmp_path / "root")
    assert paths[0].read_bytes() == (tmp_path / "made" / "shd_train.h5").read_bytes()


def test_a_server_without_ranges_that_breaks_off_does_not_hang(
    server: Server, tmp_path: Path
) -> None:
    server.with_ranges = False
    server.budget = 2000
    with pytest.raises(InputError, match=r"interrupted after 0.0 MB .* fetch again"):
        bring(server, tmp_path / "root")


def test_a_server_that_sends_nothing_ends_with_what_to_do(server: Server, tmp_path: Path) -> None:
    server.budget = 0
    with pytest.raises(InputError, match=r"interrupted after 0.0 MB .* fetch again to go on"):
        bring(server, tmp_path / "root")


def test_no_server_ends_with_what_to_do(server: Server, tmp_path: Path) -> None:
    files = remote(server)
    with pytest.raises(InputError, match=r"shd_train.h5.zip: interrupted after 0.0 MB"):
        fetch("shd", str(tmp_path), base_url="http://127.0.0.1:9", remote=files)


def test_a_wrong_checksum_removes_the_download(server: Server, tmp_path: Path) -> None:
    wrong = (RemoteFile("shd", "train", "0" * 32),)
    with pytest.raises(InputError, match=r"MD5 .* expected 0{32}; it was removed, fetch again"):
        fetch("shd", str(tmp_path / "root"), base_url=server.url, remote=wrong)
    assert not list((tmp_path / "root" / "shd").glob("*.h5"))
    assert not list((tmp_path / "root" / "shd").glob("*.part"))


def test_the_official_checksums_are_the_default(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPCFED_DATA_URL", server.url)
    with pytest.raises(InputError, match="expected f3252aeb598ac776c1b526422d90eecb"):
        fetch("shd", str(tmp_path / "root"))


def test_a_missing_file_on_the_server_is_said(server: Server, tmp_path: Path) -> None:
    files = remote(server)
    server.files.clear()
    with pytest.raises(InputError, match=r"shd_train.h5.zip: the server answers 404"):
        fetch("shd", str(tmp_path), base_url=server.url, remote=files)


def test_a_disk_without_room_is_said_before_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fetch_module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0)
    )
    with pytest.raises(InputError, match=r"0.0 MB free; free space, or set data.root"):
        bring(server, tmp_path / "root")


def test_a_disk_that_fills_up_is_said(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetch_module.shutil, "copyfileobj", full)
    with pytest.raises(InputError, match=r"shd: the disk is full; free space and fetch again"):
        bring(server, tmp_path / "root")
    assert not list((tmp_path / "root" / "shd").glob("*.tmp"))


def test_a_second_fetch_at_once_is_refused(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "shd"
    folder.mkdir(parents=True)
    with (folder / ".shd_train.h5.zip.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another process is fetching"):
            bring(server, tmp_path / "root")


def test_an_archive_that_is_none_is_refused(server: Server, tmp_path: Path) -> None:
    archive = tmp_path / "root" / "shd_train.h5.zip"
    archive.parent.mkdir()
    archive.write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"shd_train.h5.zip: cannot be unpacked"):
        bring(server, tmp_path / "root")


@pytest.mark.parametrize("name", ["spoken-digits", "shdd"])
def test_only_what_can_be_fetched_is_fetched(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=f"data fetch {name}: expected shd, ssc, cifar10, .* or tonic:NAME"
    ):
        fetch(name, str(tmp_path))


CIFAR = ("data_batch_1.bin", "test_batch.bin", "batches.meta.txt")


@pytest.fixture
def images(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Return a server that has CIFAR as an archive and MNIST as single files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in (*CIFAR, "readme.html"):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = 3073
            archive.addfile(info, io.BytesIO(bytes([len(name) % 10]) * 3073))
    server.files["cifar-10-binary.tar.gz"] = packed.getvalue()
    server.files["train-images-idx3-ubyte.gz"] = gzip.compress(b"images")

    def place(name: str, holds: tuple[str, ...]) -> ImagePlace:
        md5 = hashlib.md5(server.files[name]).hexdigest()
        return ImagePlace(server.url, (RemoteImages(name, md5, holds),))

    known = {
        "cifar10": place("cifar-10-binary.tar.gz", CIFAR),
        "mnist": place("train-images-idx3-ubyte.gz", ()),
    }
    monkeypatch.setattr(fetch_module, "REMOTE_IMAGES", known)
    return server


def test_an_archive_of_images_is_unpacked_into_its_folder(images: Server, tmp_path: Path) -> None:
    paths = fetch("cifar10", str(tmp_path))
    assert [path.name for path in paths] == list(CIFAR)
    assert names(tmp_path / "cifar10") == sorted(CIFAR)
    assert paths[0].read_bytes() == bytes([len(CIFAR[0]) % 10]) * 3073
    asked = len(images.ranges)
    assert fetch("cifar10", str(tmp_path)) == paths
    assert len(images.ranges) == asked  # what is there is not fetched again


def test_a_packed_file_of_images_stays_as_it_is(images: Server, tmp_path: Path) -> None:
    (path,) = fetch("mnist", str(tmp_path))
    assert path == tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    assert gzip.decompress(path.read_bytes()) == b"images"


def test_a_download_of_images_goes_on_where_it_stopped(images: Server, tmp_path: Path) -> None:
    images.budget = 100
    fetch("cifar10", str(tmp_path))
    assert len(images.ranges) > 2
    assert images.ranges[1] == "bytes=100-"


def test_other_images_than_the_checksum_says_are_removed(images: Server, tmp_path: Path) -> None:
    content = images.files["cifar-10-binary.tar.gz"]
    images.files["cifar-10-binary.tar.gz"] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(InputError, match=r"cifar-10-binary\.tar\.gz: MD5 of the download is"):
        fetch("cifar10", str(tmp_path))
    assert not [name for name in names(tmp_path / "cifar10") if not name.endswith(".lock")]


def test_an_archive_without_what_is_wanted_is_bad_input(
    images: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = images.files["cifar-10-binary.tar.gz"]
    file = RemoteImages(
        "cifar-10-binary.tar.gz", hashlib.md5(content).hexdigest(), (*CIFAR, "data_batch_2.bin")
    )
    monkeypatch.setattr(fetch_module, "REMOTE_IMAGES", {"cifar10": ImagePlace(images.url, (file,))})
    with pytest.raises(InputError, match=r"holds no data_batch_2\.bin"):
        fetch("cifar10", str(tmp_path))
