"""What a start says about its data, and what the run file keeps of it."""

from __future__ import annotations

from pathlib import Path

from shd_files import write_file

from hpcfed.config.file import parse_experiment
from hpcfed.federation.run import Request, run
from hpcfed.records.runfile import read_record


def start(folder: Path, duration: float) -> tuple[int, list[str]]:
    """Train a round; return the spikes cut and what was said. Two of eight lie after 1 s."""
    times = [[0.1, 0.2, 1.2], [0.1, 1.3], [0.2], [0.3, 0.4]]
    units = [[1, 2, 3], [1, 2], [3], [0, 1]]
    file = write_file(
        folder / "data.h5", times, units, labels=[0, 1, 0, 1], speakers=None, keys=["a", "b"]
    )
    settings = (
        f'data.dataset="{file}"', f"data.duration={duration}", "data.num_bins=200",
        "data.validation_fraction=0", "model.hidden=[4]", "server.rounds=1",
    )  # fmt: skip
    said: list[str] = []
    experiment = parse_experiment("", settings)
    run(Request(lambda: experiment, folder / "out", notify=said.append))
    return int(read_record(folder / "out").attributes["spikes_cut"]), said


def test_spikes_after_the_duration_are_counted_and_said(tmp_path: Path) -> None:
    num_cut, said = start(tmp_path, 1.0)
    assert num_cut == 2
    assert "2 spikes (25.0 %) lie at or after data.duration = 1 s and are left out" in said
    assert any("tells no speakers apart" in line for line in said)


def test_nothing_is_said_where_nothing_is_cut(tmp_path: Path) -> None:
    num_cut, said = start(tmp_path, 1.4)
    assert num_cut == 0
    assert not any("left out" in line for line in said)
