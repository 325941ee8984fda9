"""A run file with every field filled by numbers that can be recognised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hpcfed.config.file import digest, parse_experiment, to_toml
from hpcfed.records.log import Log
from hpcfed.records.reading import BLOCK_BYTES, block
from hpcfed.records.runfile import Record
from hpcfed.records.schema import PARTICIPATION_FIELDS, ROUND_FIELDS


def record(num_rounds: int = 3, num_clients: int = 2, **changes: Any) -> Record:
    """Return a record; ``changes`` replace its fields."""
    experiment = parse_experiment("")
    log = Log()
    for index in range(num_rounds):
        values = {name: float(index) for name in ROUND_FIELDS}
        values["params_digest"] = f"{index:064d}"
        rows = {name: np.full(num_clients, index) for name in PARTICIPATION_FIELDS}
        rows["client"] = np.arange(num_clients)
        late = [0] if index == 1 else []
        log.append(values, rows, late, np.array([[10, index, 0]]))
    attempt = {
        "started": "2026-01-02T03:04:05+00:00",
        "ended": "finished",
        "num_ranks": 2,
        "hosts": "a,b",
        "lost": "rank 1 (a)",
        "seconds_lost": 1.5,
        "mpi": "some MPI",
        "versions": "{}",
        "first_round": 0,
        "last_round": num_rounds,
    }
    fields: dict[str, Any] = {
        "attributes": {
            "name": "example",
            "status": "finished",
            "verdict": "",
            "error": "",
            "engine": "norse",
            "data_source": "spoken-digits",
            "data_digest": "0" * 64,
            "provenance": "{}",
            "attempt": 1,
            "writer": "a.7.0",
            "written": 1767323045.0,
            "config_toml": to_toml(experiment),
            "config_digest": digest(experiment),
        },
        "log": log,
        "clients": {
            "num_samples": np.arange(1, num_clients + 1),
            "group": np.array([f"speaker {k}" for k in range(num_clients)], object),
        },
        "evaluation": {
            "split": "test",
            "round": num_rounds,
            "confusion": np.array([[2, 1], [0, 3]]),
            "group_accuracy": np.array([0.75, np.nan]),
            "label": np.array(["zero", "one"], object),
            "prediction": np.array(["zero", "one"], object),
            "group": np.array(["x", "y"], object),
            "layer": np.arange(1),
            "layer_rates": np.array([0.125]),
            "layer_neurons": np.array([2]),
            "weights": np.array(["hidden0.input", "readout"], object),
            "operations": np.array([4, 4]),
            "entering": np.array([0.5, 0.125]),
            "entering_value": np.array([0.5, 0.125]),
            "input_rate": np.float64(0.5),
            "confidence_bin": np.array([0.5, 1.0]),
            "confidence_samples": np.array([2, 4]),
            "confidence_correct": np.array([1, 4]),
            "mean_confidence": np.array([0.25, 0.875]),
            "example_spikes": {
                "hidden0": np.zeros((1, 4, 3), np.uint8),
                "input": np.ones((1, 4, 2), np.uint8),
                "label": np.array([1]),
            },
        },
        "params": np.arange(8, dtype=np.float32),
        "layout": (("hidden0.input", "readout"), ((2, 2), (2, 2))),
        "checkpoint": {"round": num_rounds, "moments": np.ones((1, 8)), "memory": ""},
        "attempts": [attempt],
    }
    return Record(**(fields | changes))


@contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """Open a run file to change it, as no user should; its block is made anew."""
    with h5py.File(path, "r+") as file:
        yield file
    content = path.read_bytes()
    path.write_bytes(block(memoryview(content[BLOCK_BYTES:])) + content[BLOCK_BYTES:])
