"""The dimensions of a collected sweep: no label twice, every seed itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest
import xarray
from sweep_files import finish, planned

from hpcfed.records.sweepfolder import Paths
from hpcfed.report.grid import sort_key
from hpcfed.report.runs import find
from hpcfed.report.values import value_text
from hpcfed.sweep.collecting.collect import collect
from hpcfed.sweep.planning.manifest import Manifest

P, Q = "uplink.mask_probability", "participation.drop_probability"
BIG = [1, 2**53 + 1, 2**63, 2**64 - 2, 2**64 - 1]


def collected(folder: Path, text: str) -> tuple[Manifest, Paths, xarray.Dataset]:
    """Plan, finish and collect a sweep."""
    manifest, paths = planned(folder, text)
    finish(paths, manifest.current)
    list(collect(manifest, paths))
    return manifest, paths, xarray.load_dataset(paths.collected, engine="h5netcdf")


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        # the first key repeats a value, the second does not: the second names the dimension
        (f'"{P}" = [0.1, 0.1, 0.5]\n"{Q}" = [0.2, 0.3, 0.4]', {Q: 3, "seed": 2}),
        # each repeats a value: each is a dimension
        (f'"{P}" = [0.1, 0.1, 0.5]\n"{Q}" = [0.2, 0.3, 0.3]', {P: 2, Q: 2, "seed": 2}),
        # neither does: the first
        (f'"{P}" = [0.1, 0.2, 0.5]\n"{Q}" = [0.3, 0.2, 0.1]', {P: 3, "seed": 2}),
    ],
)
def test_no_label_of_a_zipped_dimension_stands_twice(
    text: str, sizes: dict[str, int], tmp_path: Path
) -> None:
    manifest, _, data = collected(tmp_path, f"[grid]\nseed = [0, 1]\n[zip]\n{text}")
    assert {n: s for n, s in data["num_rounds"].sizes.items() if n != "round"} == sizes
    assert all(index.is_unique for index in data.indexes.values())
    loss = data["train_loss"]
    first = next(iter(sizes))
    assert float((loss - loss.isel({first: slice(1)})).max()) == 0
    assert data.reindex({first: data[first][::-1]})["digest"].size == data["digest"].size
    assert set(data["digest"].values.flat) - {""} == {run.digest for run in manifest.runs}


def test_a_point_lies_where_its_own_keys_are(tmp_path: Path) -> None:
    text = f'[zip]\n"{P}" = [0.1, 0.1, 0.5]\n"{Q}" = [0.2, 0.3, 0.3]'
    manifest, _, data = collected(tmp_path, text)
    for run in manifest.runs:
        there = data["digest"].sel({P: run.point[P], Q: run.point[Q]})
        assert there.item() == run.digest
    assert data["digest"].sel({P: 0.5, Q: 0.2}).item() == ""


def test_seeds_of_64_bits_are_whole_numbers_in_every_table(tmp_path: Path) -> None:
    manifest, paths, data = collected(tmp_path, f"[grid]\nseed = {BIG}")
    assert data["seed"].dtype == np.uint64
    assert data["seed"].values.tolist() == BIG
    for run in manifest.runs:
        assert data["digest"].sel(seed=run.point["seed"]).item() == run.digest
    table = pandas.read_parquet(paths.table(".parquet"))
    assert (table["seed"].dtype, table["seed"].tolist()) == (np.uint64, BIG)
    assert [line.split(",")[1] for line in paths.table(".csv").read_text().split()[1:]] == [
        str(seed) for seed in BIG
    ]
    paths.manifest.unlink()  # coordinates alone
    assert sorted(run.keys["seed"] for run in find(paths.collected).runs) == BIG


def test_seeds_have_one_type_whatever_their_size(tmp_path: Path) -> None:
    _, paths, data = collected(tmp_path, '[grid]\nseed = [0, 1]\n"data.split_seed" = [0, 3]')
    assert {data[key].dtype for key in ("seed", "data.split_seed")} == {np.dtype(np.uint64)}
    table = pandas.read_parquet(paths.table(".parquet"))
    assert {table[key].dtype for key in ("seed", "data.split_seed")} == {np.dtype(np.uint64)}


def test_a_seed_in_a_single_dimension_is_a_whole_number(tmp_path: Path) -> None:
    seeds = [1, *(2**63 + i for i in range(99))]
    lines = [f'[[points]]\nseed = {seed}\n"{P}" = {i / 200}' for i, seed in enumerate(seeds)]
    _, _, data = collected(tmp_path, "\n".join(lines))
    assert "run" in data.dims
    assert data["seed"].values.tolist() == seeds


def test_big_seeds_are_sorted_and_written_exactly() -> None:
    assert sorted([BIG[at] for at in (3, 1, 4, 0, 2)], key=sort_key) == BIG
    assert [value_text(seed) for seed in BIG] == [str(seed) for seed in BIG]
