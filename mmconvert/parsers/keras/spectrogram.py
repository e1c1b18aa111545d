"""Spectrograms, as convolutions with the window times sines and cosines."""

from __future__ import annotations

import math

import numpy as np

from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Add,
    Atan2,
    Concat,
    Conv,
    Log,
    MatMul,
    Max,
    Mul,
    Pad,
    Pow,
    ReduceMax,
    Reshape,
    Slice,
    Split,
    Sqrt,
    Square,
    Sub,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.norm import EPSILON
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("Keras")

MAX_LENGTH = 1 << 16


@rule("STFTSpectrogram")
def stft_spectrogram(layer: KerasLayer, b: Builder) -> Value:
    """The kernels are in the file. Channels are transformed one by one, [batch, time, channels]."""
    x = layer.floats(layer.input())
    x.type.require_rank(3)
    layer.ignore("window", "periodic", "scaling")
    length = layer.integer("frame_length")
    step = layer.integer("frame_step") if layer.setting("frame_step", None) else length // 2
    size = (
        layer.integer("fft_length")
        if layer.setting("fft_length", None)
        else 2 ** math.ceil(math.log2(length))
    )
    mode, bins = layer.string("mode", "log"), size // 2 + 1
    names = [n for n, other in (("real_kernel", "imag"), ("imag_kernel", "real")) if mode != other]
    kernels = layer.variables(dict.fromkeys(names, (length, 1, bins)))
    last = layer.layout() is Layout.NHWC
    by_channel = b(Transpose(perm=(0, 2, 1)), x) if last else x
    batch, channels, time = by_channel.type.shape
    lines = b(Reshape(shape=(dims.product((batch, channels)), time, 1)), by_channel)
    same = layer.string("padding", "valid") == "same"
    op = Conv(
        strides=(step,),
        dilations=(1,),
        padding=Same() if same else Explicit.zero(1),
        layout=Layout.NHWC,
    )
    parts = []
    for name, kernel in zip(names, kernels, strict=True):
        y = b(op, lines, layer.weight(name, kernel.transpose((2, 0, 1))))
        parts.append(b(Reshape(shape=(batch, channels, *y.type.shape[1:])), y))
    return _adjusted(layer, b, _mode(layer, b, mode, parts, bins), last=last)


def _mode(layer: KerasLayer, b: Builder, mode: str, parts: list[Value], bins: int) -> Value:
    """What is asked for of real and imaginary parts [batch, channels, time, bins]."""
    if mode in ("real", "imag"):
        return parts[0]
    real, imaginary = parts
    if mode == "angle":
        return b(Atan2(), imaginary, real)
    if mode == "stft":
        return b(Concat(axis=3), real, imaginary)
    power = b(Add(), b(Square(), real), b(Square(), imaginary))
    if mode == "psd":
        inside = b(Slice(axes=(3,), starts=(1,), sizes=(bins - 2,), steps=(1,)), power)
        return b(Add(), power, b(Pad(pads=((0, 0), (0, 0), (0, 0), (1, 1))), inside))
    magnitude = b(Sqrt(), b(Max(), power, EPSILON))
    if mode == "magnitude":
        return magnitude
    if mode != "log":
        raise layer.refuse(f"mode {mode!r}")
    return b(Log(), b(Max(), magnitude, EPSILON))


def _adjusted(layer: KerasLayer, b: Builder, y: Value, *, last: bool) -> Value:
    """[batch, channels, time, bins] in the order of the layer's output."""
    batch, channels, time, bins = y.type.shape
    if layer.flag("expand_dims", False):
        return b(Transpose(perm=(0, 2, 3, 1)), y) if last else y
    joined = dims.product((channels, bins))
    if last:
        return b(Reshape(shape=(batch, time, joined)), b(Transpose(perm=(0, 2, 1, 3)), y))
    return b(Reshape(shape=(batch, joined, time)), b(Transpose(perm=(0, 1, 3, 2)), y))


