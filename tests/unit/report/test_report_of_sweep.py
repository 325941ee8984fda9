"""The report reads the manifest and the collected file that the sweep really writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from run_files import record

from hpcfed.config.file import to_toml
from hpcfed.records.runfile import write_record
from hpcfed.report.figures.tradeoff import rows, tradeoff
from hpcfed.report.page import state_lines
from hpcfed.report.runs import find

manifests = pytest.importorskip(
    "hpcfed.sweep.planning.manifest", reason="there is no hpcfed.sweep here"
)

SWEEP = """
base = "base.toml"
[set]
uplink.mask = "bernoulli"
[grid]
"uplink.mask_probability" = [0.0, 0.5]
"participation.drop_probability" = [0.0, 0.5]
seed = [0, 1, 2]
"""


def test_what_a_sweep_leaves_is_what_the_report_reads(tmp_path: Path) -> None:
    from hpcfed.records.sweepfolder import Paths
    from hpcfed.sweep.collecting.collect import collect
    from hpcfed.sweep.planning.sweepfile import read_sweep

    (tmp_path / "base.toml").write_text("[server]\nrounds = 2\n")
    (tmp_path / "sweep.toml").write_text(SWEEP)
    sweep, paths = read_sweep(tmp_path / "sweep.toml"), Paths(tmp_path / "out")
    manifest = manifests.plan(sweep, paths, lambda experiment: "norse").manifest
    manifests.write_manifest(paths, manifest, SWEEP)
    base = record(2)
    for index, run in enumerate(manifest.runs[:-1]):
        base.log.rounds["test_accuracy"] = [0.1, 0.2 + 0.01 * index]
        base.log.rounds["num_participants"] = [2, 2]
        base.log.rounds["downlink_bytes"] = [2 * 8 * 4.0, 2 * 8 * 4.0]
        attributes = base.attributes | {
            "config_toml": to_toml(run.experiment),
            "config_digest": run.config_digest,
        }
        paths.run(run.digest).mkdir(parents=True)
        write_record(paths.run_file(run.digest), replace(base, attributes=attributes))
    list(collect(manifest, paths))
    files, collected = find(paths.out), find(paths.collected)
    assert [len(found.planned) for found in (files, collected)] == [12, 12]
    assert state_lines(files)[1] == "Missing: 1 of 12 have no run file yet."
    tables = [list(map(str, rows(tradeoff(found)))) for found in (files, collected)]
    assert tables[0] == tables[1]
    assert len(tables[0]) == 4
    points = next(iter(tradeoff(files).groups.values()))
    assert sum(point.accuracy.count for point in points) == 11
