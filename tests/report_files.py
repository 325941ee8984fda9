"""Small run files and sweeps in which every number that a figure shows is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from run_files import record

from hpcfed.config.file import digest, parse_experiment, to_toml
from hpcfed.records.log import Log
from hpcfed.records.runfile import write_record
from hpcfed.records.schema import PARTICIPATION_FIELDS, ROUND_FIELDS, RUN_FILE

NAN = float("nan")
SIZE = 8  # parameters of the record in run_files
VALUE_BYTES = 4


@dataclass(frozen=True)
class World:
    """One run: its settings and what it recorded, a value a round; clients all take part."""

    test: Sequence[float] = (0.5,)
    validation: Sequence[float] | None = None  # None: as test
    p: float = 0.0
    q: float = 0.0
    seed: int = 0
    sets: Sequence[str] = ()
    status: str = "finished"
    error: str = ""
    num_clients: int = 10
    num_ranks: int = 2
    changes: dict[str, Any] = field(default_factory=dict)
    rounds: dict[str, Sequence[float]] = field(default_factory=dict)

    @property
    def overrides(self) -> list[str]:
        """The settings as --set takes them."""
        return [
            'uplink.mask="bernoulli"',
            f"uplink.mask_probability={self.p}",
            f"participation.drop_probability={self.q}",
            f"seed={self.seed}",
            f"server.rounds={max(1, len(self.test))}",
            *self.sets,
        ]

    @property
    def values_a_round(self) -> float:
        """What is sent up in a round: exactly what is expected."""
        return self.num_clients * (1 - self.q) * (1 - self.p) * SIZE


def write_run(folder: Path, world: World) -> Path:
    """Write the run file of ``world`` into ``folder`` and return it."""
    experiment = parse_experiment("", world.overrides)
    log = Log()
    validation = world.test if world.validation is None else world.validation
    for index, (test, valid) in enumerate(zip(world.test, validation, strict=True)):
        log.append(_round(world, index, test, valid), _clients(world, index))
    base = record(1, world.num_clients)
    attributes = base.attributes | {
        "name": experiment.name,
        "status": world.status,
        "error": world.error,
        "config_toml": to_toml(experiment),
        "config_digest": digest(experiment),
    }
    attempts = [base.attempts[0] | {"num_ranks": world.num_ranks}]
    evaluated = np.isfinite(world.test).any() if len(world.test) else False
    fields: dict[str, Any] = {
        "attributes": attributes | world.changes.get("attributes", {}),
        "log": log,
        "attempts": attempts,
        "evaluation": base.evaluation if evaluated else {},
    }
    others = {k: v for k, v in world.changes.items() if k != "attributes"}
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder / RUN_FILE, record(1, world.num_clients, **(fields | others)))
    return folder / RUN_FILE


def _round(world: World, index: int, test: float, validation: float) -> dict[str, Any]:
    sent = world.values_a_round
    values: dict[str, Any] = dict.fromkeys(ROUND_FIELDS, 0.0)
    values |= {
        "train_loss": 4.0 / (index + 1),
        "validation_accuracy": validation,
        "validation_loss": 2.0 / (index + 1),
        "test_accuracy": test,
        "test_loss": 3.0 / (index + 1),
        "num_participants": world.num_clients,
        "uplink_values": round(sent),
        "uplink_bytes_seed": VALUE_BYTES * sent,
        "uplink_bytes_bitmask": VALUE_BYTES * sent + 100,
        "uplink_bytes_coordinates": 2 * VALUE_BYTES * sent,
        "downlink_bytes": world.num_clients * SIZE * VALUE_BYTES,
        "predicted_bytes": 1000.0,
        "mpi_bytes": 1100.0,
        "seconds_train": 0.5,
        "seconds_communicate": 0.25,
        "seconds_wait": 0.125,
        "params_digest": f"{index:064d}",
    }
    return values | {name: column[index] for name, column in world.rounds.items()}


def _clients(world: World, index: int) -> dict[str, Any]:
    rows = {name: np.full(world.num_clients, float(index + 1)) for name in PARTICIPATION_FIELDS}
    return rows | {"client": np.arange(world.num_clients)}


def write_sweep(folder: Path, worlds: Sequence[World], missing: Sequence[World] = ()) -> None:
    """Write a sweep's folder: a manifest of all worlds, run files of those not missing."""
    entries = []
    for index, world in enumerate([*worlds, *missing]):
        experiment = parse_experiment("", world.overrides)
        name = f"{index:016x}"
        config = experiment.model_dump(mode="json", exclude_none=True)
        entries.append(
            {
                "digest": name,
                "asked": name,
                "current": True,
                "config_digest": digest(experiment),
                "point": {},
                "config": config,
            }
        )
        if index < len(worlds):
            write_run(folder / "runs" / name, world)
    head = {"format": "hpcfed-sweep", "schema_version": 1, "name": "sweep", "runs": entries}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(head))


def grid(p: Sequence[float], q: Sequence[float], seeds: int = 3) -> list[World]:
    """Return a world per p, q and seed whose last test accuracy is known.

    It is 0.9 - 0.2 p - 0.1 q + 0.01 (seed - 1): the mean over three seeds is that of seed 1.
    """
    return [
        World(test=(0.3, accuracy(a, b, s)), validation=(0.2, accuracy(a, b, s)), p=a, q=b, seed=s)
        for b in q
        for a in p
        for s in range(seeds)
    ]


def accuracy(p: float, q: float, seed: int) -> float:
    """Return the last test accuracy of a world of ``grid``."""
    return 0.9 - 0.2 * p - 0.1 * q + 0.01 * (seed - 1)
