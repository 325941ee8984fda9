"""Names in files of somebody else's become no path outside of their folder."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray
from sweep_files import finish, planned

from hpcfed.clients.memory import Memory
from hpcfed.errors import InputError
from hpcfed.federation import memory as memories
from hpcfed.federation.run import _memory
from hpcfed.records.sweepfolder import Paths
from hpcfed.report.runs import find
from hpcfed.sweep.collecting.collect import collect
from hpcfed.sweep.planning.manifest import read_manifest
from hpcfed.sweep.slurm import arrays
from tests.federation_worlds import LoneTransport

EVIL = "../../../evil"
BAD = [EVIL, "/evil", "", ".", "..", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef\n", 7,
       None, ["a"], "\uff10123456789abcdef"]  # fmt: skip


class Transport(LoneTransport):
    """The only rank there is."""

    def broadcast_text(self, text: str) -> str:
        """Return the root's text."""
        return text


def change(paths: Paths, name: Any, **more: Any) -> None:
    """Give the first run of a manifest another name."""
    content = json.loads(paths.manifest.read_text())
    content["runs"][0] |= {"digest": name, **more}
    paths.manifest.write_text(json.dumps(content))


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("current", [True, False])
def test_a_run_of_a_manifest_has_a_name_that_is_no_path(
    name: Any, current: bool, tmp_path: Path
) -> None:
    _, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    change(paths, name, current=current)
    with pytest.raises(InputError, match="is no name of a run, expected 16 hex digits"):
        read_manifest(paths)
    found = find(paths.out)
    assert not found.planned
    assert "is no name of a run" in found.skipped[0].reason


@pytest.mark.parametrize("name", BAD)
def test_a_run_of_an_array_has_a_name_that_is_no_path(name: Any, tmp_path: Path) -> None:
    manifest, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    good = arrays.Submitted("s-1", "9", (tuple(run.digest for run in manifest.runs),))
    arrays.write(paths, good)
    assert arrays.read(paths, "s-1") == good
    text = json.dumps({"name": "s-1", "job": "9", "tasks": [[name]]})
    paths.array("s-1").write_text(text)
    with pytest.raises(InputError, match="is no name of a run"):
        arrays.read(paths, "s-1")


def test_a_run_of_a_collected_sweep_has_a_name_that_is_no_path(tmp_path: Path) -> None:
    manifest, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    finish(paths, manifest.runs)
    list(collect(manifest, paths))
    with xarray.open_dataset(paths.collected, engine="h5netcdf") as root:
        changed = root.load()
    with xarray.open_dataset(paths.collected, engine="h5netcdf", group="clients") as clients:
        clients.load()
    changed["digest"][0] = EVIL
    changed.to_netcdf(paths.collected, engine="h5netcdf")
    clients.to_netcdf(paths.collected, mode="a", group="clients", engine="h5netcdf")
    with pytest.raises(InputError, match="is no name of a run"):
        find(paths.collected)


@pytest.mark.parametrize("name", [EVIL, "/evil", "memory-4.npy"])
def test_a_run_file_names_memories_of_its_round_beside_it(name: str, tmp_path: Path) -> None:
    kept = Memory(residual=3, rows={0: np.ones(3, np.float32)})
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    for place in (folder / "memory-3.npy", (folder / name) if name == EVIL else None):
        if place is not None:
            memories.save(Transport(), place, kept, 1)

    def job() -> Any:
        return SimpleNamespace(owners=np.zeros(1, np.int64), memory=Memory(residual=3))

    def start(named: str) -> Any:
        record = SimpleNamespace(checkpoint={"memory": named})
        return SimpleNamespace(record=record, state=SimpleNamespace(round=3))

    found = _memory(job(), folder, start("memory-3.npy"), Transport())
    assert found.rows[0].tolist() == [1, 1, 1]
    with pytest.raises(InputError, match=r"expected memory-3\.npy"):
        _memory(job(), folder, start(name), Transport())