@rule("MelSpectrogram")
def mel_spectrogram(layer: KerasLayer, b: Builder) -> Value:
    """[batch, time] -> [batch, mel bins, frames]; the loudest number of the whole batch sets the floor."""
    x = layer.floats(layer.input())
    x.type.require_rank(2)
    size, step = layer.integer("fft_length", 2048), layer.sizes("sequence_stride", 1, 512)[0]
    half = size // 2
    padded = b(Pad(pads=((0, 0), (half, half)), mode="reflect"), x)
    line = b(Unsqueeze(axes=(2,)), padded)
    kernel = b.constant(waves(layer, size).astype(x.type.dtype))
    op = Conv(strides=(step,), dilations=(1,), padding=Explicit.zero(1), layout=Layout.NHWC)
    real, imaginary = b.multi(Split(axis=2, sizes=(half + 1, half + 1)), b(op, line, kernel))
    y = b(Sqrt(), b(Add(), b(Square(), real), b(Square(), imaginary)))
    exponent = layer.number("mag_exp", 1.0)
    y = y if exponent == 1 else b(Pow(), y, exponent)
    y = b(MatMul(), y, b.constant(_mel(layer, half + 1).astype(x.type.dtype)))
    if layer.flag("power_to_db", True):
        y = _decibels(layer, b, y)
    else:
        layer.ignore("min_power", "ref_power", "top_db")
    return b(Transpose(perm=(0, 2, 1)), y)


def _decibels(layer: KerasLayer, b: Builder, y: Value) -> Value:
    least, reference = layer.number("min_power", 1e-10), abs(layer.number("ref_power", 1.0))
    scale = 10 / math.log(10)
    log = b(Mul(), b(Log(), b(Max(), y, least)), scale)
    log = b(Sub(), log, scale * math.log(max(reference, least)))
    loudest = b(ReduceMax(axes=(0, 1, 2), keepdims=True), log)
    return b(Max(), log, b(Sub(), loudest, layer.number("top_db", 80.0)))


def waves(layer: KerasLayer, size: int) -> Array:
    """Cosines, then negative sines, under the window: [2 * bins, size, 1]."""
    angles = 2 * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size
    return (np.concatenate([np.cos(angles), -np.sin(angles)]) * window(layer, size))[:, :, None]


def window(layer: KerasLayer, size: int) -> Array:
    """The weights of a sequence, in the middle of ``size`` samples."""
    length = size if layer.setting("sequence_length", None) is None else layer.integer("sequence_length")
    if not 1 <= length <= size <= MAX_LENGTH:
        raise layer.invalid(f"sequences of {length} in a transform of {size}")
    kind = layer.setting("window", "hann")
    if kind not in ("hann", "hamming", None):
        raise layer.refuse("a window that is neither hann nor hamming")
    alpha = {"hann": 0.5, "hamming": 0.54, None: 1.0}[kind]
    if kind is not None and length % 2:
        raise layer.refuse(
            f"a {kind} window of {length}: Keras's backends differ for odd lengths",
            "make sequence_length even",
        )
    weights = np.zeros(size)
    start = (size - length) // 2
    if kind is None:
        start, length = 0, size
    weights[start : start + length] = alpha - (1 - alpha) * np.cos(2 * np.pi * np.arange(length) / length)
    return weights


def _mel(layer: KerasLayer, bins: int) -> Array:
    """Triangles on the mel scale, ``mel(f) = 1127 log(1 + f / 700)``, [bins, mel bins]; HTK's convention."""
    count, rate = layer.integer("num_mel_bins", 128), layer.number("sampling_rate", 16000)
    if not 1 <= count <= MAX_LENGTH:
        raise layer.invalid(f"{count} mel bins")
    low = layer.number("min_freq", 20.0)
    high = rate / 2 if layer.setting("max_freq", None) is None else layer.number("max_freq")

    def mel(frequency: Array | float) -> Array:
        return np.asarray(1127.0 * np.log(1 + np.asarray(frequency) / 700.0))

    places = mel(np.linspace(0, rate / 2, bins)[1:])[:, None]
    edges = np.linspace(mel(low), mel(high), count + 2)
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    slopes = np.minimum((places - left) / (center - left), (right - places) / (right - center))
    return np.concatenate([np.zeros((1, count)), np.maximum(slopes, 0)])
