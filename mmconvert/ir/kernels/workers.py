"""Threads over independent blocks of one operator, with BLAS on one thread each.

BLAS with threads of its own makes them wait for one another inside every product, which costs more than it
brings when the cores share no cache or somebody else uses them. Blocks that know nothing of one another do
not wait. How work is cut depends on the number of cores alone, so results are the same from run to run.
"""

from __future__ import annotations

import contextvars
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")

_state = threading.local()
_pinned = itertools.count()


@cache
def count() -> int:
    """How many threads compute: the cores this process may use, or fewer if ``OMP_NUM_THREADS`` says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(asked))) if asked.isdigit() else cores


def each(function: Callable[[T], object], blocks: Sequence[T]) -> None:
    """Calls ``function`` for every block, in several threads; an error in one is raised here.

    Blocks must be independent. Called from within a block, it stays in that block's thread.
    """
    shares = min(count(), len(blocks))
    if shares < 2 or inside():
        for block in blocks:
            function(block)
        return
    cuts = [len(blocks) * i // shares for i in range(shares + 1)]
    # What the caller has NumPy say about infinities holds in the other threads too.
    waiting = [
        _pool().submit(contextvars.copy_context().run, _share, function, blocks[a:b])
        for a, b in pairwise(cuts[1:])
    ]
    try:
        _share(function, blocks[: cuts[1]])
    finally:
        errors = [future.exception() for future in waiting]
    for error in errors:
        if error is not None:
            raise error


def inside() -> bool:
    """True within a block that ``each`` runs."""
    return getattr(_state, "inside", False)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keeps BLAS to one thread, since the blocks are shared out here; restored at the end."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


def _share(function: Callable[[Any], object], blocks: Sequence[Any]) -> None:
    _state.inside = True
    try:
        for block in blocks:
            function(block)
    finally:
        _state.inside = False


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, count() - 1), thread_name_prefix="mmconvert", initializer=_pin)


def _pin() -> None:
    """Gives each thread a core of its own: woken for a millisecond, it would often share the caller's."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[-1 - next(_pinned) % len(cores)]})


# A forked child has none of its parent's threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
