"""Convolution and its transpose, over any number of spatial axes, in either layout."""

from __future__ import annotations

from mmconvert.ir import dims, geometry
from mmconvert.ir.geometry import Explicit, Padding, Pads
from mmconvert.ir.kernels import convolve, convolve_transpose
from mmconvert.ir.op import Op, operator
from mmconvert.ir.types import Array, Extent, Layout, TensorType


@operator
class Conv(Op):
    """Cross-correlation of zero-padded ``x`` with ``weight``, which every framework calls convolution.

    ``y[n, o, p] = bias[o] + sum over i, k of x[n, i, p * stride + k * dilation - pad] * weight[o, i, k]``,
    where ``i`` runs over the channels of the group that ``o`` belongs to.

    x: floating, ``N C spatial`` or ``N spatial C``. weight: ``O C/groups kernel`` or ``O kernel C/groups``.
    bias: ``O``. A depthwise convolution has as many groups as ``x`` has channels; output channel
    ``c * multiplier + m`` then sees channel ``c``. Output extents: ``ir.geometry.windows``.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    groups: int = 1
    layout: Layout

    def infer(self, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> TensorType:
        kernel = _kernel(self, x, weight)
        kept, seen = weight.shape[0], weight.shape[self.layout.channel_axis(x.rank)]
        _require_channels(x, seen * self.groups, self.layout)
        weight.require(
            not isinstance(kept, int) or kept % self.groups == 0, f"a multiple of {self.groups} filters"
        )
        _require_bias(x, kept, bias)
        extents = tuple(x.shape[a] for a in self.layout.spatial_axes(x.rank))
        covered = geometry.dilated(kernel, self.dilations)
        return x.with_shape(
            _shape(x, kept, geometry.windows(extents, covered, self.strides, self.padding), self.layout)
        )

    def evaluate(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        return convolve(
            x,
            weight,
            bias,
            strides=self.strides,
            dilations=self.dilations,
            pads=self.pads(x, weight),
            groups=self.groups,
            channels_last=self.layout is Layout.NHWC,
        )

    def pads(self, x: Array, weight: Array) -> Pads:
        """The padding in elements over these operands."""
        axes = self.layout.spatial_axes(x.ndim)
        covered = geometry.dilated([weight.shape[a] for a in axes], self.dilations)
        return geometry.resolve(self.padding, [x.shape[a] for a in axes], covered, self.strides)


@operator
class ConvTranspose(Op):
    """The transpose of a convolution: what each output of a Conv read from, it is here added to.

    ``y[n, o, i * stride + k * dilation - pad] += x[n, i, c] * weight[c, o, k]``, plus ``bias[o]``.

    x: floating, ``N C spatial`` or ``N spatial C``. weight: ``C O/groups kernel`` or ``C kernel O/groups``.
    bias: ``O``. Output extents: ``(extent - 1) * stride + dilated kernel + output_padding - pads``, with SAME
    ``extent * stride``; ``ir.geometry.transposed`` and ``resolve_transposed``.
    """

    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Padding
    output_padding: tuple[int, ...]
    groups: int = 1
    layout: Layout

    def infer(self, x: TensorType, weight: TensorType, bias: TensorType | None = None) -> TensorType:
        kernel = _kernel(self, x, weight)
        x.require(len(self.output_padding) == x.rank - 2, "one output_padding for each spatial axis")
        _require_channels(x, weight.shape[0], self.layout)
        kept = weight.shape[self.layout.channel_axis(x.rank)] * self.groups
        _require_bias(x, kept, bias)
        extents = tuple(x.shape[a] for a in self.layout.spatial_axes(x.rank))
        covered = geometry.dilated(kernel, self.dilations)
        spatial = geometry.transposed(extents, covered, self.strides, self.padding, self.output_padding)
        x.require(all(not isinstance(e, int) or e >= 0 for e in spatial), "more than the padding takes away")
        return x.with_shape(_shape(x, kept, spatial, self.layout))

    def evaluate(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        axes = self.layout.spatial_axes(x.ndim)
        covered = geometry.dilated([weight.shape[a] for a in axes], self.dilations)
        return convolve_transpose(
            x,
            weight,
            bias,
            strides=self.strides,
            dilations=self.dilations,
            pads=geometry.resolve_transposed(self.padding, covered, self.strides, self.output_padding),
            output_padding=self.output_padding,
            groups=self.groups,
            channels_last=self.layout is Layout.NHWC,
        )


def _kernel(op: Conv | ConvTranspose, x: TensorType, weight: TensorType) -> tuple[int, ...]:
    """The kernel's extents, after checking what both convolutions ask of ranks, types and attributes."""
    x.require_float().require(x.rank >= 3, "a batch, a channel and a spatial axis")
    weight.require_rank(x.rank).require(weight.dtype == x.dtype, f"a weight of the type of {x}")
    require_windows(x, op.strides, op.dilations, op.padding)
    x.require(
        op.groups >= 1 and (op.groups == 1 or _divides(op.groups, x, op.layout)),
        f"{op.groups} groups of channels",
    )
    kernel = dims.numbers(weight.shape[a] for a in op.layout.spatial_axes(x.rank))
    weight.require(min(kernel) >= 1, "a kernel that is not empty")
    return kernel


def require_windows(
    x: TensorType, strides: tuple[int, ...], dilations: tuple[int, ...], padding: Padding
) -> None:
    """Checks that a window has one stride, dilation and pair of pads for each spatial axis of ``x``."""
    count = x.rank - 2
    x.require(
        len(strides) == count and min(strides) >= 1, f"one positive stride for each of {count} spatial axes"
    )
    x.require(
        len(dilations) == count and min(dilations) >= 1,
        f"one positive dilation for each of {count} spatial axes",
    )
    x.require(
        not isinstance(padding, Explicit) or len(padding.pads) == count, f"padding for {count} spatial axes"
    )


def _divides(groups: int, x: TensorType, layout: Layout) -> bool:
    channels = x.shape[layout.channel_axis(x.rank)]
    return not isinstance(channels, int) or channels % groups == 0


def _require_channels(x: TensorType, channels: Extent, layout: Layout) -> None:
    difference = x.shape[layout.channel_axis(x.rank)] - channels
    x.require(not isinstance(difference, int) or difference == 0, f"{channels} channels ({layout.value})")


def _require_bias(x: TensorType, kept: Extent, bias: TensorType | None) -> None:
    if bias is not None:
        fits = bias.shape[:1] == (kept,) or not (isinstance(kept, int) and bias.is_static)
        bias.require_rank(1).require(
            bias.dtype == x.dtype and fits, f"a bias of {kept} elements of the type of {x}"
        )


def _shape(
    x: TensorType, channels: Extent, spatial: tuple[Extent, ...], layout: Layout
) -> tuple[Extent, ...]:
    return (x.shape[0], channels, *spatial) if layout is Layout.NCHW else (x.shape[0], *spatial, channels)
