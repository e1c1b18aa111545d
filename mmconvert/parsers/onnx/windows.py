"""ONNX rules for convolution and pooling."""

from __future__ import annotations

from mmconvert.ir import geometry, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Padding, Pads, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Layout
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

LAYOUT = Layout.NCHW


def positive(n: Source, name: str, count: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """A list of ``count`` integers above 0."""
    values = n.integers(name, default)
    if len(values) != count or min(values, default=1) < 1:
        raise n.invalid(f"{name}={list(values)} must be {count} numbers above 0")
    return values


def padding(n: Source, count: int) -> Padding:
    """``auto_pad`` and ``pads``; ONNX lists all the begins first, then all the ends."""
    pads = explicit_pads(n, count)
    match n.choice("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        case "NOTSET":
            return Explicit(pads)
        case "VALID":
            return Explicit.zero(count)
        case mode:
            return Same(extra_after=mode == "SAME_UPPER")


def explicit_pads(n: Source, count: int) -> Pads:
    """The attribute ``pads``, one (before, after) for each axis."""
    flat = n.integers("pads", (0,) * (2 * count))
    if len(flat) != 2 * count:
        raise n.invalid(f"pads={list(flat)} must be {2 * count} numbers")
    return tuple(zip(flat[:count], flat[count:], strict=True))


def kernel_of(n: Source, weight: Value) -> tuple[int, ...]:
    """The kernel's extents, from the weight; the attribute must agree."""
    if weight.type.rank < 3:
        raise n.invalid(f"the weight {weight.type} has no spatial axes")
    kernel = weight.type.with_shape(weight.type.shape[2:]).static_shape
    given = n.integers("kernel_shape", kernel)
    if given != kernel:
        raise n.invalid(f"kernel_shape={list(given)}, and the weight is {weight.type}")
    return kernel


@rule("Conv")
def conv(n: Source, b: Builder) -> Value:
    x, weight, bias = n.operand(0), n.operand(1), n.optional(2)
    count = len(kernel_of(n, weight))
    op = ops.Conv(
        strides=positive(n, "strides", count, (1,) * count),
        dilations=positive(n, "dilations", count, (1,) * count),
        padding=padding(n, count),
        groups=n.integer("group", 1),
        layout=LAYOUT,
    )
    return b(op, x, weight, bias)


@rule("ConvTranspose")
def conv_transpose(n: Source, b: Builder) -> Value:
    x, weight, bias = n.operand(0), n.operand(1), n.optional(2)
    kernel = kernel_of(n, weight)
    count = len(kernel)
    strides = positive(n, "strides", count, (1,) * count)
    dilations = positive(n, "dilations", count, (1,) * count)
    extra = n.integers("output_padding", (0,) * count)
    if len(extra) != count or min(extra) < 0:
        raise n.invalid(f"output_padding={list(extra)} must be {count} numbers, none below 0")
    if n.given("output_shape"):
        pads, extra = _pads_for_output(n, x, geometry.dilated(kernel, dilations), strides, extra)
    else:
        pads = padding(n, count)
    op = ops.ConvTranspose(
        strides=strides,
        dilations=dilations,
        padding=pads,
        output_padding=extra,
        groups=n.integer("group", 1),
        layout=LAYOUT,
    )
    return b(op, x, weight, bias)


def _pads_for_output(
    n: Source, x: Value, kernel: tuple[int, ...], strides: tuple[int, ...], extra: tuple[int, ...]
) -> tuple[Padding, tuple[int, ...]]:
    """The padding that gives ``output_shape``; where that is larger than any padding allows, more output."""
    count = len(kernel)
    explicit_pads(n, count)  # ignored beside output_shape
    wanted = positive(n, "output_shape", count)
    mode = n.choice("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    if x.type.rank != count + 2:
        raise n.invalid(f"{x.type} does not fit a kernel of {count} axes")
    full = geometry.transposed(x.type.shape[2:], kernel, strides, Explicit.zero(count), extra)
    totals = []
    for have, want in zip(full, wanted, strict=True):
        total = have - want
        if not isinstance(total, int):
            raise n.unsupported(
                "output_shape for an input of unknown size", hint="give the input a fixed size"
            )
        totals.append(total)
    pads = geometry.split([max(t, 0) for t in totals], extra_after=mode == "SAME_UPPER")
    return Explicit(pads), tuple(e + max(-t, 0) for e, t in zip(extra, totals, strict=True))


def pool_attributes(n: Source) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Padding]:
    """Kernel, strides, dilations and padding of a pooling operator."""
    count = n.operand(0).type.rank - 2
    kernel = positive(n, "kernel_shape", count)
    strides = positive(n, "strides", count, (1,) * count)
    dilations = positive(n, "dilations", count, (1,) * count)
    return kernel, strides, dilations, padding(n, count)


@rule("MaxPool")
def maxpool_attributes(n: Source, b: Builder) -> Value | tuple[Value, ...]:
    kernel, strides, dilations, pads = pool_attributes(n)
    ceil, order = n.flag("ceil_mode"), n.integer("storage_order", 0)
    if not n.wants(1):
        op = ops.MaxPool(
            kernel=kernel, strides=strides, dilations=dilations, padding=pads, ceil=ceil, layout=LAYOUT
        )
        return b(op, n.operand(0))
    both = ops.MaxPoolIndices(
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        padding=pads,
        ceil=ceil,
        layout=LAYOUT,
        storage_order=order,
    )
    return b.multi(both, n.operand(0))


@rule("AveragePool")
def averagepool_attributes(n: Source, b: Builder) -> Value:
    kernel, strides, dilations, pads = pool_attributes(n)
    op = ops.AveragePool(
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        padding=pads,
        ceil=n.flag("ceil_mode"),
        count_include_pad=n.flag("count_include_pad"),
        layout=LAYOUT,
    )
    return b(op, n.operand(0))


@rule("LpPool", since=2)
def lppool_attributes(n: Source, b: Builder) -> Value:
    kernel, strides, dilations, pads = pool_attributes(n)
    op = ops.LpPool(
        p=n.integer("p", 2),
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        padding=pads,
        ceil=n.flag("ceil_mode"),
        layout=LAYOUT,
    )
    return b(op, n.operand(0))


def _spatial(n: Source) -> tuple[int, ...]:
    return tuple(LAYOUT.spatial_axes(n.operand(0).type.rank))


@rule("GlobalAveragePool")
def global_averagepool_attributes(n: Source, b: Builder) -> Value:
    return b(ops.ReduceMean(axes=_spatial(n), keepdims=True), n.operand(0))


@rule("GlobalMaxPool")
def global_maxpool_attributes(n: Source, b: Builder) -> Value:
    return b(ops.ReduceMax(axes=_spatial(n), keepdims=True), n.operand(0))


@rule("GlobalLpPool", since=2)
def global_lppool_attributes(n: Source, b: Builder) -> Value:
    x, p, axes = n.operand(0), n.integer("p", 2), _spatial(n)
    if p < 1:
        raise n.invalid(f"p={p} must be at least 1")
    if p <= 2:
        op = ops.ReduceL1(axes=axes, keepdims=True) if p == 1 else ops.ReduceL2(axes=axes, keepdims=True)
        return b(op, x)
    total = b(ops.ReduceSum(axes=axes, keepdims=True), b(ops.Pow(), b(ops.Abs(), x), float(p)))
    return b(ops.Pow(), total, 1.0 / p)
