"""Commands at once: each is a fork of one process that has imported what they all need.

``python -m tests.docs.warm SOCKET`` waits for requests. ``programs`` starts it, and yields a folder
for PATH in which ``hpcfed`` and ``python`` are its clients. A command starts in milliseconds
instead of a second or more, with its own arguments, folder, environment and streams.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpcfed.base.philox import CompiledStream
from hpcfed.base.purposes import Purpose
from tests.docs.small import SETS
from tests.places import REPOSITORY

_IMPORTED = (
    "hpcfed.cli.main",
    "hpcfed.cli.rank",
    "hpcfed.federation.progress",
    "hpcfed.federation.run",
    "hpcfed.federation.uplink.fused",
    "hpcfed.report.page",
    "hpcfed.report.summary",
    "hpcfed.sweep.collecting.collect",
    "hpcfed.sweep.working.local",
    "hpcfed.learning.engines",
    "hpcfed.learning.event.training",
    "hpcfed.learning.autograd.training",
    "h5netcdf",
    "matplotlib.pyplot",
    "norse.torch",
    "pandas",
    "xarray",
)
_MOST_BYTES = 1 << 20
SHORT = "HPCFED_DOCS_SETS"  # commands have less to do where it is set: further keys, or none
CLIENT = """#!{python} -IS
import json, os, socket, sys
if {name!r} == "python" and sys.argv[1:2] and sys.argv[1].startswith("-"):
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
link = socket.socket(socket.AF_UNIX)
link.connect({place!r})
asked = json.dumps([{name!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(link, [len(asked).to_bytes(4, "big")], [0, 1, 2])
link.sendall(asked)
answer = link.recv(1)
sys.exit(answer[0] if answer else 1)
"""


@contextmanager
def programs() -> Iterator[Path]:
    """Start the process that commands are forked from; yield the folder of its clients."""
    with tempfile.TemporaryDirectory(prefix="hpcfed-docs-") as name:  # a socket's name is short
        place, folder = Path(name) / "socket", Path(name) / "bin"
        folder.mkdir()
        for command in ("hpcfed", "python"):
            text = CLIENT.format(python=sys.executable, place=str(place), name=command)
            program(folder / command, text)
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.docs.warm", place],
            cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
        ) as server:  # fmt: skip
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            yield folder
            server.terminate()


def program(path: Path, text: str) -> None:
    """Write an executable file."""
    path.write_text(text)
    os.chmod(path, 0o755)  # noqa: PTH101


def serve(place: Path) -> None:
    """Answer requests for ever, each in a process of its own."""
    for name in _IMPORTED:
        importlib.import_module(name)
    CompiledStream(0, Purpose.MASK, 0, 0).normals(1)  # numba fills its tables at the first call
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place))
    listener.listen()
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(link)
        link.close()


def _answer(link: socket.socket) -> None:
    """Be the process that waits for the command, and says how it ended."""
    head, streams, _, _ = socket.recv_fds(link, 4, 3)
    length, asked = int.from_bytes(head, "big"), b""
    while len(asked) < length:
        asked += link.recv(_MOST_BYTES)
    child = os.fork()
    if child == 0:
        link.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        _be(*json.loads(asked))
    _, status = os.waitpid(child, 0)
    link.sendall(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))
    os._exit(0)


def _be(name: str, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be the command: ``hpcfed``, or ``python`` with a script."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = 1
    try:
        if name == "hpcfed":
            _hpcfed(shortened(arguments) if SHORT in environment else arguments)
        else:
            sys.argv = arguments
            sys.path.insert(0, str(Path(arguments[0]).absolute().parent))
            runpy.run_path(arguments[0], run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:  # as the interpreter does
        traceback.print_exc()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _hpcfed(arguments: list[str]) -> None:
    from hpcfed.cli.main import main

    sys.argv = ["hpcfed", *arguments]
    main()


def shortened(arguments: list[str]) -> list[str]:
    """Return a command with less to do: a round, one rank, sweeps planned where the page says so.

    MPI's own tests start ranks; here a run would cost its start twice.
    """
    kept, skip = [], False
    for argument in arguments:
        if skip or argument == "--ranks":
            skip = not skip
        else:
            kept.append(argument)
    if kept[:1] == ["run"] and "--help" not in kept:
        sets = (*SETS, *os.environ[SHORT].split(";"))
        return [*kept, *(part for item in sets if item for part in ("--set", item))]
    if kept[:2] == ["data", "encode"] and "--workers" not in kept:
        return [*kept, "--workers", "1"]  # of which each would start anew
    if kept[:2] == ["sweep", "run"] and os.environ.get("HPCFED_DOCS_SWEEPS") == "planned":
        return ["sweep", "plan", *kept[2:]]
    if kept[:2] == ["sweep", "run"] and "--workers" not in kept:
        return [*kept, "--workers", "1"]
    return kept


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
