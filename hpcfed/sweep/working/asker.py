"""A handle on the process that makes proposals; one question at a time."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hpcfed.launch import interpreter
from hpcfed.sweep.search.folder import Snapshot
from hpcfed.sweep.working.packed import die_with_parent

_DIED = "the process that makes proposals has died twice; see its last words above"


@dataclass(frozen=True)
class Answer:
    """How many proposals were placed; or what went wrong, in the space or on the disk."""

    placed: int
    error: str = ""
    unwritable: bool = False


class Asker:
    """Starts when first asked; ends with its owner, at the latest when that one is killed."""

    def __init__(self, out: Path) -> None:
        self._command = [*interpreter(), "-m", "hpcfed", "sweep", "asker", "--out", str(out)]
        self._process: subprocess.Popen[str] | None = None
        self._killed = False

    def ask(self, snapshot: Snapshot, count: int) -> Answer:
        """Have ``count`` proposals made from what ``snapshot`` lets see.

        A process that dies is started once more: nothing that it has not put in place was written.
        """
        for _ in range(2):
            if self._killed:
                return Answer(0)
            if (answer := self._ask(snapshot, count)) is not None:
                return answer
        return Answer(0, _DIED)

    def _ask(self, snapshot: Snapshot, count: int) -> Answer | None:
        process = self._process = self._process or self._start(os.environ)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # it has died: its end is read below
            process.stdin.write(json.dumps(asdict(snapshot) | {"count": count}) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if line:
            return Answer(**json.loads(line))
        self.close()
        return None

    def kill(self) -> None:
        """End the process at once; it is not started again."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Let the process end and wait for it."""
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()
            self._process.wait()
        self._process = None

    def _start(self, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            # one thread: sums in one order, and the cores are the runs'
            env={**environment, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent() if sys.platform == "linux" else None,
        )
