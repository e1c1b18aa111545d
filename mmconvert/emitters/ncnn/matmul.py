"""NCNN rules for matrix products.

An Einsum comes here as the products it decomposes into. NCNN's own layer of that name adds up one product of
numbers after the other, for each element of its result, without the blocks and threads that these have.
"""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.ncnn.blob import Blob, known, together
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Shape
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("NCNN")


@rule(ops.MatMul)
def matmul(node: Node[ops.MatMul], out: Writer) -> None:
    a, b = node.operand(0), node.operand(1)
    if not dtypes.is_float(a.type.dtype):
        raise UnsupportedError("NCNN multiplies floating-point matrices")
    if a.type.rank < 2 or b.type.rank < 2:
        raise UnsupportedError("NCNN's matrices have two axes")
    if b.constant is not None and dims.product(b.type.shape[:-2]) == 1:
        matrix = b.constant.reshape(known(b.type.shape[-2:], "a weight"))
        _dense(node, a, matrix.transpose((1, 0)), out.tail(node).bias, out)
        return
    out.place(node.output, product(a, b, node.output.type.shape, out))


@rule(ops.Gemm)
def gemm(node: Node[ops.Gemm], out: Writer) -> None:
    op, a, b, c = node.op, node.operand(0), node.operand(1), node.optional(2)
    if b.constant is None or op.transpose_a:
        raise UnsupportedError("NCNN's dense layers have a constant weight")
    weight = b.constant if op.transpose_b else b.constant.transpose((1, 0))
    if op.alpha != 1:
        weight = weight.map(lambda array: array * array.dtype.type(op.alpha))
    if c is not None:
        if op.beta != 1 or c.constant is None or c.constant.size != weight.shape[0]:
            raise UnsupportedError("NCNN's dense layers add a constant vector")
        if c.type.rank > 1 and c.type.shape[-1] != weight.shape[0]:
            raise UnsupportedError("NCNN's dense layers add a constant vector")
    _dense(node, a, weight, c or out.tail(node).bias, out)


def _dense(node: Node[Op], a: Value, weight: Tensor, bias: Value | None, out: Writer) -> None:
    rows = dims.product(a.type.shape[:-1])
    dense(node, out.blob(a, (*(() if rows == 1 else (rows,)), weight.shape[1])), weight, bias, out)


def dense(node: Node[Op], source: Blob, weight: Tensor, bias: Value | None, out: Writer) -> None:
    """A product with a constant [outputs, inputs], over rows that are vectors or one vector."""
    tail = out.tail(node)
    (*lead, _), outputs = source.shape, weight.shape[0]
    weights = [weight]
    if bias is not None:
        assert bias.constant is not None
        weights.append(bias.constant.reshape((outputs,)))
    made = out.layer(
        "InnerProduct",
        (source,),
        (*lead, outputs),
        weights=weights,
        num_output=outputs,
        bias_term=int(bias is not None),
        weight_data_size=weight.size,
        **tail.parameters,
    )
    out.place(tail.output, made)


def product(a: Value, b: Value, shape: Shape, out: Writer) -> Blob:
    """A product of matrices in the last two axes; at most two axes before them broadcast."""
    batch = shape[:-2]
    rows, depth, columns = a.type.shape[-2], a.type.shape[-1], b.type.shape[-1]
    if dims.product(b.type.shape[:-2]) == 1:  # one large product
        tall = dims.product(a.type.shape[:-1])
        left, right = out.blob(a, (tall, depth)), out.blob(b, (depth, columns))
        return out.layer("MatMul", (left, right), (tall, columns))
    (before, behind), whole = _batches([a.type.shape[:-2], b.type.shape[:-2]], batch)
    left = out.blob(a, (*before, rows, depth))
    right = out.blob(b, (*behind, depth, columns))
    return out.layer("MatMul", (left, right), (*whole, rows, columns))


def _batches(shapes: list[Shape], result: Shape) -> tuple[list[Shape], Shape]:
    """The axes before the matrices, as one or two."""
    folded, whole = together(shapes, result)
    while len(whole) > 2:
        pair = next((i for i in range(len(whole) - 1) if _mergeable(folded, whole, i)), None)
        if pair is None:
            raise UnsupportedError("NCNN broadcasts two axes of a product")
        folded = [(*s[:pair], s[pair] * s[pair + 1], *s[pair + 2 :]) for s in folded]
        whole = (*whole[:pair], whole[pair] * whole[pair + 1], *whole[pair + 2 :])
    if len(whole) == 2 and _mergeable(folded, whole, 0):
        return [(s[0] * s[1],) for s in folded], (whole[0] * whole[1],)
    return folded, whole


def _mergeable(shapes: list[Shape], whole: Shape, at: int) -> bool:
    pair = (whole[at], whole[at + 1])
    return all(s[at : at + 2] in (pair, (1, 1)) for s in shapes)
