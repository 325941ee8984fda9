"""What data info says, counted by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from shd_files import write_file
from typer.testing import CliRunner

from hpcfed.cli.data import data_app
from hpcfed.config import DataConfig
from hpcfed.datasets.info import DataInfo, describe, print_info, print_known
from hpcfed.datasets.places import data_root, known_sets
from hpcfed.errors import InputError
from hpcfed.report.drawing import our_style, save
from hpcfed.report.figures.partition import draw


def describe_tiny(tmp_path: Path, out_png: Path | None = None) -> DataInfo:
    path = str(write_file(tmp_path / "tiny.h5"))
    config = DataConfig(dataset=path, test=path, num_bins=4, duration=0.75, validation_fraction=0.0)
    return describe(config, out_png)


def printed(info: DataInfo) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_info(info, console)
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def test_spikes_are_counted_before_and_after_binning(tmp_path: Path) -> None:
    # Before 0.75 s the three samples hold 3, 2 and 0 spikes; two of the first share a bin.
    info = describe_tiny(tmp_path)
    train, test = info.splits
    assert (train.name, test.name) == ("train", "test")
    assert info.num_cut == 4
    assert train.num_samples == 3
    assert train.num_spikes == 5
    assert train.num_merged == 1
    assert train.num_silent == 1
    assert train.spikes == (0.0, 1.0, 2.0, 2.5, 3.0)
    assert train.density == pytest.approx(4 / (3 * 4 * 700))
    assert train.per_class_and_group.tolist() == [[1, 0], [0, 2]]


def test_the_tables_name_classes_groups_and_counts(tmp_path: Path) -> None:
    text = printed(describe_tiny(tmp_path))
    for part in (
        "2 classes",
        "700 channels",
        "4 spikes are later",
        "speaker 1",
        "one",
        "1 (20.0%)",
    ):
        assert part in text


def test_many_groups_become_a_range(tmp_path: Path) -> None:
    path = write_file(
        tmp_path / "many.h5", [[0.1]] * 40, [[1]] * 40, labels=[0] * 40, speakers=range(40)
    )
    text = printed(describe(DataConfig(dataset=str(path))))
    assert "speaker 1" not in text
    assert "1 to 1" in text


def test_the_raster_is_a_png(tmp_path: Path) -> None:
    out = tmp_path / "new" / "raster.png"
    describe_tiny(tmp_path, out)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "raster.png", tmp_path):
        with pytest.raises(InputError, match=rf"{out}: the picture cannot be written \(.*give"):
            describe_tiny(tmp_path, out)


def test_known_sets_say_whether_and_where_they_are(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_file(tmp_path / "SHD" / f"shd_{split}.h5")
    write_file(tmp_path / "ssc" / "ssc_train.h5")
    sets = {known.name: known for known in known_sets(tmp_path)}
    assert (sets["shd"].present, sets["shd"].where) == (True, str(tmp_path / "SHD"))
    assert (sets["ssc"].present, sets["ssc"].where) == (False, str(tmp_path / "ssc"))
    assert sets["spoken-digits"].present
    assert (sets["two-moons"].present, sets["two-moons"].where) == (
        True, "part of hpcfed, generated"
    )  # fmt: skip
    console = Console(file=io.StringIO(), width=300)
    print_known(list(sets.values()), console)
    text = console.file
    assert isinstance(text, io.StringIO)
    assert "hpcfed data fetch ssc" in text.getvalue()
    assert "hpcfed data fetch shd" not in text.getvalue()


def test_the_root_is_given_or_from_the_environment_or_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPCFED_DATA", str(tmp_path))
    assert data_root("/here") == Path("/here")
    assert data_root(None) == tmp_path
    monkeypatch.delenv("HPCFED_DATA")
    assert data_root(None) == Path.home() / ".local" / "share" / "hpcfed"


def test_images_are_described_by_their_size_and_shown_on_a_sheet(tmp_path: Path) -> None:
    info = describe(DataConfig(dataset="digits", validation_fraction=0.0), tmp_path / "sheet.png")
    train, test = info.splits
    assert (info.shape, train.num_samples, test.num_samples) == ((1, 8, 8), 1287, 510)
    assert train.per_class_and_group.shape == (10, 10)
    text = printed(info)
    assert "images of 8 x 8 pixels, 1 channels" in text
    assert "spikes" not in text
    assert (tmp_path / "sheet.png").stat().st_size > 5000


def test_classes_by_client_are_counted_for_a_picture(tmp_path: Path) -> None:
    counts = np.array([[3, 0, 1], [0, 5, 1]])
    with our_style():
        figure = draw(counts, ("zero", "one"))
        save(figure, tmp_path / "clients.png")
    above, below = figure.axes[:2]
    assert [text.get_text() for text in above.texts] == ["3", "0", "1", "0", "5", "1"]
    assert [bar.get_height() for bar in below.patches] == [3, 5, 2]
    assert (tmp_path / "clients.png").stat().st_size > 1000


def test_the_command_draws_the_clients_of_a_partition(tmp_path: Path) -> None:
    out = tmp_path / "clients.png"
    sets = ["--set", "partition.kind=dirichlet", "--set", "partition.num_clients=4"]
    ended = CliRunner().invoke(data_app, ["info", "digits", "--clients", str(out), *sets])
    assert ended.exit_code == 0, ended.output
    assert f"clients: {out}" in ended.output
    assert out.stat().st_size > 1000
