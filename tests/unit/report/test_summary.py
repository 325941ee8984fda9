"""Tables of runs: figures from known numbers, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcfed.base.amounts import percent, size_text
from hpcfed.errors import InputError
from hpcfed.records.log import Log
from hpcfed.records.runfile import write_record
from hpcfed.report.overview import content, run_rows
from hpcfed.report.runs import find
from hpcfed.report.summary import best_round, find_runs, print_summary, summary
from tests.run_files import record

NAN = float("nan")


def rounds(validation: list[float], test: list[float]) -> Log:
    log = record(len(validation)).log
    log.rounds["validation_accuracy"] = validation
    log.rounds["test_accuracy"] = test
    return log


def test_the_best_round_is_chosen_on_validation_and_test_is_only_reported() -> None:
    best = best_round(rounds([0.5, NAN, 0.75, 0.75], [0.9, NAN, 0.25, 0.5]).rounds)
    assert best is not None
    assert (best.round, best.validation, best.test) == (3, 0.75, 0.25)


def test_without_an_evaluated_round_there_is_no_best() -> None:
    assert best_round(rounds([], []).rounds) is None
    assert best_round(rounds([NAN], [NAN]).rounds) is None


def test_a_summary_gives_the_last_evaluated_accuracies(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    write_record(path, record(3, log=rounds([0.25, 0.5, NAN], [0.125, 0.25, NAN])))
    lines = dict(summary(path))
    assert lines["validation accuracy"] == "50.0 % after the last round"
    assert lines["test accuracy"] == "25.0 % after the last round"
    assert lines["best on validation"] == "round 2: 50.0 % validation, 25.0 % test"
    assert lines["rounds"] == "3"
    assert lines["parameters"] == "8"
    assert lines["uplink"] == "3 B from clients to the server, each round in its cheapest way"
    assert lines["ways to send it"].startswith("3 values: 3 B as values + seed")
    assert lines["through MPI"].startswith("3 B of updates and models from rank to rank")
    assert lines["status"] == "finished"


def test_a_committee_has_lines_of_its_own_and_a_single_network_none(tmp_path: Path) -> None:
    log = record(2).log
    values = {"map_accuracy": 0.5, "map_loss": 1.25, "entropy": 0.75, "expected_entropy": 0.5,
              "mutual_information": 0.25}  # fmt: skip
    for name, value in values.items():
        log.rounds[f"test_{name}"] = [value, NAN]
        log.rounds[f"validation_{name}"] = [NAN, NAN]
    log.rounds["validation_entropy"] = [0.75, 0.75]  # a single network has one as well
    write_record(tmp_path / "run.h5", record(2, log=log))
    lines = dict(summary(tmp_path / "run.h5"))
    assert lines["test MAP accuracy"] == "50.0 %, loss 1.250 nat, by the most probable weights"
    assert lines["test entropy"] == "0.750 nat = 0.500 expected + 0.250 mutual information"
    assert not {"validation MAP accuracy", "validation entropy"} & set(lines)


def test_rates_have_a_line_where_spikes_answer(tmp_path: Path) -> None:
    log = record(2).log
    values = {"test_rate_accuracy": 0.95, "test_rate_loss": 0.25, "test_accuracy": 0.9375}
    for name, value in values.items():
        log.rounds[name] = [value, NAN]
    log.rounds["validation_rate_accuracy"] = [NAN, NAN]
    write_record(tmp_path / "run.h5", record(2, log=log))
    lines = dict(summary(tmp_path / "run.h5"))
    assert lines["test rate accuracy"] == "95.0 %, loss 0.250 nat, +1.2 points beside spikes"
    assert "validation rate accuracy" not in lines


def test_a_network_without_spikes_has_no_hidden_rate(tmp_path: Path) -> None:
    log = record(2).log
    for last in (0.25, NAN):
        log.rounds["hidden_rate"] = [0.5, last]
        write_record(tmp_path / "run.h5", record(2, log=log))
        assert ("hidden rate" in dict(summary(tmp_path / "run.h5"))) is (last == 0.25)


def test_a_failed_run_says_why(tmp_path: Path) -> None:
    attributes = record().attributes | {"status": "failed", "error": "the disk is full"}
    write_record(tmp_path / "run.h5", record(attributes=attributes))
    assert dict(summary(tmp_path / "run.h5"))["status"] == "failed the disk is full"


def test_what_could_not_be_tracked_is_said(tmp_path: Path) -> None:
    write_record(tmp_path / "run.h5", record())
    assert "not tracked" not in dict(summary(tmp_path / "run.h5"))
    attributes = record().attributes | {"tracking_error": "mlflow: no such server"}
    write_record(tmp_path / "run.h5", record(attributes=attributes))
    assert dict(summary(tmp_path / "run.h5"))["not tracked"] == "mlflow: no such server"


def test_a_run_without_a_round_has_a_summary(tmp_path: Path) -> None:
    write_record(tmp_path / "run.h5", record(0))
    assert dict(summary(tmp_path / "run.h5"))["rounds"] == "0"
    assert [row[3] for row in run_rows(content(find(tmp_path)))] == ["0"]


def test_an_overview_has_a_line_for_each_run_and_one_that_says_what_is_unreadable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        write_record(tmp_path / name / "run.h5", record())
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "run.h5").write_bytes(b"broken")
    lines = list(run_rows(content(find(tmp_path))))
    assert [line[0] for line in lines] == ["a", "b/c"]
    assert lines[0][1:] == ("", "finished", "3", "200.0 %", "200.0 %", "3 B")
    print_summary(tmp_path)
    assert "left out: d: " in capsys.readouterr().out


def test_no_run_at_a_path_is_bad_input(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError):
            find_runs(path)


def test_a_file_is_its_own_run(tmp_path: Path) -> None:
    write_record(tmp_path / "other.h5", record())
    assert find_runs(tmp_path / "other.h5") == [tmp_path / "other.h5"]


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (4_430_000, "4.43 MB"), (2e9, "2 GB"),
     (5e12, "5 TB")],
)  # fmt: skip
def test_sizes_are_in_powers_of_a_thousand(size: float, text: str) -> None:
    assert size_text(size) == text


def test_per_cent_and_the_dash_for_nothing() -> None:
    assert (percent(0.1234), percent(NAN)) == ("12.3 %", "-")
