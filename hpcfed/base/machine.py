"""What this machine has left, and what a process takes of it: memory.

Linux's own account, and that of the job's limit, are asked.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_MEMINFO, _STATUS = Path("/proc/meminfo"), Path("/proc/self/status")
_UNIT_OF_RSS = 1 if sys.platform == "darwin" else 1024
# the limit and what is used of it, of control groups of version 2 and 1
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def free_memory_bytes() -> int | None:
    """Return the memory that processes here can still take; None where nobody tells."""
    found = []
    for line in _text(_MEMINFO).splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            found.append(1024 * int(rest.split()[0]))
    for limit, used in _LIMITS:
        most, now = (_text(Path(name)).strip() for name in (limit, used))
        if most.isdigit() and now.isdigit():
            found.append(max(0, int(most) - int(now)))
    return min(found, default=None)


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far."""
    for line in _text(_STATUS).splitlines():
        name, _, rest = line.partition(":")
        if name == "VmHWM":
            return 1024 * int(rest.split()[0])
    # elsewhere this may be the parent's, which was larger before the program was replaced
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT_OF_RSS


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
