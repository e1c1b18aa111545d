"""TFLite rules for matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.fusion import Tail
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Gemm, MatMul
from mmconvert.ir.types import TensorType
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("TFLite")

_MOST_AXES = 5
"""BATCH_MATMUL has no kernel for more."""


@rule(MatMul)
def matmul(node: Node[MatMul], out: Writer) -> None:
    a, b, tail = node.operand(0), node.operand(1), out.tail(node)
    _require_float(a)
    if b.constant is not None and b.type.rank == 2 and a.type.rank >= 2:
        fully_connected(a, out.transpose(b, (1, 0)), tail, out)
    elif min(a.type.rank, b.type.rank) < 2:
        _with_vectors(a, b, tail, out)
    else:
        _batch(a, b, tail, out)


def _require_float(x: Value) -> None:
    if not dtypes.is_float(x.type.dtype):
        raise UnsupportedError(f"TFLite has no matrix product of {dtypes.name(x.type.dtype)}")


def fully_connected(x: Value, weight: Value, tail: Tail, out: Writer) -> None:
    """Writes ``x`` times the transpose of ``weight``, which is ``[out, in]``."""
    bias = tail.bias
    operands: list[Value | None] = [x, weight]
    operands.append(None if bias is None else out.reshape(bias, (bias.type.size,)))
    out(
        tfl.FULLY_CONNECTED,
        operands,
        tail.output,
        keep_num_dims=x.type.rank > 2,
        fused_activation_function=tail.activation,
    )


def _with_vectors(a: Value, b: Value, tail: Tail, out: Writer) -> None:
    """A vector on the left is one row, a vector on the right is one column of a matrix."""
    left = out.reshape(a, (1, *a.type.shape)) if a.type.rank == 1 else a
    right = out.reshape(b, (*b.type.shape, 1)) if b.type.rank == 1 else b
    type = MatMul().infer(left.type, right.type)
    product = Value(type, f"{out.scope}/product")
    _batch(left, right, Tail(product, None, tail.activation), out)
    if tail.bias is not None:
        raise UnsupportedError("a vector as an operand of a matrix product has no bias")
    out.reshape_into(product, tail.output)


def _batch(a: Value, b: Value, tail: Tail, out: Writer) -> None:
    if max(a.type.rank, b.type.rank) > _MOST_AXES:
        a, b, tail = _merge_batches(a, b, tail, out)
    followed = tail.bias is not None or tail.activation
    product = Value(tail.output.type, f"{out.scope}/product") if followed else tail.output
    source = b.producer
    out(tfl.BATCH_MATMUL, (a, b), product, adj_x=False, adj_y=False)
    if tail.bias is not None:
        out(tfl.ADD, (product, tail.bias), tail.output, fused_activation_function=tail.activation)
