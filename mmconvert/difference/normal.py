"""One form for graphs that compute the same in the same way: optimized, and in one layout."""

from __future__ import annotations

from typing import Any

from mmconvert.ir import geometry
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout
from mmconvert.passes import pipeline
from mmconvert.passes.layout.assign import assign_layout

LAYOUT = Layout.NHWC


def normal(graph: Graph) -> Graph:
    """A copy of ``graph`` in normal form; inputs and outputs have the layout that the operators have."""
    made = copy_graph(graph)
    pipeline.optimize(made)
    again = (*pipeline.CLEAN, *pipeline.RECOGNISE, *pipeline.FUSE, *pipeline.CLEAN)
    pipeline.run(made, (assign_layout(LAYOUT, "target"), *again))
    return _renamed(made)


def _renamed(graph: Graph) -> Graph:
    """``graph`` with its open extents called s0, s1, ... in the order in which the inputs mention them."""
    names: dict[Any, Any] = {}
    for value in graph.inputs:
        for extent in value.type.shape:
            for name in sorted(extent.symbols) if isinstance(extent, Dim) else ():
                names.setdefault(name, Dim.symbol(f"s{len(names)}"))
    return graph if all(str(n) == name for name, n in names.items()) else copy_graph(graph, names)


def attributes(node: Node[Op]) -> dict[str, str]:
    """The attributes as text, padding in numbers where these are known."""
    op: Any = node.op
    found = {name: _text(getattr(op, name)) for name in op.__dataclass_fields__}
    pads = _pads(node)
    if pads is not None:
        found["padding"] = str(Explicit(pads).pads)
    return found


def _text(value: Any) -> str:
    """An attribute; of floats as many digits as float32 has, in which many formats keep them."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"({', '.join(map(_text, value))})" if isinstance(value, tuple) else str(value)


def _pads(node: Node[Op]) -> geometry.Pads | None:
    """The padding as far as windows read it; None where it is not known, or there is none."""
    op: Any = node.op
    padding, layout = getattr(op, "padding", None), getattr(op, "layout", None)
    if padding is None or layout is None or not node.inputs:
        return None
    x = node.operand(0).type
    extents = [x.shape[axis] for axis in layout.spatial_axes(x.rank)]
    kernel = getattr(op, "kernel", None)
    if kernel is None and len(node.inputs) > 1 and node.operand(1).type.rank == x.rank:
        kernel = [node.operand(1).type.shape[axis] for axis in layout.spatial_axes(x.rank)]
    if kernel is None or not hasattr(op, "strides") or hasattr(op, "output_padding"):
        return None
    numbers, window = [e for e in extents if isinstance(e, int)], [k for k in kernel if isinstance(k, int)]
    if len(numbers) < len(extents) or len(window) < len(kernel):
        return None
    covered = geometry.dilated(window, getattr(op, "dilations", (1,) * len(window)))
    pads = geometry.resolve(padding, numbers, covered, op.strides)
    made = [node.outputs[0].type.shape[axis] for axis in layout.spatial_axes(x.rank)]
    read = zip(made, op.strides, covered, numbers, pads, strict=True)
    return tuple(
        (
            before,
            min(after, (count - 1) * stride + width - extent - before) if isinstance(count, int) else after,
        )
        for count, stride, width, extent, (before, after) in read
    )
