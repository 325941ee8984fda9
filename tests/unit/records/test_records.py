"""The run file: its schema, that anyone can open it, and that it is whole at any moment."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hpcfed.base import atomic
from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record, write_record
from hpcfed.records.schema import RUN_FILE, SCHEMA_VERSION
from tests.places import GOLDEN, REPOSITORY
from tests.run_files import edited, record

GOLDEN = GOLDEN / "run_file_schema.txt"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_record(tmp_path / RUN_FILE, record())
    return tmp_path / RUN_FILE


def schema(path: Path) -> Iterator[str]:
    """Yield a line for each attribute and each object of the file, in the order of their names."""
    with h5py.File(path) as file:
        yield from attributes("", file)
        objects = []
        file.visititems(lambda name, item: objects.append((name, item)))
        for name, item in sorted(objects):
            yield from described(name, item)


def described(name: str, item: h5py.Group | h5py.Dataset) -> Iterator[str]:
    if isinstance(item, h5py.Dataset):
        kind = "text" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
        kind = "S64" if item.dtype.kind == "S" else kind
        scales = [scale.name.rpartition("/")[2] for axis in item.dims for scale in axis.values()]
        role = " scale" if item.is_scale else ""
        units = item.attrs.get("units", "-") or "-"
        yield f"/{name} {kind} ({', '.join(scales)}) {item.ndim}d{role}, unit {units}"
        if item.attrs.get("description"):
            yield f"    {item.attrs['description']}"
    else:
        yield f"/{name}/"
    yield from attributes(name, item)


def attributes(name: str, item: h5py.Group) -> Iterator[str]:
    hidden = {"units", "description", *["CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"]}
    for key in sorted(set(item.attrs) - hidden):
        value = item.attrs[key]
        yield f"/{name}@{key} {'text' if isinstance(value, str) else np.asarray(value).dtype}"


def test_the_schema_is_the_golden_one(path: Path) -> None:
    found = "\n".join(schema(path)) + "\n"
    if os.environ.get("HPCFED_UPDATE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text()


def test_every_number_of_the_log_has_units_and_a_meaning(path: Path) -> None:
    with h5py.File(path) as file:
        for group in ("rounds", "clients", "evaluation"):
            for name, item in file[group].items():
                if isinstance(item, h5py.Dataset) and "CLASS" not in item.attrs:
                    assert "units" in item.attrs, name
                    assert item.attrs["description"], name


def test_what_is_written_is_read(path: Path) -> None:
    written, read = record(), read_record(path)
    assert read.attributes == written.attributes
    assert read.layout == written.layout
    assert read.params.dtype == np.float32
    assert read.params.tolist() == written.params.tolist()
    assert read.checkpoint["round"] == 3
    assert read.checkpoint["memory"] == ""
    assert read.checkpoint["moments"].tolist() == [[1.0] * 8]
    assert read.attempts == written.attempts
    assert read.log.rounds["train_loss"] == [0.0, 1.0, 2.0]
    rows = read.log.participations
    assert [row.tolist() for row in rows["client"]] == [[0, 1]] * 3
    assert [row.tolist() for row in rows["train_loss"]] == [[0, 0], [1, 1], [2, 2]]
    assert read.clients["group"].tolist() == ["speaker 0", "speaker 1"]
    assert read.evaluation["confusion"].tolist() == [[2, 1], [0, 3]]
    assert read.evaluation["split"] == "test"
    assert read.evaluation["example_spikes"]["input"].tolist() == [[[1, 1]] * 4]


def test_a_record_read_and_written_again_is_the_same_file(path: Path) -> None:
    again = path.with_name("again.h5")
    write_record(again, read_record(path))
    assert list(schema(again)) == list(schema(path))
    with h5py.File(path) as old, h5py.File(again) as new:
        names: list[str] = []
        old.visit(names.append)
        for name in names:
            if isinstance(old[name], h5py.Dataset):
                np.testing.assert_array_equal(old[name][()], new[name][()], err_msg=name)


def test_a_run_without_a_round_can_be_written_and_read(tmp_path: Path) -> None:
    empty = record(0, evaluation={}, params=np.zeros(0, np.float32), checkpoint={"round": 0})
    write_record(tmp_path / RUN_FILE, empty)
    assert read_record(tmp_path).log.num_rounds == 0


def test_the_digest_of_a_round_survives_writing_and_a_second_append(path: Path) -> None:
    read = read_record(path)
    read.log.append(
        {name: values[-1] for name, values in read.log.rounds.items()},
        {name: rows[-1] for name, rows in read.log.participations.items()},
    )
    write_record(path, read)
    assert list(read_record(path).log.rounds["params_digest"]) == [
        f"{index:064d}".encode() for index in (0, 1, 2, 2)
    ]


def test_a_truncated_log_forgets_the_rounds_after(path: Path) -> None:
    log = read_record(path).log.truncated(1)
    assert log.num_rounds == 1
    assert {len(column) for column in log.rounds.values()} == {1}
    assert {len(rows) for rows in log.participations.values()} == {1}


def test_xarray_opens_rounds_and_clients_without_our_code(path: Path) -> None:
    with xr.open_dataset(path, engine="h5netcdf", group="rounds") as rounds:
        assert rounds["train_loss"].dims == ("round",)
        assert rounds["train_loss"].values.tolist() == [0.0, 1.0, 2.0]
        assert rounds["mpi_bytes"].attrs["units"] == "B"
    with xr.open_dataset(path, engine="h5netcdf", group="participations") as rows:
        assert rows["train_loss"].dims == ("participation",)
        assert {"round", "client"} <= set(rows.coords)
        table = rows.set_index(participation=["round", "client"]).unstack("participation")
        assert table["train_loss"].sel(round=2).values.tolist() == [1.0, 1.0]
    with xr.open_dataset(path, engine="h5netcdf", group="clients") as clients:
        assert clients["num_samples"].values.tolist() == [1, 2]
        assert clients["group"].values.tolist() == ["speaker 0", "speaker 1"]


def test_pandas_gets_a_table_of_the_rounds_without_our_code(path: Path) -> None:
    with h5py.File(path) as file:
        table = pd.DataFrame({name: item[()] for name, item in file["rounds"].items()})
    assert len(table) == 3
    assert table.set_index("round")["num_participants"].tolist() == [0, 1, 2]


def test_writing_leaves_nothing_but_the_file(path: Path) -> None:
    write_record(path, record(5))
    assert [file.name for file in path.parent.iterdir()] == [RUN_FILE]


KILLED = """
import os, signal, sys
from pathlib import Path
from hpcfed.base import atomic; from hpcfed.records.runfile import write_record
from tests.run_files import record

