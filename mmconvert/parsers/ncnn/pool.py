"""Pooling."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Layout
from mmconvert.parsers.ncnn.conv import AXES, along, letters, padding
from mmconvert.parsers.ncnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("NCNN")

_MAX, _MEAN = 0, 1
_FULL, _VALID, _SAME_UPPER, _SAME_LOWER = range(4)


@rule(*(f"Pooling{axes}" for axes in AXES))
def pooling(layer: Source) -> Value:
    kind = layer.p.integer("pooling_type")
    if kind not in (_MAX, _MEAN):
        raise layer.invalid(f"there is no pooling of type {kind}")
    if layer.p.flag("global_pooling"):
        _read_over(layer)
        axes = tuple(range(2, layer.x.type.rank))
        return layer.b(
            (ops.ReduceMax if kind == _MAX else ops.ReduceMean)(axes=axes, keepdims=False), layer.x
        )
    if layer.p.flag("adaptive_pooling"):
        return _adaptive(layer, kind)
    kernel, strides = along(layer, "kernel"), along(layer, "stride")
    pads, ceil = _windows(layer, kernel, strides)
    # What NCNN itself finds to pad counts, whatever the flag says.
    counted = layer.p.flag("avgpool_count_include_pad") or isinstance(pads, Same)
    ones = (1,) * len(kernel)
    if kind == _MAX:
        return layer.b(
            ops.MaxPool(
                kernel=kernel, strides=strides, dilations=ones, padding=pads, ceil=ceil, layout=Layout.NCHW
            ),
            layer.x,
        )
    if counted and ceil:
        raise layer.unsupported("a mean that counts what windows hang over as padding")
    mean = ops.AveragePool(
        kernel=kernel,
        strides=strides,
        dilations=ones,
        padding=pads,
        ceil=ceil,
        count_include_pad=counted,
        layout=Layout.NCHW,
    )
    return layer.b(mean, layer.x)


def _read_over(layer: Source) -> None:
    for name in layer.p.names - {"pooling_type", "global_pooling"}:
        layer.p.real(name)


def _windows(layer: Source, kernel: tuple[int, ...], strides: tuple[int, ...]) -> tuple[Padding, bool]:
    """The padding, and whether windows hang over the end."""
    mode, pads = layer.p.integer("pad_mode"), padding(layer)
    if mode == _VALID:
        return pads, False
    if mode in (_SAME_UPPER, _SAME_LOWER):
        return Same(extra_after=mode == _SAME_UPPER), False
    if mode != _FULL or not isinstance(pads, Explicit):
        raise layer.invalid(f"there is no padding of mode {mode}")
    extents = layer.x.type.shape[2:]
    whole = []
    for extent, k, s, (before, after) in zip(extents, kernel, strides, pads.pads, strict=True):
        if isinstance(extent, Dim):  # where the last window begins inside, the rules agree
            if s > k - after and s > 1:
                raise layer.unsupported("windows that hang over a picture of unknown extents")
            return pads, True
        whole.append((before, after + -(extent + before + after - k) % s))
    return Explicit(tuple(whole)), False


def _adaptive(layer: Source, kind: int) -> Value:
    """Windows of such an extent that there are as many as is wanted; known extents only."""
    for name in layer.p.names - {"pooling_type", "adaptive_pooling"}:
        layer.p.real(name)
    x = layer.x
    for i, letter in enumerate(letters(layer)):
        wanted, extent = layer.p.integer(f"out_{letter}"), x.type.shape[2 + i]
        if wanted == -233 or wanted == extent:
            continue
        if wanted < 1 or not isinstance(extent, int):
            raise layer.unsupported(f"adaptive pooling from {extent} to {wanted}")
        x = _shrunk(layer.b, x, 2 + i, extent, wanted, kind)
    return x


def _shrunk(b: Builder, x: Value, axis: int, extent: int, wanted: int, kind: int) -> Value:
    parts = []
    reduce = ops.ReduceMax if kind == _MAX else ops.ReduceMean
    for i in range(wanted):
        start, end = i * extent // wanted, -(-(i + 1) * extent // wanted)
        part = b(ops.Slice(axes=(axis,), starts=(start,), sizes=(end - start,), steps=(1,)), x)
        parts.append(b(reduce(axes=(axis,), keepdims=True), part))
    return parts[0] if wanted == 1 else b(ops.Concat(axis=axis), *parts)
