"""How workers get the runs of a search: what was begun, what is ready, and when it is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sweep_files import finish, norse, written

from hpcfed.records.columns import read_columns
from hpcfed.records.results import Result, result_of
from hpcfed.records.searched import Item, read_result
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import write_manifest
from hpcfed.sweep.planning.planned_run import run_of
from hpcfed.sweep.planning.searches import plan_search
from hpcfed.sweep.search.asking import may_add
from hpcfed.sweep.search.folder import SearchFolder, Snapshot
from hpcfed.sweep.search.propose import Proposer
from hpcfed.sweep.working import claims, searching
from hpcfed.sweep.working.asker import Answer, Asker
from hpcfed.sweep.working.owners import Owner, Presence, this_process
from hpcfed.sweep.working.searching import ASK, SearchSource

BASE = "[server]\nrounds = 3\n[data]\nvalidation_fraction = 0.2\n"
TEXT = """[search]
method = "random"
minimise = "train_loss"
evaluations = {count}
ahead = 2
[search.space]
"client.learning_rate" = {{ log = [1e-4, 1e-1] }}
"""


class Stub:
    """Makes proposals in this process, when it is allowed to."""

    def __init__(self, folder: SearchFolder) -> None:
        self.folder, self.allowed = folder, threading.Event()
        self.allowed.set()
        self.questions: list[Snapshot] = []
        self.most = 1000  # questions that are answered at once

    def ask(self, snapshot: Snapshot, count: int) -> Answer:
        """Place proposals as the process would."""
        if len(self.questions) >= self.most:
            self.allowed.clear()
        assert self.allowed.wait(60)
        self.questions.append(snapshot)
        search, placed = self.folder.search, 0
        proposer = Proposer(search, lambda point: run_of(search, point, norse))
        self.folder.read()
        for _ in range(count):
            number = len(self.folder.items)
            now = Snapshot(number, (*snapshot.pending, *range(snapshot.number, number)), ())
            draft = proposer.next(self.folder.seen(now), may_add(self.folder, now, 1))
            if draft is None or not self.folder.place(draft, now):
                break
            placed += 1
            self.folder.read()
        return Answer(placed)

    def kill(self) -> None:
        """Let nobody wait any more."""
        self.allowed.set()

    def close(self) -> None:
        """Do nothing."""


class World:
    """A planned search, and sources of its runs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int = 6) -> None:
        sweep, self.paths = written(folder, TEXT.format(count=count), BASE), Paths(folder / "out")
        assert sweep.search is not None
        self.search = sweep.search
        manifest = plan_search(sweep, self.search, self.paths, norse).manifest
        write_manifest(self.paths, manifest, sweep.text)
        self.stubs: list[Stub] = []
        monkeypatch.setattr(searching, "Asker", self.asker)
        self.sources: list[SearchSource] = []
        self.stopping = threading.Event()

    def asker(self, out: Path) -> Stub:
        """Return a stub, and remember it."""
        self.stubs.append(Stub(SearchFolder(self.search, self.paths)))
        return self.stubs[-1]

    def source(self, slots: int = 1) -> SearchSource:
        """Return another source of runs."""
        me = this_process()
        self.sources.append(SearchSource(self.search, self.paths, me, Presence(me, None), slots))  # type: ignore[arg-type]
        return self.sources[-1]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    found = World(tmp_path, monkeypatch)
    yield found
    found.stopping.set()
    for source in found.sources:
        source.close()


def test_all_points_are_given_once_in_order_and_then_it_is_over(world: World) -> None:
    source, given = world.source(), []
    while (run := source.next(world.stopping)) is not None:
        given.append(run.digest)
        finish(world.paths, [run])
        source.ended(run)
    assert source.num_left == 0
    folder = SearchFolder(world.search, world.paths)
    folder.read()
    assert given == [item.digest for item in folder.items]
    assert len(set(given)) == 6


