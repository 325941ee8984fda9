"""Progress in plain lines, on a terminal, and not at all."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
import termios
from collections.abc import Iterator

import pytest

from hpcfed.base import terminal
from hpcfed.base.terminal import clock
from hpcfed.federation import progress
from hpcfed.federation.recorder import RoundReport

NAN = float("nan")
CURSOR_IS_BACK = b"\x1b[?25h"  # the last thing a bar writes


def report(round_index: int, num_rounds: int = 10, accuracy: float = 0.5) -> RoundReport:
    values = {"train_loss": 1.25, "validation_accuracy": accuracy, "test_accuracy": NAN}
    return RoundReport(round_index, num_rounds, values, 2_500_000.0)


def test_a_line_has_loss_accuracy_and_uplink_so_far() -> None:
    assert progress.describe(report(1)) == "train loss 1.250, validation 50.0 %, uplink 2.5 MB"


def test_what_was_not_evaluated_is_left_out() -> None:
    assert progress.describe(report(1, accuracy=NAN)) == "train loss 1.250, uplink 2.5 MB"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3725, "1:02:05")]
)
def test_durations_read_like_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_plain_lines_where_the_output_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(terminal.VARIABLE, raising=False)
    show = progress.reporter(quiet=False)
    show(report(1))
    show(report(2))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["round 1/10", "round 2/10"]
    assert all(line.endswith("left") for line in lines)
    assert "\x1b" not in "".join(lines)


def test_time_left_counts_the_rounds_since_this_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(terminal.VARIABLE, raising=False)
    now = iter([100.0, 110.0, 120.0])  # a resumed run: 10 s for each of rounds 7 and 8
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    show = progress.reporter(quiet=False)
    show(report(7))
    show(report(8))
    left = [line.rpartition(", ")[2] for line in capsys.readouterr().out.splitlines()]
    assert left == ["0:30 left", "0:20 left"]


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress.reporter(quiet=True)(report(1))
    assert capsys.readouterr().out == ""


@pytest.fixture
def pseudo_terminal() -> Iterator[tuple[int, str]]:
    """Return our end of a terminal of 80 columns, and the path of the other."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    yield ours, os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_terminal_behind_the_launcher_gets_a_bar_that_fits_its_width(
    pseudo_terminal: tuple[int, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, path = pseudo_terminal
    monkeypatch.setenv(terminal.VARIABLE, f"{os.uname().nodename}:{path}")
    show = progress.reporter(quiet=False)
    show(report(1))
    show.say("a remark")
    for index in range(2, 11):
        show(report(index))
    show.close()
    shown = b""
    while CURSOR_IS_BACK not in shown:  # one read gives what has arrived so far
        shown += os.read(ours, 1 << 16)
    text = shown.decode()
    for part in ("10/10", "left", "train loss 1.250", "validation 50.0 %", "uplink 2.5 MB"):
        assert part in text
    assert "a remark" in text
    frames = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))
    assert max(map(len, frames)) <= 80
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("place", ["", "elsewhere:/dev/pts/0", "HOST:/dev/null", "HOST:/no/such"])
def test_where_there_is_no_terminal_there_are_lines(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(terminal.VARIABLE, place.replace("HOST", os.uname().nodename))
    progress.reporter(quiet=False)(report(1))
    assert capsys.readouterr().out.startswith("round 1/10: ")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_the_output_cannot_encode_is_no_error(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, output in outputs.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(output, encoding=encoding))
    terminal.never_fail_to_encode()
    print("größe ✓ 漢")
    console = terminal.console()
    console.print("漢 ━━━")
    sys.stdout.flush()
    assert b"?" in outputs["stdout"].getvalue()
    monkeypatch.undo()


def test_reports_are_flushed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(terminal.VARIABLE, raising=False)

    class Output:
        text, flushed = "", False

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None:
            self.flushed = True

        def isatty(self) -> bool:
            return False

    output = Output()
    monkeypatch.setattr(sys, "stdout", output)
    progress.reporter(quiet=False)(report(1))
    assert output.flushed
