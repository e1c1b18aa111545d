"""TFLite rules for matrix products."""

from __future__ import annotations

from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.activation import activated
from mmconvert.parsers.tflite.source import Source
from mmconvert.parsers.tflite.weights import bias, multiplied, weight
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


@rule("FULLY_CONNECTED")
def fully_connected(n: Source, b: Builder) -> Value:
    symmetric = not n.flag("asymmetric_quantize_inputs")
    n.ignore("quantized_bias_type")
    if n.choice("weights_format", "DEFAULT", "SHUFFLED4x16INT8") != "DEFAULT":
        raise n.unsupported("with shuffled weights", hint="convert the model again without shuffling")
    x, matrix = n.operand(0), weight(n, b, 1, (1, 0))
    keeps, (depth, columns) = n.flag("keep_num_dims"), matrix.type.shape
    rows = x
    if x.type.rank != 2 or x.type.shape[1] != depth:
        rows = b(ops.Reshape(shape=(dims.floordiv(x.type.size, depth or 1), depth)), x)
    real = multiplied(n, b, rows, 1, symmetric=symmetric)
    if real is rows and keeps:
        return _with_bias(n, b, b(ops.MatMul(), x, matrix))
    y = _with_bias(n, b, b(ops.MatMul(), real, matrix))
    return b(ops.Reshape(shape=(*x.type.shape[:-1], columns)), y) if keeps and rows is not x else y


def _with_bias(n: Source, b: Builder, y: Value) -> Value:
    added = bias(n, b, 2, 0, 1)
    return activated(n, b, y if added is None else b(ops.Add(), y, added))


@rule("BATCH_MATMUL")
def batch_matmul(n: Source, b: Builder) -> Value:
    symmetric = not n.flag("asymmetric_quantize_inputs")
    n.multiplies(0, 1)
    left, right = _adjoint(n, b, 0, n.flag("adj_x")), _adjoint(n, b, 1, n.flag("adj_y"))
    shape = left.type.shape
    rows = b(ops.Reshape(shape=(dims.product(shape[:-1]), shape[-1])), left)
    real = multiplied(n, b, rows, 1, symmetric=symmetric)
    if real is rows:
        return b(ops.MatMul(), left, right)
    if right.type.rank > 2:
        return b(ops.MatMul(), b(ops.Reshape(shape=shape), real), right)
    return b(ops.Reshape(shape=(*shape[:-1], right.type.shape[1])), b(ops.MatMul(), real, right))


def _adjoint(n: Source, b: Builder, index: int, turned: bool) -> Value:
    x = n.operand(index)
    rank = x.type.rank
    if not turned:
        return x
    if rank < 2:
        raise n.invalid(f"of {x.type}")
    return b(ops.Transpose(perm=(*range(rank - 2), rank - 1, rank - 2)), x)
