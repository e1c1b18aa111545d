"""Sampling on another grid."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.parsers.ncnn.extents import evaluate
from mmconvert.parsers.ncnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("NCNN")

_NEAREST, _LINEAR, _CUBIC = 1, 2, 3


@rule("Interp")
def interp(layer: Source) -> Value:
    kind, corners = layer.p.integer("resize_type"), layer.p.flag("align_corner")
    if kind not in (_NEAREST, _LINEAR, _CUBIC):
        raise layer.invalid(f"there is no resizing of type {kind}")
    scales = {"h": layer.p.real("height_scale"), "w": layer.p.real("width_scale")}
    given = {"h": layer.p.count("output_height"), "w": layer.p.count("output_width")}
    text, computed = layer.p.text("size_expr"), layer.p.flag("dynamic_target_size")
    rank = layer.rank()
    if rank == 1:
        return _spread(layer, given)
    letters = {2: "w", 3: "hw"}.get(rank)
    if letters is None:
        raise layer.invalid(f"a blob of rank {rank} is no picture")
    axes = tuple(range(2, 2 + len(letters)))
    found: dict[str, Extent] = {}
    by_scale = False
    if text:
        sizes = evaluate(text, layer)
        found = dict(zip("wh", sizes, strict=False))
    elif computed or len(layer.inputs) > 1:
        other = layer.operand(1)
        found = {letter: other.type.shape[-1 - i] for i, letter in enumerate("wh"[: len(letters)])}
    elif all(given.values()):
        found = dict(given)
    else:
        by_scale = True
        for letter, axis in zip(letters, axes, strict=True):
            found[letter] = _scaled(layer, layer.x.type.shape[axis], scales[letter])
    used = tuple(scales[letter] for letter in letters)
    op = ops.Resize(
        axes=axes,
        sizes=tuple(found[letter] for letter in letters),
        scales=used if by_scale and kind == _NEAREST else (),
        mode={_NEAREST: "nearest", _LINEAR: "linear", _CUBIC: "cubic"}[kind],  # type: ignore[arg-type]
        coordinates="asymmetric" if kind == _NEAREST else "align_corners" if corners else "half_pixel",
        nearest="floor",
    )
    return layer.b(op, layer.x)


def _scaled(layer: Source, extent: Extent, scale: float) -> Extent:
    """How many samples a scale makes of an extent."""
    if isinstance(extent, int):
        return int(extent * scale)
    for divisor in (1, 2, 4, 8, 16, 3, 5, 6, 10):
        if abs(scale * divisor - round(scale * divisor)) < 1e-9:
            return extent * round(scale * divisor) // divisor
    raise layer.unsupported(f"scaling an unknown extent by {scale}")


def _spread(layer: Source, given: dict[str, int]) -> Value:
    """A picture of one pixel from each element of a vector."""
    if not all(given.values()):
        raise layer.invalid("a vector becomes pictures of known extents only")
    count = layer.x.type.shape[1]
    pixel = layer.reshape(layer.x, (1, count, 1, 1))
    return layer.b(ops.Expand(shape=(1, count, given["h"], given["w"])), pixel)


@rule("GridSample")
def grid_sample(layer: Source) -> Value:
    modes = {1: "linear", 2: "nearest", 3: "cubic"}
    outside = {1: "zeros", 2: "border", 3: "reflection"}
    kind, beyond = layer.p.integer("sample_type"), layer.p.integer("padding_mode")
    if kind not in modes or beyond not in outside:
        raise layer.invalid(f"there is no sampling of type {kind} with {beyond} outside")
    grid = layer.operand(1)
    if layer.p.flag("permute_fusion"):
        grid = layer.b(ops.Transpose(perm=(0, *range(2, grid.type.rank), 1)), grid)
    op = ops.GridSample(
        mode=modes[kind],  # type: ignore[arg-type]
        padding=outside[beyond],  # type: ignore[arg-type]
        align_corners=layer.p.flag("align_corner"),
    )
    return layer.b(op, layer.x, grid)
