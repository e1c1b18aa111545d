"""Tensors that share memory: which operators make them, and what writing into one does to the others.

In a program of torch an operator may write into a tensor, and every view of the same memory sees it. In the
IR nothing is written into: the name gets a new value, what it is a view of gets a new value with that put in
its place, and the other views are made again when they are next read.
"""

from __future__ import annotations

import numpy as np

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import TensorType
from mmconvert.parsers.pytorch.records import Meta, Node, Record, Ref

_VIEWS = frozenset(
    [
        "alias",
        "view",
        "_reshape_alias",
        "unflatten",
        "squeeze",
        "unsqueeze",
        "transpose",
        "permute",
        "t",
        "numpy_T",
        "matrix_H",
        "mT",
        "movedim",
        "moveaxis",
        "swapaxes",
        "swapdims",
        "select",
        "slice",
        "narrow",
        "expand",
        "expand_as",
        "view_as",
        "split",
        "split_with_sizes",
        "unbind",
        "tensor_split",
        "hsplit",
        "vsplit",
        "dsplit",
        "chunk",
        "unfold",
        "diagonal",
        "detach",
        "lift_fresh",
        "real",
        "dropout",
        "alpha_dropout",
        "feature_dropout",
        "feature_alpha_dropout",
        "unsafe_chunk",
        "_unsafe_view",
        "positive",
        "as_strided",
    ]
)
_MAYBE = frozenset(["reshape", "flatten", "contiguous", "to", "reshape_as", "type_as", "ravel"])
"""These give a view where the memory allows it, and a copy where not."""


def base_name(target: str) -> str:
    """``"aten.add_.Tensor"`` -> ``"add_"``."""
    parts = target.split(".")
    return parts[1] if len(parts) > 1 else target


def writes(target: str) -> bool:
    """True for an operator that writes into its first operand."""
    name = base_name(target)
    return target.startswith("aten.") and name.endswith("_") and not name.endswith("__")


def functional(target: str) -> str:
    """The operator that computes what ``target`` writes: ``"aten.add.Tensor"``."""
    parts = target.split(".")
    return ".".join([parts[0], parts[1].rstrip("_"), *parts[2:]])


def parent(node: Node, record: Record) -> tuple[str, bool] | None:
    """What the outputs of ``node`` are views of, and whether that is sure; None for fresh memory."""
    first = next((argument for _, argument in node.arguments), None)
    if not isinstance(first, Ref):
        return None
    name = base_name(node.target)
    if writes(node.target) or name in _VIEWS:
        return first.name, True
    if name not in _MAYBE or not node.outputs:
        return None
    source, made = record.metas.get(first.name), record.metas.get(str(node.outputs[0]))
    if source is None or made is None or source.type.dtype != made.type.dtype:
        return None
    if source.is_contiguous:
        return first.name, True
    return None if name == "contiguous" else (first.name, _same(source, made))


def _same(source: Meta, made: Meta) -> bool:
    return source.type == made.type and source.strides == made.strides


def written_roots(record: Record) -> set[str]:
    """The names that something is written into, through whatever view."""
    roots: dict[str, str] = {}
    written: set[str] = set()
    for node in record.nodes:
        found = parent(node, record)
        if found is not None:
            root = roots.get(found[0], found[0])
            for output in node.outputs:
                names = output if isinstance(output, tuple) else (output,)
                roots.update({name: root for name in names if isinstance(name, str)})
            if writes(node.target):
                written.add(root)
    return written


Step = tuple[Op, TensorType, int]
"""An operator on the way from a tensor to its view: what it was applied to, and which output it gave."""


def recipe(whole: Value, view: Value) -> list[Step] | None:
    """The operators that made ``view`` of ``whole``; None where one cannot be written through."""
    steps: list[Step] = []
    while view is not whole:
        node = view.producer
        if node is None or not isinstance(node.op, _THROUGH) or node.inputs[0] is None:
            return None
        steps.append((node.op, node.inputs[0].type, view.index))
        view = node.inputs[0]
    return steps[::-1]


_THROUGH = (
    ops.Reshape,
    ops.Squeeze,
    ops.Unsqueeze,
    ops.Transpose,
    ops.Slice,
    ops.Split,
    ops.Identity,
)


def put(b: Builder, whole: Value, steps: list[Step], new: Value) -> Value | None:
    """``whole`` with ``new`` where the view is that ``steps`` make of it; None where that is not known."""
    if not steps:
        return new
    (op, type, index), *rest = steps
    if rest:
        made = b.multi(op, whole)[index]
        inner = put(b, made, rest, new)
        if inner is None:
            return None
        new = inner
    match op:
        case ops.Transpose(perm=perm):
            return b(ops.Transpose(perm=tuple(int(i) for i in np.argsort(perm))), new)
        case ops.Slice():
            return _put_slice(b, whole, op, new)
        case ops.Split(axis=axis, sizes=sizes):
            start: Extent = 0
            for size in sizes[:index]:
                start = start + size
            cut = ops.Slice(axes=(axis,), starts=(start,), sizes=(sizes[index],), steps=(1,))
            return _put_slice(b, whole, cut, new)
        case ops.Identity():
            return new
    return b(ops.Reshape(shape=type.shape), new)


def _put_slice(b: Builder, whole: Value, op: ops.Slice, new: Value) -> Value | None:
    """One axis after the other: what is cut along the first one is put back in what the others leave."""
    axes = [i for i, axis in enumerate(op.axes) if op.sizes[i] != whole.type.shape[axis] or op.steps[i] < 0]
    if not axes:
        return new
    first, others = axes[0], axes[1:]
    axis, start, size, step = op.axes[first], op.starts[first], op.sizes[first], op.steps[first]
    if others:
        outer = ops.Slice(axes=(axis,), starts=(start,), sizes=(size,), steps=(step,))
        inner = ops.Slice(
            axes=tuple(op.axes[i] for i in others),
            starts=tuple(op.starts[i] for i in others),
            sizes=tuple(op.sizes[i] for i in others),
            steps=tuple(op.steps[i] for i in others),
        )
        put_inside = _put_slice(b, b(outer, whole), inner, new)
        return None if put_inside is None else _put_slice(b, whole, outer, put_inside)
    if step != 1:
        return _put_strided(b, whole, axis, (start, size, step), new)
    behind = whole.type.shape[axis] - start - size
    parts = [_part(b, whole, axis, 0, start), new, _part(b, whole, axis, start + size, behind)]
    found = [part for part in parts if part is not None]
    return b(ops.Concat(axis=axis), *found) if len(found) > 1 else found[0]


def _part(b: Builder, x: Value, axis: int, start: Extent, size: Extent) -> Value | None:
    return None if size == 0 else b(ops.Slice(axes=(axis,), starts=(start,), sizes=(size,), steps=(1,)), x)


def _put_strided(
    b: Builder, whole: Value, axis: int, run: tuple[Extent, Extent, int], new: Value
) -> Value | None:
    start, size, step = run
    if not new.type.is_static or not isinstance(start, int) or not isinstance(size, int):
        return None
    places = (start + np.arange(size) * step).reshape(-1, *[1] * (whole.type.rank - 1 - axis))
    indices = np.broadcast_to(places, new.type.static_shape).astype(np.int64)
    return b(ops.ScatterElements(axis=axis), whole, np.ascontiguousarray(indices), new)
