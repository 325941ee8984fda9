"""Functions that kernels alone call: their code is part of a kernel's, and nothing by itself.

numba optimises each function and makes machine code of it, and then both again in each of its
callers. A part is neither: the kernel that it is linked into is optimised as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, cast  # Any: numba's types and settings carry none

import numba
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher

_SETTINGS: Any = numba.config  # made of the environment when numba is imported
# of kernels as well: a division by zero is no error, as in NumPy
OPTIONS: dict[str, Any] = {"nopython": True, "nogil": True, "error_model": "numpy",
                           "boundscheck": None}  # fmt: skip
# nothing for Python and C to call it by
_WITHIN = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def part(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Let kernels call a function; ``options`` are numba's further ones.

    Where numba is switched off it stays what it is.
    """
    if _SETTINGS.DISABLE_JIT:
        return function
    made: Any = _Part(function, targetoptions=_WITHIN | options, pipeline_class=_Compiler)
    return cast(Callable[..., Any], made)


class _Part(CPUDispatcher):
    """What numba.njit makes of a function, but that Python cannot call it."""

    def add_overload(self, cres: Any) -> None:
        key = object()  # callers find the code by it
        context: Any = self.targetctx
        context.insert_user_function(key, cres.fndesc, [cres.library])
        self.overloads[tuple(cres.signature.args)] = cres._replace(entry_point=key)

    def _compile_for_args(self, *arguments: Any, **named: Any) -> NoReturn:
        raise TypeError(f"{self.py_func.__qualname__} is part of kernels; Python cannot call it")


class _Compiler(Compiler):
    """numba's compiler, up to the code of a module that others link."""

    def __init__(
        self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any,
        locals: Any,
    ) -> None:  # fmt: skip
        flags.no_compile = True
        library = _Library(targetctx.codegen(), "part")  # type: ignore[no-untyped-call]
        super().__init__(  # type: ignore[no-untyped-call]
            typingctx, targetctx, library, args, return_type, flags, locals
        )


class _Library(JITCodeLibrary):
    """Code that is linked into others'."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
        self._finalized = True