path, moment = Path(sys.argv[1]), sys.argv[2]

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

if moment == "before fsync":
    os.fsync = die
elif moment == "before rename":
    Path.replace = die
else:
    atomic.sync_folder = die
write_record(path, record(9))
"""


@pytest.mark.parametrize(
    ("moment", "rounds"), [("before fsync", 3), ("before rename", 3), ("after rename", 9)]
)
def test_a_kill_while_writing_leaves_a_whole_file(path: Path, moment: str, rounds: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, path, moment], cwd=REPOSITORY, check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    assert read_record(path).log.num_rounds == rounds


def test_readers_never_see_a_part_of_a_file(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hpcfed.records.runfile import write_record;"
        "from tests.run_files import record\n"
        "print('ready', flush=True)\n"
        "while True:\n    for n in (3, 40, 400): write_record(Path(sys.argv[1]), record(n, 50))"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, path], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    with writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        seen = {read_record(path).log.num_rounds for _ in range(40)}
        writer.kill()
    assert seen <= {3, 40, 400}
    assert read_record(path).log.num_rounds in {3, 40, 400}


def test_a_full_disk_is_an_error_and_leaves_the_old_file(path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_record(path, record(50))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read_record(path).log.num_rounds == 3
    assert [file.name for file in path.parent.iterdir()] == [RUN_FILE]


def test_the_folder_is_synchronised_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    rename = Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append("fsync"))
    monkeypatch.setattr(
        Path, "replace", lambda self, target: (done.append("rename"), rename(self, target))[1]
    )
    monkeypatch.setattr(atomic, "sync_folder", lambda folder: done.append("folder"))
    with atomic.replacing(tmp_path / "x") as stream:
        stream.write(b"content")
    assert done == ["fsync", "rename", "folder"]
    assert (tmp_path / "x").read_bytes() == b"content"


def test_a_folder_stands_for_its_run_file(path: Path) -> None:
    assert read_record(path.parent).log.num_rounds == 3


@pytest.mark.parametrize("keep", [0, 7, 100, 2000, 0.5, 0.9, -1])
def test_a_cut_file_is_bad_input(path: Path, keep: float) -> None:
    whole = path.read_bytes()
    length = int(keep * len(whole)) if isinstance(keep, float) else keep
    path.write_bytes(whole[:length])
    with pytest.raises(InputError, match=r"run\.h5"):
        read_record(path)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_file_is_bad_input_or_still_readable(path: Path, seed: int) -> None:
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    start = seed * len(content) // 20
    content[start : start + len(content) // 20] = 0xA5
    path.write_bytes(content.tobytes())
    try:
        read_record(path)
    except InputError as error:
        assert str(path) in str(error)


def test_other_files_are_bad_input(tmp_path: Path) -> None:
    text, foreign, empty = tmp_path / "text.h5", tmp_path / "foreign.h5", tmp_path / "empty.h5"
    text.write_text("not HDF5")
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    empty.touch()
    for file_path in (text, foreign, empty, tmp_path / "missing.h5", tmp_path):
        with pytest.raises(InputError, match="run file"):
            read_record(file_path)


def test_a_file_of_a_newer_schema_says_to_update(path: Path) -> None:
    with edited(path) as file:
        file.attrs["schema_version"] = SCHEMA_VERSION + 1
    with pytest.raises(InputError, match=r"newer.* update hpcfed"):
        read_record(path)


def test_text_outside_ascii_survives(tmp_path: Path) -> None:
    attributes = record().attributes | {"name": "Größe 一"}
    write_record(tmp_path / RUN_FILE, replace(record(), attributes=attributes))
    assert read_record(tmp_path).attributes["name"] == "Größe 一"


def test_every_group_and_the_whole_tree_open_in_xarray(tmp_path: Path) -> None:
    write_record(tmp_path / RUN_FILE, record())
    with h5py.File(tmp_path / RUN_FILE, "r") as file:
        groups: list[str] = []
        file.visititems(lambda name, item: groups.append(name) if hasattr(item, "keys") else None)
    assert "evaluation/example_spikes" in groups
    for group in groups:
        xr.open_dataset(tmp_path / RUN_FILE, group=group, engine="h5netcdf").close()
    with xr.open_datatree(tmp_path / RUN_FILE, engine="h5netcdf") as tree:
        examples = tree["evaluation/example_spikes"]
        assert examples["hidden0"].dims == ("sample", "bin", "hidden0_neuron")
        assert examples["input"].dims == ("sample", "bin", "channel")


def test_rounds_count_from_one_and_say_so(tmp_path: Path) -> None:
    write_record(tmp_path / RUN_FILE, record())
    for group in ("rounds", "participations"):
        with xr.open_dataset(tmp_path / RUN_FILE, group=group, engine="h5netcdf") as rounds:
            assert sorted(set(rounds["round"].to_numpy().tolist())) == [1, 2, 3]
            assert "counted from 1" in rounds["round"].attrs["description"]
