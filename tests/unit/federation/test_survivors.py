"""What the living ranks do when one is lost, seen from one of them; the MPI part is a stand-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from hpcfed.errors import InputError
from hpcfed.federation.mpi import survivors, transport
from hpcfed.federation.mpi.survivors import Survivors
from hpcfed.federation.mpi.transport import RankLostError


@dataclass
class Comm:
    """A communicator that says how large it is."""

    size: int

    def Get_size(self) -> int:
        """Return the number of ranks."""
        return self.size

    def Get_rank(self) -> int:
        """Return our number."""
        return 0


@dataclass
class Others:
    """What the others bring: whether each attempt has ended for all of them, and who lives then."""

    ended: list[bool]
    living: list[list[int]] = field(default_factory=list)

    def agree(self, comm: Comm, flag: bool) -> bool:
        """Agree with them."""
        return self.ended.pop(0) and flag

    def shrunken(self, comm: Comm) -> tuple[Comm, list[int]]:
        """Shrink to those that live."""
        ranks = self.living.pop(0)
        return Comm(len(ranks)), ranks


@pytest.fixture
def among(monkeypatch: pytest.MonkeyPatch) -> Callable[[Others], Survivors]:
    """Return one of five ranks among others."""

    def among(others: Others) -> Survivors:
        monkeypatch.setattr(transport, "tolerates_losses", lambda: True)
        monkeypatch.setattr(transport, "agree", others.agree)
        monkeypatch.setattr(transport, "shrunken", others.shrunken)
        return Survivors(Comm(5))

    return among


def attempts(*ends: object) -> Callable[[], object]:
    """Return an attempt that ends so the first time, so the second, and so on."""
    left = list(ends)

    def attempt() -> object:
        end = left.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    return attempt


def test_a_result_on_all_ranks_is_the_end(among: Callable[[Others], Survivors]) -> None:
    ranks = among(Others([True]))
    assert ranks.see_through(attempts("done")) == "done"
    assert ranks.past == survivors.Past("", None)


def test_an_error_on_all_ranks_is_the_end(among: Callable[[Others], Survivors]) -> None:
    with pytest.raises(InputError, match="bad"):
        among(Others([True])).see_through(attempts(InputError("bad")))


@pytest.mark.parametrize("first", ["done", InputError("bad"), RankLostError("lost")], ids=str)
def test_what_a_lost_rank_interrupts_elsewhere_is_repeated_here(
    among: Callable[[Others], Survivors], first: object
) -> None:
    ranks = among(Others([False, True], [[0, 1, 3, 4]]))
    assert ranks.see_through(attempts(first, "again")) == "again"
    assert ranks.comm.size == 4
    assert ranks.past.lost == "rank 2 (unknown host)"
    assert ranks.past.began is not None


def test_ranks_keep_their_first_numbers(among: Callable[[Others], Survivors]) -> None:
    lost = RankLostError("lost")
    ranks = among(Others([False, False, True], [[1, 2, 3, 4], [0, 2]]))
    assert ranks.see_through(attempts(lost, lost, "done")) == "done"
    assert [name.split()[1] for name in ranks.lost] == ["0", "2", "4"]


def test_an_mpi_error_without_a_loss_is_an_error(among: Callable[[Others], Survivors]) -> None:
    ranks = among(Others([False], [[0, 1, 2, 3, 4]]))
    with pytest.raises(RankLostError, match="all ranks are alive"):
        ranks.see_through(attempts(RankLostError("lost")))


def test_without_tolerance_nothing_is_caught(
    among: Callable[[Others], Survivors], monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks = among(Others([]))
    monkeypatch.setattr(transport, "tolerates_losses", lambda: False)
    with pytest.raises(RankLostError):
        ranks.see_through(attempts(RankLostError("lost")))


def test_an_exception_of_one_rank_ends_all(
    among: Callable[[Others], Survivors], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[BaseException] = []
    monkeypatch.setattr(transport, "abort_all", lambda comm, error: ended.append(error))
    ranks = among(Others([]))
    with pytest.raises(ValueError, match="broke"), ranks.ending_together():
        raise ValueError("broke")
    with pytest.raises(InputError), ranks.ending_together():
        raise InputError("agreed")
    assert [str(error) for error in ended] == ["broke"]
