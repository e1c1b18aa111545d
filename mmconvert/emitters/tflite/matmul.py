"""TFLite rules for matrix products."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.fusion import Tail, is_dense
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.dims import product
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Gemm, MatMul
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_MOST_AXES = 5
"""BATCH_MATMUL has no kernel for more."""


@rule(MatMul)
def matmul(node: Node[MatMul], out: Writer) -> None:
    a, b, tail = node.operand(0), node.operand(1), out.tail(node)
    if not dtypes.is_float(a.type.dtype):
        _whole(a, b, node.output, out)
    elif is_dense(node):
        fully_connected(a, out.transpose(b, (1, 0)), tail, out)
    elif node in out.plan.adjoints:
        _batch(a, out.plan.adjoints[node], tail.output, out, adjoint=True)
    elif min(a.type.rank, b.type.rank) < 2:
        _with_vectors(a, b, tail.output, out)
    else:
        _batch(a, b, tail.output, out)


@rule(Gemm)
def gemm(node: Node[Gemm], out: Writer) -> None:
    op, a, b, c = node.op, node.operand(0), node.operand(1), node.optional(2)
    tail = out.tail(node)
    if not dtypes.is_float(a.type.dtype):
        raise UnsupportedError(f"TFLite has no FULLY_CONNECTED of {dtypes.name(a.type.dtype)}")
    a = out.transpose(a, (1, 0)) if op.transpose_a else a
    weight = out.transpose(b, (1, 0)) if not op.transpose_b else b
    if op.alpha != 1:
        weight = out.scale(weight, op.alpha)
    if c is None:
        fully_connected(a, weight, tail, out)
        return
    if op.beta != 1:
        c = out.scale(c, op.beta)
    if c.constant is not None and _is_row(c, tail.output):
        fully_connected(a, weight, Tail(tail.output, c, tail.activation), out)
        return
    rows = Value(tail.output.type, f"{out.scope}/product")
    fully_connected(a, weight, Tail(rows), out)
    out(tfl.ADD, (rows, c), tail.output, fused_activation_function=tail.activation)


def _is_row(c: Value, result: Value) -> bool:
    """True when ``c`` holds one number for each column."""
    return c.type.rank > 0 and c.type.size == c.type.shape[-1] == result.type.shape[-1]


def fully_connected(x: Value, weight: Value, tail: Tail, out: Writer) -> None:
    """Writes ``x`` times the transpose of ``weight``, which is ``[out, in]``."""
    bias = None if tail.bias is None else out.reshape(tail.bias, (tail.bias.type.size,))
    out(
        tfl.FULLY_CONNECTED,
        (x, weight, bias),
        tail.output,
        keep_num_dims=x.type.rank > 2,
        fused_activation_function=tail.activation,
    )


def _with_vectors(a: Value, b: Value, result: Value, out: Writer) -> None:
    """A vector on the left is one row, a vector on the right is one column of a matrix."""
    left = out.reshape(a, (1, *a.type.shape)) if a.type.rank == 1 else a
    right = out.reshape(b, (*b.type.shape, 1)) if b.type.rank == 1 else b
    matrix = Value(MatMul().infer(left.type, right.type), f"{out.scope}/product")
    _batch(left, right, matrix, out)
    out.reshape_into(matrix, result)


def _whole(a: Value, b: Value, result: Value, out: Writer) -> None:
    """The product of integers, for which there is no kernel: all products, summed up."""
    left = out.reshape(a, (1, *a.type.shape)) if a.type.rank == 1 else a
    right = out.reshape(b, (*b.type.shape, 1)) if b.type.rank == 1 else b
    type = MatMul().infer(left.type, right.type)
    rows, columns = type.shape[-2:]
    # [..., M, K, 1] * [..., 1, K, N] -> [..., M, K, N] -> [..., M, N]
    left = out.reshape(left, (*left.type.shape, 1))
    right = out.reshape(right, (*right.type.shape[:-2], 1, *right.type.shape[-2:]))
    depth = right.type.shape[-2]
    products = out.make(tfl.MUL, (left, right), type.with_shape((*type.shape[:-2], rows, depth, columns)))
    axes = out.integers((products.type.rank - 2,))
    total = Value(type, f"{out.scope}/total") if result.type.shape != type.shape else result
    out(tfl.SUM, (products, axes), total, keep_dims=False)
    if total is not result:
        out.reshape_into(total, result)


def _batch(a: Value, b: Value, result: Value, out: Writer, *, adjoint: bool = False) -> None:
    if max(a.type.rank, b.type.rank) <= _MOST_AXES:
        out(tfl.BATCH_MATMUL, (a, b), result, adj_x=False, adj_y=adjoint)
        return
    batch = a.type.shape[:-2]
    if b.type.shape[:-2] != batch:
        raise UnsupportedError(f"TFLite multiplies matrices of up to {_MOST_AXES} axes that broadcast")
    flat = [out.reshape(v, (product(batch), *v.type.shape[-2:])) for v in (a, b)]
    type = result.type.with_shape((product(batch), *result.type.shape[-2:]))
    out.reshape_into(out.make(tfl.BATCH_MATMUL, flat, type, adj_x=False, adj_y=adjoint), result)
