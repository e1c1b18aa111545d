from __future__ import annotations

import tracemalloc
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmconvert.ir.kernels import conv, convolve, depthwise
from tests.ir.kernels.cases import Array, Geometry, geometries, normal, to_first, to_last


def reference(x: Array, weight: Array, bias: Array | None, window: Geometry, groups: int) -> Array:
    """PyTorch in float64, channels first, with padding that may be asymmetric."""
    torch = pytest.importorskip("torch")
    around = [n for pad in reversed(window.pads) for n in pad]
    function = getattr(torch.nn.functional, f"conv{window.rank}d")
    tensors = [None if a is None else torch.tensor(a.astype(np.float64)) for a in (weight, bias)]
    padded = torch.nn.functional.pad(torch.tensor(x.astype(np.float64)), around)
    y: Array = function(padded, *tensors, window.strides, 0, window.dilations, groups).numpy()
    return y


def run(x: Array, weight: Array, bias: Array | None, window: Geometry, groups: int, *, last: bool) -> Array:
    """Our kernel on channels-first arrays, computed in either layout."""
    if last:
        x, weight = to_last(x), to_last(weight)
    y = convolve(
        x,
        weight,
        bias,
        strides=window.strides,
        dilations=window.dilations,
        pads=window.pads,
        groups=groups,
        channels_last=last,
    )
    return to_first(y) if last else y


def plain(rank: int, kernel: int, extent: int = 8, pad: int = 0, stride: int = 1) -> Geometry:
    """The same window along every axis."""
    return Geometry((extent,) * rank, (kernel,) * rank, (stride,) * rank, (1,) * rank, ((pad, pad),) * rank)


@settings(max_examples=200, deadline=None)
@given(
    window=geometries(),
    batch=st.integers(0, 3),
    groups=st.integers(1, 3),
    inner=st.integers(1, 3),
    outer=st.integers(1, 3),
    last=st.booleans(),
    biased=st.booleans(),
    scratch=st.sampled_from([1, 300, 1 << 22]),
)
def test_convolve_agrees_with_torch(
    window: Geometry, batch: int, groups: int, inner: int, outer: int, last: bool, biased: bool, scratch: int
) -> None:
    x = normal(1, batch, groups * inner, *window.extents)
    weight = normal(2, groups * outer, inner, *window.kernel)
    bias = normal(3, groups * outer) if biased else None
    with mock.patch.object(conv, "_SCRATCH", scratch), mock.patch.object(depthwise, "_SCRATCH", scratch):
        y = run(x, weight, bias, window, groups, last=last)
    np.testing.assert_allclose(y, reference(x, weight, bias, window, groups), rtol=1e-12, atol=1e-12)
    assert y.dtype == np.float64


@pytest.mark.parametrize("last", [False, True])
def test_convolve_by_hand(last: bool) -> None:
    x = np.array([[[1.0, 2.0, 3.0, 4.0]]])
    weight = np.array([[[1.0, 10.0, 100.0]]])
    window = Geometry((4,), (3,), (2,), (1,), ((1, 0),))
    y = run(x, weight, np.array([0.5]), window, 1, last=last)
    assert y.tolist() == [[[210.5, 432.5]]]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 3])
def test_narrow_floats_are_summed_in_float32_and_rounded_once(kernel: int, groups: int, last: bool) -> None:
    x = normal(1, 2, 4, 6, 6, dtype=np.float16)
    weight = normal(2, 8, 4 // groups, kernel, kernel, dtype=np.float16)
    window = plain(2, kernel, 6, kernel // 2)
    y = run(x, weight, None, window, groups, last=last)
    wide = run(x.astype(np.float32), weight.astype(np.float32), None, window, groups, last=last)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, wide.astype(np.float16))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("high", [128, 1 << 20])
def test_integers_are_exact_and_wrap_like_numpy(high: int, groups: int, last: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-high, high, (2, 4, 7), dtype=np.int32)
    weight = rng.integers(-high, high, (8, 4 // groups, 3), dtype=np.int32)
    y = run(x, weight, np.arange(8, dtype=np.int32), plain(1, 3, 7, 1), groups, last=last)
    exact = run(x.astype(np.int64), weight.astype(np.int64), None, plain(1, 3, 7, 1), groups, last=last)
    expected = (exact + np.arange(8)[:, None] + 2**31) % 2**32 - 2**31
    assert y.dtype == np.int32
    assert y.tolist() == expected.tolist()


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("last", [False, True])
def test_views_serve_as_well_as_contiguous_arrays(last: bool, kernel: int, groups: int) -> None:
    x, weight = (
        normal(1, 2, 9, 4, 9)[:, ::-1, :, ::2].transpose(0, 2, 1, 3),
        normal(2, 4, 4 // groups, kernel, kernel),
    )
    window = Geometry((9, 5), (kernel,) * 2, (1, 1), (1, 1), ((1, 1),) * 2)
    options: dict[str, Any] = {"strides": (1, 1), "dilations": (1, 1), "pads": window.pads, "groups": groups}
    expected = run(np.ascontiguousarray(x), weight, None, window, groups, last=False)
    if last:
        y = to_first(
            convolve(np.moveaxis(x, 1, -1), np.moveaxis(weight, 1, -1), None, channels_last=True, **options)
        )
    else:
        y = convolve(x, weight, None, channels_last=False, **options)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


def test_rows_of_one_channel_do_not_confuse_blas() -> None:
    # the windows of a one-channel signal are a matrix whose rows overlap, which BLAS cannot read in place
    x, weight, window = normal(1, 1, 1, 50), normal(2, 3, 1, 7), plain(1, 7, 50)
    expected = reference(x, weight, None, window, 1)
    for last in (False, True):
        np.testing.assert_allclose(
            run(x, weight, None, window, 1, last=last), expected, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("groups", [1, 4, 64])
def test_scratch_memory_is_bounded(groups: int, last: bool) -> None:
    x = normal(1, 1, 64, 160, 160, dtype=np.float32)
    weight = normal(2, 64, 64 // groups, 3, 3, dtype=np.float32)
    if last:
        x, weight = to_last(x), to_last(weight)
    tracemalloc.start()
    options: dict[str, Any] = {
        "strides": (1, 1),
        "dilations": (1, 1),
        "pads": ((1, 1), (1, 1)),
        "groups": groups,
    }
    y = convolve(x, weight, None, channels_last=last, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - y.nbytes < 3 * conv._SCRATCH // 2
    assert x.nbytes > conv._SCRATCH


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("groups", [1, 4, 32])
def test_every_run_gives_the_same_bits(groups: int, last: bool) -> None:
    x, weight = (
        normal(1, 2, 32, 40, 40, dtype=np.float32),
        normal(2, 32, 32 // groups, 3, 3, dtype=np.float32),
    )
    first = run(x, weight, None, plain(2, 3, 40, 1), groups, last=last)
    for _ in range(5):
        assert run(x, weight, None, plain(2, 3, 40, 1), groups, last=last).tobytes() == first.tobytes()
