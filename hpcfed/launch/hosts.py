"""Which hosts of a job are still there: asked of mpirun, which has to start something on them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hpcfed.launch import settings

_LIMIT_S = 30.0  # a host that does not answer is gone; ssh alone may wait for minutes

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})", re.ASCII)


def reachable(mpirun: Path, hosts: Sequence[str]) -> list[str]:
    """Return those of ``hosts`` on which ``mpirun`` can start a process, in their order."""
    with ThreadPoolExecutor(max_workers=32) as pool:
        answers = pool.map(lambda host: _answers(mpirun, host), hosts)
        return [host for host, answers_ in zip(hosts, answers, strict=True) if answers_]


def is_host(name: str) -> bool:
    """Say whether a name can be a host's: it becomes an argument of mpirun."""
    return _HOST.fullmatch(name) is not None


def host_options(launcher: settings.Launcher, hosts: Sequence[str]) -> list[str]:
    """Return mpirun's options to use only ``hosts``; none for none."""
    if not hosts:
        return []
    return ["--host" if launcher.open_mpi else "-hosts", ",".join(hosts)]


def _answers(mpirun: Path, host: str) -> bool:
    launcher = settings.identify(mpirun)
    environment = {**os.environ, **settings.environment(launcher, os.environ)}
    with settings.session_folder(launcher, os.environ) as session:
        try:
            done = subprocess.run(
                [mpirun, *host_options(launcher, [host]), "-n", "1", "true"],
                env={**environment, **session},
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
