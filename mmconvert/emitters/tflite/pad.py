"""TFLite rules for padding."""

from __future__ import annotations

import numpy as np

from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.windows import pad_table
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Pad
from mmconvert.ir.types import Extent
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

_MOST_AXES = 5
"""PAD has no kernel for more."""


@rule(Pad)
def pad(node: Node[Pad], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    if any(isinstance(p, int) and p < 0 for pair in op.pads for p in pair):
        raise UnsupportedError("TFLite's padding takes no elements away")
    if op.mode == "constant":
        _constant(op, x, y, out)
    elif op.mode in ("reflect", "symmetric") and _reaches(op, x):
        mode = tfl.Mirror.REFLECT if op.mode == "reflect" else tfl.Mirror.SYMMETRIC
        out(tfl.MIRROR_PAD, (x, pad_table(out, op.pads)), y, mode=mode)
    else:
        _by_position(op, x, y, out)


def _constant(op: Pad, x: Value, y: Value, out: Writer) -> None:
    pads = op.pads
    flat, result = x, y
    if x.type.rank > _MOST_AXES:
        flat, pads = _merged(x, pads, out)
        shape = tuple(e + b + a for e, (b, a) in zip(flat.type.shape, pads, strict=True))
        result = Value(x.type.with_shape(shape), f"{out.scope}/padded")
    grid = out.grids.get(x)
    if op.value == (0 if grid is None or grid.scale.ndim else int(grid.zero)):  # what stands for 0
        out(tfl.PAD, (flat, pad_table(out, pads)), result)
    else:
        fill = out.constant(np.asarray(op.value).astype(x.type.dtype))
        out(tfl.PADV2, (flat, pad_table(out, pads), fill), result)
    if result is not y:
        out.reshape_into(result, y)


def _merged(
    x: Value, pads: tuple[tuple[Extent, Extent], ...], out: Writer
) -> tuple[Value, tuple[tuple[Extent, Extent], ...]]:
    """Neighbouring axes that are not padded, as one.

    Raises:
        UnsupportedError: there are still too many.
    """
    shape: list[Extent] = []
    kept: list[tuple[Extent, Extent]] = []
    for extent, pair in zip(x.type.shape, pads, strict=True):
        if kept and pair == kept[-1] == (0, 0):
            shape[-1] = shape[-1] * extent
        else:
            shape.append(extent)
            kept.append(pair)
    if len(shape) > _MOST_AXES:
        raise UnsupportedError(f"TFLite pads tensors of up to {_MOST_AXES} axes")
    return out.reshape(x, tuple(shape)), tuple(kept)


def _reaches(op: Pad, x: Value) -> bool:
    """True when the elements of each axis are enough for its padding, as far as is known."""
    spare = 1 if op.mode == "reflect" else 0
    for extent, pair in zip(x.type.shape, op.pads, strict=True):
        for p in pair:
            room = extent - spare - p
            if p != 0 and isinstance(room, int) and room < 0:
                return False
    return True


def _by_position(op: Pad, x: Value, y: Value, out: Writer) -> None:
    """One axis after the other, picking the elements by their positions."""
    padded = [a for a, pair in enumerate(op.pads) if pair != (0, 0)]
    if not padded:
        out.copy(x, y)
        return
    for axis in padded:
        before, after = op.pads[axis]
        extent = x.type.shape[axis]
        if not (isinstance(extent, int) and isinstance(before, int) and isinstance(after, int)):
            raise UnsupportedError(f"TFLite has no padding in the mode {op.mode!r} of an unknown extent")
        line = np.arange(extent, dtype=np.int32)
        places = out.constant(Pad(pads=((before, after),), mode=op.mode).evaluate(line))
        shape = (*x.type.shape[:axis], extent + before + after, *x.type.shape[axis + 1 :])
        result = y if axis == padded[-1] else Value(x.type.with_shape(shape), f"{out.scope}/padded")
        out(tfl.GATHER, (x, places), result, axis=axis)
        x = result
