"""Keeps the notes of runtimes off the terminal."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
import threading
import warnings
from collections.abc import Iterator

_STDOUT, _STDERR = 1, 2
_lock = threading.RLock()


@contextlib.contextmanager
def quiet(*, output: bool = False) -> Iterator[None]:
    """Drops what is written to standard error meanwhile: through Python, by native code, and as warnings.

    Errors are raised as ever. One thread at a time, as standard error belongs to the whole process.

    Args:
        output: drop what native code writes to standard output as well.
    """
    with _lock, warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        with contextlib.ExitStack() as stack:
            stack.enter_context(_dropped(_STDERR))
            if output:
                sys.stdout.flush()
                stack.enter_context(_dropped(_STDOUT))
            yield


@contextlib.contextmanager
def _dropped(descriptor: int) -> Iterator[None]:
    _flush()
    saved = os.dup(descriptor)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is what is needed
            os.dup2(nowhere.fileno(), descriptor)
        yield
    finally:
        _flush()
        os.dup2(saved, descriptor)
        os.close(saved)


def _flush() -> None:
    """Has the C library write what it holds back."""
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)
