"""Memory is predicted from shapes, and a run that would not fit does not begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpcfed.base import machine
from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.federation import footprint
from hpcfed.federation.job import Job, build_job
from hpcfed.federation.remarks import remarks
from hpcfed.networks import footprint as shapes
from hpcfed.networks.stack import stages
from hpcfed.samples.samples import Shape

IMAGES = ("data.dataset=digits", "data.num_bins=4", "model.neuron=leaky", "model.readout=current",
          "client.batch_size=8", "client.engine=norse")  # fmt: skip


def job(*overrides: str) -> Job:
    experiment = parse_experiment("", [*IMAGES, 'model.hidden=["4c3", "p2", 6]', *overrides])
    return build_job(experiment, 1, 0)


def experiment(*overrides: str) -> Experiment:
    return parse_experiment("", [*IMAGES, 'model.hidden=["4c3", "p2", 6]', *overrides])


def test_a_step_keeps_drive_spikes_and_what_pools_send() -> None:
    model = experiment("model.norm=bntt").model
    found = stages(model, Shape((1, 8, 8), 10))
    cells = 4 * 8
    kept = 5 * (4 * 64) + 5 * 6 + 4 * (4 * 16) + 4 * 64
    moving = 2 * 4 * (4 * 64)
    expected = cells * (kept + moving) + 24 * 1000 + shapes._WORK
    assert shapes.step_bytes(model, found, 4, 8, 1000) == expected


def test_memory_grows_with_bins_and_batch_and_is_multiplied_by_threads() -> None:
    small = footprint.training_bytes(job())
    assert small is not None
    more = [job("data.num_bins=40"), job("client.batch_size=80")]
    assert all((footprint.training_bytes(one) or 0) > small for one in more)
    assert footprint.training_bytes(job("client.threads=3")) == 3 * small
    large = job("client.batch_size=100000")  # no client has so many samples
    assert (footprint.training_bytes(large) or 0) < 20 * small


def test_too_little_memory_names_what_to_lower(monkeypatch: pytest.MonkeyPatch) -> None:
    found = job()
    monkeypatch.setattr(footprint, "free_memory_bytes", lambda: 150 << 20)
    footprint.check_memory(found, 1)
    expected = r"0\.1 GiB on each of 2 ranks, and this host has 0\.1 GiB left: lower client\.batch"
    with pytest.raises(InputError, match=expected):
        footprint.check_memory(found, 2)
    monkeypatch.setattr(footprint, "free_memory_bytes", lambda: None)
    footprint.check_memory(found, 1000)


def test_what_a_step_takes_is_said() -> None:
    (said,) = remarks(job())
    assert said == "a training step takes about 96 MiB of memory on each rank"
    (more,) = remarks(job("data.num_bins=20000", "data.duration=9.0"))
    assert int(more.split()[5]) > 200


def test_an_engine_without_prediction_is_not_checked() -> None:
    found = replace(job(), trainer=object())  # type: ignore[arg-type]
    assert footprint.training_bytes(found) is None
    footprint.check_memory(found, 10**6)


def test_the_smaller_of_machine_and_job_limit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [tmp_path / name for name in ("meminfo", "most", "now")]
    for path, text in zip(names, ("MemFree: 1 kB\nMemAvailable: 300 kB\n", "200000", "50000"),
                          strict=True):  # fmt: skip
        path.write_text(text)
    monkeypatch.setattr(machine, "_MEMINFO", names[0])
    monkeypatch.setattr(machine, "_LIMITS", ((str(names[1]), str(names[2])),))
    assert machine.free_memory_bytes() == 150_000
    names[1].write_text("max\n")
    assert machine.free_memory_bytes() == 300 * 1024
    monkeypatch.setattr(machine, "_MEMINFO", tmp_path / "nothing")
    assert machine.free_memory_bytes() is None
