"""Which ranks are late, from what is known of each; the threads are tested under MPI."""

from __future__ import annotations

import json

import pytest

from hpcfed.federation.mpi.watchdog import Beat, late_ranks, read_beat

NOW, LIMIT = 1000.0, 60.0


def waiting(for_s: float, heard_s: float = 1.0) -> Beat:
    return Beat("agree", True, NOW - for_s, NOW - heard_s)


def busy(phase: str = "training", for_s: float = 500.0, heard_s: float = 1.0) -> Beat:
    return Beat(phase, False, NOW - for_s, NOW - heard_s)


def test_nobody_is_late_while_nobody_waits_long() -> None:
    assert late_ranks({}, NOW, LIMIT) == ""
    assert late_ranks({0: waiting(59), 1: busy()}, NOW, LIMIT) == ""


def test_nobody_is_late_while_all_train() -> None:
    assert late_ranks({0: busy(), 1: busy(for_s=9000)}, NOW, LIMIT) == ""


def test_the_rank_that_others_wait_for_is_named_with_its_phase() -> None:
    text = late_ranks({0: waiting(61), 1: busy(), 2: waiting(70)}, NOW, LIMIT)
    assert text == ("2 ranks wait in agree for more than 1 min; late: rank 1 (in training)")


def test_the_root_can_be_the_late_one() -> None:
    text = late_ranks({0: busy("server step"), 1: waiting(61)}, NOW, LIMIT)
    assert text.endswith("late: rank 0 (in server step)")


def test_a_silent_rank_is_late_and_called_stopped_or_dead() -> None:
    text = late_ranks({0: waiting(61), 1: busy(heard_s=61)}, NOW, LIMIT)
    assert "rank 1 (last heard of in training, now silent: stopped or dead)" in text


def test_a_rank_that_fell_silent_while_waiting_is_late_too() -> None:
    text = late_ranks({0: waiting(61), 1: waiting(200, heard_s=100)}, NOW, LIMIT)
    assert "late: rank 1" in text


def test_all_late_ranks_are_named_in_order() -> None:
    text = late_ranks({3: busy("loading data"), 0: waiting(61), 1: busy()}, NOW, LIMIT)
    assert text.endswith("late: rank 1 (in training); rank 3 (in loading data)")


def test_all_waiting_for_each_other_names_nobody() -> None:
    assert late_ranks({0: waiting(61), 1: waiting(61)}, NOW, LIMIT) == ""


def test_a_rank_that_hangs_before_its_first_beat_is_named() -> None:
    beats = {0: Beat("agree", True, 0.0, 9.0), 1: Beat("starting", False, 0.0, 0.0)}
    assert "late: rank 1 (last heard of in starting, now silent" in late_ranks(beats, 9.0, 5.0)


def test_the_process_of_a_late_rank_is_named_where_it_is_known() -> None:
    stopped = Beat("training", False, NOW - 500, NOW - 61, "process 7 on a")
    text = late_ranks({0: waiting(61), 1: stopped}, NOW, LIMIT)
    assert "rank 1 (last heard of in training, process 7 on a, now silent" in text


def datagram(*words: object) -> bytes:
    return json.dumps(words).encode()


def test_a_beat_of_this_job_is_read() -> None:
    rank, beat = read_beat(datagram(7, 2, "training", False, 1.5, "process 3 on a"), 7, NOW)
    assert (rank, beat) == (2, Beat("training", False, NOW - 1.5, NOW, "process 3 on a"))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xfe", b"[", b"7", b"null", b"{}", b"[" * 100_000,
        datagram(8, 2, "training", False, 1.5, ""),  # another job's
        datagram(7, [2], "training", False, 1.5, ""),
        datagram(7, True, "training", False, 1.5, ""),
        datagram(7, 2, {"a": 1}, False, 1.5, ""),
        datagram(7, 2, "training", 0, 1.5, ""),
        datagram(7, 2, "training", False, "1.5", ""),
        datagram(7, 2, "training", False, -1.0, ""),
        b'[7, 2, "training", false, Infinity, ""]',
        b'[7, 2, "training", false, NaN, ""]',
        datagram(7, 2, "training", False, 1.5),
    ],
)  # fmt: skip
def test_anything_else_is_no_beat_and_ends_nothing(data: bytes) -> None:
    assert read_beat(data, 7, NOW) is None


def test_control_characters_never_reach_the_terminal() -> None:
    _, beat = read_beat(datagram(7, 2, "a\x1b[2Jb\n", False, 1.5, "x" * 500 + "\x07"), 7, NOW)
    assert beat.phase == "a[2Jb"
    assert beat.process == "x" * 200
