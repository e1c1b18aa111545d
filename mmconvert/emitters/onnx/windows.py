"""What convolution and pooling share: layouts, and padding as ONNX attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmconvert.emitters.onnx.writer import Operand, Writer
from mmconvert.ir import dims, geometry
from mmconvert.ir.geometry import Explicit, Padding, Pads, Same
from mmconvert.ir.types import Extent, Layout


def require_nchw(out: Writer, layout: Layout) -> None:
    """Refuses channels last: ONNX has channels first only."""
    out.require(layout is Layout.NCHW, f"ONNX has the layout NCHW only, not {layout.value}")


def flat(pads: Pads) -> list[int]:
    """Padding in the order of ONNX: all that stands before, then all that stands after."""
    return [before for before, _ in pads] + [after for _, after in pads]


def resolved(
    padding: Padding, extents: Sequence[Extent], covered: Sequence[int], strides: Sequence[int]
) -> Pads | None:
    """Padding in elements, or None when it depends on extents that are unknown.

    With a stride of 1 SAME does not depend on them: any extent serves.
    """
    if isinstance(padding, Same) and any(
        isinstance(e, dims.Dim) and s > 1 for e, s in zip(extents, strides, strict=True)
    ):
        return None
    return geometry.resolve(padding, [e if isinstance(e, int) else 1 for e in extents], covered, strides)


def attributes(out: Writer, padding: Padding, pads: Pads | None, dilations: Sequence[int]) -> dict[str, Any]:
    """``pads`` where they are known; ``auto_pad`` where only the running model knows them."""
    if pads is not None:
        return {"pads": flat(pads)}
    out.require(
        max(dilations) == 1,
        "SAME padding with strides and dilations needs known extents: runtimes refuse auto_pad then",
    )
    assert isinstance(padding, Same)
    return {"auto_pad": "SAME_UPPER" if padding.extra_after else "SAME_LOWER"}


def crop(out: Writer, x: Operand, pads: Pads) -> tuple[Operand, Pads]:
    """``x`` without what negative ``pads`` take away, and the pads that are left; ONNX windows only add."""
    if min(flat(pads), default=0) >= 0:
        return x, pads
    taken = tuple((min(before, 0), min(after, 0)) for before, after in pads)
    left = tuple((max(before, 0), max(after, 0)) for before, after in pads)
    return out("Pad", x, out.ints(flat(((0, 0), (0, 0), *taken)))), left


def is_zero(pads: Pads) -> bool:
    """True when nothing is padded."""
    return Explicit(pads).is_zero
