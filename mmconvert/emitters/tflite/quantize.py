"""TFLite rules for Quantize and Dequantize that stand alone, not around an integer operator."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.grid import Dequantized, Grid, of_node
from mmconvert.emitters.tflite.integers import STORED
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Dequantize, Quantize
from mmconvert.passes.store_weights_as_float16 import SMALLEST
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_HELD = {"i8": dtypes.I8, "u8": dtypes.U8, "i4": dtypes.I8, "u4": dtypes.U8}
"""As what constants are held that a runtime dequantizes once, when it first needs them."""


def _grid(node: Node[Op]) -> Grid:
    grid = of_node(node)
    if grid is None:
        raise UnsupportedError(
            f"TFLite has no {node.op.name} whose scale is computed, or not f32, or in blocks"
        )
    return grid


@rule(Dequantize)
def dequantize(node: Node[Dequantize], out: Writer) -> None:
    real = dequantized(node)
    if real is not None:
        out.copy(real, node.output)
        return
    x, grid = node.operand(0), _grid(node)
    _require_kernel(x, grid)
    out(tfl.DEQUANTIZE, (out.on_grid(x, grid),), node.output)


def _require_kernel(stored: Value, grid: Grid) -> None:
    """The kernels know one scale, and of 16 bits no zero point."""
    if grid.scale.ndim or stored.type.dtype not in STORED:
        raise UnsupportedError(f"TFLite has no quantization of {stored.type} along an axis")
    if stored.type.dtype == dtypes.I16 and grid.zero.any():
        raise UnsupportedError("TFLite has no zero point for i16")


@rule(Quantize)
def quantize(node: Node[Quantize], out: Writer) -> None:
    """Halves go away from zero in the kernel; other roundings are those of integer kernels beside it."""
    x, y, grid = node.operand(0), node.output, _grid(node)
    _require_kernel(y, grid)
    if x.type.dtype != dtypes.F32:
        raise UnsupportedError(f"TFLite quantizes no {x.type}")
    native = node.op.rounding == "half_away" and not node.op.guard_bits
    if not (native or _is_made_of_integers(x) or _is_read_as_integers(y)):
        raise UnsupportedError("TFLite's QUANTIZE rounds halves away from zero")
    out(tfl.QUANTIZE, (x,), y)


def _is_made_of_integers(x: Value) -> bool:
    """True when integers are behind ``x``, or behind what is done to it last."""
    for _ in range(3):
        if x.producer is None:
            return False
        if any(v is not None and is_op(v.producer, Dequantize) for v in (x, *x.producer.inputs)):
            return True
        x = next((v for v in x.producer.inputs if v is not None and v.constant is None), x)
    return False


def _is_read_as_integers(y: Value) -> bool:
    return any(
        is_op(user, Dequantize) or user.outputs[0].type.dtype == y.type.dtype
        for user in y.users
        if user.outputs
    )


def dequantized(node: Node[Dequantize]) -> Value | None:
    """The real numbers behind a constant, computed when they are read; None when it is none.

    The file holds the integers where these save something.
    """
    x, scale, zero = node.operand(0), node.operand(1), node.optional(2)
    tensors = [None if v is None else v.constant for v in (x, scale, zero)]
    stored = tensors[0]
    if stored is None or tensors[1] is None or (zero is not None and tensors[2] is None):
        return None
    grid, type = of_node(node), node.output.type
    held = _HELD.get(dtypes.name(stored.dtype))
    if grid is not None and held is not None and stored.size >= SMALLEST:
        return Value(type, node.output.name or x.name, constant=Dequantized(stored.cast(held), grid))
    op, scales = node.op, tensors[1].numpy()
    zeros = None if tensors[2] is None else tensors[2].numpy()
    real = stored.map(lambda array: np.asarray(op.evaluate(array, scales, zeros)), dtype=type.dtype)
    return Value(type, node.output.name or x.name, constant=real)
