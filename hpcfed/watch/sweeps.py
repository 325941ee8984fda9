"""How far a sweep or a search is: what ``hpcfed sweep status`` says, and whether it has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hpcfed.config import Experiment
from hpcfed.config.search import Search
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest, read_manifest
from hpcfed.sweep.planning.planned_run import run_of
from hpcfed.sweep.search.asking import may_add
from hpcfed.sweep.search.folder import SearchFolder
from hpcfed.sweep.search.propose import Proposer
from hpcfed.sweep.slurm.commands import SlurmQueue
from hpcfed.sweep.states import SweepState, look
from hpcfed.sweep.status import lines as status_lines
from hpcfed.sweep.working import claims, owners
from hpcfed.sweep.working.searching import ASK
from hpcfed.watch.view import FAILED, FINISHED, RUNNING, STOPPED, WAITING, View

_PAUSE_OF_SLURM_S = 30.0  # a scheduler serves many, and is asked at each look
ResolveEngine = Callable[[Experiment], str]


def view_of_sweep(folder: Path, resolve_engine: ResolveEngine) -> View:
    """Return how far the sweep in ``folder`` is. Raises InputError where none can be read."""
    paths = Paths(folder)
    manifest = read_manifest(paths)
    state = look(manifest, paths)
    counts = Counter(run.status for run in state.runs)
    done = sum(run.num_rounds for run in state.runs)
    total = sum(run.run.num_rounds for run in state.runs)
    status = _status(manifest, paths, counts, resolve_engine)
    words = [f"{number} {name}" for name, number in sorted(counts.items())]
    brief = f"{status}: {', '.join(words) or 'no run yet'}; round {done} of {total}"
    told = [f"{manifest.name} ({folder}): {status}", *status_lines(manifest, paths, state)]
    return View(status, brief, tuple(told), done, total, _pause_s(state))


def _pause_s(state: SweepState) -> float:
    return _PAUSE_OF_SLURM_S if state.arrays or state.jobs else 1.0


def _status(
    manifest: Manifest, paths: Paths, counts: Counter[str], resolve_engine: ResolveEngine
) -> str:
    if counts["running"] or counts["queued"]:
        return RUNNING
    ended = counts["finished"] + counts["failed"] == counts.total()
    if manifest.search is not None:
        if _is_asking(paths):
            return RUNNING
        ended = ended and _is_complete(manifest, manifest.search, paths, resolve_engine)
    if ended:
        return FAILED if counts["failed"] else FINISHED
    begun = counts.total() > counts["missing"]
    return STOPPED if begun else WAITING


def _is_asking(paths: Paths) -> bool:
    """Say whether somebody is making a proposal."""
    holder = claims.all_holders(paths.claims).get(ASK)
    presence = owners.Presence(owners.this_process(), SlurmQueue())
    return holder is not None and not presence.is_gone(holder)


def _is_complete(
    manifest: Manifest, search: Search, paths: Paths, resolve_engine: ResolveEngine
) -> bool:
    """Say whether no proposal would follow: the budget is spent, and nothing is to be repeated."""
    folder = SearchFolder(search, paths)
    folder.read()
    if folder.open_items():
        return False
    proposer = Proposer(search, lambda point: run_of(search, point, resolve_engine))
    is_population = search.method == "population"
    cores = manifest.resources.ranks_per_run * manifest.resources.threads
    if not is_population and may_add(folder, folder.snapshot(), cores):
        return False
    return proposer.next(folder.everything(), may_add=is_population) is None
