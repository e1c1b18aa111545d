"""NCNN rules for pooling."""

from __future__ import annotations

from mmconvert.emitters.ncnn.batch import Pictures
from mmconvert.emitters.ncnn.blob import Blob
from mmconvert.emitters.ncnn.conv import SUFFIX, along, sides
from mmconvert.emitters.ncnn.writer import Writer, is_dynamic
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, geometry
from mmconvert.ir.geometry import Same
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops import AveragePool, MaxPool
from mmconvert.ir.types import Layout
from mmconvert.ncnnlib.records import Parameter
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("NCNN")

_FULL, _VALID, _SAME_UPPER, _SAME_LOWER = range(4)
"""How NCNN finds the number of windows, and the padding."""


@rule(MaxPool, AveragePool)
def pool(node: Node[MaxPool] | Node[AveragePool], out: Writer) -> None:
    op, x, y = node.op, node.operand(0), node.output
    if op.layout is not Layout.NCHW:
        raise UnsupportedError("NCNN has the channels first")
    if any(d != 1 for d in op.dilations):
        raise UnsupportedError("NCNN's windows have no gaps")
    if len(op.kernel) > 3:
        raise UnsupportedError(f"NCNN pools over 1 to 3 axes, not {len(op.kernel)}")
    pictures, counted = Pictures(x, out), isinstance(op, AveragePool) and op.count_include_pad
    parameters = {
        **along("kernel", pictures.sizes(op.kernel)),
        **along("stride", pictures.sizes(op.strides)),
        **_windows(node, pictures, counted),
    }

    def layer(source: Blob) -> Blob:
        return out.layer(
            f"Pooling{SUFFIX[len(op.kernel) + pictures.stacked]}",
            (source,),
            pictures.shape(y.type.shape),
            pooling_type=int(isinstance(op, AveragePool)),
            avgpool_count_include_pad=int(counted),
            **parameters,
        )

    pictures.through(layer, y)


def _windows(
    node: Node[MaxPool] | Node[AveragePool], pictures: Pictures, counted: bool
) -> dict[str, Parameter]:
    """The padding, and how windows are counted."""
    op, x = node.op, node.operand(0)
    extents = x.type.shape[2:]
    if not is_dynamic(extents):
        return _known(node, pictures, counted)
    if isinstance(op.padding, Same):
        # Where NCNN finds out the padding, it counts it.
        if pictures.stacked or (isinstance(op, AveragePool) and not counted):
            raise UnsupportedError("NCNN counts padding of pictures of unknown extents")
        return {"pad_mode": _SAME_UPPER if op.padding.extra_after else _SAME_LOWER}
    if not op.ceil:
        return {"pad_mode": _VALID, **sides(pictures.pads(op.padding.pads))}
    inside = all(
        s <= k - after for s, k, (_, after) in zip(op.strides, op.kernel, op.padding.pads, strict=True)
    )
    if counted or pictures.stacked or not inside:
        raise UnsupportedError("NCNN counts the windows of a picture of unknown extents in another way")
    return {"pad_mode": _FULL, **sides(op.padding.pads)}


def _known(
    node: Node[MaxPool] | Node[AveragePool], pictures: Pictures, counted: bool
) -> dict[str, Parameter]:
    """Padding in elements, with what the last windows hang over."""
    op = node.op
    extents, counts = (dims.numbers(v.type.shape[2:]) for v in (node.operand(0), node.output))
    pads = geometry.resolve(op.padding, extents, op.kernel, op.strides)
    whole = tuple(
        (before, (count - 1) * s + k - e - before)
        for e, count, k, s, (before, _) in zip(extents, counts, op.kernel, op.strides, pads, strict=True)
    )
    beyond = [total - after for (_, total), (_, after) in zip(whole, pads, strict=True)]
    if counted and any(more > 0 for more in beyond):
        raise UnsupportedError("NCNN counts what windows hang over as padding")
    used = tuple((before, max(after, total)) for (before, after), (_, total) in zip(pads, whole, strict=True))
    if any(p < 0 for pair in used for p in pair):
        raise UnsupportedError("NCNN takes nothing away before it pools")
    return {"pad_mode": _VALID, **sides(pictures.pads(used))}
