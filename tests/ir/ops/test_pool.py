from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir.dims import Dim, substitute
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.ops import AveragePool, LpPool, MaxPool, MaxPoolIndices
from mmconvert.ir.types import Array, Layout, TensorType
from tests.cases.case import Case
from tests.cases.pool import CASES
from tests.ir.ops.onnx_oracle import fields, operands, pads_attribute, run_node


def channels_first(case: Case) -> tuple[list[Array], Array]:
    """What the operator computes, and its operand, both as ONNX lays them out."""
    (x,) = operands(case)
    y = case.op.evaluate(x)
    results = list(y) if isinstance(y, tuple) else [y]
    if fields(case).layout is Layout.NHWC:
        return [np.moveaxis(r, -1, 1) for r in results], np.ascontiguousarray(np.moveaxis(x, -1, 1))
    return results, x


def attributes(op: Any) -> dict[str, Any]:
    given = {
        "kernel_shape": op.kernel,
        "strides": op.strides,
        "dilations": op.dilations,
        "ceil_mode": int(op.ceil),
    }
    if isinstance(op, AveragePool):
        given["count_include_pad"] = int(op.count_include_pad)
    if isinstance(op, LpPool):
        given["p"] = op.p
    if isinstance(op, MaxPoolIndices):
        given["storage_order"] = op.storage_order
    return given


def check(case: Case, results: list[Array], x: Array, padding: dict[str, Any]) -> None:
    kind = "MaxPool" if isinstance(case.op, MaxPoolIndices) else case.op.name
    expected = run_node(kind, [x], attributes={**attributes(fields(case)), **padding}, outputs=len(results))
    for ours, theirs in zip(results, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pooling_is_onnx_runtimes(case: Case) -> None:
    op, (results, x) = fields(case), channels_first(case)
    pads = pads_attribute(op.padding, x.shape[2:], op.kernel, op.strides, op.dilations)
    check(case, results, x, {"pads": pads})


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if isinstance(fields(c).padding, Same) and max(fields(c).dilations) == 1],
    ids=str,
)
def test_same_is_auto_pad(case: Case) -> None:
    results, x = channels_first(case)
    check(case, results, x, {"auto_pad": "SAME_UPPER" if fields(case).padding.extra_after else "SAME_LOWER"})


def windows(**given: Any) -> dict[str, Any]:
    plain = {"kernel": (2,), "strides": (2,), "dilations": (1,), "padding": Explicit(((0, 0),))}
    return {**plain, "layout": Layout.NCHW, **given}


ROW = np.array([[[6.0, 1.0, 2.0, 5.0, 4.0]]])


def test_ceil_by_hand() -> None:
    assert MaxPool(**windows()).evaluate(ROW).tolist() == [[[6, 5]]]
    assert MaxPool(**windows(ceil=True)).evaluate(ROW).tolist() == [[[6, 5, 4]]]
    # A window that would start in the padding behind is left out.
    after = windows(ceil=True, padding=Explicit(((1, 1),)), kernel=(1,), strides=(3,))
    assert MaxPool(**after).evaluate(ROW).tolist() == [[[-np.inf, 2]]]


def test_divisors_by_hand() -> None:
    def mean(**given: Any) -> Any:
        return AveragePool(**windows(kernel=(3,), **given)).evaluate(ROW).reshape(-1).tolist()

    padded = Explicit(((1, 1),))
    assert mean(padding=padded) == [3.5, 8 / 3, 4.5]
    assert mean(padding=padded, count_include_pad=True) == [7 / 3, 8 / 3, 3]
    assert mean(padding=Explicit(((0, 0),)), ceil=True) == [3, 11 / 3]
    # What hangs over the padding counts neither way.
    wide = {"strides": (4,), "padding": padded, "ceil": True}
    assert mean(**wide) == [3.5, 4.5]
    assert mean(**wide, count_include_pad=True) == [7 / 3, 3]
    assert mean(strides=(3,), padding=Explicit(((0, 1),)), ceil=True, count_include_pad=True) == [3, 3]


def test_indices_by_hand() -> None:
    x = np.array([[[[1.0, 7.0, 7.0], [3.0, 2.0, 9.0]]]])
    given: dict[str, Any] = {
        "kernel": (2, 2),
        "strides": (1, 1),
        "dilations": (1, 1),
        "padding": Explicit.zero(2),
        "layout": Layout.NCHW,
    }
    values, rows = MaxPoolIndices(**given).evaluate(x)
    assert (values.tolist(), rows.tolist()) == ([[[[7, 9]]]], [[[[1, 5]]]])
    assert MaxPoolIndices(**given, storage_order=1).evaluate(x)[1].tolist() == [[[[2, 5]]]]


def test_lp_pool_by_hand() -> None:
    assert LpPool(**windows(), p=1).evaluate(-ROW).tolist() == [[[7, 7]]]
    np.testing.assert_allclose(LpPool(**windows(), p=2).evaluate(ROW), [[[37**0.5, 29**0.5]]])


@pytest.mark.parametrize("stride", range(1, 5))
@pytest.mark.parametrize("pads", [(0, 0), (1, 0), (0, 2), (1, 1)])
@pytest.mark.parametrize("kernel", range(1, 5))
def test_symbolic_ceil_extents_are_the_known_ones(kernel: int, pads: tuple[int, int], stride: int) -> None:
    op = MaxPool(**windows(kernel=(kernel,), strides=(stride,), padding=Explicit((pads,)), ceil=True))
    symbolic = op.infer(TensorType(dtypes.F32, (1, 1, Dim.symbol("h")))).shape[2]
    for extent in range(kernel, 12):
        known = op.infer(TensorType(dtypes.F32, (1, 1, extent))).shape[2]
        assert substitute(symbolic, {"h": extent}) == known
        assert op.evaluate(np.zeros((1, 1, extent), np.float32)).shape[2] == known


@pytest.mark.parametrize(
    ("op", "x", "message"),
    [
        (MaxPool(**windows()), TensorType(dtypes.BOOL, (1, 1, 4)), "a numeric tensor"),
        (AveragePool(**windows()), TensorType(dtypes.I32, (1, 1, 4)), "a floating-point tensor"),
        (MaxPool(**windows()), TensorType(dtypes.F32, (1, 4)), "a batch, a channel and a spatial axis"),
        (MaxPool(**windows(kernel=(2, 2))), TensorType(dtypes.F32, (1, 1, 4)), "one positive kernel extent"),
        (MaxPool(**windows(kernel=(5,))), TensorType(dtypes.F32, (1, 1, 4)), "a window of 5 does not fit"),
        (MaxPoolIndices(**windows(layout=Layout.NHWC)), TensorType(dtypes.F32, (1, 4, 1)), "the layout NCHW"),
        (LpPool(**windows(), p=0), TensorType(dtypes.F32, (1, 1, 4)), "a norm of order 1 or more"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(op: Any, x: TensorType, message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(x)
