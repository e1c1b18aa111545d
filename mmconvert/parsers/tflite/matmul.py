"""TFLite rules for matrix products."""

from __future__ import annotations

from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.activation import activated
from mmconvert.parsers.tflite.source import Source
from mmconvert.parsers.tflite.weights import bias, weight
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


@rule("FULLY_CONNECTED")
def fully_connected(n: Source, b: Builder) -> Value:
    n.ignore("asymmetric_quantize_inputs", "quantized_bias_type")
    if n.choice("weights_format", "DEFAULT", "SHUFFLED4x16INT8") != "DEFAULT":
        raise n.unsupported("with shuffled weights", hint="convert the model again without shuffling")
    x, matrix = n.operand(0), weight(n, b, 1, (1, 0))
    keeps, depth = n.flag("keep_num_dims"), matrix.type.shape[0]
    if not keeps and (x.type.rank != 2 or x.type.shape[1] != depth):
        x = b(ops.Reshape(shape=(dims.floordiv(x.type.size, depth or 1), depth)), x)
    y = b(ops.MatMul(), x, matrix)
    added = bias(n, b, 2, 0, 1)
    return activated(n, b, y if added is None else b(ops.Add(), y, added))


@rule("BATCH_MATMUL")
def batch_matmul(n: Source, b: Builder) -> Value:
    n.ignore("asymmetric_quantize_inputs")
    n.multiplies(0, 1)
    left, right = _adjoint(n, b, 0, n.flag("adj_x")), _adjoint(n, b, 1, n.flag("adj_y"))
    return b(ops.MatMul(), left, right)


def _adjoint(n: Source, b: Builder, index: int, turned: bool) -> Value:
    x = n.operand(index)
    rank = x.type.rank
    if not turned:
        return x
    if rank < 2:
        raise n.invalid(f"of {x.type}")
    return b(ops.Transpose(perm=(*range(rank - 2), rank - 1, rank - 2)), x)
