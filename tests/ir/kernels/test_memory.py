from __future__ import annotations

import threading

import numpy as np
import pytest

from mmconvert.ir.kernels import memory, workers
from mmconvert.ir.kernels.memory import Pool


def test_a_pool_hands_out_what_it_was_given_once() -> None:
    pool, array = Pool(), np.empty((3, 4), np.float32)
    pool.give(array)
    assert pool.take((4, 3), np.dtype(np.float32)) is not array
    assert pool.take((3, 4), np.dtype(np.float64)) is not array
    assert pool.take((3, 4), np.dtype(np.float32)) is array
    assert pool.take((3, 4), np.dtype(np.float32)) is not array


def test_a_pool_is_bounded() -> None:
    pool = Pool()
    for _ in range(10):
        pool.give(np.empty(memory.LIMIT // 4, np.uint8))
    assert sum(a.nbytes for a in pool._free) <= memory.LIMIT
    pool.give(np.empty(memory.LIMIT + 1, np.uint8))
    assert all(a.nbytes <= memory.LIMIT for a in pool._free)


def test_the_pool_is_that_of_the_thread() -> None:
    pool, array = Pool(), np.empty(8)
    pool.give(array)
    found = []
    with memory.pooled(pool):
        other = threading.Thread(target=lambda: found.append(memory.empty((8,), np.float64)))
        other.start()
        other.join()
        assert found[0] is not array
        assert memory.empty((8,), np.float64) is array
    assert memory.empty((8,), np.float64) is not array


def test_scratch_is_reused_and_bounded() -> None:
    first = memory.scratch((4, 4), np.float32)
    second = memory.scratch((2, 2), np.float64)
    assert np.shares_memory(first, second)
    big = memory.scratch((memory.SCRATCH + 1,), np.uint8)
    assert not np.shares_memory(big, memory.scratch((4,), np.uint8))


def test_every_block_is_done_once_and_errors_come_through() -> None:
    done = np.zeros(100, np.int64)

    def add(index: int) -> None:
        done[index] += 1

    workers.each(add, range(100))
    assert (done == 1).all()

    def fail(index: int) -> None:
        if index in (0, 99):
            raise ZeroDivisionError(index)

    with pytest.raises(ZeroDivisionError):
        workers.each(fail, range(100))


def test_blocks_within_blocks_stay_in_their_thread() -> None:
    threads = []

    def outer(_: int) -> None:
        here = threading.get_ident()
        workers.each(lambda _: threads.append(threading.get_ident() == here), range(4))

    workers.each(outer, range(4))
    assert all(threads)
    assert not workers.inside()


def test_a_pool_leaves_memory_in_another_order_alone() -> None:
    pool, array = Pool(), np.empty((3, 4), np.float32, order="F")
    pool.give(array)
    assert pool.take((3, 4), np.dtype(np.float32)) is not array
