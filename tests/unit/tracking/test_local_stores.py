"""MLflow and W&B without a server: what their local files hold, a resume included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.federation.run import Request, run
from hpcfed.records.runfile import Record, read_record
from tests import toy_world

_HEADER, _RECORD_HEADER, _BLOCK = 7, 7, 1 << 15


def train(out: Path, tracker: str, rounds: int, resume: bool = False) -> Record:
    sets = [f"server.rounds={rounds}", f'run.track=["{tracker}"]', "name=toy"]
    experiment = parse_experiment("", [*toy_world.SETS, *sets])
    said: list[str] = []
    run(Request(lambda: experiment, out, resume, notify=said.append))
    assert not [text for text in said if "warning" in text]
    return read_record(out)


@pytest.mark.filterwarnings("ignore")  # whatever a library warns of is its own
def test_mlflow_has_one_run_with_every_round_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'store'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a data base takes seconds to be made
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    train(tmp_path / "out", "mlflow", 2)
    record = train(tmp_path / "out", "mlflow", 4, resume=True)
    train(tmp_path / "another", "mlflow", 1)

    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("toy")
    found = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    assert found.keys() == {"out", "another"}
    tracked = found["out"]
    assert tracked.info.status == "FINISHED"
    assert tracked.data.params["server.rounds"] == "2"  # as it began
    assert tracked.data.params["model.hidden"] == "[6]"
    for name in ("train_loss", "test_accuracy", "uplink_bytes_seed"):
        history = client.get_metric_history(tracked.info.run_id, name)
        assert [metric.step for metric in history] == [1, 2, 3, 4]
        assert [metric.value for metric in history] == record.log.rounds[name]


@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_writes_every_round_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "private"))
    train(tmp_path / "out", "wandb", 1)
    record = train(tmp_path / "out", "wandb", 3, resume=True)
    identity = record.attributes["tracked_as"]
    *_, last = sorted((tmp_path / "out" / "wandb").glob(f"offline-run-*-{identity}/*.wandb"))
    told = list(histories(last))
    assert [step for step, _ in told] == [1, 2, 3]
    for step, values in told:
        for name in ("train_loss", "test_accuracy", "uplink_bytes_seed"):
            assert values[name] == record.log.rounds[name][step - 1]


def histories(file: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield step and values of each history record of a small file.

    Its format is LevelDB's log: blocks of records with a checksum, a length and a type.
    """
    from wandb.proto.wandb_internal_pb2 import Record as Told

    content, at = file.read_bytes(), _HEADER
    assert len(content) < _BLOCK  # so that every record is whole
    while at + _RECORD_HEADER < len(content):
        length = int.from_bytes(content[at + 4 : at + 6], "little")
        at += _RECORD_HEADER
        told = Told.FromString(content[at : at + length])
        at += length
        if told.WhichOneof("record_type") == "history":
            items = {(i.key or ".".join(i.nested_key)): i.value_json for i in told.history.item}
            yield told.history.step.num, {k: json.loads(v) for k, v in items.items()}
