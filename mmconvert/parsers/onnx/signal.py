"""ONNX rules for signals; and for operators on whole sequences, matrices and bits."""

from __future__ import annotations

import math

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops.attention import extent
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("ONNX")


@rule("DFT", since=17)
def dft_17(n: Source, b: Builder) -> Value:
    return _dft(n, b, n.integer("axis", 1))


@rule("DFT", since=20)
def dft_20(n: Source, b: Builder) -> Value:
    return _dft(n, b, n.whole(2, "an axis") if n.has(2) else -2)


def _dft(n: Source, b: Builder, axis: int) -> Value:
    x, inverse, onesided = n.operand(0), n.flag("inverse"), n.flag("onesided")
    axis = x.type.axis(axis)
    have = x.type.shape[axis]
    length = n.extent(1, "a length") if n.has(1) else 2 * (have - 1) if inverse and onesided else have
    return b(ops.DFT(axis=axis, length=length, inverse=inverse, onesided=onesided), x)


@rule("STFT", since=17)
def stft(n: Source, b: Builder) -> Value:
    """A Fourier transform of each frame, multiplied by the window."""
    signal, step, window = n.operand(0), n.whole(1, "a step"), n.optional(2)
    length: Extent = n.whole(3, "a frame length") if n.has(3) else window.type.shape[0] if window else 0
    if not isinstance(length, int) or length < 1 or step < 1:
        raise n.invalid(f"frames of {length} every {step}")
    framed = frames(b, signal, length, step)
    if window is not None:
        framed = b(ops.Mul(), framed, b(ops.Unsqueeze(axes=(1,)), cast(b, window, signal.type.dtype)))
    return b(ops.DFT(axis=2, length=length, onesided=n.flag("onesided", True)), framed)


def frames(b: Builder, signal: Value, length: int, step: int) -> Value:
    """[batch, time, parts] as [batch, frames, length, parts]."""
    time = signal.type.shape[1]
    count = dims.floordiv(time - length, step) + 1
    inside = np.arange(length)
    if isinstance(count, int):
        places = b.constant(np.arange(count)[:, None] * step + inside, dtypes.I64)
    else:
        last = b(ops.Sub(), extent(b, signal, 1), length)
        number = b(ops.Add(), b(ops.FloorDiv(), last, step), 1)
        zero, one = np.array(0, np.int64), np.array(1, np.int64)
        starts = b(ops.Mul(), b(ops.Range(size=count), zero, number, one), step)
        places = b(ops.Add(), b(ops.Unsqueeze(axes=(1,)), starts), inside.astype(np.int64))
    return b(ops.Gather(axis=1), signal, places)


@rule("MelWeightMatrix", since=17)
def mel_weight_matrix(n: Source, b: Builder) -> Value:
    bands, length, rate = (n.whole(i, what) for i, what in enumerate(("bands", "a length", "a rate")))
    low, high = (float(n.scalar(i, "an edge")) for i in (3, 4))
    return b.constant(mel_weights(bands, length, rate, low, high), n.dtype("output_datatype", dtypes.F32))


def mel_weights(bands: int, length: int, rate: int, low: float, high: float) -> Array:
    """Triangles over frequencies, equally spaced on the mel scale: [frequencies, bands]."""
    ends = [2595 * math.log10(1 + f / 700) for f in (low, high)]
    steps = np.arange(bands + 2) * (ends[1] - ends[0]) / (bands + 2) + ends[0]
    bins = ((length + 1) * 700 * (10 ** (steps / 2595) - 1) // rate).astype(np.int64)
    lines, weights = np.arange(length // 2 + 1), np.zeros((length // 2 + 1, bands))
    for band, (first, middle, last) in enumerate(zip(bins, bins[1:], bins[2:], strict=False)):
        rising = (lines - first) / (middle - first) if middle > first else (lines == middle).astype(float)
        falling = (last - lines) / (last - middle) if last > middle else np.zeros(len(lines))
        up, down = (lines >= first) & (lines <= middle), (lines > middle) & (lines < last)
        weights[:, band] = np.where(up, rising, np.where(down, falling, 0))
    return weights


@rule("Unique", since=11)
def unique(n: Source, b: Builder) -> tuple[Value, ...]:
    x = n.operand(0)
    axis = x.type.axis(n.integer("axis")) if n.given("axis") else None
    count = n.context.symbols.fresh(f"{n.origin.name}_count")
    return b.multi(ops.Unique(count=count, axis=axis, sorted=n.flag("sorted", True)), x)


@rule("ReverseSequence", since=10)
def reverse_sequence(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    time, batch = x.type.axis(n.integer("time_axis", 0)), x.type.axis(n.integer("batch_axis", 1))
    return b(ops.ReverseSequence(time_axis=time, batch_axis=batch), x, n.operand(1))


@rule("TensorScatter", since=24)
def tensor_scatter(n: Source, b: Builder) -> Value:
    """A cache with new elements put at a position of each sequence's own, around the end when circular."""
    past, update, start = n.operand(0), n.operand(1), n.optional(2)
    axis, rank = past.type.axis(n.integer("axis", -2)), past.type.rank
    count = update.type.shape[axis]
    if not isinstance(count, int):
        raise n.unsupported("of an unknown number of elements")
    places = b.constant(np.arange(count).reshape(-1, *(1,) * (rank - 1 - axis)), dtypes.I64)
    if start is not None:
        column = b(ops.Reshape(shape=(past.type.shape[0], *(1,) * (rank - 1))), cast(b, start, dtypes.I64))
        places = b(ops.Add(), column, places)
    if n.choice("mode", "linear", "linear", "circular") == "circular":
        places = b(ops.Mod(), places, extent(b, past, axis))
    wide = b(ops.Expand(shape=update.type.shape), places)
    return b(ops.ScatterElements(axis=axis, reduction="none"), past, wide, update)


@rule("BitCast", since=26)
def bit_cast(n: Source, b: Builder) -> Value:
    x, to = n.operand(0), n.dtype("to")
    return b(ops.BitCast(source=_name(x.type.dtype), to=_name(to)), x)


def _name(dtype: DType) -> str:
    return dtypes.name(dtype)


@rule("Det", since=11)
def det(n: Source, b: Builder) -> Value:
    return b(ops.Det(), n.operand(0))


@rule("com.microsoft.Inverse")
def inverse(n: Source, b: Builder) -> Value:
    return b(ops.Inverse(), n.operand(0))
