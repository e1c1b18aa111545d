"""Operations of `keras.ops` that move elements without changing them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Concat,
    Expand,
    Gather,
    Pad,
    Reshape,
    Reverse,
    Slice,
    Split,
    Squeeze,
    Tile,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.ops.pad import PadMode
from mmconvert.ir.slicing import normalize_slice
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.promotion import operands
from mmconvert.parsers.keras.shape import resolved
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")


@rule("ops.Reshape")
def reshape(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    return b(Reshape(shape=resolved(layer, x.type.shape, layer.integers("newshape"))), x)


@rule("ops.Transpose")
def transpose(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    if layer.setting("axes", None) is None:
        return b(Transpose(perm=tuple(reversed(range(x.type.rank)))), x)
    return b(Transpose(perm=x.type.axes(layer.integers("axes"))), x)


@rule("ops.Swapaxes")
def swap_axes(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    first, second = layer.axis(x, "axis1"), layer.axis(x, "axis2")
    perm = list(range(x.type.rank))
    perm[first], perm[second] = second, first
    return b(Transpose(perm=tuple(perm)), x)


@rule("ops.ExpandDims")
def expand_dims(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    axes = layer.integers("axis", None)
    rank = x.type.rank + len(axes)
    if not all(-rank <= axis < rank for axis in axes):
        raise layer.invalid(f"axis {list(axes)} of rank {rank}")
    return b(Unsqueeze(axes=tuple(sorted(axis % rank for axis in axes))), x)


@rule("ops.Squeeze")
def squeeze(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    every = [axis for axis, extent in enumerate(x.type.shape) if extent == 1]
    return b(
        Squeeze(
            axes=layer.axes(x, default=every) if layer.setting("axis", None) is not None else tuple(every)
        ),
        x,
    )


@rule("ops.Concatenate")
def concatenate(layer: KerasLayer, b: Builder) -> Value:
    values = _tensors(layer, b, "xs")
    return b(Concat(axis=layer.axis(values[0])), *values)


@rule("ops.Stack")
def stack(layer: KerasLayer, b: Builder) -> Value:
    values = _tensors(layer, b, "x")
    rank = values[0].type.rank + 1
    axis = layer.integer("axis", 0)
    if not -rank <= axis < rank:
        raise layer.invalid(f"axis {axis} of rank {rank}")
    return b(Concat(axis=axis % rank), *(b(Unsqueeze(axes=(axis % rank,)), value) for value in values))


def _tensors(layer: KerasLayer, b: Builder, name: str) -> list[Value]:
    items = layer.argument(0, name)
    if not isinstance(items, list) or not items or not all(isinstance(item, Value) for item in items):
        raise layer.invalid("a list of tensors is needed")
    return operands(b, *items)


@rule("ops.Split")
def split(layer: KerasLayer, b: Builder) -> tuple[Value, ...]:
    x = layer.tensor(0, "x")
    axis, where = layer.axis(x), layer.setting("indices_or_sections")
    extent = x.type.shape[axis]
    if isinstance(where, int):
        sizes: tuple[Extent, ...] = (extent // where,) * where if 0 < where < 1 << 16 else ()
    else:
        points = [0, *layer.integers("indices_or_sections")]
        sizes = (
            *(after - before for before, after in pairwise(points)),
            extent - points[-1],
        )
    if not sizes:
        raise layer.invalid("cannot be split into no parts")
    return b.multi(Split(axis=axis, sizes=sizes), x)


_PAD_MODES: dict[str, PadMode] = {
    "constant": "constant",
    "edge": "edge",
    "reflect": "reflect",
    "symmetric": "symmetric",
}


@rule("ops.Pad")
def pad(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    value = 0 if layer.argument(1, "constant_values") is None else layer.operand(1, "constant_values")
    mode = layer.string("mode", "constant")
    if mode not in _PAD_MODES:
        raise layer.refuse(f"mode {mode!r}")
    if not isinstance(value, int | float):
        raise layer.refuse("padding with a tensor")
    pads = layer.pairs("pad_width", x.type.rank)
    return b(Pad(pads=pads, mode=_PAD_MODES[mode], value=float(value)), x)


@rule("ops.Tile")
def tile(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    repeats = layer.integers("repeats")
    missing = max(x.type.rank - len(repeats), 0)
    new = max(len(repeats) - x.type.rank, 0)
    x = b(Unsqueeze(axes=tuple(range(new))), x) if new else x
    return b(Tile(repeats=(1,) * missing + repeats), x)


@rule("ops.BroadcastTo")
def broadcast_to(layer: KerasLayer, b: Builder) -> Value:
    return b(Expand(shape=layer.integers("shape")), layer.tensor(0, "x"))


@rule("ops.Flip")
def flip(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    axes = tuple(range(x.type.rank)) if layer.setting("axis", None) is None else layer.axes(x)
    return b(Reverse(axes=axes), x)


@rule("ops.Take")
def take(layer: KerasLayer, b: Builder) -> Value:
    x, indices = layer.tensor(0, "x"), layer.tensor(1, "indices")
    if layer.setting("axis", None) is None:
        raise layer.refuse("an index into all elements", "give an axis")
    return b(Gather(axis=layer.axis(x)), x, indices)


@rule("ops.GetItem")
def get_item(layer: KerasLayer, b: Builder) -> Value:
    """``x[...]`` with integers, slices, None and an ellipsis: a slice, then axes taken out and put in."""
    x = layer.tensor(0, "x")
    key = layer.argument(1, "key")
    items = key if isinstance(key, list) else [key]
    if any(not (item is None or item is Ellipsis or type(item) in (int, slice)) for item in items):
        raise layer.refuse("an index that is a tensor", "use keras.ops.take")
    items = _without_ellipsis(layer, items, x.type.rank)
    axes, starts, sizes, steps = [], [], [], []
    dropped, added, axis, position = [], [], 0, 0
    for item in items:
        if item is None:
            added.append(position)
            position += 1
            continue
        start, size, step = _bounds(layer, item, x.type.shape[axis])
        if (start, size, step) != (0, x.type.shape[axis], 1):
            axes.append(axis)
            starts.append(start)
            sizes.append(size)
            steps.append(step)
        if isinstance(item, int):
            dropped.append(axis)
        else:
            position += 1
        axis += 1
    y = b(Slice(axes=tuple(axes), starts=tuple(starts), sizes=tuple(sizes), steps=tuple(steps)), x)
    y = b(Squeeze(axes=tuple(dropped)), y) if dropped else y
    return b(Unsqueeze(axes=tuple(added)), y) if added else y


def _without_ellipsis(layer: KerasLayer, items: list[Any], rank: int) -> list[Any]:
    """``items`` with one for each axis: the ellipsis, or the end, stands for all axes that are not named."""
    named = sum(item is not None and item is not Ellipsis for item in items)
    count = sum(item is Ellipsis for item in items)
    if named > rank or count > 1:
        raise layer.invalid(f"{len(items)} indices into a tensor of rank {rank}")
    rest = [slice(None)] * (rank - named)
    if not count:
        return items + rest
    place = next(index for index, item in enumerate(items) if item is Ellipsis)
    return items[:place] + rest + items[place + 1 :]


def _bounds(layer: KerasLayer, item: Any, extent: Extent) -> tuple[Extent, Extent, int]:
    if isinstance(item, int):
        if isinstance(extent, int) and not -extent <= item < extent:
            raise layer.invalid(f"index {item} into {extent}")
        return (item if item >= 0 else item + extent), 1, 1
    if any(bound is not None and type(bound) is not int for bound in (item.start, item.stop, item.step)):
        raise layer.refuse("a slice with bounds that are tensors")
    step = 1 if item.step is None else item.step
    start, size = normalize_slice(extent, item.start, item.stop, step)
    return start, size, step
