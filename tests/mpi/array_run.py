"""A user's script: arrays on every rank, a module that goes on, other arrays on rank 1."""

from __future__ import annotations

import sys

import hpcfed
from hpcfed.config.file import parse_experiment
from tests.array_world import SETTINGS, pair, samples


def main() -> None:
    """Run in the folder that is named, and say what became of it."""
    from mpi4py import MPI

    rank, out = MPI.COMM_WORLD.Get_rank(), sys.argv[1]
    told: list[int] = []
    experiment = parse_experiment("", [SETTINGS])
    run = hpcfed.run(
        experiment, out=f"{out}/good", data=pair(), on_round=lambda r: told.append(r.round)
    )
    print(f"rank {rank}: {run.status}, told {told}, {run.rounds.params_digest.iloc[-1]}")
    for rounds in (1, 2):
        half = experiment_of_module(rounds)
        run = hpcfed.run(half, out=f"{out}/module", data=pair(), resume=rounds == 2, quiet=True)
    print(f"rank {rank}: module {run.rounds.params_digest.iloc[-1]}")
    try:
        data = pair() if rank == 0 else samples(36, 7)
        hpcfed.run(experiment, out=f"{out}/bad", data=data, quiet=True)
    except hpcfed.InputError as error:
        print(f"rank {rank} refused: {error}")


def experiment_of_module(rounds: int) -> hpcfed.Experiment:
    """Return one whose network is a module that draws, with a norm."""
    module = {"model.kind": "tests.own_modules:dropping", "server.rounds": rounds}
    return parse_experiment("", [{**SETTINGS, **module}])


if __name__ == "__main__":
    main()