def test_a_proposal_sees_what_had_ended_when_the_run_before_it_began(world: World) -> None:
    source = world.source()
    for _ in range(6):
        run = source.next(world.stopping)
        assert run is not None
        finish(world.paths, [run])  # at once, whatever the asker is doing
        source.ended(run)
    folder = SearchFolder(world.search, world.paths)
    folder.read()
    # with two ahead, each has the two before it pending, and the first three began together
    assert [item.pending for item in folder.items] == [(), (0,), (0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_worker_takes_what_is_ready_while_proposals_are_made(world: World) -> None:
    source = world.source(slots=2)
    first = source.next(world.stopping)
    world.stubs[0].allowed.clear()
    assert first is not None
    finish(world.paths, [first])
    source.ended(first)
    second = source.next(world.stopping)  # nobody answers, and nobody is waited for
    assert second is not None
    assert second.digest != first.digest


def test_one_worker_with_one_slot_waits_for_the_answer_to_its_last_question(world: World) -> None:
    source = world.source(slots=1)
    world.stubs[0].most = 1
    first = source.next(world.stopping)
    assert first is not None
    finish(world.paths, [first])
    source.ended(first)
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(source.next(world.stopping)))
    thread.start()
    thread.join(1.5)
    assert not taken  # though a proposal is ready
    world.stubs[0].most = 1000
    world.stubs[0].allowed.set()
    thread.join(30)
    assert len(taken) == 1


def test_what_was_begun_is_gone_on_with_before_anything_new(world: World) -> None:
    source = world.source(slots=2)
    runs = [source.next(world.stopping) for _ in range(3)]
    begun = runs[1]
    assert begun is not None
    finish(world.paths, [begun], num_rounds=1, status="stopped")
    for run in runs:
        assert run is not None
        source.ended(run)
    again = world.source(slots=2).next(world.stopping)
    assert again is not None
    assert again.digest == begun.digest


def test_what_others_hold_is_theirs_and_waited_for_only_if_it_may_lead_on(world: World) -> None:
    source = world.source()
    run = source.next(world.stopping)
    assert run is not None
    while (more := source.next(world.stopping)) is not None:
        finish(world.paths, [more])
        source.ended(more)
    # the budget is spent, and one run goes on in a slot: nothing more can come of it
    assert source.num_left == 0


def test_a_search_that_is_asked_to_stop_has_more_to_do(world: World) -> None:
    source = world.source()
    assert source.next(world.stopping) is not None
    world.stopping.set()
    assert source.next(world.stopping) is None
    assert source.num_left == 1


def test_somebody_who_is_asking_is_not_disturbed(world: World) -> None:
    # a process of another host, of which nobody can say that it has ended
    other = Owner("-", "-", 0, "elsewhere", "boot", 1, 1)
    assert claims.acquire(world.paths.claims / ASK, other, lambda owner: False) is None
    source = world.source()
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(source.next(world.stopping)))
    thread.start()
    thread.join(1.2)
    assert thread.is_alive()  # it waits
    assert not world.stubs[0].questions
    claims.release(world.paths.claims / ASK, other)
    thread.join(30)
    assert len(taken) == 1
    assert world.stubs[0].questions


def test_a_network_that_was_stopped_is_a_result_and_a_run_that_goes_on_is_none(
    world: World,
) -> None:
    source = world.source()
    run = source.next(world.stopping)
    assert run is not None
    folder = SearchFolder(world.search, world.paths)
    folder.read()
    item: Item = folder.items[0]

    def result(num_rounds: int, status: str) -> Result | None:
        finish(world.paths, [run], num_rounds, status)
        return read_result(world.paths.run_file(run.digest), item, ("train_loss",))

    assert result(2, "stopped") is None
    whole = result(3, "finished")
    assert whole is not None
    assert len(whole.scores["train_loss"]) == 3
    columns = read_columns(world.paths.run_file(run.digest))
    assert result_of(columns, 0, 3, "silent").verdict == "silent"
    assert result_of(columns, 0, 2, "silent").verdict == ""  # it was not silent yet
    # what a fork has inherited has cost it nothing
    forked = read_result(world.paths.run_file(run.digest), replace(item, begins=2), ("train_loss",))
    assert forked is not None
    last = sum(float(c[2]) for n, c in columns.rounds.items() if n.startswith("seconds_"))
    assert forked.seconds == last < whole.seconds


def test_claims_that_the_dead_have_left_on_finished_runs_are_released(world: World) -> None:
    source = world.source()
    dead = replace(this_process(), pid=2**22 + 1, started=1)
    while (run := source.next(world.stopping)) is not None:
        finish(world.paths, [run])
        assert claims.acquire(world.paths.claim(run.digest), dead, lambda owner: False) is None
        source.ended(run)
    assert claims.acquire(world.paths.claims / ASK, dead, lambda owner: False) is None
    stranger = Owner("-", "-", 0, "elsewhere", "boot", 1, 1)  # of whom nobody can say it
    assert claims.acquire(world.paths.claim("0" * 16), stranger, lambda owner: False) is None
    source.close()
    world.sources.remove(source)
    assert [path.name for path in world.paths.claims.iterdir()] == ["0" * 16]


def test_a_run_file_that_is_damaged_is_made_anew(world: World) -> None:
    source = world.source()
    while (run := source.next(world.stopping)) is not None:
        finish(world.paths, [run])
        source.ended(run)
    first = world.stubs[0].folder.items[0]
    file = world.paths.run_file(first.digest)
    file.write_bytes(file.read_bytes()[:-50])
    again = world.source().next(world.stopping)
    assert again is not None
    assert again.digest == first.digest


def test_an_asker_that_cannot_be_started_is_an_error(world: World, tmp_path: Path) -> None:
    answer = Asker(tmp_path / "nothing here").ask(Snapshot(0, (), ()), 1)
    assert answer.placed == 0
    assert "has died twice" in answer.error
