from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmconvert.ir.kernels import conv_transpose, convolve, convolve_transpose
from tests.ir.kernels.cases import Array, Geometry, geometries, normal, to_first, to_last


def run(
    x: Array,
    weight: Array,
    bias: Array | None,
    window: Geometry,
    extra: tuple[int, ...],
    groups: int,
    *,
    last: bool,
) -> Array:
    """Our kernel on channels-first arrays, computed in either layout."""
    if last:
        x, weight = to_last(x), to_last(weight)
    y = convolve_transpose(
        x,
        weight,
        bias,
        strides=window.strides,
        dilations=window.dilations,
        pads=window.pads,
        output_padding=extra,
        groups=groups,
        channels_last=last,
    )
    return to_first(y) if last else y


def reference(
    x: Array, weight: Array, bias: Array | None, window: Geometry, extra: tuple[int, ...], groups: int
) -> Array:
    """PyTorch's full output in float64, then extended and cropped."""
    torch = pytest.importorskip("torch")
    function = getattr(torch.nn.functional, f"conv_transpose{window.rank}d")
    full = function(
        torch.tensor(x), torch.tensor(weight), None, window.strides, 0, 0, groups, window.dilations
    ).numpy()
    ends = [max(0, n - after) for n, (_, after) in zip(extra, window.pads, strict=True)]
    full = np.pad(full, [(0, 0), (0, 0), *((0, n) for n in ends)])
    for axis, (n, (before, after), end) in enumerate(zip(extra, window.pads, ends, strict=True), start=2):
        stop = full.shape[axis] - end - after + n
        full = full[(slice(None),) * axis + (slice(before, stop),)]
    return full if bias is None else full + bias.reshape(-1, *[1] * window.rank)


@st.composite
def transposed(draw: st.DrawFn) -> tuple[Geometry, tuple[int, ...]]:
    """Windows whose full output is larger than what is cropped, and an output padding."""
    window = draw(geometries())
    extra = tuple(draw(st.integers(0, s - 1)) for s in window.strides)
    pads = []
    for extent, stride, reach in zip(window.extents, window.strides, window.reach, strict=True):
        spare = (extent - 1) * stride + reach - 1
        before = draw(st.integers(0, min(3, spare)))
        pads.append((before, draw(st.integers(0, min(3, spare - before)))))
    return Geometry(window.extents, window.kernel, window.strides, window.dilations, tuple(pads)), extra


@settings(max_examples=200, deadline=None)
@given(
    case=transposed(),
    batch=st.integers(0, 3),
    groups=st.integers(1, 3),
    inner=st.integers(1, 3),
    outer=st.integers(1, 3),
    last=st.booleans(),
    biased=st.booleans(),
    scratch=st.sampled_from([1, 300, 1 << 22]),
)
def test_convolve_transpose_agrees_with_torch(
    case: tuple[Geometry, tuple[int, ...]],
    batch: int,
    groups: int,
    inner: int,
    outer: int,
    last: bool,
    biased: bool,
    scratch: int,
) -> None:
    window, extra = case
    x = normal(1, batch, groups * inner, *window.extents)
    weight = normal(2, groups * inner, outer, *window.kernel)
    bias = normal(3, groups * outer) if biased else None
    with mock.patch.object(conv_transpose, "_SCRATCH", scratch):
        y = run(x, weight, bias, window, extra, groups, last=last)
    expected = reference(x, weight, bias, window, extra, groups) if batch else np.empty(y.shape)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(window=geometries(), groups=st.integers(1, 3), last=st.booleans())
def test_it_is_the_adjoint_of_convolve(window: Geometry, groups: int, last: bool) -> None:
    # <conv(x), y> == <x, conv_transpose(y)>, with the output padding that restores the extents of x
    x, weight = normal(1, 2, 2 * groups, *window.extents), normal(2, 3 * groups, 2, *window.kernel)
    options = {
        "strides": window.strides,
        "dilations": window.dilations,
        "pads": window.pads,
        "groups": groups,
    }
    forward = convolve(x, weight, None, channels_last=False, **options)  # type: ignore[arg-type]
    y = normal(3, *forward.shape)
    extra = tuple(
        (extent + before + after - reach) % stride
        for extent, (before, after), reach, stride in zip(
            window.extents, window.pads, window.reach, window.strides, strict=True
        )
    )
    back = run(y, weight, None, Geometry(y.shape[2:], *_rest(window)), extra, groups, last=last)
    assert back.shape == x.shape
    assert math.isclose(float(np.vdot(forward, y)), float(np.vdot(x, back)), rel_tol=1e-9, abs_tol=1e-9)


def _rest(
    window: Geometry,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    return window.kernel, window.strides, window.dilations, window.pads


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("pads", "extra", "expected"),
    [
        ((0, 0), 0, [1, 10, 102, 20, 203, 30, 300]),
        ((1, 1), 0, [10, 102, 20, 203, 30]),
        ((1, 1), 1, [10, 102, 20, 203, 30, 300]),
        ((0, 0), 1, [1, 10, 102, 20, 203, 30, 300, 0]),
        ((0, -2), 0, [1, 10, 102, 20, 203, 30, 300, 0, 0]),
        ((-1, 2), 0, [0, 1, 10, 102, 20, 203]),
    ],
)
def test_convolve_transpose_by_hand(
    pads: tuple[int, int], extra: int, expected: list[int], last: bool
) -> None:
    x, weight = np.array([[[1, 2, 3]]]), np.array([[[1, 10, 100]]])
    window = Geometry((3,), (3,), (2,), (1,), (pads,))
    assert run(x, weight, None, window, (extra,), 1, last=last).tolist() == [[expected]]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_narrow_floats_are_summed_in_float32(groups: int, last: bool) -> None:
    x, weight = normal(1, 2, 4, 6, dtype=np.float16), normal(2, 4, 3, 3, dtype=np.float16)
    window = Geometry((6,), (3,), (1,), (1,), ((1, 1),))
    y = run(x, weight, None, window, (0,), groups, last=last)
    wide = run(x.astype(np.float32), weight.astype(np.float32), None, window, (0,), groups, last=last)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, wide.astype(np.float16))
