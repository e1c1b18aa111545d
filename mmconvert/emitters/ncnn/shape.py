"""NCNN rules for what moves elements and leaves their values alone."""

from __future__ import annotations

import numpy as np

from mmconvert.emitters.ncnn import blob as blobs
from mmconvert.emitters.ncnn.blob import Blob, known
from mmconvert.emitters.ncnn.writer import Writer, frame, is_dynamic
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, ops
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout, Shape
from mmconvert.ncnnlib.records import LAST, Parameter
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("NCNN")

OPEN = LAST
"""The end of a crop that goes on to the end."""


@rule(ops.Reshape, ops.Squeeze, ops.Unsqueeze)
def reshape(node: Node[Op], out: Writer) -> None:
    out.alias(node.output, node.operand(0))


@rule(ops.Transpose)
def transpose(node: Node[ops.Transpose], out: Writer) -> None:
    x = node.operand(0)
    out.place(node.output, out.permute(out.raw(x), x.type.shape, node.op.perm))


@rule(ops.Concat)
def concat(node: Node[ops.Concat], out: Writer) -> None:
    axis = node.op.axis % node.output.type.rank
    fold, place = frame(node.output.type.shape, axis)
    parts = [out.blob(v, fold(v.type.shape)) for v in node.inputs if v is not None and 0 not in v.type.shape]
    if len(parts) == 1:
        out.place(node.output, parts[0])
        return
    out.place(node.output, out.layer("Concat", parts, fold(node.output.type.shape), axis=place))


@rule(ops.Split)
def split(node: Node[ops.Split], out: Writer) -> None:
    x, axis = node.operand(0), node.op.axis % node.operand(0).type.rank
    if not all(isinstance(size, int) and size for size in node.op.sizes):
        raise UnsupportedError("NCNN cuts into parts of known sizes")
    if len(node.outputs) == 1:
        out.alias(node.outputs[0], x)
        return
    fold, place = frame(x.type.shape, axis)
    source = out.blob(x, fold(x.type.shape))
    sizes = known(node.op.sizes, "the sizes of the parts")
    made = out("Slice", (source,), *(fold(v.type.shape) for v in node.outputs), slices=sizes, axis=place)
    for value, part in zip(node.outputs, made, strict=True):
        out.place(value, part)


