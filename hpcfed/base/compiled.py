"""How kernels become machine code: compiled by numba once per machine, kept in files, shared.

numba's own cache looks at the file of the decorated function alone (a changed helper elsewhere goes
unnoticed), mixes up processes that write together, and raises if it cannot write or read. Here a
file is named by all that its code is made of: the sources of the kernel's module and of all modules
of its package that it imports, the kernel, the argument types, the processor and the versions. So
nothing in it ever changes, writers may race, and a damaged file is one that is not there.

Files are looked for in all of these folders and written to the first that can be:
``NUMBA_CACHE_DIR``/hpcfed, else ``HPCFED_CACHE``/compiled, else hpcfed/compiled in the user's cache
folder; then ``SLURM_TMPDIR``; then a private folder in the system's temporary folder. They hold
pickles, which are programs: a folder that another user could have written to is not used.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import logging
import os
import pickle
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast, overload  # Any: numba's types and settings carry none

import numba
from numba.core import sigutils, types
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.core.serialize import dumps

from hpcfed.base.atomic import replacing
from hpcfed.base.garbage import seldom_collected
from hpcfed.base.parts import OPTIONS, part
from hpcfed.base.private import others_may_write, private_folder

_LOG = logging.getLogger("hpcfed")
_SETTINGS: Any = numba.config  # made of the environment when numba is imported
_MAGIC = b"hpcfed-code-1\n\0\0"  # then the SHA-256 of the rest
_PATIENCE_S = 600.0  # many times what a kernel takes; then the other process is taken for stuck
_IMPORT = re.compile(r"^\s*(?:from\s+(\S+)\s+)?import\s+(\([^)]*\)|[^\n]*)", re.MULTILINE)

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def compiled(function: Function) -> Function: ...
@overload
def compiled(**options: Any) -> Callable[[Function], Function]: ...
def compiled(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a kernel that Python calls, without the GIL, and keep its code in files.

    ``options`` are numba's. A division by zero is no error, as in NumPy. A kernel is compiled at
    its first call with new types, or by ``kernel.compile(types)``. Of the processes of a machine
    that come to it together one compiles, and the others wait and load.

    The globals of a kernel must follow from the sources. Raises TypeError for one that has other
    free variables: they could differ with the same source.
    """
    if function is None:
        return lambda function: compiled(function, **options)
    if function.__code__.co_freevars:
        raise TypeError(
            f"compiled {function.__qualname__}: uses {', '.join(function.__code__.co_freevars)} of "
            "the function around it; make them arguments or constants of the module"
        )
    if _SETTINGS.DISABLE_JIT:
        return function
    kernel: Any = _Kernel(function, targetoptions=OPTIONS | options)
    kernel.enable_caching()
    return kernel


def inner(function: Function) -> Function:
    """Compile a function that kernels call; it becomes part of their code."""
    return cast(Function, part(function))


def inlined(function: Function) -> Function:
    """Let a function's lines stand in the kernels that call it, and be typed with theirs."""
    return cast(Function, part(function, inline="always"))


def prepare(*calls: tuple[Callable[..., Any], tuple[Any, ...]]) -> None:
    """Compile kernels for the arguments of calls to come.

    Processes of a machine that come together share the work: each begins with a kernel that no
    other is compiling, and waits for the others' only then.
    """
    waiting: list[tuple[Any, tuple[Any, ...]]] = [
        (kernel, tuple(map(numba.typeof, arguments)))
        for kernel, arguments in calls
        if not _SETTINGS.DISABLE_JIT
    ]
    for patience_s in (0.0, None):
        busy = []
        for kernel, kinds in waiting:
            try:
                kernel.compile(kinds, patience_s)
            except _BusyError:
                busy.append((kernel, kinds))
        waiting = busy


class _BusyError(Exception):
    """Another process is compiling the same, and there is something else to do."""


class _Kernel(CPUDispatcher):
    """What numba.njit makes of a function, with our files, and compiled in turn."""

    def enable_caching(self) -> None:
        self._cache = _Files(self.py_func, _digest_of_sources(self.py_func.__module__))

    def compile(self, sig: Any, patience_s: float | None = None) -> Any:
        # numba takes this lock too, but later: until then another thread could set another turn
        with global_compiler_lock, seldom_collected(), contextlib.ExitStack() as turn:
            self._cache.turn = turn
            self._cache.patience_s = _PATIENCE_S if patience_s is None else patience_s
            return super().compile(sig)


