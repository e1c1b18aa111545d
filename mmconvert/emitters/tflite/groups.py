"""Convolutions of several groups where TFLite has those of one only."""

from __future__ import annotations

from collections.abc import Callable

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.fusion import Tail
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.ir.graph import Value
from mmconvert.tensors import Array

WriteGroup = Callable[[Value, Value, Value | None, Tail], None]
"""Writes the convolution of one group: input, kernel, bias, and where the result goes."""


def one_by_one(
    out: Writer, x: Value, weight: Value, bias: Value | None, tail: Tail, groups: int, write: WriteGroup
) -> None:
    """Writes each group apart, channels last; the kernel has its groups along the first axis."""
    last = x.type.rank - 1
    parts = _split(out, x, last, groups)
    kernels = _split(out, weight, 0, groups)
    biases = [None] * groups if bias is None else _split(out, bias, 0, groups)
    shape = tail.output.type.shape
    (channels,) = known(shape[-1:], "the number of filters")
    type = tail.output.type.with_shape((*shape[:-1], channels // groups))
    results = []
    for part, kernel, own in zip(parts, kernels, biases, strict=True):
        result = Value(type, f"{out.scope}/group")
        write(part, kernel, own, Tail(result, None, tail.activation))
        results.append(result)
    out(tfl.CONCATENATION, results, tail.output, axis=last)


def _split(out: Writer, value: Value, axis: int, count: int) -> list[Value]:
    (extent,) = known(value.type.shape[axis : axis + 1], "the number of channels")
    step = extent // count
    shape = (*value.type.shape[:axis], step, *value.type.shape[axis + 1 :])
    if value.constant is not None:
        sizes = known(shape, "the shape of a constant")
        return [
            out.tensor(value.constant.rearrange(_part(axis, i * step, step), sizes), value.name)
            for i in range(count)
        ]
    parts = [Value(value.type.with_shape(shape), f"{out.scope}/split") for _ in range(count)]
    out(tfl.SPLIT, (out.constant(axis, dtypes.I32), value), parts, num_splits=count)
    return parts


def _part(axis: int, start: int, size: int) -> Callable[[Array], Array]:
    index = (slice(None),) * axis + (slice(start, start + size),)
    return lambda array: array[index]
