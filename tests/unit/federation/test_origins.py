"""What a run is made of besides its configuration: the same on every rank, at every start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hpcfed
from hpcfed.clients.participation import participants
from hpcfed.clients.population import Listed
from hpcfed.config.file import parse_experiment
from hpcfed.config.own import code_digests, own_code
from hpcfed.errors import InputError
from hpcfed.federation.job import build_job
from hpcfed.federation.origins import check_same, origins
from hpcfed.records import origins as recorded
from hpcfed.records.origins import Made
from hpcfed.records.runfile import read_record
from hpcfed.sweep.planning.grid import name_of
from tests import toy_world
from tests.mpi.launch import toy

TOY = [*toy_world.SETS]
HALVES = "partition.kind=my_partition:halves"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a module of one's own, somewhere that Python finds it."""
    path = tmp_path / "my_partition.py"
    path.write_text("def halves(labels, groups, num_clients, seed):\n    return []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path


def test_a_job_knows_digests_of_its_data_splits_and_clients() -> None:
    first = origins(build_job(parse_experiment("", TOY), 1, 0))
    again = origins(build_job(parse_experiment("", TOY), 3, 1))
    assert first == again
    assert set(first) == {
        "data",
        "splits",
        "partition",
        "code of data.dataset",
        "code of rule.kind",
    }
    other = origins(build_job(parse_experiment("", [*TOY, "data.split_seed=7"]), 1, 0))
    assert {key for key in first if first[key] != other[key]} == {"splits", "partition"}


def test_what_differs_is_named() -> None:
    ours = {"data": "a", "splits": "b", "partition": "c"}
    check_same(ours, {**ours, "more": "d"}, "rank 1")
    check_same(ours, {}, "an old run")
    with pytest.raises(InputError, match=r"^rank 1 has other values of which client owns which"):
        check_same(ours, ours | {"partition": "x"}, "rank 1")
    with pytest.raises(InputError, match=r"the events, .*validation"):
        check_same(ours, ours | {"data": "x", "splits": "y"}, "rank 1")


@pytest.mark.mpi
def test_a_partition_that_follows_from_the_process_is_refused_on_all_ranks(tmp_path: Path) -> None:
    sets = ("partition.kind=tests.toy_world:by_process", "partition.num_clients=2")
    ended = toy(2, tmp_path / "a", *sets)
    assert ended.rc == 2
    assert "which client owns which samples" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "a").exists()
    assert toy(1, tmp_path / "b", *sets, "server.rounds=1").rc == 0
    known = json.loads(read_record(tmp_path / "b").attributes["origins"])
    assert len(known["partition"]) == 64
    ended = toy(1, tmp_path / "b", *sets, "server.rounds=2", options=["--resume"])
    assert ended.rc == 2
    assert "which client owns which samples" in ended.stderr


def test_code_of_ones_own_is_told_by_its_source(own: Path) -> None:
    experiment = parse_experiment("", [HALVES, "partition.num_clients=2"])
    assert own_code(experiment) == {"partition.kind": "my_partition:halves"}
    before, name = code_digests(experiment), name_of(experiment)
    own.write_text(own.read_text() + "# changed\n")
    assert code_digests(experiment) != before
    assert name_of(experiment) != name
    assert name_of(parse_experiment("")) == name_of(parse_experiment(""))
    with pytest.raises(InputError, match="no module absent_module"):
        code_digests(parse_experiment("", ["model.kind=absent_module:halves"]))


def made(label: str, written: float, attributes: dict[str, str], **keys: object) -> Made:
    return Made(label, {"data.dataset": "a.h5", **keys}, {"written": written, **attributes})


def test_runs_of_other_data_under_one_name_are_told_apart_from_the_most() -> None:
    pairs = {"a": "x", "b": "y", "c": "x"}
    runs = [made(name, 1.0, {"data_digest": digest}) for name, digest in pairs.items()]
    found = recorded.apart(runs)
    assert list(found) == ["b"]
    assert "other data" in found["b"]
    assert recorded.apart(runs[::2]) == {}
    elsewhere = Made("d", {"data.dataset": "b.h5"}, {"data_digest": "z"})
    assert list(recorded.apart([*runs, elsewhere])) == ["b"]


