"""Code of one's own that was edited is another experiment: for a resumed run and for a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sweep_files import written

from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.federation.run import Request, run
from hpcfed.learning.engines import resolve_engine
from hpcfed.records.runfile import read_record
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import plan, write_manifest
from tests import toy_world

LOADS = "from tests.toy_world import load\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a module with a data function of one's own, somewhere that Python finds it."""
    path = tmp_path / "edited_data.py"
    path.write_text(LOADS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


def train(out: Path, rounds: int, *more: str, resume: bool = False) -> None:
    settings = [*toy_world.SETS, "data.dataset=edited_data:load", f"server.rounds={rounds}", *more]
    experiment = parse_experiment("", settings)
    run(Request(lambda: experiment, out, resume))


def test_a_resumed_run_refuses_code_that_was_edited(tmp_path: Path, own: Path) -> None:
    out = tmp_path / "out"
    train(out, 1)
    before = (out / "run.h5").read_bytes()
    own.write_text(f"{LOADS}# edited\n")
    with pytest.raises(InputError, match=r"other values of the code of data.dataset"):
        train(out, 2, resume=True)
    assert (out / "run.h5").read_bytes() == before
    own.write_text(LOADS)
    train(out, 2, resume=True)
    assert read_record(out).log.num_rounds == 2


def test_a_sweep_plans_edited_code_anew_and_keeps_the_old_runs(tmp_path: Path, own: Path) -> None:
    base = '[data]\ndataset = "edited_data:load"\nnum_bins = 100\nvalidation_fraction = 0.2\n'
    sweep = written(tmp_path / "s", "[grid]\nseed = [0, 1]", base=base)

    def planned() -> tuple[set[str], set[str]]:
        paths = Paths(tmp_path / "out")
        manifest = plan(sweep, paths, resolve_engine).manifest
        write_manifest(paths, manifest, "")
        return {r.digest for r in manifest.current}, {r.digest for r in manifest.dropped}

    first, nobody = planned()
    own.write_text(f"{LOADS}# edited\n")
    second, dropped = planned()
    assert (len(first), len(second), nobody) == (2, 2, set())
    assert not first & second
    assert dropped == first


def test_first_parameters_are_known_by_what_they_are(tmp_path: Path, own: Path) -> None:
    train(tmp_path / "a", 1, "seed=1")
    train(tmp_path / "b", 1, "seed=2")
    digests = []
    for name in ("a", "b"):
        start = tmp_path / name / "run.h5"
        copy = tmp_path / "first.h5"
        copy.write_bytes(start.read_bytes())
        train(tmp_path / f"from {name}", 1, f'model.warm_start="{copy}"')
        attributes = read_record(tmp_path / f"from {name}").attributes
        digests.append(json.loads(attributes["origins"])["warm_start"])
    assert digests[0] != digests[1]
