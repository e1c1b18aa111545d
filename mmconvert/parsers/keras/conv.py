"""Convolutions: Conv, DepthwiseConv, SeparableConv and ConvTranspose in one to three dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Padding, Same, dilated
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Conv, ConvTranspose
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[str] = Rules("Keras")


@dataclass(frozen=True)
class Window:
    """The settings that all convolutions share."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    layout: Layout

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.kernel)


def window_of(layer: KerasLayer) -> Window:
    rank = layer.spatial_rank
    kernel = layer.sizes("kernel_size", rank)
    dilations = layer.sizes("dilation_rate", rank, 1)
    return Window(
        kernel, layer.sizes("strides", rank, 1), dilations, _padding(layer, kernel, dilations), layer.layout()
    )


def _padding(layer: KerasLayer, kernel: tuple[int, ...], dilations: tuple[int, ...]) -> Padding:
    match layer.string("padding", "valid").lower():
        case "same":
            return Same()
        case "valid":
            return Explicit.zero(len(kernel))
        case "causal" if len(kernel) == 1:
            # Nothing after the present, so all of it before.
            return Explicit(tuple((extent - 1, 0) for extent in dilated(kernel, dilations)))
        case other:
            raise layer.refuse(f"padding {other!r}")


@rule("Conv1D", "Conv2D", "Conv3D")
def conv(layer: KerasLayer, b: Builder) -> Value:
    x, window = layer.image(), window_of(layer)
    filters, groups = layer.integer("filters"), layer.integer("groups", 1)
    _merged_lora(layer)
    channels = _channels(layer, x, window)
    if groups < 1 or channels % groups:
        raise layer.invalid(f"{channels} channels cannot be shared out to {groups} groups")
    shapes = {"kernel": (*window.kernel, channels // groups, filters)} | _bias(layer, filters)
    kernel, *bias = layer.variables(shapes)
    weight = layer.weight("kernel", input_major(kernel, window))
    y = convolve(b, window, groups, x, weight, _bias_weight(layer, bias))
    return activate(layer, y)


@rule("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_conv(layer: KerasLayer, b: Builder) -> Value:
    x, window = layer.image(), window_of(layer)
    channels, multiplier = _channels(layer, x, window), layer.integer("depth_multiplier", 1)
    if layer.integer("groups", 1) != 1:
        raise layer.refuse("groups")
    layer.ignore("filters")
    shapes = {"kernel": (*window.kernel, channels, multiplier)} | _bias(layer, channels * multiplier)
    kernel, *bias = layer.variables(shapes)
    weight = layer.weight("kernel", _depthwise(kernel, window))
    return activate(layer, convolve(b, window, channels, x, weight, _bias_weight(layer, bias)))


@rule("SeparableConv1D", "SeparableConv2D")
def separable_conv(layer: KerasLayer, b: Builder) -> Value:
    x, window = layer.image(), window_of(layer)
    channels, multiplier = _channels(layer, x, window), layer.integer("depth_multiplier", 1)
    filters = layer.integer("filters")
    if layer.integer("groups", 1) != 1:
        raise layer.refuse("groups")
    shapes = {
        "depthwise_kernel": (*window.kernel, channels, multiplier),
        "pointwise_kernel": (*(1,) * window.rank, channels * multiplier, filters),
    }
    depthwise, pointwise, *bias = layer.variables(shapes | _bias(layer, filters))
    weight = layer.weight("depthwise_kernel", _depthwise(depthwise, window))
    inner = convolve(b, window, channels, x, weight, None)
    ones = (1,) * window.rank
    point = Window(ones, ones, ones, Explicit.zero(window.rank), window.layout)
    weight = layer.weight("pointwise_kernel", input_major(pointwise, window))
    return activate(layer, convolve(b, point, 1, inner, weight, _bias_weight(layer, bias)))


@rule("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def conv_transpose(layer: KerasLayer, b: Builder) -> Value:
    x, window = layer.image(), window_of(layer)
    filters = layer.integer("filters")
    if layer.integer("groups", 1) != 1:
        raise layer.refuse("groups")
    shapes = {"kernel": (*window.kernel, filters, _channels(layer, x, window))} | _bias(layer, filters)
    kernel, *bias = layer.variables(shapes)
    padding, extra = transposed_padding(layer, window, x)
    op = ConvTranspose(
        strides=window.strides,
        dilations=window.dilations,
        padding=padding,
        output_padding=extra,
        layout=window.layout,
    )
    # Keras keeps spatial, output, input: the same order of the last two as a convolution's transpose.
    weight = layer.weight("kernel", input_major(kernel, window))
    return activate(layer, b(op, x, weight, _bias_weight(layer, bias)))


def transposed_padding(layer: KerasLayer, window: Window, x: Value) -> tuple[Padding, tuple[int, ...]]:
    """What is cut off the full output, and what is added to it.

    Keras gives the output extent (``keras.backend.compute_conv_transpose_output_shape``), and TensorFlow pads
    the forward convolution from that extent to the input's: with k the dilated kernel and s the stride,
    valid  (n - 1) s + k + p           p = max(s - k, 0) when not given; nothing is cut off
    same   n s                         when p is not given
           (n - 1) s + k % 2 + p       otherwise; k - k % 2 - p is cut off, the smaller half before
    """
    extents = dilated(window.kernel, window.dilations)
    given = layer.setting("output_padding", None)
    extra = None if given is None else layer.integers("output_padding", window.rank)
    if layer.setting("output_shape", None) is not None:
        extra = _reached(layer, window, x, extents)
    if window.padding == Same():
        if extra is None:
            return Same(), (0,) * window.rank
        cut = [k - k % 2 - p for k, p in zip(extents, extra, strict=True)]
        pads = tuple((max(c, 0) // 2, max(c, 0) - max(c, 0) // 2) for c in cut)
        return Explicit(pads), tuple(max(-c, 0) for c in cut)
    if not isinstance(window.padding, Explicit) or not window.padding.is_zero:
        raise layer.refuse("causal padding")
    if extra is None:
        extra = tuple(max(s - k, 0) for k, s in zip(extents, window.strides, strict=True))
    return window.padding, extra


def _reached(layer: KerasLayer, window: Window, x: Value, covered: tuple[int, ...]) -> tuple[int, ...]:
    """The output padding that leads to the extents that Keras 1 gives, [batch, ...]."""
    wanted = layer.setting("output_shape")
    axes = window.layout.spatial_axes(x.type.rank)
    if not isinstance(wanted, list) or len(wanted) != x.type.rank:
        raise layer.invalid(f"output_shape = {wanted!r} should have {x.type.rank} numbers")
    least = [
        (layer.extent(x, axis) - 1) * s + (k % 2 if window.padding == Same() else k)
        for axis, s, k in zip(axes, window.strides, covered, strict=True)
    ]
    found = [
        wanted[axis] - n if type(wanted[axis]) is int else -1 for axis, n in zip(axes, least, strict=True)
    ]
    if any(not 0 <= extra < s + k for extra, s, k in zip(found, window.strides, covered, strict=True)):
        raise layer.invalid(f"output_shape = {wanted!r} does not follow from {x.type}")
    return tuple(found)


def convolve(b: Builder, window: Window, groups: int, x: Value, weight: Value, bias: Value | None) -> Value:
    op = Conv(
        strides=window.strides,
        dilations=window.dilations,
        padding=window.padding,
        groups=groups,
        layout=window.layout,
    )
    return b(op, x, weight, bias)


def _channels(layer: KerasLayer, x: Value, window: Window) -> int:
    return layer.extent(x, window.layout.channel_axis(x.type.rank))


def _bias(layer: KerasLayer, channels: int) -> dict[str, tuple[int, ...] | None]:
    return {"bias": (channels,)} if layer.flag("use_bias", True) else {}


def _bias_weight(layer: KerasLayer, found: list[Tensor]) -> Value | None:
    return layer.weight("bias", found[0]) if found else None


def input_major(kernel: Tensor, window: Window) -> Tensor:
    """``spatial A B`` -> ``B spatial A`` (channels last) or ``B A spatial``."""
    rank = window.rank
    spatial = tuple(range(rank))
    return kernel.transpose(
        (rank + 1, *spatial, rank) if window.layout is Layout.NHWC else (rank + 1, rank, *spatial)
    )


def _depthwise(kernel: Tensor, window: Window) -> Tensor:
    """``spatial C M`` -> ``C*M spatial 1`` or ``C*M 1 spatial``: a channel's M filters stand together."""
    rank = window.rank
    outputs = kernel.shape[rank] * kernel.shape[rank + 1]
    shape = (outputs, *window.kernel, 1) if window.layout is Layout.NHWC else (outputs, 1, *window.kernel)
    return kernel.transpose((rank, rank + 1, *range(rank))).reshape(shape)


def _merged_lora(layer: KerasLayer) -> None:
    """LoRA is merged into the kernel when Keras saves; its settings stay behind."""
    layer.ignore("lora_rank", "lora_alpha")