def test_generated_data_of_other_seeds_have_other_names() -> None:
    runs = [
        Made(name, {"data.dataset": "timing", "data.generated.seed": seed}, {"data_digest": name})
        for seed, name in enumerate("abc")
    ]
    assert recorded.apart(runs) == {}
    assert recorded.apart([*runs, replace(runs[0], attributes={"data_digest": "z"})])


def test_of_as_many_runs_the_latest_count() -> None:
    runs = [made("old", 1.0, {"data_digest": "x"}), made("new", 2.0, {"data_digest": "y"})]
    assert list(recorded.apart(runs)) == ["old"]


def test_other_first_parameters_and_other_code_are_told_apart_too() -> None:
    begun, own = {"model.warm_start": "first/run.h5"}, {"model.kind": "m:f"}
    runs = [
        made("a", 1.0, {"origins": json.dumps({"warm_start": "x"})}, **begun),
        made("b", 2.0, {"origins": json.dumps({"warm_start": "y"})}, **begun),
        made("c", 2.0, {"origins": json.dumps({"code of model.kind": "x"})}, **own),
        made("d", 3.0, {"origins": json.dumps({"code of model.kind": "y"})}, **own),
        made("old", 0.0, {}),
        made("odd", 0.0, {"origins": "not JSON"}),
    ]
    found = recorded.apart(runs)
    assert set(found) == {"a", "c"}
    assert "first parameters" in found["a"]
    assert "code" in found["c"]


@pytest.mark.parametrize("num_clients", [1, 7, 1000])
def test_participants_are_those_of_one_threshold_each(num_clients: int) -> None:
    from hpcfed.base.purposes import Purpose
    from hpcfed.base.seeds import Stream, threshold

    rng = np.random.default_rng(0)
    drop = np.concatenate([[0.0, 1.0, 0.5, 2.0**-32, 1 - 2.0**-33], rng.random(num_clients)])
    words = Stream(3, Purpose.PARTICIPATION, 5).words(len(drop)).tolist()
    expected = [k for k, q in enumerate(drop.tolist()) if words[k] >= threshold(q)]
    assert participants(drop, 3, 5).tolist() == expected


def test_a_population_lists_samples_and_names_the_largest_group() -> None:
    events = toy_world.load(parse_experiment("", TOY).data)[0]
    parts = [np.array([0, 1, 5]), np.array([3, 4]), np.array([40, 41, 2])]
    found = Listed.of(parts)
    assert found.num_clients == 3
    assert found.num_samples.tolist() == [3, 2, 3]
    assert found.client(1).samples.tolist() == [3, 4]
    counts = [np.bincount(events.groups[part]) for part in parts]
    expected = [events.group_names[int(count.argmax())] for count in counts]
    assert found.group_names(events) == expected


def test_a_model_of_somebody_elses_imports_nothing_without_trust(tmp_path: Path, own: Path) -> None:
    from hpcfed.records.runfile import write_record
    from tests.run_files import record

    given = record()
    config = 'seed = 1\n[model]\nkind = "evil_network:make"\n'
    given.attributes["config_toml"] = config
    write_record(tmp_path / "run.h5", given)
    (tmp_path / "evil_network.py").write_text("raise RuntimeError('imported')\n")
    model = hpcfed.load(str(tmp_path / "run.h5"))
    assert model.weights()
    events = toy_world.load(parse_experiment("", TOY).data)[0]
    model_data = model.experiment.data.model_copy(
        update={"num_bins": events.num_bins, "duration": events.duration}
    )
    assert model_data.num_bins == 4
    with pytest.raises(InputError, match=r"imports evil_network:make.*trust=True"):
        model.predict(events)


def test_a_function_with_other_arguments_is_refused_and_they_are_named(own: Path) -> None:
    own.write_text("def halves(labels):\n    return []\n")
    experiment = parse_experiment("", [*TOY, HALVES, "partition.num_clients=2"])
    with pytest.raises(InputError, match=r"cannot be called with \(labels, groups, num_clients, "):
        build_job(experiment, 1, 0)
