"""Fourier transforms of `keras.ops`, where a complex tensor is a pair of real ones."""

from __future__ import annotations

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import DFT, Concat, Conv, ConvTranspose, Pad, Reshape, Slice, Split, Squeeze, Unsqueeze
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.spectrogram import waves, window
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("Keras")


def _joined(layer: KerasLayer, b: Builder) -> Value:
    """Real and imaginary parts, which are the first argument, along a new last axis."""
    pair = layer.argument(0, "x")
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, Value) for part in pair):
        raise layer.invalid("a pair of tensors is needed, real and imaginary parts")
    rank = pair[0].type.rank
    return b(Concat(axis=rank), *(b(Unsqueeze(axes=(rank,)), layer.floats(part)) for part in pair))


def _parted(b: Builder, x: Value) -> tuple[Value, Value]:
    last = x.type.rank - 1
    real, imaginary = b.multi(Split(axis=last, sizes=(1, 1)), x)
    return b(Squeeze(axes=(last,)), real), b(Squeeze(axes=(last,)), imaginary)


@rule("ops.FFT", "ops.FFT2", "ops.IFFT2")
def transform(layer: KerasLayer, b: Builder) -> tuple[Value, Value]:
    x = _joined(layer, b)
    last = x.type.rank - 2
    for axis in (last,) if layer.kind == "FFT" else (last, last - 1):
        x = b(DFT(axis=axis, length=x.type.shape[axis], inverse=layer.kind == "IFFT2"), x)
    return _parted(b, x)


def _length(layer: KerasLayer, usual: Extent) -> Extent:
    return usual if layer.setting("fft_length", None) is None else layer.sizes("fft_length", 1)[0]


@rule("ops.RFFT")
def real_transform(layer: KerasLayer, b: Builder) -> tuple[Value, Value]:
    x = layer.floats(layer.tensor(0, "x"))
    axis = x.type.rank - 1
    op = DFT(axis=axis, length=_length(layer, x.type.shape[axis]), onesided=True)
    return _parted(b, b(op, b(Unsqueeze(axes=(axis + 1,)), x)))


@rule("ops.IRFFT")
def inverse_real_transform(layer: KerasLayer, b: Builder) -> Value:
    x = _joined(layer, b)
    axis = x.type.rank - 2
    length = _length(layer, (x.type.shape[axis] - 1) * 2)
    return b(Squeeze(axes=(axis + 1,)), b(DFT(axis=axis, length=length, inverse=True, onesided=True), x))


@rule("ops.STFT")
def short_time_transform(layer: KerasLayer, b: Builder) -> tuple[Value, Value]:
    """[..., time] -> twice [..., frames, bins], as a convolution with waves under the window."""
    x = layer.floats(layer.tensor(0, "x"))
    size, step = layer.sizes("fft_length", 1)[0], layer.sizes("sequence_stride", 1)[0]
    *front, time = x.type.shape
    line = b(Reshape(shape=(dims.product(tuple(front)), time)), x)
    if layer.flag("center", True):
        line = b(Pad(pads=((0, 0), (size // 2, size // 2)), mode="reflect"), line)
    kernel = b.constant(waves(layer, size).astype(x.type.dtype))
    op = Conv(strides=(step,), dilations=(1,), padding=Explicit.zero(1), layout=Layout.NHWC)
    y = b(op, b(Unsqueeze(axes=(2,)), line), kernel)
    bins = size // 2 + 1
    real, imaginary = b.multi(Split(axis=2, sizes=(bins, bins)), y)
    shape = (*front, *real.type.shape[1:])
    return b(Reshape(shape=shape), real), b(Reshape(shape=shape), imaginary)


@rule("ops.ISTFT")
def inverse_short_time_transform(layer: KerasLayer, b: Builder) -> Value:
    """Frames [..., frames, bins] back to [..., time]: a transposed convolution adds them up."""
    x = layer.argument(0, "x")
    if not isinstance(x, list) or len(x) != 2 or not all(isinstance(part, Value) for part in x):
        raise layer.invalid("a pair of tensors is needed, real and imaginary parts")
    size, step = layer.sizes("fft_length", 1)[0], layer.sizes("sequence_stride", 1)[0]
    both = b(Concat(axis=x[0].type.rank - 1), *(layer.floats(part) for part in x))
    *front, frames, bins = both.type.shape
    kernel = _inverse_waves(layer, size, step).astype(both.type.dtype)
    if bins != kernel.shape[0]:
        raise layer.invalid(f"{x[0].type} has not {size // 2 + 1} frequencies")
    op = ConvTranspose(
        strides=(step,), dilations=(1,), padding=Explicit.zero(1), output_padding=(0,), layout=Layout.NHWC
    )
    y = b(op, b(Reshape(shape=(dims.product(tuple(front)), frames, bins)), both), b.constant(kernel))
    start = size // 2 if layer.flag("center", True) else 0
    rest = y.type.shape[1] - start
    wanted = rest - start if layer.setting("length", None) is None else layer.integer("length")
    if isinstance(wanted, int) and isinstance(rest, int):
        wanted = min(wanted, rest)
    kept = b(Slice(axes=(1,), starts=(start,), sizes=(wanted,), steps=(1,)), y)
    return b(Reshape(shape=(*front, wanted)), kept)


def _inverse_waves(layer: KerasLayer, size: int, step: int) -> Array:
    """Cosines, then negative sines, [2 * bins, size, 1], under the window over the sum of its squares.

    The sum is that of the windows that lie over one another, so that they add up to 1; Griffin and Lim, 1984.
    """
    count = size // 2 + 1
    angles = 2 * np.pi * np.outer(np.arange(count), np.arange(size)) / size
    twice = np.full((count, 1), 2.0)
    twice[0] = 1
    if size % 2 == 0:
        twice[-1] = 1
    kernel = np.concatenate([twice * np.cos(angles), -twice * np.sin(angles)]) / size
    if layer.setting("window", "hann") is None:
        layer.ignore("sequence_length")
        return kernel[:, :, None]
    shape = window(layer, size)
    over = -(-size // step)
    squares = np.pad(shape**2, (0, over * step - size)).reshape(over, step).sum(0)
    total = np.tile(squares, over)[:size]
    weights = np.divide(shape, total, out=np.zeros(size), where=total != 0)
    return np.asarray((kernel * weights)[:, :, None])
