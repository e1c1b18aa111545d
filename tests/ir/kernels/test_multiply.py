"""Matrix products that several threads share."""

from __future__ import annotations

import numpy as np
import pytest

from mmconvert.ir.kernels import multiply as products
from mmconvert.ir.kernels import workers


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((200, 64), (64, 150)),
        ((3, 200, 64), (64, 150)),
        ((5, 200, 64), (5, 64, 150)),
        ((2, 1, 200, 64), (7, 64, 150)),
        ((1, 12, 200, 64), (1, 1, 64, 150)),
        ((1, 64), (64, 40_000)),
        ((0, 64), (64, 3)),
    ],
)
def test_however_work_is_cut_every_element_is_computed(
    a: tuple[int, ...], b: tuple[int, ...], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "count", lambda: threads)
    rng = np.random.default_rng(0)
    # Small whole numbers: every sum is exact in whatever order.
    left, right = (rng.integers(-8, 9, shape).astype(np.float32) for shape in (a, b))
    wanted = left.astype(np.int64) @ right.astype(np.int64)
    out = np.full(wanted.shape, np.nan, np.float32)
    products.multiply(left, right, out)
    np.testing.assert_array_equal(out, wanted)
    turned = np.full(wanted.shape, np.nan, np.float32)
    products.multiply(np.asfortranarray(left), np.asfortranarray(right), turned)
    np.testing.assert_array_equal(turned, wanted)


def test_no_thread_warns_of_what_the_caller_takes_for_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "count", lambda: 2)
    large = np.full((256, 256), 1e30, np.float32)
    out = np.empty_like(large)
    with np.errstate(all="ignore"):
        products.multiply(large, large, out)
    assert np.isposinf(out).all()
