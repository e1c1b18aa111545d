"""MNN rules for products of matrices."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.mnn.conv import constants
from mmconvert.emitters.mnn.fusion import is_dense
from mmconvert.emitters.mnn.schema import table
from mmconvert.emitters.mnn.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Gemm, MatMul
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")


@rule(MatMul)
def matmul(node: Node[MatMul], out: Writer) -> None:
    a, b = node.operand(0), node.operand(1)
    if not dtypes.is_float(a.type.dtype):
        raise UnsupportedError("MNN multiplies matrices of floats")
    if is_dense(node):
        dense(node, out.transpose(b, (1, 0)), out)
        return
    if min(a.type.rank, b.type.rank) < 2:
        raise UnsupportedError("MNN multiplies matrices, and no vectors")
    out("MatMul", (a, b), node.output)


@rule(Gemm)
def gemm(node: Node[Gemm], out: Writer) -> None:
    if not is_dense(node):
        raise UnsupportedError("MNN has Gemm over constant weights only")
    weight = node.operand(1)
    dense(node, weight if node.op.transpose_b else out.transpose(weight, (1, 0)), out)


def dense(node: Node[Op], weight: Value, out: Writer) -> None:
    """Rows times a constant matrix: a convolution of one element, over as many images as there are rows."""
    x, tail = node.operand(0), out.tail(node)
    y = tail.output
    filters, seen = known(weight.type.shape, "the shape of the weights")
    rows = dims.product(x.type.shape[:-1])
    images = out.reshape(x, (rows, seen, 1, 1))
    inner = Value(y.type.with_shape((rows, filters, 1, 1)), f"{out.scope}/rows")
    common = table(
        "Convolution2DCommon", inputCount=seen, outputCount=filters, relu=tail.relu, relu6=tail.relu6
    )
    _, slots = constants(weight, node.optional(2) or tail.bias, filters, out)
    out("Convolution", (images,), inner, packed=True, common=common, **slots)
    out.reshape_into(inner, y)
