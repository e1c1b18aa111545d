"""The acceptance rule, and above all what it must not accept."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mmconvert import dtypes
from mmconvert.ir.types import Array
from mmconvert.verification.compare import FLOAT64, GAP, LARGE, NONE, Error, budget, floor, measure

EPSILON = 2.0**-23


def softmax(rows: int = 3, classes: int = 10, seed: int = 0) -> Array:
    logits = np.random.default_rng(seed).standard_normal((rows, classes))
    e = np.exp(logits)
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def accepts(actual: Array, truth: Array, own: Array | None = None) -> bool:
    """The whole rule, for a source whose own float32 run is ``own`` (the rounded truth by default)."""
    own = truth.astype(np.float32) if own is None else own
    return measure(actual, truth, own).within(budget(measure(own, truth, own), own.dtype))


# --- what must pass --------------------------------------------------------------------------------------


def test_the_truth_itself() -> None:
    truth = softmax()
    assert measure(truth, truth) == NONE
    assert accepts(truth.astype(np.float32), truth)


def test_errors_are_what_their_definition_says() -> None:
    truth, actual = np.array([3.0, -4.0]), np.array([3.0, -4.5])
    assert measure(actual, truth) == Error(0.5 / 4, 0.5 / 5)


def test_another_order_of_sums() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((8, 500)), rng.standard_normal((500, 8))
    truth, own = a @ b, a.astype(np.float32) @ b.astype(np.float32)
    reordered = a[:, ::-1].astype(np.float32) @ b[::-1].astype(np.float32)
    assert accepts(reordered, truth, own)


def test_k_times_the_own_error_and_no_more() -> None:
    truth = np.array([1.0, 1.0])
    allowed = budget(Error(1e-3, 1e-3), dtypes.F32)
    assert measure(truth + 3.9e-3, truth).within(allowed)
    assert not measure(truth + 4.1e-3, truth).within(allowed)


def test_either_number_alone_can_fail() -> None:
    assert not Error(1.0, 0.0).within(Error(0.5, 0.5))
    assert not Error(0.0, 1.0).within(Error(0.5, 0.5))


def test_nothing_infinite_is_within_anything() -> None:
    infinite = Error(float("inf"), float("inf"))
    assert not infinite.within(infinite)
    assert not Error(float("nan"), 0.0).within(infinite)


def test_outputs_of_zeros() -> None:
    zeros = np.zeros(4)
    assert accepts(zeros.astype(np.float32), zeros)
    assert not accepts(np.full(4, 1e-3, np.float32), zeros)


def test_empty_outputs() -> None:
    assert accepts(np.zeros((0, 4), np.float32), np.zeros((0, 4)))
    assert not accepts(np.zeros((0, 5), np.float32), np.zeros((0, 4)))


def test_scalars() -> None:
    assert accepts(np.asarray(2.0, np.float32), np.asarray(2.0))
    assert not accepts(np.asarray(2.1, np.float32), np.asarray(2.0))


# --- what must not ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [1, -1, 2])
def test_a_shift(shift: int) -> None:
    truth = softmax()
    assert not accepts(np.roll(truth, shift, axis=-1).astype(np.float32), truth)


def test_a_shift_by_one_of_a_smooth_output() -> None:
    truth = np.linspace(0, 1, 10_000)
    assert not accepts(np.roll(truth, 1)[1:].astype(np.float32), truth[1:])


def test_two_classes_swapped() -> None:
    truth = softmax()
    swapped = truth.copy()
    swapped[:, [2, 5]] = swapped[:, [5, 2]]
    assert not accepts(swapped.astype(np.float32), truth)


def test_the_winning_class_moved() -> None:
    truth = np.full((1, 1000), 1e-6)
    truth[0, 3] = 0.999
    assert not accepts(np.roll(truth, 400, axis=1).astype(np.float32), truth)


def test_sorted_outputs() -> None:
    truth = softmax()
    assert not accepts(np.sort(truth, axis=-1).astype(np.float32), truth)


def test_a_square_output_transposed() -> None:
    truth = softmax(10, 10)
    assert not accepts(truth.T.astype(np.float32), truth)


def test_channels_first_for_channels_last() -> None:
    truth = np.random.default_rng(0).standard_normal((1, 4, 4, 4))
    assert not accepts(truth.transpose(0, 3, 1, 2).astype(np.float32), truth)
    assert measure(truth.reshape(1, 16, 4), truth) == measure(truth[..., 0], truth)  # another shape: infinite


def test_truncated_outputs() -> None:
    truth = softmax(1, 1000)
    assert not accepts(truth[:, :900].astype(np.float32), truth)


@pytest.mark.parametrize("bias", [1e-2, 1e-4, -1e-5])
def test_a_constant_bias(bias: float) -> None:
    truth = np.random.default_rng(0).standard_normal((2, 100))
    assert not accepts((truth + bias).astype(np.float32), truth)


@pytest.mark.parametrize("scale", [1.001, 1.0001, -1.0])
def test_a_wrong_scale(scale: float) -> None:
    truth = np.random.default_rng(0).standard_normal((2, 100))
    assert not accepts((scale * truth).astype(np.float32), truth)


def test_one_element_among_a_million() -> None:
    truth = np.random.default_rng(0).standard_normal(1_000_000)
    actual = truth.astype(np.float32)
    actual[123_456] += np.float32(0.01)
    assert not accepts(actual, truth)


def test_a_small_error_everywhere_that_no_element_shows() -> None:
    """The largest difference is in the budget, and their sum is not: relative L2 sees it."""
    truth = np.full(1000, 1e-3)
    truth[0] = 1.0
    actual = truth.copy()
    actual[1:] += 3.5e-6
    error, allowed = measure(actual, truth), budget(NONE, dtypes.F32)
    assert error.maximum <= allowed.maximum
    assert not error.within(allowed)


def test_float16_arithmetic_where_the_source_computes_in_float32() -> None:
    truth = softmax()
    assert not accepts(truth.astype(np.float16), truth)


# --- NaN and infinities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_special_where_the_truth_is_a_number(wrong: float) -> None:
    truth = softmax()
    actual = truth.astype(np.float32)
    actual[0, 0] = wrong
    assert not accepts(actual, truth)


def test_a_number_where_the_truth_is_special() -> None:
    truth = np.array([1.0, np.nan, np.inf])
    assert accepts(np.array([1, np.nan, np.inf], np.float32), truth)
    for actual in ([1, 0, np.inf], [1, np.nan, 3e38], [1, np.nan, -np.inf], [1, np.inf, np.inf]):
        assert not accepts(np.array(actual, np.float32), truth)


def test_specials_do_not_hide_the_other_elements() -> None:
    truth = np.array([1.0, 2.0, np.nan, np.inf])
    assert not accepts(np.array([1, 2.1, np.nan, np.inf], np.float32), truth)


def test_overflow_in_float32_alone() -> None:
    """exp(100) is a number in float64: a target may overflow where the source does, and nowhere else."""
    truth, own = np.array([1e43, 2.0, 3.0]), np.array([np.inf, 2, 3], np.float32)
    assert accepts(np.array([np.inf, 2, 3], np.float32), truth, own)
    assert not accepts(np.array([np.inf, 2, 3.1], np.float32), truth, own)
    assert not accepts(np.array([np.inf, np.inf, 3], np.float32), truth, own)
    assert not accepts(np.array([-np.inf, 2, 3], np.float32), truth, own)
    assert not accepts(np.array([0, 2, 3], np.float32), truth, own)


# --- integers and booleans -------------------------------------------------------------------------------


def test_integers_must_be_equal() -> None:
    truth = np.array([3, 1, 4])
    assert accepts(truth.astype(np.int32), truth, truth)
    assert not accepts(np.array([3, 1, 5]), truth, truth)
    assert not accepts(np.array([3.0, 1.0, 4.0], np.float32), truth, truth)
    assert not accepts(np.array([3, 1]), truth, truth)


def test_booleans_must_be_equal() -> None:
    truth = np.array([True, False])
    assert accepts(truth, truth, truth)
    assert not accepts(~truth, truth, truth)


def test_a_near_tie_may_go_either_way() -> None:
    truth, own = np.array([3, 1, 4]), np.array([3, 2, 4])
    assert accepts(truth, truth, own)
    assert accepts(own, truth, own)
    assert not accepts(np.array([3, 5, 4]), truth, own)
    assert not accepts(np.array([0, 2, 4]), truth, own)


def test_integers_for_floats() -> None:
    assert not accepts(np.array([1, 2]), np.array([1.0, 2.0]))


# --- scales ----------------------------------------------------------------------------------------------


def test_a_mask_does_not_hide_the_scores() -> None:
    truth = np.array([0.5, -1e9, 0.25, -1e9])
    assert accepts(truth.astype(np.float32), truth)
    assert not accepts(np.array([0.6, -1e9, 0.25, -1e9], np.float32), truth)
    assert not accepts(np.array([0.5, -1.1e9, 0.25, -1e9], np.float32), truth)


def test_large_outputs_are_no_masks() -> None:
    truth = LARGE * np.array([1.0, 2 / GAP, 3.0])
    assert measure(truth + 3.0, truth).maximum == 1 / LARGE


def test_squares_that_overflow() -> None:
    truth = np.array([1e300, 2e300])
    assert measure(truth, truth) == NONE
    assert measure(truth * 1.5, truth) == Error(0.5, 0.5)


def test_complex_outputs() -> None:
    truth = np.array([1 + 1j, 2 - 1j])
    own = truth.astype(np.complex64)
    assert accepts(own, truth, own)
    assert not accepts(own.conj(), truth, own)


# --- floors ----------------------------------------------------------------------------------------------


def test_floors() -> None:
    assert floor(dtypes.F32) == 32 * EPSILON
    assert floor(np.dtype(np.complex64)) == 32 * EPSILON
    assert floor(dtypes.F64) == floor(np.dtype(np.complex128)) == FLOAT64
    assert floor(dtypes.F16) == 4 * 2.0**-10
    assert floor(dtypes.BF16) == 4 * 2.0**-7
    assert floor(np.dtype(ml_dtypes.float8_e4m3fn)) == 0.5
    assert floor(dtypes.I32) == floor(dtypes.BOOL) == 0.0


def test_bfloat16() -> None:
    truth = softmax()
    own = truth.astype(ml_dtypes.bfloat16)
    assert accepts(own, truth, own)
    assert not accepts(np.roll(own, 1, axis=-1), truth, own)


SHAPES = arrays.array_shapes(max_dims=3, max_side=5)
FLOATS = st.floats(-1e3, 1e3, width=32)


@given(arrays.arrays(np.float64, SHAPES, elements=FLOATS), st.floats(1e-4, 1e3))
def test_rounding_passes_and_any_visible_change_does_not(truth: Array, change: float) -> None:
    actual = truth.astype(np.float32)
    assert accepts(actual, truth)
    scale = max(1.0, float(np.max(np.abs(truth))))
    actual.flat[0] += np.float32(change * scale)
    assert not accepts(actual, truth)
