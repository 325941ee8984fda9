"""What is found at a path, and what is listed and left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from report_files import NAN, World, write_run, write_sweep

from hpcfed.errors import InputError
from hpcfed.report.runs import find
from hpcfed.report.values import parse_conditions, value_text
from tests.run_files import edited


def test_a_run_is_found_by_its_file_and_by_its_folder(tmp_path: Path) -> None:
    file = write_run(tmp_path / "mine", World(test=(0.25, 0.75), p=0.5, seed=3))
    for path in (file, file.parent):
        (run,) = find(path).runs
        assert (run.label, run.seed, run.num_rounds, run.final("test_accuracy")) == (
            "mine", 3, 2, 0.75,
        )  # fmt: skip
        assert run.keys["uplink.mask_probability"] == 0.5
        assert (run.columns.num_params, run.columns.num_clients, run.num_ranks) == (8, 10, 2)


def test_bytes_are_added_in_each_rounds_cheapest_way(tmp_path: Path) -> None:
    rounds = {"uplink_bytes_seed": (NAN, 7), "uplink_bytes_bitmask": (5, 9),
              "uplink_bytes_coordinates": (6, 8)}  # fmt: skip
    write_run(tmp_path, World(test=(0.1, 0.2), rounds=rounds))
    assert find(tmp_path).runs[0].uplink_bytes().tolist() == [5, 12]


def test_what_cannot_be_read_is_listed_with_its_reason(tmp_path: Path) -> None:
    good = write_run(tmp_path / "good", World())
    for name in ("broken", "cut", "foreign", "newer", "older", "ragged", "untold"):
        (tmp_path / name).mkdir()
        shutil.copy(good, tmp_path / name / "run.h5")
    (tmp_path / "broken" / "run.h5").write_bytes(b"no HDF5")
    (tmp_path / "cut" / "run.h5").write_bytes(good.read_bytes()[:5000])
    for name, attribute, value in (
        ("foreign", "format", "other"), ("newer", "schema_version", 99),
        ("older", "schema_version", 0), ("untold", "config_toml", "a = ["),
    ):  # fmt: skip
        with edited(tmp_path / name / "run.h5") as file:
            file.attrs[attribute] = value
    with edited(tmp_path / "ragged" / "run.h5") as file:
        del file["rounds/train_loss"]
        file["rounds/train_loss"] = np.zeros(7)
    found = find(tmp_path)
    assert [run.label for run in found.runs] == ["good"]
    reasons = {item.label: item.reason for item in found.skipped}
    assert list(reasons) == ["broken", "cut", "foreign", "newer", "older", "ragged", "untold"]
    for name in ("broken", "cut"):
        assert reasons[name].startswith("cannot be read as a run file: ")
    assert reasons["foreign"] == "not a run file of hpcfed"
    assert (
        reasons["newer"]
        == "schema version 99 of a newer hpcfed; this one reads 1 to 2; update hpcfed to read it"
    )
    assert reasons["older"] == "schema version 0 of an older hpcfed; this one reads 1 to 2"
    assert reasons["ragged"] == "its columns differ in length"
    assert reasons["untold"].startswith("its configuration cannot be read: ")


def test_unfinished_runs_are_listed_and_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "a", World())
    write_run(tmp_path / "b", World(status="running", seed=1))
    write_run(tmp_path / "c", World(status="failed", error="disk full", seed=2))
    done = find(tmp_path).finished()
    assert [run.label for run in done.runs] == ["a"]
    assert [(s.label, s.reason) for s in done.skipped] == [
        ("b", "running after 1 rounds"),
        ("c", "failed after 1 rounds: disk full"),
    ]


def test_a_manifest_tells_what_is_missing(tmp_path: Path) -> None:
    worlds = [World(seed=s) for s in range(3)]
    write_sweep(tmp_path, worlds[:2], missing=worlds[2:])
    found = find(tmp_path)
    assert len(found.planned) == 3
    assert [item.keys["seed"] for item in found.missing] == [2]


def test_a_broken_manifest_is_listed_and_the_runs_are_read(tmp_path: Path) -> None:
    write_sweep(tmp_path, [World()])
    (tmp_path / "manifest.json").write_text('{"format": "hpcfed-sweep", "runs": 3}')
    found = find(tmp_path)
    assert len(found.runs) == 1
    assert found.skipped[0].label == "manifest.json"


def test_conditions_choose_runs_and_plans(tmp_path: Path) -> None:
    worlds = [World(seed=s, p=p) for p in (0.0, 0.5) for s in (0, 1)]
    write_sweep(tmp_path, worlds[:3], missing=worlds[3:])
    found = find(tmp_path).where(parse_conditions(["uplink.mask_probability=0.5"]))
    assert ([run.seed for run in found.runs], len(found.planned)) == ([0], 2)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("uplink.mask_probabilty=0.5", "no run .* did you mean uplink.mask_probability"),
        ("mask_probability=0.5", "no run .* did you mean uplink.mask_probability"),
        ("uplink.mask_probability=0.7", "no run here has 0.7; found 0, 0.5"),
    ],
)
def test_a_condition_that_no_run_can_meet_is_named(tmp_path: Path, item: str, message: str) -> None:
    write_sweep(tmp_path, [World(p=p) for p in (0.0, 0.5)])
    with pytest.raises(InputError, match=message):
        find(tmp_path).where(parse_conditions([item]))


@pytest.mark.parametrize("item", ["seed", "=3", " = 3"])
def test_a_condition_without_key_or_value_is_bad_input(item: str) -> None:
    with pytest.raises(InputError, match="expected KEY=VALUE"):
        parse_conditions([item])


def test_nothing_at_a_path_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find(tmp_path / "none")


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (0.1, "0.1"), (3, "3"), ((1, 0.5), "[1, 0.5]"), (None, "absent"),
     ("<b>", "<b>")],
)  # fmt: skip
def test_values_are_shown_as_people_read_them(value: object, text: str) -> None:
    assert value_text(value) == text
