"""PyTorch rules for picking elements."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call, number
from mmconvert.emitters.pytorch.writer import Writer, as_array
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")


@rule(ops.Slice)
def slice_(node: Node[ops.Slice], out: Writer) -> str:
    op, x = node.op, node.operand(0)
    items, flipped = [":"] * x.type.rank, list[int]()
    for axis, start, size, step in zip(op.axes, op.starts, op.sizes, op.steps, strict=True):
        extent = x.type.shape[axis]
        if step < 0:
            out.require(isinstance(start, int) and isinstance(size, int), "backwards by an unknown extent")
            (first, count), stride = dims.numbers((start, size)), -step
            flipped.append(axis)
            start, step = (first - (count - 1) * stride, stride) if count else (0, stride)
        items[axis] = _range(out, start, size, step, extent)
    last = max((i for i, item in enumerate(items) if item != ":"), default=-1)
    text = out.operand(x)
    if last >= 0:
        text += f"[{', '.join(items[: last + 1])}]"
    return f"{text}.flip({', '.join(map(str, flipped))})" if flipped else text


def _range(out: Writer, start: dims.Extent, size: dims.Extent, step: int, extent: dims.Extent) -> str:
    """``start:end:step`` for ``size`` elements."""
    first = "" if start == 0 else out.extent(start)
    if size == 0:
        return "0:0"
    end = start + (size - 1) * step + 1
    short = end - extent
    if short == 0 or (isinstance(short, int) and short > -step and step > 1):
        last = ""
    elif isinstance(short, int) and not isinstance(end, int):
        last = str(short)
    else:
        last = out.extent(end)
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


@rule(ops.Gather)
def gather(node: Node[ops.Gather], out: Writer) -> str:
    axis, x, indices = node.op.axis, node.operand(0), node.operand(1)
    if (made := _embedding(node, out, x, indices)) is not None:
        return made
    text = out.tensor(x) if x.constant is not None else out.operand(x)
    if indices.constant is not None and not indices.type.rank:
        return f"{text}[{':, ' * axis}{int(as_array(indices))}]"
    return f"{text}[{':, ' * axis}{positions(out, indices)}]"


def _embedding(node: Node[ops.Gather], out: Writer, x: Value, indices: Value) -> str | None:
    """A table of vectors that the source calls an embedding, whose indices are not negative."""
    named = "mbed" in f"{node.origin.kind} {node.origin.name} {x.name}" or x.name.endswith(".weight")
    table = x.constant
    if not named or table is None or len(table.shape) != 2 or node.op.axis or indices.constant is not None:
        return None
    if not dtypes.is_float(table.dtype) or not out.layers.is_module({"weight": x}):
        return None
    dtype = None if table.dtype == dtypes.F32 else out.dtype(table.dtype)
    made = call("nn.Embedding", *map(str, table.shape), dtype=dtype)
    wide = "" if indices.type.dtype in (dtypes.I32, dtypes.I64) else ".long()"
    text = out.operand(indices) if wide else out.read(indices)
    return f"{out.layers.layer(node, made, {'weight': table}, [x])}({text}{wide})"


@rule(ops.GatherElements)
def gather_elements(node: Node[ops.GatherElements], out: Writer) -> str:
    axis, x, indices = node.op.axis, node.operand(0), node.operand(1)
    source = out.name(x) if x.constant is None else out.tensor(x)
    return f"torch.gather({source}, {axis}, {counted(out, indices, x, axis)})"


@rule(ops.GatherND)
def gather_nd(node: Node[ops.GatherND], out: Writer) -> str:
    x, indices = node.operand(0), node.operand(1)
    depth = indices.type.shape[-1]
    out.require(isinstance(depth, int) and depth > 0, "tuples of an unknown number of positions")
    source = out.name(x) if x.constant is None else out.tensor(x)
    if not node.op.batch_dims:
        return f"{source}[{positions(out, indices)}.unbind(-1)]"
    return f"{out.helper('gather_nd')}({source}, {positions(out, indices)}, {node.op.batch_dims})"


def positions(out: Writer, indices: Value) -> str:
    """Indices as torch takes them: of a small type they would be a mask."""
    text = out.tensor(indices) if indices.constant is not None else out.name(indices)
    return text if indices.type.dtype in (dtypes.I32, dtypes.I64) else f"{text}.long()"


def counted(out: Writer, indices: Value, x: Value, axis: int) -> str:
    """Indices along ``axis`` of ``x`` counted from the front, as 64-bit integers."""
    text = out.tensor(indices) if indices.constant is not None else out.name(indices)
    wide = "" if indices.type.dtype == dtypes.I64 else ".long()"
    if indices.constant is not None and np.all(as_array(indices) >= 0):
        return f"{text}{wide}"
    return f"{text}{wide} % {out.extent(x.type.shape[axis])}"


@rule(ops.Trilu)
def trilu(node: Node[ops.Trilu], out: Writer) -> str:
    function = "torch.triu" if node.op.upper else "torch.tril"
    return call(function, out.read(node.operand(0)), *([str(node.op.k)] if node.op.k else []))


@rule(ops.NonZero)
def non_zero(node: Node[ops.NonZero], out: Writer) -> str:
    out.require(node.operand(0).type.rank > 0, "torch gives no positions of a scalar")
    return f"torch.nonzero({out.read(node.operand(0))}).T"


@rule(ops.OneHot)
def one_hot(node: Node[ops.OneHot], out: Writer) -> str:
    op, indices = node.op, node.operand(0)
    depth = out.extent(op.depth)
    rank = indices.type.rank
    name = out.name(indices) if indices.constant is None else out.tensor(indices)
    tail = f".reshape(-1{', 1' * (rank - op.axis)})" if rank > op.axis else ""
    classes = f"torch.arange({depth}, device={name}.device){tail}"
    wide = "" if indices.type.dtype == dtypes.I64 else ".long()"
    hits = out.let("hits", f"{name}{wide}.unsqueeze({op.axis})")
    out.line(f"{hits} = torch.where({hits} < 0, {hits} + {depth}, {hits}) == {classes}")
    off, on = (out.tensor(node.operand(i)) for i in (1, 2))
    return f"torch.where({hits}, {on}, {off})"


@rule(ops.ReverseSequence)
def reverse_sequence(node: Node[ops.ReverseSequence], out: Writer) -> str:
    x, lengths = (out.tensor(node.operand(i)) for i in (0, 1))
    return f"{out.helper('reverse_sequence')}({x}, {lengths}, {node.op.time_axis}, {node.op.batch_axis})"


@rule(ops.Unique)
def unique(node: Node[ops.Unique], out: Writer) -> str:
    op, x = node.op, out.tensor(node.operand(0))
    axis = "None" if op.axis is None else number(op.axis)
    return f"{out.helper('unique')}({x}, {axis}, {number(op.sorted)})"
