"""Conv and ConvTranspose: ranks, strides, dilations, groups, paddings, in both layouts."""

from __future__ import annotations

from dataclasses import dataclass

from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.ops import Conv, ConvTranspose
from mmconvert.ir.types import Layout
from tests.cases.case import Case, const, data


@dataclass(frozen=True)
class Row:
    """A convolution, spelled channels first; scalars stand for every spatial axis."""

    name: str
    spatial: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    dilations: int | tuple[int, ...] = 1
    padding: Padding | int = 0
    groups: int = 1
    channels: tuple[int, int] = (3, 4)
    batch: int = 1
    bias: bool = True
    output_padding: int | tuple[int, ...] = 0

    def each(self, value: int | tuple[int, ...]) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * len(self.spatial)

    @property
    def pads(self) -> Padding:
        if isinstance(self.padding, int):
            return Explicit(((self.padding, self.padding),) * len(self.spatial))
        return self.padding

    def shape(self, batch: int, channels: int, spatial: tuple[int, ...], layout: Layout) -> str:
        extents = (batch, channels, *spatial) if layout is Layout.NCHW else (batch, *spatial, channels)
        return f"f32[{','.join(map(str, extents))}]"

    def case(self, layout: Layout, *, transposed: bool) -> Case:
        taken, kept = self.channels
        x = data(self.shape(self.batch, taken, self.spatial, layout))
        outer, inner = (taken, kept) if transposed else (kept, taken)
        weight = const(self.shape(outer, inner // self.groups, self.kernel, layout))
        common = (self.each(self.strides), self.each(self.dilations), self.pads)
        strides, dilations, padding = common
        op: Conv | ConvTranspose
        if transposed:
            op = ConvTranspose(
                strides=strides,
                dilations=dilations,
                padding=padding,
                output_padding=self.each(self.output_padding),
                groups=self.groups,
                layout=layout,
            )
        else:
            op = Conv(
                strides=strides, dilations=dilations, padding=padding, groups=self.groups, layout=layout
            )
        bias = (const(f"f32[{kept}]"),) if self.bias else ()
        return Case(f"{op.name}/{self.name}/{layout.value}", op, (x, weight, *bias))


ROWS = [
    Row("1d", (9,), (3,)),
    Row("1d_stride_pad", (9,), (4,), strides=2, padding=Explicit(((1, 2),))),
    Row("1d_dilated_same", (11,), (3,), dilations=3, padding=Same()),
    Row("1d_depthwise", (8,), (3,), padding=1, groups=4, channels=(4, 4)),
    Row("1d_groups", (8,), (3,), groups=2, channels=(4, 6), bias=False),
    Row("2d_pointwise", (5, 6), (1, 1), channels=(6, 4), batch=2),
    Row("2d_pointwise_stride", (5, 6), (1, 1), strides=2, channels=(6, 4)),
    Row("2d_pointwise_no_bias", (4, 4), (1, 1), bias=False),
    Row("2d_3x3", (7, 8), (3, 3), batch=2),
    Row("2d_3x3_pad1", (7, 8), (3, 3), padding=1),
    Row("2d_no_bias", (7, 8), (3, 3), padding=1, bias=False),
    Row("2d_kernel_1x5", (6, 9), (1, 5), padding=Explicit(((0, 0), (2, 2)))),
    Row("2d_kernel_4x2", (6, 9), (4, 2), padding=Same()),
    Row("2d_kernel_is_input", (4, 5), (4, 5)),
    Row("2d_stride2_pad1", (7, 8), (3, 3), strides=2, padding=1),
    Row("2d_stride2_asymmetric", (8, 8), (3, 3), strides=2, padding=Explicit(((0, 1), (0, 1)))),
    Row("2d_stride2_asymmetric_before", (8, 7), (3, 3), strides=2, padding=Explicit(((1, 0), (2, 0)))),
    Row("2d_pads_all_differ", (6, 7), (3, 4), padding=Explicit(((0, 1), (3, 2)))),
    Row("2d_pad_wider_than_kernel", (4, 4), (2, 2), padding=3),
    Row("2d_strides_differ", (9, 8), (3, 3), strides=(1, 2), padding=1),
    Row("2d_stride_above_kernel", (9, 10), (2, 2), strides=3),
    Row("2d_same_stride2_even", (8, 8), (3, 3), strides=2, padding=Same()),
    Row("2d_same_stride2_odd", (7, 9), (3, 3), strides=2, padding=Same()),
    Row("2d_same_even_kernel", (7, 8), (4, 2), padding=Same()),
    Row("2d_same_lower_stride2", (8, 8), (3, 3), strides=2, padding=Same(extra_after=False)),
    Row("2d_same_lower_even_kernel", (7, 8), (4, 2), padding=Same(extra_after=False)),
    Row("2d_same_stride_above_kernel", (7, 8), (2, 1), strides=3, padding=Same()),
    Row("2d_same_dilated", (9, 8), (3, 3), dilations=2, padding=Same()),
    Row("2d_same_dilated_stride", (9, 8), (3, 2), strides=2, dilations=2, padding=Same()),
    Row("2d_dilated", (9, 10), (3, 3), dilations=2),
    Row("2d_dilations_differ", (9, 10), (3, 2), dilations=(2, 3), padding=Explicit(((2, 2), (1, 2)))),
    Row("2d_dilated_stride", (11, 10), (3, 3), strides=2, dilations=2, padding=2),
    Row("2d_groups2", (6, 6), (3, 3), padding=1, groups=2, channels=(4, 6), batch=2),
    Row("2d_groups3_stride_same", (7, 6), (3, 3), strides=2, padding=Same(), groups=3, channels=(6, 3)),
    Row("2d_depthwise", (7, 6), (3, 3), padding=1, groups=5, channels=(5, 5), batch=2),
    Row("2d_depthwise_stride_same", (8, 7), (3, 3), strides=2, padding=Same(), groups=4, channels=(4, 4)),
    Row("2d_depthwise_multiplier2", (6, 6), (3, 3), padding=1, groups=3, channels=(3, 6)),
    Row(
        "2d_depthwise_multiplier3_dilated", (8, 8), (3, 3), dilations=2, padding=2, groups=2, channels=(2, 6)
    ),
    Row("2d_depthwise_kernel_2x5", (6, 8), (2, 5), padding=Same(), groups=3, channels=(3, 3), bias=False),
    Row("2d_one_channel", (6, 6), (3, 3), channels=(1, 1)),
    Row("2d_one_to_many", (6, 6), (3, 3), groups=1, channels=(1, 4), padding=Same()),
    Row("3d", (4, 5, 6), (3, 3, 3), channels=(2, 3)),
    Row("3d_stride_pad", (5, 6, 5), (3, 2, 3), strides=(1, 2, 2), padding=Explicit(((1, 1), (0, 1), (2, 0)))),
    Row("3d_same_stride2", (5, 4, 6), (3, 3, 3), strides=2, padding=Same(), channels=(2, 3)),
    Row("3d_dilated", (6, 6, 7), (2, 2, 3), dilations=2, channels=(2, 3)),
    Row("3d_groups", (4, 4, 4), (2, 2, 2), groups=2, channels=(4, 4), padding=Same()),
    Row("3d_depthwise", (4, 4, 4), (3, 3, 3), groups=3, channels=(3, 3), padding=1),
]

TRANSPOSED = [
    Row("1d", (6,), (3,)),
    Row("1d_stride2_pad", (6,), (4,), strides=2, padding=1),
    Row("2d", (4, 5), (3, 3), batch=2),
    Row("2d_stride2", (4, 5), (3, 3), strides=2),
    Row("2d_stride2_pad1", (4, 5), (3, 3), strides=2, padding=1),
    Row("2d_stride2_output_padding", (4, 5), (3, 3), strides=2, padding=1, output_padding=1),
    Row("2d_output_paddings_differ", (3, 4), (3, 3), strides=(2, 3), padding=1, output_padding=(1, 2)),
    Row("2d_kernel4_stride2_pad1", (4, 4), (4, 4), strides=2, padding=1, channels=(4, 2)),
    Row("2d_kernel2_stride2", (4, 5), (2, 2), strides=2, bias=False),
    Row("2d_pads_asymmetric", (4, 5), (4, 3), strides=2, padding=Explicit(((0, 1), (2, 0)))),
    Row("2d_stride_above_kernel", (3, 4), (2, 2), strides=3),
    Row("2d_dilated", (4, 5), (3, 2), dilations=2),
    Row("2d_dilated_stride_pad", (4, 4), (3, 3), strides=2, dilations=(2, 1), padding=1),
    Row("2d_same_stride2", (4, 5), (3, 3), strides=2, padding=Same()),
    Row("2d_same_lower_stride2", (4, 5), (3, 3), strides=2, padding=Same(extra_after=False)),
    Row("2d_same_stride1", (5, 4), (3, 2), padding=Same()),
    Row("2d_same_stride_above_kernel", (3, 4), (2, 2), strides=3, padding=Same()),
    Row("2d_same_kernel_4x5_stride_3", (3, 4), (4, 5), strides=(3, 2), padding=Same()),
    Row("2d_groups2", (4, 4), (3, 3), strides=2, padding=1, groups=2, channels=(4, 6)),
    Row("2d_depthwise", (4, 4), (3, 3), strides=2, groups=3, channels=(3, 3)),
    Row("2d_pointwise", (4, 4), (1, 1), channels=(5, 3)),
    Row(
        "3d_stride2",
        (3, 3, 4),
        (3, 2, 3),
        strides=2,
        padding=Explicit(((1, 1), (0, 0), (1, 0))),
        channels=(2, 3),
    ),
    Row("3d_same", (2, 3, 3), (3, 3, 3), strides=2, padding=Same(), channels=(2, 2)),
]

CASES = [row.case(layout, transposed=False) for row in ROWS for layout in Layout] + [
    row.case(layout, transposed=True) for row in TRANSPOSED for layout in Layout
]
