"""Accuracy over depth by hand, and what clients of each depth cost."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_files import World, write_run

from hpcfed.errors import InputError
from hpcfed.learning.depths import DEPTH_FIGURES
from hpcfed.records.log import Log
from hpcfed.records.runfile import read_record, write_record
from hpcfed.report.drawing import our_style
from hpcfed.report.figures import depth
from hpcfed.report.page import render
from hpcfed.report.pictures import sweep_pictures
from hpcfed.report.runs import find
from scripts import run_script, table

BLOCK = (
    'model.hidden=["4c3",["repeat","4c3"]]',
    'model.kind="ann"',
    'data.dataset="digits"',
    "model.repeat.curve=[1,4]",
)


def write(folder: Path, depths: str, accuracy: float, seed: int) -> Path:
    """Write a run of two clients with depths 2 and 8 whose curve is flat but for the seed."""
    curve = {
        "depth": np.array([1, 4]),
        "operations": np.array([100, 400]),
        **{f"validation_{name}": np.full(2, np.nan) for name in ("accuracy", "loss")},
        "test_accuracy": np.array([accuracy - 0.1, accuracy]) + 0.02 * seed,
        "test_loss": np.array([1.0, 0.5]),
    }
    sets = (*BLOCK, f"model.repeat.depths={depths}")
    rounds = dict.fromkeys(("uplink_bytes_seed", "uplink_bytes_bitmask"), (60.0, 60.0))
    world = World(
        test=(0.1, accuracy + 0.02 * seed), seed=seed, sets=sets, num_clients=2, rounds=rounds,
        changes={"curves": {"depths": curve}},
    )  # fmt: skip
    path = write_run(folder, world)
    record = read_record(path)
    log = Log(DEPTH_FIGURES)
    for index in range(2):
        values = {name: column[index] for name, column in record.log.rounds.items()}
        rows = {name: part[index] for name, part in record.log.participations.items()}
        own = {
            "depth": np.array([2.0, 8.0]),
            "operations": np.array([200.0, 800.0]),
            "seconds_client": np.array([1.0, 4.0 + index]),
        }
        means = {"depth": 5.0, "operations": 500.0, "seconds_client": 2.5}
        log.append(values | means, rows | own)
    write_record(path, replace(record, log=log))
    return path


def several(folder: Path) -> Path:
    for seed in range(3):
        write(folder / f"a{seed}", "[2,8]", 0.6, seed)
        write(folder / f"b{seed}", "[8]", 0.8, seed)
        ways = ("uplink_bytes_seed", "uplink_bytes_bitmask", "uplink_bytes_coordinates")
        world = World(
            test=(0.2, 0.7), seed=seed, num_clients=2, rounds=dict.fromkeys(ways, (600.0, 600.0))
        )
        write_run(folder / f"c{seed}", world)  # no block, no curve
    return folder


def test_curves_by_hand(tmp_path: Path) -> None:
    rows = [row for row in depth.rows(find(several(tmp_path))) if row["depth"] == 4]
    assert [row["mean"] for row in rows] == pytest.approx([0.62, 0.82])
    half = 4.302653 * 0.02 / math.sqrt(3)  # t of two degrees of freedom
    assert [rows[0]["low"], rows[0]["high"]] == pytest.approx([0.62 - half, 0.62 + half], abs=1e-6)
    assert {row["metric"] for row in rows} == {"test_accuracy"}
    assert {row["operations"] for row in rows} == {400.0}
    assert {row["seeds"] for row in rows} == {3}


def test_what_clients_of_each_depth_cost_by_hand(tmp_path: Path) -> None:
    found = list(depth.client_rows(find(several(tmp_path))))
    repeated = [row for row in found if row["depth"] is not None]
    assert [(row["depth"], row["participations"]) for row in repeated] == [(2, 6), (8, 6)] * 2
    assert [row["seconds"] for row in repeated] == [1.0, 4.5] * 2
    assert [row["operations"] for row in repeated] == [200.0, 800.0] * 2
    assert {row["message_bytes"] for row in repeated} == {30.0}  # 60 of two clients
    assert {row["parameters"] for row in found} == {8}
    assert repeated[0]["accuracy"] == pytest.approx(0.62)
    (plain,) = (row for row in found if row["depth"] is None)
    assert plain["participations"] == 12  # two rounds of two clients, three seeds


def test_a_line_for_each_mixture_and_a_mark_for_each_setting(tmp_path: Path) -> None:
    with our_style():
        drawn = depth.draw(find(several(tmp_path)))
    above, below = drawn.axes  # the network without a block sends more
    heights = [list(line.get_ydata()) for line in above.lines if line.get_marker() in "os^D"]
    assert heights == [pytest.approx([52.0, 62.0]), pytest.approx([72.0, 82.0])]
    marks = [line for line in below.lines if line.get_marker() in "os^D"]
    assert len(marks) == 3
    assert len(drawn.legends[0].texts) == 3


def test_bytes_that_are_the_same_are_not_drawn(tmp_path: Path) -> None:
    with our_style():
        drawn = depth.draw(find(several(tmp_path).joinpath("a0")))
    (axes,) = drawn.axes
    assert len(axes.lines) > 0
    assert [text.get_text() for text in drawn.legends[0].texts] == ["experiment"]


def test_without_a_curve_there_is_nothing_to_draw(tmp_path: Path) -> None:
    write_run(tmp_path / "a", World())
    with pytest.raises(InputError, match=r"set model\.repeat\.curve"):
        depth.draw(find(tmp_path))
    assert sweep_pictures(find(tmp_path)) == []


def test_the_script_writes_the_picture_and_two_tables(tmp_path: Path) -> None:
    run_script("depth", several(tmp_path), "--out", tmp_path / "d.svg")
    assert (tmp_path / "d.svg").exists()
    assert len(table(tmp_path / "d.csv")) == 4
    assert len(table(tmp_path / "d_clients.csv")) == 5


def test_pages_of_a_run_and_of_several_show_it(tmp_path: Path) -> None:
    found = find(several(tmp_path))
    assert "Accuracy over the iterations" in render(found, tmp_path / "page.html")
    alone = find(tmp_path / "a0")
    page = render(alone, tmp_path / "page.html")
    assert "Accuracy over the iterations" in page
    assert "By depth of clients" in page


def test_curves_and_depths_survive_the_run_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "[2,8]", 0.6, 0)
    record = read_record(path)
    clients = record.clients | {"depth": np.array([2, 8])}
    write_record(path, replace(record, clients=clients))
    again = read_record(path)
    assert again.clients["depth"].tolist() == [2, 8]
    for name, values in record.curves["depths"].items():
        np.testing.assert_array_equal(again.curves["depths"][name], values)
