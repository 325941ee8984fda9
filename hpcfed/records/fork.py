"""A run that begins with another one's: its file under a new name, with another configuration.

Parameters, server moments, the memories of clients and all rounds so far come along; the parent's
files stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

from hpcfed.config import Experiment
from hpcfed.config.file import digest, to_toml
from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record, write_record
from hpcfed.records.schema import RUN_FILE, TRACKED_AS


def fork(parent: Path, num_rounds: int, child: Path, experiment: Experiment) -> None:
    """Write the run file of ``child``, a folder, from that of ``parent`` after ``num_rounds``.

    Raises InputError where the parent is not at that round, OSError where nothing can be written.
    """
    record = read_record(parent / RUN_FILE)
    done = int(record.checkpoint["round"])
    if done != num_rounds:
        raise InputError(f"{parent / RUN_FILE}: has {done} rounds, expected {num_rounds} to fork")
    client = experiment.client.model_copy(update={"engine": record.attributes["engine"]})
    experiment = experiment.model_copy(update={"client": client})
    attributes = record.attributes | {
        "name": experiment.name,
        "config_toml": to_toml(experiment),
        "config_digest": digest(experiment),
        "status": "stopped",
        "verdict": "",
        "error": "",
        "parent": parent.name,
        "parent_round": num_rounds,
        "attempt": 0,  # nobody's, until its first start
        "writer": "",
    }
    attributes.pop(TRACKED_AS, None)  # trackers know it as the parent
    child.mkdir(parents=True, exist_ok=True)
    memory = str(record.checkpoint.get("memory", ""))
    if memory and parent != child:
        _share(parent / memory, child / memory)
    write_record(child / RUN_FILE, replace(record, attributes=attributes))


def _share(source: Path, target: Path) -> None:
    """Give a file a second name; files of memories are replaced, never changed."""
    target.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another file system, or one without links
        os.link(source, target)
        return
    shutil.copyfile(source, target)
