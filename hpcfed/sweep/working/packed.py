"""A handle on one packed process: give it a run, hear what becomes of it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: a message's values are of any JSON type

from hpcfed.launch import interpreter

# deaths that were asked for: the process got the signal before it could stop in order
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Reply:
    """What became of a run: finished, stopped, failed, died or unwritable; and why."""

    ended: str
    error: str = ""


class PackedProcess:
    """Starts when first needed; ends with its owner, at the latest when that one is killed."""

    def __init__(self, out: Path, environment: Mapping[str, str]) -> None:
        self._command = [*interpreter(), "-m", "hpcfed", "sweep", "worker", "--out", str(out)]
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._ready = False
        self._stopping = False

    def run(self, digest: str, on_round: Callable[[int], None]) -> Reply:
        """Give the process a run and wait for its end; ``on_round`` hears of its rounds."""
        if self._stopping:
            return Reply("stopped")
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # it has died: its end is read below
            process.stdin.write(json.dumps({"run": digest}) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            message: dict[str, Any] = json.loads(line)
            if "ready" in message:
                self._ready = True
                if self._was_stopped():
                    self._signal(signal.SIGUSR1)
            elif "round" in message:
                on_round(message["round"])
            else:
                return Reply(message["ended"], message["error"])
        return self._death()

    def stop(self) -> None:
        """Ask the process to stop at the end of its round; from any thread, at any time."""
        self._stopping = True
        if self._ready:  # before, it would die of the signal
            self._signal(signal.SIGUSR1)

    def kill(self) -> None:
        """End the process at once."""
        self._stopping = True
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Let the process end and wait for it."""
        if self._process is not None:
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._process, self._ready = None, False

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            env=dict(self._environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent() if sys.platform == "linux" else None,
        )

    def _was_stopped(self) -> bool:
        return self._stopping  # by another thread, meanwhile

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def _death(self) -> Reply:
        assert self._process is not None
        code = self._process.wait()
        self.close()
        if code in {-number for number in _STOP_SIGNALS} or (self._stopping and code != 0):
            return Reply("stopped")
        if code < 0:
            return Reply("died", f"its process was killed by {signal.Signals(-code).name}")
        return Reply("died", f"its process ended with code {code}")


def die_with_parent() -> Callable[[], None]:
    """Return what makes the calling child die with the thread that has started it (Linux)."""
    prctl = ctypes.CDLL(None).prctl  # looked up here: a forked child must not load libraries
    set_parent_death_signal, parent = 1, os.getpid()

    def ask() -> None:
        prctl(set_parent_death_signal, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(1)

    return ask
