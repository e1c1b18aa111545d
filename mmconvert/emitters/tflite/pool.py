"""TFLite rules for pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.conv import flat_padding, heighten
from mmconvert.emitters.tflite.fusion import Tail
from mmconvert.emitters.tflite.layouts import channels_last
from mmconvert.emitters.tflite.windows import Windows, lowest, pad, settle, take
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir import geometry
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import AveragePool, LpPool, MaxPool
from mmconvert.ir.types import Array
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")

Pool = MaxPool | AveragePool


@rule(MaxPool)
@channels_last
def max_pool(node: Node[MaxPool], out: Writer) -> None:
    _pool(node.op, node.operand(0), out.tail(node), out)


@rule(AveragePool)
@channels_last
def average_pool(node: Node[AveragePool], out: Writer) -> None:
    _pool(node.op, node.operand(0), out.tail(node), out)


@rule(LpPool)
@channels_last
def lp_pool(node: Node[LpPool], out: Writer) -> None:
    """As the mean of ``|x| ** p`` times the size of the window."""
    op, x, y = node.op, node.operand(0), node.output
    exponent = out.constant(op.p, x.type.dtype)
    if op.p == 2:
        powers = out.make(tfl.SQUARE, (x,), x.type)
    else:
        powers = out.make(tfl.POW, (out.make(tfl.ABS, (x,), x.type), exponent), x.type)
    mean = AveragePool(
        kernel=op.kernel,
        strides=op.strides,
        dilations=op.dilations,
        padding=op.padding,
        ceil=op.ceil,
        count_include_pad=True,
        layout=op.layout,
    )
    means = Value(y.type, f"{out.scope}/means")
    _pool(mean, powers, Tail(means), out, plain=True)
    total = out.make(tfl.MUL, (means, out.constant(math.prod(op.kernel), y.type.dtype)), y.type)
    if op.p == 2:
        out(tfl.SQRT, (total,), y)
    else:
        out(tfl.POW, (total, out.constant(1 / op.p, y.type.dtype)), y)


def _pool(op: Pool, x: Value, tail: Tail, out: Writer, *, plain: bool = False) -> None:
    """Writes a pool over any number of axes; ``plain`` divides by the size of the window everywhere."""
    if any(d != 1 for d in op.dilations):
        _dilated(op, x, tail, out, plain=plain)
    elif x.type.rank == 3:
        image = out.reshape(x, heighten(x.type.shape))
        inner = Value(tail.output.type.with_shape(heighten(tail.output.type.shape)), f"{out.scope}/rows")
        wide = replace(
            op,
            kernel=(1, *op.kernel),
            strides=(1, *op.strides),
            dilations=(1, 1),
            padding=flat_padding(op.padding),
        )
        _flat(wide, image, Tail(inner, None, tail.activation), out, plain=plain)
        out.reshape_into(inner, tail.output)
    elif x.type.rank == 4:
        _flat(op, x, tail, out, plain=plain)
    elif x.type.rank == 5:
        _deep(op, x, tail, out, plain=plain)
    else:
        raise UnsupportedError(f"TFLite pools over 1 to 3 axes, not {x.type.rank - 2}")


def _windows(op: Pool, x: Value, y: Value) -> Windows:
    return Windows.over(x, y, geometry.dilated(op.kernel, op.dilations), op.strides, op.padding)


def _flat(op: Pool, x: Value, tail: Tail, out: Writer, *, plain: bool) -> None:
    windows = _windows(op, x, tail.output)
    factor = None
    if isinstance(op, MaxPool):
        x, padding = settle(out, x, windows, lowest(x.type.dtype))
    elif windows.spelling is not None and not _counts_pads(op, windows) and not plain:
        padding = windows.spelling
    else:
        x, padding = pad(out, x, windows.needed), tfl.Padding.VALID
        divisors = None if plain else _divisors(op, windows)
        factor = None if divisors is None else math.prod(op.kernel) / divisors
    activation = tfl.Activation.NONE if factor is not None else tail.activation
    options = {
        "padding": padding,
        "stride_h": op.strides[0],
        "stride_w": op.strides[1],
        "filter_height": op.kernel[0],
        "filter_width": op.kernel[1],
        "fused_activation_function": activation,
    }
    builtin = tfl.MAX_POOL_2D if isinstance(op, MaxPool) else tfl.AVERAGE_POOL_2D
    if factor is None:
        out(builtin, (x,), tail.output, **options)
        return
    means = out.make(builtin, (x,), tail.output.type, **options)
    scale = out.constant(factor[None, ..., None].astype(x.type.dtype))
    out(tfl.MUL, (means, scale), tail.output, fused_activation_function=tail.activation)


def _counts_pads(op: AveragePool, windows: Windows) -> bool:
    """True when the divisor counts padding that a window does reach."""
    return op.count_include_pad and any(p != 0 for pair in windows.needed for p in pair)


def _divisors(op: AveragePool, windows: Windows) -> Array | None:
    """How many elements each window counts; None where that is its size everywhere.

    Raises:
        UnsupportedError: it depends on extents that are not known.
    """
    if op.count_include_pad and not op.ceil:
        return None  # every window lies within the padded input
    extents = known(windows.extents, "the extents that average pooling divides by")
    counts = known(windows.counts, "the extents that average pooling divides by")
    along = []
    for axis, pair in enumerate(windows.pads):
        before, after = known(pair, "padding")
        low, high = (-before, extents[axis] + after) if op.count_include_pad else (0, extents[axis])
        starts = np.arange(counts[axis])[:, None] * op.strides[axis] - before
        places = starts + np.arange(op.kernel[axis]) * op.dilations[axis]
        along.append(((places >= low) & (places < high)).sum(axis=1))
    whole: Array = reduce(np.multiply.outer, along)
    return None if (whole == math.prod(op.kernel)).all() else whole


def _deep(op: Pool, x: Value, tail: Tail, out: Writer, *, plain: bool) -> None:
    """Pooling over three axes as pooling over the last two, then over the first: both are separable."""
    n, d, h, w, c = x.type.shape
    _, deep, high, wide, _ = tail.output.type.shape
    first = later = op.padding
    if isinstance(op.padding, Explicit):
        first, later = Explicit(op.padding.pads[1:]), Explicit((op.padding.pads[0], (0, 0)))
    images = out.reshape(x, (n * d, h, w, c))
    inner = Value(x.type.with_shape((n * d, high, wide, c)), f"{out.scope}/planes")
    planes = replace(
        op,
        kernel=op.kernel[1:],
        strides=op.strides[1:],
        dilations=(1, 1),
        padding=first,
    )
    _flat(planes, images, Tail(inner), out, plain=plain)
    columns = out.reshape(inner, (n, d, high * wide, c))
    pooled = Value(x.type.with_shape((n, deep, high * wide, c)), f"{out.scope}/columns")
    depth = replace(
        op,
        kernel=(op.kernel[0], 1),
        strides=(op.strides[0], 1),
        dilations=(1, 1),
        padding=later,
    )
    _flat(depth, columns, Tail(pooled, None, tail.activation), out, plain=plain)
    out.reshape_into(pooled, tail.output)


def _dilated(op: Pool, x: Value, tail: Tail, out: Writer, *, plain: bool) -> None:
    """One axis after the other: the windows' first elements, their second ones, and so on, combined."""
    windows = _windows(op, x, tail.output)
    mean = isinstance(op, AveragePool)
    divisors = _divisors(op, windows) if isinstance(op, AveragePool) and not plain else None
    x = pad(out, x, windows.needed, 0.0 if mean else lowest(x.type.dtype))
    for axis in range(len(op.kernel)):
        count = windows.counts[axis]
        parts = [
            take(out, x, (axis + 1,), (k * op.dilations[axis],), (count,), (op.strides[axis],))
            for k in range(op.kernel[axis])
        ]
        x = _combined(tfl.ADD if mean else tfl.MAXIMUM, parts, out)
    if not mean:
        out.copy(x, tail.output)
        return
    factor = 1 / np.asarray(math.prod(op.kernel) if divisors is None else divisors[None, ..., None])
    scale = out.constant(factor.astype(x.type.dtype))
    out(tfl.MUL, (x, scale), tail.output, fused_activation_function=tail.activation)


def _combined(builtin: tfl.Builtin, parts: Sequence[Value], out: Writer) -> Value:
    return reduce(lambda a, b: out.make(builtin, (a, b), a.type), parts)
