"""What convolution and pooling share: padding that torch's operators have, and padding in front of them."""

from __future__ import annotations

from collections.abc import Sequence

from mmconvert.emitters.pytorch.code import bound, call, number, same
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import geometry
from mmconvert.ir.geometry import Padding, Pads, Same
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout


def require_nchw(out: Writer, layout: Layout, rank: int) -> None:
    """Refuses channels last, and more axes than torch has."""
    out.require(layout is Layout.NCHW, "torch has channels first")
    out.require(rank in (1, 2, 3), f"torch has no windows over {rank} axes")


def padded(
    node: Node[Op],
    out: Writer,
    covered: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    *,
    value: float = 0.0,
    limit: Sequence[int] | None = None,
    text: str | None = None,
) -> tuple[str, list[int]]:
    """The first operand, padded where the operator cannot do it itself, and the padding that is left to it.

    Args:
        node: the operator.
        out: where to write.
        covered: the extents of a window.
        strides: those of the windows.
        padding: what to pad.
        value: what with.
        limit: the most that the operator pads itself; without it there is none.
        text: the expression for the operand, where it is not the operand itself.
    """
    x = node.operand(0)
    source = text or out.read(x)
    pads = known_pads(node, covered, strides, padding)
    if pads is None:
        assert isinstance(padding, Same)
        helper, after = out.helper("pad_same"), None if padding.extra_after else "False"
        filling = None if value == 0 else number(value)
        arguments = (source, same(covered), same(strides))
        return call(helper, *arguments, value=filling, extra_after=after), [0] * len(strides)
    even = all(before == after for before, after in pads)
    small = limit is None or all(before <= most for (before, _), most in zip(pads, limit, strict=True))
    if even and small and min((before for before, _ in pads), default=0) >= 0:
        return source, [before for before, _ in pads]
    return pad(source, pads, value), [0] * len(strides)


def known_pads(
    node: Node[Op], covered: Sequence[int], strides: Sequence[int], padding: Padding
) -> Pads | None:
    """Padding in elements; None where only the running model knows it."""
    extents = node.operand(0).type.shape[2:]
    if isinstance(padding, Same) and any(
        not isinstance(e, int) and s > 1 for e, s in zip(extents, strides, strict=True)
    ):
        return None
    # With a stride of 1 SAME does not depend on the extents.
    return geometry.resolve(padding, [e if isinstance(e, int) else 1 for e in extents], covered, strides)


def pad(text: str, pads: Sequence[tuple[int, int]], value: float = 0.0) -> str:
    """``text`` with padding of its last axes."""
    numbers = ", ".join(f"{before}, {after}" for before, after in reversed(pads))
    return call("F.pad", text, f"({numbers})", value=None if value == 0 else number(value))


def taken(text: str, cuts: Sequence[tuple[int, int]]) -> str:
    """``text`` without some elements (negative numbers) before and after each of its last axes."""
    if not any(before or after for before, after in cuts):
        return text
    ranges = (f"{-b or ''}:{a or ''}" for b, a in cuts)
    return f"{bound(text)}[..., {', '.join(ranges)}]"
