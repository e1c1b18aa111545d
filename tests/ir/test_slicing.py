from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmconvert.errors import InferenceError
from mmconvert.ir.dims import Dim, Extent, substitute
from mmconvert.ir.slicing import normalize_slice

N, M = Dim.symbol("n"), Dim.symbol("m")
bounds = st.one_of(
    st.none(), st.integers(-12, 12), st.sampled_from([1 << 31, (1 << 63) - 1, -(1 << 63), 1 - (1 << 31)])
)
steps = st.integers(-4, 4).filter(bool)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 9), bounds, bounds, steps)
def test_known_extents_follow_python(extent: int, start: int | None, end: int | None, step: int) -> None:
    expected = range(extent)[start:end:step]
    first, size = normalize_slice(extent, start, end, step)
    assert size == len(expected)
    assert not expected or first == expected[0]


@settings(max_examples=500, deadline=None)
@given(bounds, bounds, steps)
def test_symbolic_extents_follow_python_where_bounds_lie_inside(
    start: int | None, end: int | None, step: int
) -> None:
    first, size = normalize_slice(N, start, end, step)
    for extent in range(13, 17):
        expected = range(extent)[start:end:step]
        if expected:
            assert substitute(first, {"n": extent}) == expected[0]
            assert substitute(size, {"n": extent}) == len(expected)


@pytest.mark.parametrize(
    ("extent", "start", "end", "step", "expected"),
    [
        (N, None, None, 1, "0 n"),
        (N, 1, None, 1, "1 n-1"),
        (N, None, -1, 1, "0 n-1"),
        (N, -1, None, 1, "n-1 1"),
        (N, -3, -1, 1, "n-3 2"),
        (N, 0, 1, 1, "0 1"),
        (N, None, None, 2, "0 (n+1)//2"),
        (N, None, None, -1, "n-1 n"),
        (N, -1, -(1 << 63), -1, "n-1 n"),
        (512, None, N, 1, "0 n"),
        (N, None, M, 1, "0 m"),
        (N, M, None, 1, "m -m+n"),
        (N, -M, None, 1, "-m+n m"),
        (N, 0, 0, 1, "0 0"),
    ],
)
def test_symbols(extent: Extent, start: Extent | None, end: Extent | None, step: int, expected: str) -> None:
    assert " ".join(map(str, normalize_slice(extent, start, end, step))) == expected


def test_a_known_bound_clamps_a_symbolic_extent() -> None:
    _, size = normalize_slice(N, None, 100)
    assert [substitute(size, {"n": n}) for n in (1, 99, 100, 101)] == [1, 99, 100, 100]


def test_step_zero_is_refused() -> None:
    with pytest.raises(InferenceError, match="the step of a slice is 0"):
        normalize_slice(4, 0, 4, 0)
