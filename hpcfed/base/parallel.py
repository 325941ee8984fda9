"""Work on several items at once, with results in the order of the items, and space for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> Iterator[Result]:
    """Yield ``function(item)`` of each item, in order, ``threads`` items at a time.

    At most ``2 * threads`` results are under way or waiting, however slow the caller is. The first
    exception, in the order of the items, is raised; what has not begun by then never does.
    """
    if threads == 1 or len(items) < 2:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(min(threads, len(items)))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def lent(
    spare: list[Item], make: Callable[[], Item], fits: Callable[[Item], bool] | None = None
) -> Iterator[Item]:
    """Lend a thread the last of ``spare``, or a new one if none is left or it does not fit."""
    try:
        item = spare.pop()
    except IndexError:  # asking first would let another thread take the last one
        item = make()
    else:
        if fits is not None and not fits(item):
            item = make()
    try:
        yield item
    finally:
        spare.append(item)
