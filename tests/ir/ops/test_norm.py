"""Normalisations, against PyTorch in float64, ONNX Runtime, and the formulas written out index by index."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, Layout, TensorType
from tests.cases.case import Case
from tests.cases.norm import CASES
from tests.ir.ops.onnx_oracle import run_node
from tests.ir.ops.rows import assert_oracle, assert_same, evaluate, operands

torch = pytest.importorskip("torch")
F = torch.nn.functional


def rows(*classes: type[Op]) -> list[Case]:
    return [c for c in CASES if isinstance(c.op, classes)]


def channels_first(function: Callable[..., Any], axis: int) -> Callable[..., Array]:
    """A function of torch tensors with channels in axis 1, as one of arrays with them in ``axis``."""

    def wrapped(x: Array, *parameters: Array | None) -> Array:
        moved = torch.from_numpy(np.moveaxis(x, axis, 1).copy())
        result = function(moved, *(None if p is None else torch.from_numpy(p.copy()) for p in parameters))
        return np.moveaxis(result.numpy(), 1, axis)

    return wrapped


@pytest.mark.parametrize("case", rows(ops.BatchNorm), ids=str)
def test_batch_norm(case: Case) -> None:
    op: Any = case.op

    def torch_norm(x: Any, scale: Any, bias: Any, mean: Any, variance: Any) -> Any:
        return F.batch_norm(x, mean, variance, scale, bias, training=False, eps=op.epsilon)

    assert_oracle(case, channels_first(torch_norm, op.axis))


@pytest.mark.parametrize("case", rows(ops.LayerNorm), ids=str)
def test_layer_norm(case: Case) -> None:
    op: Any = case.op

    def oracle(x: Array, scale: Array | None = None, bias: Array | None = None) -> Array:
        moved = np.moveaxis(x, op.axes, range(-len(op.axes), 0))
        parameters = [None if p is None else torch.from_numpy(p.copy()) for p in (scale, bias)]
        last = moved.shape[-len(op.axes) :]
        result = F.layer_norm(torch.from_numpy(moved.copy()), last, *parameters, eps=op.epsilon)
        return np.moveaxis(result.numpy(), range(-len(op.axes), 0), op.axes)

    assert_oracle(case, oracle)


@pytest.mark.parametrize("case", rows(ops.RMSNorm), ids=str)
def test_rms_norm(case: Case) -> None:
    op: Any = case.op

    def oracle(x: Array, scale: Array | None = None) -> Array:
        moved = np.moveaxis(x, op.axes, range(-len(op.axes), 0)).copy()
        weight = None if scale is None else torch.from_numpy(scale.copy())
        result = F.rms_norm(torch.from_numpy(moved), moved.shape[-len(op.axes) :], weight, eps=op.epsilon)
        return np.moveaxis(result.numpy(), range(-len(op.axes), 0), op.axes)

    assert_oracle(case, oracle)


@pytest.mark.parametrize("case", rows(ops.InstanceNorm), ids=str)
def test_instance_norm(case: Case) -> None:
    op: Any = case.op

    def torch_norm(x: Any, scale: Any, bias: Any) -> Any:
        return F.instance_norm(x, weight=scale, bias=bias, eps=op.epsilon)

    assert_oracle(case, channels_first(torch_norm, 1 if op.layout is Layout.NCHW else -1))


@pytest.mark.parametrize("case", rows(ops.GroupNorm), ids=str)
def test_group_norm(case: Case) -> None:
    op: Any = case.op

    def torch_norm(x: Any, scale: Any, bias: Any) -> Any:
        return F.group_norm(x, op.groups, scale, bias, eps=op.epsilon)

    assert_oracle(case, channels_first(torch_norm, 1 if op.layout is Layout.NCHW else -1))


@pytest.mark.parametrize("case", rows(ops.LRN), ids=str)
def test_lrn_index_by_index(case: Case) -> None:
    op: Any = case.op

    def oracle(x: Array) -> Array:
        lines, y = np.moveaxis(x, op.axis, -1), np.empty_like(x)
        results = np.moveaxis(y, op.axis, -1)
        channels = x.shape[op.axis]
        for place in itertools.product(*map(range, lines.shape[:-1])):
            for c in range(channels):
                first = max(0, c - math.floor((op.size - 1) / 2))
                last = min(channels - 1, c + math.ceil((op.size - 1) / 2))
                total = sum(lines[(*place, i)] ** 2 for i in range(first, last + 1))
                results[(*place, c)] = lines[(*place, c)] / (op.bias + op.alpha / op.size * total) ** op.beta
        return y

    assert_oracle(case, oracle)


def in_onnx_runtime(case: Case) -> bool:
    """ONNX Runtime has odd windows over pictures with the channels first."""
    op: Any = case.op
    (x,) = operands(case)
    return x is not None and x.ndim == 4 and op.size % 2 == 1 and op.axis == 1


@pytest.mark.parametrize("case", [c for c in rows(ops.LRN) if in_onnx_runtime(c)], ids=str)
def test_lrn_agrees_with_onnx_runtime(case: Case) -> None:
    op: Any = case.op
    arrays = operands(case)
    attributes = {"size": op.size, "alpha": op.alpha, "beta": op.beta, "bias": op.bias}
    (wanted,) = run_node("LRN", arrays, attributes=attributes)
    assert_same(evaluate(op, arrays)[0], wanted)


@pytest.mark.parametrize("case", rows(ops.LpNormalization), ids=str)
def test_lp_normalization(case: Case) -> None:
    op: Any = case.op
    assert_oracle(case, lambda x: F.normalize(torch.from_numpy(x.copy()), p=op.p, dim=op.axis).numpy())
    arrays = operands(case)
    (wanted,) = run_node("LpNormalization", arrays, attributes={"axis": op.axis, "p": op.p})
    assert_same(evaluate(op, arrays)[0], wanted)


@pytest.mark.parametrize("case", rows(ops.L2Normalization), ids=str)
def test_l2_normalization_index_by_index(case: Case) -> None:
    op: Any = case.op

    def oracle(x: Array) -> Array:
        y = np.empty_like(x)
        kept: list[list[Any]] = [
            list(range(e)) if a not in op.axes else [slice(None)] for a, e in enumerate(x.shape)
        ]
        for place in itertools.product(*kept):
            vector = x[place]
            y[place] = vector / math.sqrt(max(sum(v**2 for v in np.ravel(vector)), op.epsilon))
        return y

    assert_oracle(case, oracle)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(
    "op",
    [
        ops.LayerNorm(axes=(1,), epsilon=1e-5),
        ops.RMSNorm(axes=(1,), epsilon=1e-5),
        ops.LpNormalization(axis=1, p=2),
        ops.L2Normalization(axes=(1,), epsilon=1e-6),
        ops.LRN(size=3, alpha=0.5, beta=0.75, bias=1.0, axis=1),
    ],
    ids=str,
)
def test_narrow_floats_are_rounded_once(op: Op, dtype: type) -> None:
    x: Array = np.random.default_rng(0).normal(2, 1, (3, 300)).astype(dtype)
    (y,), (truth,) = evaluate(op, [x]), evaluate(op, [x.astype(np.float64)])
    assert y.dtype == dtype
    np.testing.assert_allclose(y.astype(np.float64), truth, rtol=2**-7 if dtype is not np.float16 else 2**-10)


def test_constants_of_narrow_floats() -> None:
    x = np.random.default_rng(0).normal(2, 1, (2, 4, 5, 3))
    parameters = [np.array([0.5, 1.0, 2.0])] * 4
    for op, count in (
        (ops.BatchNorm(epsilon=1e-3, axis=3), 4),
        (ops.InstanceNorm(epsilon=1e-3, layout=Layout.NHWC), 2),
        (ops.GroupNorm(groups=1, epsilon=1e-3, layout=Layout.NHWC), 2),
    ):
        narrow = [a.astype(np.float16) for a in (x, *parameters[:count])]
        (y,), (truth,) = evaluate(op, narrow), evaluate(op, [a.astype(np.float64) for a in narrow])
        assert y.dtype == np.float16
        np.testing.assert_allclose(y, truth, rtol=2**-9, atol=2**-9)


def f32(*shape: int | Dim) -> TensorType:
    return TensorType(dtypes.F32, shape)


@pytest.mark.parametrize(
    ("op", "operands", "message"),
    [
        (ops.BatchNorm(epsilon=1, axis=1), (f32(2, 3), *[f32(4)] * 4), "one number per channel"),
        (ops.BatchNorm(epsilon=1, axis=2), (f32(2, 3), *[f32(3)] * 4), "no axis 2"),
        (ops.BatchNorm(epsilon=1, axis=1), (f32(2, 3), *[f32(1, 3)] * 4), "rank 1"),
        (ops.LayerNorm(axes=(1,), epsilon=1), (f32(2, 3), f32(2)), "the extents of"),
        (ops.LayerNorm(axes=(1, 0), epsilon=1), (f32(2, 3),), "ascending"),
        (ops.LayerNorm(axes=(), epsilon=1), (f32(2, 3),), "ascending"),
        (ops.LayerNorm(axes=(0, 1), epsilon=1), (f32(2, 3), f32(6)), "rank 2"),
        (ops.RMSNorm(axes=(2,), epsilon=1), (f32(2, 3),), "no axis 2"),
        (ops.InstanceNorm(epsilon=1, layout=Layout.NCHW), (f32(2, 3), f32(3), f32(3)), "spatial axes"),
        (ops.InstanceNorm(epsilon=1, layout=Layout.NHWC), (f32(2, 3, 4), f32(3), f32(3)), "per channel"),
        (
            ops.GroupNorm(groups=2, epsilon=1, layout=Layout.NCHW),
            (f32(2, 3, 4), f32(3), f32(3)),
            "multiple of 2",
        ),
        (ops.GroupNorm(groups=1, epsilon=1, layout=Layout.NCHW), (f32(3), f32(3), f32(3)), "a batch axis"),
        (ops.LRN(size=0, alpha=1, beta=1, bias=1, axis=1), (f32(2, 3),), "at least one"),
        (ops.LpNormalization(axis=1, p=3), (f32(2, 3),), "the norm 1 or 2"),
        (ops.L2Normalization(axes=(2,), epsilon=1), (f32(2, 3),), "no axis 2"),
    ],
    ids=str,
)
def test_refuses_operands_that_do_not_fit(op: Op, operands: tuple[TensorType, ...], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(*operands)


def test_symbolic_extents_pass_through() -> None:
    n, h = Dim.symbol("n"), Dim.symbol("h")
    x = f32(n, 6, h, h)
    assert ops.LayerNorm(axes=(2, 3), epsilon=1).infer(x, f32(h, h)) == x
    assert ops.BatchNorm(epsilon=1, axis=2).infer(x, *[f32(h)] * 4) == x
    graph = Graph()
    value = graph.input("x", x)
    b = Builder(graph)
    parameters = [b.constant(np.ones(6, np.float32)) for _ in range(2)]
    group = ops.GroupNorm(groups=2, epsilon=1, layout=Layout.NCHW).decompose(b, value, *parameters)
    assert group.type == x


def test_lrn_without_known_channels_has_no_decomposition() -> None:
    graph = Graph()
    op = ops.LRN(size=3, alpha=1.0, beta=1.0, bias=1.0, axis=1)
    for shape in ((2, Dim.symbol("c"), 4, 4), (2, 5)):
        assert op.decompose(Builder(graph), graph.input(f"x{len(shape)}", f32(*shape))) is None
