"""A collected sweep tells the same as its run files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from report_files import World, accuracy, grid, write_sweep

from hpcfed.errors import InputError
from hpcfed.records.columns import NUMERIC_FIELDS
from hpcfed.report.figures.tradeoff import rows, tradeoff
from hpcfed.report.page_data import page_data
from hpcfed.report.runs import Found, find

P, Q = "uplink.mask_probability", "participation.drop_probability"
KEYS = (P, Q, "seed")


def collect(found: Found, path: Path) -> None:
    """Write the runs as ``hpcfed sweep collect`` lays them out: an array over all keys."""
    values = {key: sorted({run.keys[key] for run in found.runs}) for key in KEYS}
    shape = tuple(len(v) for v in values.values())
    longest = max(run.num_rounds for run in found.runs)
    cubes = {name: np.full((*shape, longest), np.nan) for name in NUMERIC_FIELDS}
    texts = {n: np.full(shape, "", object) for n in ("digest", "status", "config_digest")}
    counts, samples = np.zeros(shape, np.int64), np.full((*shape, 10), np.nan)
    for run in found.runs:
        at = tuple(values[key].index(run.keys[key]) for key in KEYS)
        for name, cube in cubes.items():
            cube[at][: run.num_rounds] = run.rounds[name]
        texts["digest"][at], texts["status"][at] = run.digest, run.status
        texts["config_digest"][at] = run.columns.attributes["config_digest"]
        counts[at], samples[at] = run.num_rounds, np.arange(1, 11)
    data: dict[str, Any] = {name: ((*KEYS, "round"), cube) for name, cube in cubes.items()}
    data |= {name: (KEYS, cube) for name, cube in texts.items()} | {"num_rounds": (KEYS, counts)}
    root = xarray.Dataset(data, {**values, "round": np.arange(longest)})
    root.attrs = {"format": "hpcfed-collected", "format_version": 1}
    root.to_netcdf(path, engine="h5netcdf")
    clients = xarray.Dataset({"num_samples": ((*KEYS, "client"), samples)})
    clients.to_netcdf(path, mode="a", group="clients", engine="h5netcdf")


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    failed = World(test=(0.3, 0.1), p=0.5, q=0.5, status="failed", error="the disk is full")
    write_sweep(tmp_path, [*grid((0.0, 0.5), (0.0, 0.5))[:9], failed])
    collect(find(tmp_path), tmp_path / "sweep.nc")
    return tmp_path


def test_a_collected_sweep_gives_the_same_tables_as_its_run_files(sweep: Path) -> None:
    files, collected = find(sweep), find(sweep / "sweep.nc")
    tables = [list(map(str, rows(tradeoff(found)))) for found in (collected, files)]
    assert tables[0] == tables[1]
    by_digest = {run.digest: run for run in files.runs}
    assert len(collected.runs) == 10
    for run in collected.runs:
        other = by_digest[run.digest]
        assert (run.label, run.file, dict(run.keys)) == (other.label, other.file, dict(other.keys))
        assert (run.columns.num_params, run.columns.num_clients) == (8, 10)
        assert (run.status, run.error) == (other.status, other.error)
        for name in NUMERIC_FIELDS:
            np.testing.assert_array_equal(run.rounds[name], other.rounds[name])


def test_without_a_manifest_the_coordinates_are_the_configuration(sweep: Path) -> None:
    (sweep / "manifest.json").unlink()
    found = find(sweep / "sweep.nc")
    points = {(r.keys[P], r.keys[Q], r.keys["seed"]): r.final("test_accuracy") for r in found.runs}
    assert points[0.5, 0.0, 2] == pytest.approx(accuracy(0.5, 0.0, 2))
    assert set(found.runs[0].keys) == set(KEYS)


def test_a_page_from_a_collected_sweep_links_the_run_files(sweep: Path) -> None:
    found = find(sweep / "sweep.nc")
    data = page_data(found, tradeoff(found), sweep / "report.html")
    assert {run["href"] for run in data["runs"]} == {f"runs/{i:016x}/run.h5" for i in range(10)}


def test_a_file_of_another_kind_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "sweep.nc"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as a collected sweep"):
        find(path)
    xarray.Dataset({"x": ("y", [1])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(InputError, match="sweep"):
        find(path)