class _Files(_Cache):
    """The files of one kernel's code: one for each list of argument types and processor.

    Attributes:
        turn: where a lock is held from a search in vain until the end of ``_Kernel.compile``.
        patience_s: how long to wait for the lock; not at all means _BusyError if another has it.
    """

    def __init__(self, function: Callable[..., Any], sources: str | None) -> None:
        self.turn = contextlib.ExitStack()
        self.patience_s = _PATIENCE_S
        self._function = function
        self._sources = sources
        self._enabled = sources is not None

    @property
    def cache_path(self) -> str:
        return str(next(_folders()))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kept code, or None if there is none, and the turn to compile is ours."""
        if not self._enabled:
            return None
        target_context.refresh()
        name = self._name(sig, target_context.codegen())
        code = _find(name)
        if code is None:
            self.turn.enter_context(_alone(name, self.patience_s))
            code = _find(name)
        if code is None:
            return None
        return CompileResult._rebuild(  # type: ignore[no-untyped-call]
            target_context, *pickle.loads(code)
        )

    def save_overload(self, sig: Any, data: Any) -> None:
        if not self._enabled:
            return
        name = self._name(sig, data.codegen)
        if data.lifted or data.library.has_dynamic_globals:
            _LOG.warning(
                "%s: its code cannot be kept, every process compiles it again: it uses a pointer "
                "or a large array of the module",
                name,
            )
            return
        _keep(name, dumps(data._reduce()))  # type: ignore[no-untyped-call]

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        self.disable()  # numba calls it to compile anew; the files stay right for other processes

    def _name(self, sig: Any, codegen: Any) -> str:
        function = self._function
        kinds, _ = sigutils.normalize_signature(sig)  # type: ignore[no-untyped-call]
        parts = (
            self._sources,
            function.__code__.co_firstlineno,
            function.__code__.co_code,
            [_spelled(kind) for kind in kinds],
            codegen.magic_tuple(),
            sys.version,
            [sys.modules[name].__version__ for name in ("numba", "llvmlite", "numpy")],
            (
                str(_SETTINGS.OPT),
                _SETTINGS.BOUNDSCHECK,
                _SETTINGS.DEBUGINFO_DEFAULT,
                _SETTINGS.USING_SVML,
            ),
        )
        digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
        return f"{function.__module__}.{function.__qualname__}-{digest}.code"


def _spelled(kind: Any) -> str:
    """Return a type's name with the names of a tuple's fields, which numba leaves out."""
    if not isinstance(kind, types.BaseTuple):
        return str(kind)
    inner = [_spelled(one) for one in getattr(kind, "types", ())]
    return f"{kind} {getattr(kind, 'fields', '')} {inner}"


def sources(module: str) -> dict[str, str] | None:
    """Return SHA-256 (hex) of the sources that a module's kernels are named by, by module.

    These are its own and all that it imports from its package, and what they import. None for a
    script, and where a source cannot be read. It must be asked for while the module is imported:
    later, the files may differ from what was loaded.
    """
    package = module.partition(".")[0]
    if package == "__main__":
        return None
    digests, waiting = {}, {module, __name__}
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None and name != module:
            continue  # the name of a function, or of a module that was not imported
        try:
            source = Path(file or "").read_bytes()
        except OSError:
            return None
        digests[name] = hashlib.sha256(source).hexdigest()
        found = {n for n in _imported(source.decode()) if n.partition(".")[0] == package}
        waiting |= found - digests.keys()
    return digests


def _digest_of_sources(module: str) -> str | None:
    digests = sources(module)
    if digests is None:
        return None
    return hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()


def _imported(source: str) -> Iterator[str]:
    """Yield the dotted names of absolute imports; some may be those of functions."""
    for parent, names in _IMPORT.findall(source):
        yield parent
        for name in re.findall(r"[\w.]+", names):
            yield f"{parent}.{name}" if parent else name


def _find(name: str) -> bytes | None:
    """Return the content of a file if it is there and whole."""
    for folder in _folders():
        try:
            content = (folder / name).read_bytes()
        except OSError:
            continue
        head, code = content[: len(_MAGIC) + 32], content[len(_MAGIC) + 32 :]
        if head == _MAGIC + hashlib.sha256(code).digest():
            return code
        _LOG.debug("%s is damaged, and compiled again", folder / name)
    return None


def _keep(name: str, code: bytes) -> None:
    """Write a file to the first folder that takes it."""
    for folder in _folders():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(folder / name) as stream:
                stream.write(_MAGIC + hashlib.sha256(code).digest() + code)
        except OSError as error:
            _LOG.debug("compiled code is not kept in %s: %s", folder, error)
        else:
            return
    _LOG.warning(
        "%s: no folder for compiled code can be written, every process compiles it again; "
        "set HPCFED_CACHE to one",
        name,
    )


def _folders() -> Iterator[Path]:
    """Yield the folders of compiled code that are ours, the first choice first; some may not exist.

    A shared one must end in a folder that is the user's alone.
    """
    for folder in _candidates():
        try:
            reason = others_may_write(folder)
        except OSError as error:
            reason = str(error)
        if reason is None and not (folder.exists() and folder.stat().st_mode & stat.S_ISVTX):
            yield folder
        else:
            _pass_over(folder, reason or f"everybody may write in {folder}")


@functools.cache
def _pass_over(folder: Path, reason: str) -> None:
    """Say once why a folder is not used."""
    _LOG.warning("compiled code in %s is not used: %s", folder, reason)


def _candidates() -> Iterator[Path]:
    if folder := _SETTINGS.CACHE_DIR:
        yield Path(folder) / "hpcfed"
    elif folder := os.environ.get("HPCFED_CACHE"):
        yield Path(folder).expanduser() / "compiled"
    else:
        with contextlib.suppress(RuntimeError):  # a user without a home
            user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
            yield Path(user) / "hpcfed" / "compiled"
    if folder := os.environ.get("SLURM_TMPDIR"):
        yield Path(folder) / "compiled"
    with contextlib.suppress(OSError):
        yield private_folder() / "compiled"


@contextlib.contextmanager
def _alone(name: str, patience_s: float) -> Iterator[None]:
    """Let one process of this machine compile while the others wait; without locks, all compile.

    Raises _BusyError if another has its turn and ``patience_s`` is 0.

    The lock lies on the machine, not beside the code: that may be on a file system without locks.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            path = private_folder() / f"{name}.lock"
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            held.callback(os.close, lock)
            if _locked(lock, patience_s):
                # Who comes later makes a new file, and finds the code.
                held.callback(path.unlink, missing_ok=True)
        yield


def _locked(lock: int, patience_s: float) -> bool:
    """Wait for a lock, but not for ever. Raises OSError where there are no locks."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not patience_s:
                raise _BusyError from None
        else:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
