"""Activations, against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir import ops
from mmconvert.ir.dims import Dim
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, TensorType
from tests.cases.activation import CASES
from tests.cases.case import Case
from tests.ir.ops.onnx_oracle import run_node
from tests.ir.ops.rows import assert_oracle, assert_same, evaluate, operands

torch = pytest.importorskip("torch")
F = torch.nn.functional

TORCH: dict[str, Callable[..., Any]] = {
    "Relu": lambda op, x: F.relu(x),
    "LeakyRelu": lambda op, x: F.leaky_relu(x, op.alpha),
    "Elu": lambda op, x: F.elu(x, op.alpha),
    "Celu": lambda op, x: F.celu(x, op.alpha),
    "ThresholdedRelu": lambda op, x: F.threshold(x, op.alpha, 0.0),
    "Sigmoid": lambda op, x: torch.sigmoid(x),
    "HardSwish": lambda op, x: F.hardswish(x),
    "Silu": lambda op, x: F.silu(x),
    "Mish": lambda op, x: F.mish(x),
    "Softplus": lambda op, x: F.softplus(x, beta=op.beta, threshold=40),
    "Softsign": lambda op, x: F.softsign(x),
    "Gelu": lambda op, x: F.gelu(x, approximate="tanh" if op.approximate else "none"),
    "Softmax": lambda op, x: F.softmax(x, op.axis),
    "LogSoftmax": lambda op, x: F.log_softmax(x, op.axis),
    "PRelu": lambda op, x, slope: torch.where(x > 0, x, x * slope),
}
RUNTIME: dict[str, Callable[[Any], dict[str, Any]]] = {
    "Selu": lambda op: {"alpha": op.alpha, "gamma": op.gamma},
    "HardSigmoid": lambda op: {"alpha": op.alpha, "beta": op.beta},
    "Shrink": lambda op: {"bias": op.bias, "lambd": op.threshold},
    "Hardmax": lambda op: {"axis": op.axis},
    "ThresholdedRelu": lambda op: {"alpha": op.alpha},
    "PRelu": lambda op: {},
    "LeakyRelu": lambda op: {"alpha": op.alpha},
}


@pytest.mark.parametrize("case", [c for c in CASES if c.op.name in TORCH], ids=str)
def test_agrees_with_torch(case: Case) -> None:
    def oracle(*arrays: Array) -> Array:
        result = TORCH[case.op.name](case.op, *(torch.from_numpy(a.copy()) for a in arrays))
        return np.asarray(result.numpy())

    assert_oracle(case, oracle)


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.op.name in RUNTIME and c.inputs[0] is not None and c.inputs[0].dtype == "f32"],
    ids=str,
)
def test_agrees_with_onnx_runtime(case: Case) -> None:
    arrays = operands(case)
    (wanted,) = run_node(case.op.name, arrays, attributes=RUNTIME[case.op.name](case.op))
    (found,) = evaluate(case.op, arrays)
    assert_same(found, wanted)


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, ops.Clip)], ids=str)
def test_clip_agrees_with_python(case: Case) -> None:
    op = case.op
    assert isinstance(op, ops.Clip)
    low = float("-inf") if op.low is None else op.low
    high = float("inf") if op.high is None else op.high
    assert_oracle(case, np.vectorize(lambda x: min(max(x, low), high)))


@pytest.mark.parametrize(
    ("dtype", "low", "high", "wanted"),
    [
        (np.uint8, -5.0, 300.0, [0, 7, 255]),
        (np.int8, -1e30, 3.9, [0, 3, -1]),
        (np.int64, 1.5, 6.5, [1, 6, 6]),
        (np.uint8, float("nan"), None, [0, 7, 255]),
        (ml_dtypes.int4, -20, 5, [0, 5, -1]),
    ],
)
def test_bounds_of_integers_are_whole_and_in_range(
    dtype: type, low: float, high: float | None, wanted: list[int]
) -> None:
    (y,) = evaluate(ops.Clip(low=low, high=high), [np.array([0, 7, 255]).astype(dtype)])
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.array(wanted, dtype))


PLAIN: list[Op] = [
    ops.Relu(), ops.LeakyRelu(alpha=0.1), ops.Elu(), ops.Selu(), ops.Celu(), ops.ThresholdedRelu(alpha=1.0),
    ops.Sigmoid(), ops.HardSigmoid(), ops.HardSwish(), ops.Silu(), ops.Mish(), ops.Softplus(), ops.Softsign(),
    ops.Gelu(), ops.Gelu(approximate=True), ops.Clip(low=-1.0, high=1.0), ops.Shrink(bias=0.1, threshold=0.5),
    ops.Softmax(axis=0), ops.LogSoftmax(axis=0), ops.Hardmax(axis=0),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("op", PLAIN, ids=str)
def test_narrow_floats_are_rounded_once(op: Op, dtype: type) -> None:
    x: Array = np.linspace(-12, 12, 41).astype(dtype)
    (y,) = evaluate(op, [x])
    (truth,) = evaluate(op, [x.astype(np.float64)])
    assert y.dtype == dtype
    epsilon = 2**-11 if dtype is np.float16 else 2**-8
    np.testing.assert_allclose(y.astype(np.float64), truth, rtol=2 * epsilon, atol=1e-6)


# The others decide by a comparison, which NaN fails.
@pytest.mark.parametrize(
    "op", [op for op in PLAIN if op.name not in ("ThresholdedRelu", "Shrink", "Hardmax")], ids=str
)
def test_nan_stays_nan(op: Op) -> None:
    with np.errstate(invalid="ignore"):
        y = op.evaluate(np.array([np.nan, np.nan], np.float32))
    assert np.isnan(y).all()


@pytest.mark.parametrize("cls", [ops.Softmax, ops.LogSoftmax])
def test_masked_scores(cls: Callable[..., Op]) -> None:
    x = np.array([[0.5, -np.inf, 1.5]], np.float32)
    (y,) = evaluate(cls(axis=1), [x]) if cls is ops.Softmax else (cls(axis=1).evaluate(x),)
    wanted = (F.softmax if cls is ops.Softmax else F.log_softmax)(torch.from_numpy(x), 1)
    np.testing.assert_allclose(y, wanted.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        (ops.Sigmoid(), (TensorType(dtypes.I32, (2,)),)),
        (ops.Relu(), (TensorType(dtypes.BOOL, (2,)),)),
        (ops.Clip(low=0, high=1), (TensorType(dtypes.BOOL, (2,)),)),
        (ops.Shrink(bias=0, threshold=1), (TensorType(dtypes.I32, (2,)),)),
        (ops.Softmax(axis=2), (TensorType(dtypes.F32, (2, 3)),)),
        (ops.Softmax(axis=0), (TensorType(dtypes.I32, (2, 3)),)),
        (ops.PRelu(), (TensorType(dtypes.F32, (2, 3)), TensorType(dtypes.F64, (3,)))),
        (ops.PRelu(), (TensorType(dtypes.F32, (2, 3)), TensorType(dtypes.F32, (2,)))),
        (ops.PRelu(), (TensorType(dtypes.F32, (2, 1)), TensorType(dtypes.F32, (3,)))),
        (ops.PRelu(), (TensorType(dtypes.F32, (3,)), TensorType(dtypes.F32, (1, 3)))),
    ],
    ids=str,
)
def test_refuses_operands_that_do_not_fit(op: Op, operands: tuple[TensorType, ...]) -> None:
    with pytest.raises(InferenceError):
        op.infer(*operands)


def test_symbolic_extents_pass_through() -> None:
    x = TensorType(dtypes.F32, (Dim.symbol("n"), 3, Dim.symbol("h")))
    assert ops.Gelu().infer(x) == x
    assert ops.Softmax(axis=2).infer(x) == x
    assert ops.PRelu().infer(x, TensorType(dtypes.F32, (3, 1))) == x
