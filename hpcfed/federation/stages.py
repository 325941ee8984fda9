"""A run whose hyper-parameters change at some rounds: one stage after the other, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from hpcfed.config import Experiment
from hpcfed.config.file import digest
from hpcfed.config.stages import Stage
from hpcfed.errors import InputError
from hpcfed.federation.run import Request, RunResult, run
from hpcfed.learning.engines import resolve_engine
from hpcfed.records.fork import fork
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import glance


def run_stages(
    stages: Sequence[Stage], out: Path, notify: Callable[[str], None] = print
) -> RunResult:
    """Run ``stages`` in the folder ``out``, which may hold a part of them; one rank.

    Raises InputError for a folder of something else, and what ``run`` raises.
    """
    result = RunResult("finished", out / RUN_FILE)
    before = 0
    for stage in stages:
        client = stage.experiment.client
        chosen = client.model_copy(update={"engine": resolve_engine(stage.experiment)})
        experiment = stage.experiment.model_copy(update={"client": chosen})
        state = glance(out / RUN_FILE)
        if state is None or state.num_rounds < stage.until:
            if state is not None and state.config_digest != digest(experiment):
                if state.num_rounds != before:
                    raise InputError(f"{out}: holds another run; choose another folder with --out")
                fork(out, before, out, experiment)
            result = _run(experiment, out, notify)
            if result.status != "finished":
                break
        before = stage.until
    return result


def _run(experiment: Experiment, out: Path, notify: Callable[[str], None]) -> RunResult:
    return run(Request(lambda: experiment, out, resume=True, notify=notify))