@rule(ops.Slice)
def slice_(node: Node[ops.Slice], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    rank = x.type.rank
    cuts = [
        (axis % rank, start, size, step)
        for axis, start, size, step in zip(op.axes, op.starts, op.sizes, op.steps, strict=True)
        if not (start == 0 and size == x.type.shape[axis] and step == 1)
    ]
    whole, shape = out.raw(x), x.type.shape
    contiguous = [(axis, start, size) for axis, start, size, step in cuts if step == 1 or size == 1]
    whole, shape = crop(whole, shape, contiguous, out)
    for axis, start, size, step in cuts:
        if step != 1 and size != 1:
            first, count = known((start, size), "what is cut out")
            whole, shape = _stride(whole, shape, axis, first, count, step, out)
    out.place(node.output, whole)


def crop(
    source: Blob, shape: Shape, cuts: list[tuple[int, Extent, Extent]], out: Writer
) -> tuple[Blob, Shape]:
    """A part of ``source``, taken to be of ``shape``: from a start on along some axes, as much as a size."""
    left = [(axis, start, size) for axis, start, size in cuts if not (start == 0 and size == shape[axis])]
    if not left:
        return source, shape
    rank = len(shape) - int(len(shape) > 1 and shape[0] == 1 and all(axis for axis, _, _ in left))
    if rank > 4 and len(left) > 1:  # one axis after the other
        for cut in left:
            source, shape = crop(source, shape, [cut], out)
        return source, shape
    fold, first = frame(shape, *(axis for axis, _, _ in left))
    wanted = list(shape)
    for axis, _, size in left:
        wanted[axis] = size
    whole = out.view(source, fold(shape))
    places = [first + axis - left[0][0] for axis, _, _ in left]
    starts = [start for _, start, _ in left]
    ends = [OPEN if start + size == shape[axis] else start + size for axis, start, size in left]
    made = _cut(whole, fold(tuple(wanted)), places, starts, ends, out)
    return made, tuple(wanted)


def _cut(
    source: Blob, shape: Shape, axes: list[int], starts: list[Extent], ends: list[Extent], out: Writer
) -> Blob:
    if not is_dynamic((*starts, *ends)):
        numbers = {name: dims.numbers(list_) for name, list_ in (("starts", starts), ("ends", ends))}
        return out.layer("Crop", (source,), shape, axes=tuple(axes), **numbers)
    texts, others = out.extents.formulas([starts, ends], source)
    return out.layer(
        "Crop",
        (source, *others),
        shape,
        starts_expr=texts[0],
        ends_expr=texts[1],
        axes_expr=",".join(map(str, axes)),
    )


def _stride(
    source: Blob, shape: Shape, axis: int, start: int, size: int, step: int, out: Writer
) -> tuple[Blob, Shape]:
    """Every ``step``-th element along an axis: the first column of a table with rows as long as a step."""
    low, high = sorted((start, start + (size - 1) * step))
    source, shape = crop(source, shape, [(axis, low, high - low + 1)], out)
    before, after = dims.product(shape[:axis]), dims.product(shape[axis + 1 :])
    line = out.view(source, (before, high - low + 1, after))
    if step < 0:
        line = out.layer("Flip", (line,), line.shape, axes=(1,))
    made = (*shape[:axis], size, *shape[axis + 1 :])
    step = abs(step)
    if step == 1:
        return line, made
    line = out.layer("Padding", (line,), (before, size * step, after), bottom=step - 1)
    table = out.view(line, (before, size, step * after) if after != 1 else (before, size, step))
    picked = out.layer("Crop", (table,), (before, size, after), axes=(2,), starts=(0,), ends=(after,))
    return picked, made


@rule(ops.Reverse)
def reverse(node: Node[ops.Reverse], out: Writer) -> None:
    x = node.operand(0)
    axes = tuple(a % x.type.rank for a in node.op.axes)
    if not axes:
        out.alias(node.output, x)
        return
    fold, first = frame(x.type.shape, *axes)
    source = out.blob(x, fold(x.type.shape))
    places = tuple(first + axis - axes[0] for axis in axes)
    out.place(node.output, out.layer("Flip", (source,), source.shape, axes=places))


@rule(ops.Expand)
def expand(node: Node[ops.Expand], out: Writer) -> None:
    (shape,), wanted = blobs.together([node.operand(0).type.shape], node.output.type.shape)
    _repeat(node, shape, wanted, out)


@rule(ops.Tile)
def tile(node: Node[ops.Tile], out: Writer) -> None:
    x = node.operand(0)
    repeated = [axis for axis, count in enumerate(node.op.repeats) if count != 1]
    fold, _ = frame(x.type.shape, *repeated)
    _repeat(node, fold(x.type.shape), fold(node.output.type.shape), out)


def _repeat(node: Node[Op], shape: Shape, wanted: Shape, out: Writer) -> None:
    if shape == wanted:
        out.alias(node.output, node.operand(0))
        return
    counts = known((dims.floordiv(w, e) for e, w in zip(shape, wanted, strict=True)), "how often to repeat")
    source = out.blob(node.operand(0), shape)
    out.place(node.output, out.layer("Tile", (source,), wanted, repeats=counts))


_MODES = {"constant": 0, "edge": 1, "reflect": 2}
_SIDES = {"w": ("left", "right"), "h": ("top", "bottom")}


@rule(ops.Pad)
def pad(node: Node[ops.Pad], out: Writer) -> None:
    """Pictures at once; other axes one after the other, each as the rows of a picture."""
    op, x = node.op, node.operand(0)
    if op.mode not in _MODES:
        raise UnsupportedError(f"NCNN does not pad in the mode {op.mode!r}")
    pads = [known(pair, "the padding") for pair in op.pads]
    if any(p < 0 for pair in pads for p in pair):
        raise UnsupportedError("NCNN takes nothing away when it pads")
    rank = x.type.rank
    if op.mode == "reflect":
        for extent, pair in zip(x.type.shape, pads, strict=True):
            if any(pair) and max(pair) > known((extent,), "what is reflected")[0] - 1:
                raise UnsupportedError("NCNN reflects an axis once")
    source, shape = out.raw(x), x.type.shape
    for axis in range(rank):
        if not any(pads[axis]):
            continue
        after = range(axis + 1, rank)
        wide = axis == rank - 2 and any(pads[rank - 1])
        made = list(shape)
        before = dims.product(shape[:axis])
        if wide:
            made[axis], made[rank - 1] = shape[axis] + sum(pads[axis]), shape[rank - 1] + sum(pads[rank - 1])
            line = out.view(source, (before, *shape[axis:]))
            sides = {"left": pads[rank - 1][0], "right": pads[rank - 1][1]}
            pads[rank - 1] = (0, 0)
        else:
            made[axis] = shape[axis] + sum(pads[axis])
            line = out.view(source, (before, shape[axis], dims.product(tuple(shape[a] for a in after))))
            sides = {}
        wanted = (before, made[axis], dims.product(tuple(made[axis + 1 :])))
        filling, weights = _filling(op, before)
        source = out.layer(
            "Padding",
            (line,),
            wanted,
            weights=weights,
            top=pads[axis][0],
            bottom=pads[axis][1],
            **sides,
            **filling,
        )
        shape = tuple(made)
    out.place(node.output, source)


def _filling(op: ops.Pad, rows: Extent) -> tuple[dict[str, Parameter], tuple[Tensor, ...]]:
    """What to fill with; what is not finite is a weight for each picture, as no text says it."""
    if np.isfinite(np.float32(op.value)):
        return {"type": _MODES[op.mode], "value": float(op.value)}, ()
    (count,) = known((rows,), "how many pictures to pad")
    values = Tensor.of(np.full(count, op.value, np.float32))
    return {"type": _MODES[op.mode], "per_channel_pad_data_size": count}, (values,)


@rule(ops.DepthToSpace)
def depth_to_space(node: Node[ops.DepthToSpace], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    if op.layout is not Layout.NCHW or x.type.shape[0] != 1:
        raise UnsupportedError("NCNN has the channels first, and no batch")
    source = out.blob(x, x.type.shape[1:])
    mode = int(op.mode == "DCR")
    made = out.layer("PixelShuffle", (source,), y.type.shape[1:], upscale_factor=op.block, mode=mode)
    out.place(y, made)


@rule(ops.SpaceToDepth)
def space_to_depth(node: Node[ops.SpaceToDepth], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    if op.layout is not Layout.NCHW or x.type.shape[0] != 1:
        raise UnsupportedError("NCNN has the channels first, and no batch")
    source = out.blob(x, x.type.shape[1:])
    out.place(y, out.layer("Reorg", (source,), y.type.shape[1:], stride=op.block, mode=1))


@rule(ops.Fill)
def fill(node: Node[ops.Fill], out: Writer) -> None:
    shape = known(node.output.type.shape, "the shape to fill")
    out.place(node.output, out.numbers(np.full(shape, node.op.value), None))


@rule(ops.Shape, ops.Range, ops.ReadExtents)
def computed(node: Node[Op], out: Writer) -> None:
    raise UnsupportedError("NCNN does not compute extents", hint="give the extents with --fix-dims")
