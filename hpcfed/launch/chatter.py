"""Leaves out what mpirun says about exits that the ranks have explained themselves.

Open MPI takes any exit code but 0 for an accident and prints a notice between two rules of dashes.
After a rank's own message (bad input, stopped on request, an exception) it only hides that message.
Notices that tell something new, such as a rank killed by a signal, pass.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO

_NOTICE = re.compile(rb"-{60,}\n.*?\n-{60,}\n", re.DOTALL)
_BEGUN_NOTICE = re.compile(rb"-{60,}\n.*\Z|-+\Z", re.DOTALL)
_REPEATED = (
    b"exited with non-zero status",
    b"returned\na non-zero exit code",  # Open MPI 4
    b"MPI_ABORT was invoked",
    b'"abort"',
)
_LONGEST_NOTICE_BYTES = 1 << 14  # more than this between two rules is somebody's table


def without_repeats(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the stream without the notices that repeat what a rank has said.

    Text is passed on at once, whole lines or not; only what may be part of a notice is held.
    """
    held = b""
    for chunk in chunks:
        # Open MPI ends some notices with a NUL
        held = _NOTICE.sub(_unless_repeated, held + chunk.replace(b"\0", b""))
        begun = _BEGUN_NOTICE.search(held)
        end = begun.start() if begun else len(held)
        if len(held) - end > _LONGEST_NOTICE_BYTES:
            end = len(held)
        if end:
            yield held[:end]
        held = held[end:]
    if held:
        yield held


def forward(source: IO[bytes]) -> None:
    """Copy ``source`` to stderr until it ends, without the repeats."""
    chunks = iter(partial(os.read, source.fileno(), 1 << 16), b"")
    for text in without_repeats(chunks):
        try:
            sys.stderr.buffer.write(text)
            sys.stderr.buffer.flush()
        except OSError:
            continue  # nobody reads it any more; mpirun must not block on a full pipe


def _unless_repeated(notice: re.Match[bytes]) -> bytes:
    text = notice.group()
    return b"" if any(phrase in text for phrase in _REPEATED) else text
