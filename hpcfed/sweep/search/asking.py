"""A process that makes proposals: one question a line on stdin, one answer a line on stdout.

A question says what may be seen, so that the answer does not depend on when it is read; libraries
stay loaded, and fits are kept while observations are the same.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any  # Any: a message's values are of any JSON type

from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.records.searched import POINT
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import read_manifest
from hpcfed.sweep.planning.planned_run import run_of
from hpcfed.sweep.search.folder import SearchFolder, Snapshot
from hpcfed.sweep.search.propose import Proposer


def serve(paths: Paths, resolve_engine: Callable[[Experiment], str]) -> None:
    """Answer questions until stdin ends."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not look like an answer
    manifest = read_manifest(paths)
    search = manifest.search
    if search is None:
        raise InputError(f"{paths.out}: holds no search")
    folder = SearchFolder(search, paths)
    proposer = Proposer(search, lambda point: run_of(search, point, resolve_engine))
    cores = manifest.resources.ranks_per_run * manifest.resources.threads
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line), folder, proposer, cores)
        except (InputError, OSError) as error:
            answer = {"placed": 0, "error": str(error), "unwritable": isinstance(error, OSError)}
        channel.write(json.dumps(answer) + "\n")
        channel.flush()


def _answer(
    question: dict[str, Any], folder: SearchFolder, proposer: Proposer, cores: int
) -> dict[str, Any]:
    """Place up to ``count`` proposals, each pending for the next."""
    snapshot = Snapshot(question["number"], tuple(question["pending"]), tuple(question["left_out"]))
    folder.read()
    placed = 0
    for _ in range(question["count"]):
        draft = proposer.next(folder.seen(snapshot), may_add(folder, snapshot, cores))
        if draft is None or not folder.place(draft, snapshot):
            break
        placed += 1
        folder.read()
        number = snapshot.number
        snapshot = replace(snapshot, number=number + 1, pending=(*snapshot.pending, number))
    return {"placed": placed, "error": "", "unwritable": False}


def may_add(folder: SearchFolder, snapshot: Snapshot, cores: int) -> bool:
    """Say whether the budget allows another point."""
    seen, config = folder.seen(snapshot), folder.search.config
    tried = len(seen.of_kind(POINT)) - len(folder.search.known)
    if config.evaluations is not None and tried >= config.evaluations:
        return False
    spent = folder.spent_core_hours(cores, seen.results.keys())
    return config.core_hours is None or spent < config.core_hours
