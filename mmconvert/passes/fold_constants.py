"""Evaluates what depends on constants alone, and shape arithmetic that comes out as numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import ControlOp, Op
from mmconvert.ir.ops import Cast, Concat, Dequantize, Reshape, Squeeze, Transpose, Unsqueeze
from mmconvert.ir.types import Array
from mmconvert.passes.outcome import Outcome
from mmconvert.passes.store_weights_as_float16 import SMALLEST
from mmconvert.tensors import Tensor

EAGER = 1 << 16
"""Results of at most this many bytes are computed at once; larger ones when somebody reads them."""

GROWTH = 1 << 20
"""Results that are this many bytes larger than their operands are left to the target to compute."""

_NAMES = ("i4", "u4", "i8", "u8", "i16", "i32", "i64")
QUANTIZED = tuple(dtypes.BY_NAME[name] for name in _NAMES)
"""What weights and biases are quantized to that runtimes compute with as they are."""


def fold_constants(graph: Graph) -> Outcome:
    """Replaces nodes whose operands are all constant, and integers that follow from known shapes.

    ::

        %1 = Transpose(%w0) {perm=(1,0)}    →    %2 = MatMul(x, %w1)
        %2 = MatMul(x, %1)

    A large result stays lazy: it is computed when it is read, so folding holds no second copy of the weights.

    Declines when: an operator has sub-graphs; the result would be much larger than what it is made of;
    weights of few bits or their biases would not be quantized any more.
    """
    return _fold_all(graph, lambda node, value: value.name)


def fold_named_constants(graph: Graph) -> Outcome:
    """``fold_constants``, after which a weight that was only moved about has its name still.

    ::

        %1 = Transpose(%w0 "fc.weight") {perm=(1,0)}    →    %2 = MatMul(x, %w1 "fc.weight")
        %2 = MatMul(x, %1)

    Declines when: ``fold_constants`` does.
    """
    return _fold_all(graph, _kept_name)


def _kept_name(node: Node[Op], value: Value) -> str:
    moves = is_op(node, Concat, Reshape, Squeeze, Transpose, Unsqueeze)
    first = node.operand(0).name if moves else ""
    return first or value.name


def _fold_all(graph: Graph, name: Callable[[Node[Op], Value], str]) -> Outcome:
    outcome = Outcome()
    for node in graph:
        tensors = _fold(node, outcome)
        if tensors is None:
            continue
        for value, tensor in zip(node.outputs, tensors, strict=True):
            graph.replace_uses(value, graph.constant(tensor, name(node, value)))
        graph.remove(node)
        outcome.done += 1
    return outcome


def _fold(node: Node[Op], outcome: Outcome) -> list[Tensor] | None:
    if len(node.outputs) == 1 and (known := _content(node.output)) is not None:
        return [Tensor.of(known)]
    if isinstance(node.op, ControlOp) or not all(v is None or v.constant is not None for v in node.inputs):
        return None
    if not all(v.type.is_static for v in node.outputs):
        return None
    if is_op(node, Dequantize) and node.operand(0).type.dtype in QUANTIZED:
        outcome.decline(node, "quantized weights stay as small as they are, and runtimes compute with them")
        return None
    operands = [None if v is None else v.constant for v in node.inputs]
    made = sum(math.prod(v.type.static_shape) * v.type.dtype.itemsize for v in node.outputs)
    if made > GROWTH + sum(t.nbytes for t in operands if t is not None):
        outcome.decline(node, "the result is much larger than its operands")
        return None
    if (half := _half(node)) is not None:
        return [half.cast(dtypes.F32)]
    if (moved := _moved(node)) is not None:
        return [moved]
    if made > EAGER and len(node.outputs) == 1:
        return [lazy(node.op, operands, node.output)]
    return [Tensor.of(np.ascontiguousarray(a).reshape(a.shape)) for a in _evaluate(node.op, operands)]


def _half(node: Node[Op]) -> Tensor | None:
    """The float16 weight that ``node`` widens: a file may hold it as it is (``Tensor.stored``)."""
    if not is_op(node, Cast) or node.op.to != dtypes.F32:
        return None
    tensor = node.operand(0).constant
    large = tensor is not None and tensor.dtype == dtypes.F16 and tensor.size >= SMALLEST
    return tensor if large else None


def _moved(node: Node[Op]) -> Tensor | None:
    """A weight with its elements in other places, which a file may hold in fewer bits wherever these are."""
    tensor = node.inputs[0].constant if node.inputs and node.inputs[0] is not None else None
    if tensor is None or tensor.in_memory:
        return None
    if is_op(node, Transpose):
        return tensor.transpose(node.op.perm)
    is_reshape = is_op(node, Reshape, Squeeze, Unsqueeze)
    return tensor.reshape(node.output.type.static_shape) if is_reshape else None


def _content(value: Value) -> Array | None:
    content = value.content
    if content is None or not all(isinstance(e, int) for e in content.reshape(-1)):
        return None
    return content.astype(value.type.dtype)


def lazy(op: Op, operands: list[Tensor | None], value: Value) -> Tensor:
    """The one result ``value`` of ``op``, computed when somebody reads it."""
    return Tensor(value.type.dtype, value.type.static_shape, lambda: _evaluate(op, operands)[0])


def _evaluate(op: Op, operands: list[Tensor | None]) -> tuple[Array, ...]:
    with np.errstate(all="ignore"):
        result = op.evaluate(*(None if t is None else t.numpy() for t in operands))
    return tuple(np.asarray(a) for a in (result if isinstance(result, tuple) else (result,)))
