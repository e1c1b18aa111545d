"""ONNX rules for forms that operators had before opset 7, and for experimental operators of that time."""

from __future__ import annotations

import numpy as np

from mmconvert.dtypes import BY_NAME, DType
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.onnx.elementwise import BINARY, convert
from mmconvert.parsers.onnx.generating import kept
from mmconvert.parsers.onnx.matmul import gemm
from mmconvert.parsers.onnx.norm import batch_norm
from mmconvert.parsers.onnx.resize import upsample
from mmconvert.parsers.onnx.shaping import reshape_to, split
from mmconvert.parsers.onnx.source import Source
from mmconvert.parsers.onnx.windows import LAYOUT, pool_attributes
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

_BINARY = ("Add", "Sub", "Mul", "Div", "And", "Or", "Xor", "Equal", "Less", "Greater", "Pow")

_TYPES: dict[str, DType] = {
    name: BY_NAME[short]
    for name, short in {
        "FLOAT": "f32",
        "DOUBLE": "f64",
        "FLOAT16": "f16",
        "BOOL": "bool",
        **{f"INT{bits}": f"i{bits}" for bits in (8, 16, 32, 64)},
        **{f"UINT{bits}": f"u{bits}" for bits in (8, 16, 32, 64)},
    }.items()
}


@rule(*_BINARY)
def binary(n: Source, b: Builder) -> Value:
    op = ops.Pow if n.kind == "Pow" else BINARY[n.kind]
    return b(op(), n.operand(0), _aligned(n, b))


def _aligned(n: Source, b: Builder) -> Value:
    """The second operand, with its axes under those of the first that ``axis`` says."""
    x, y = n.operand(0), n.operand(1)
    broadcast, placed = n.flag("broadcast"), n.given("axis")
    axis = n.integer("axis", 0)
    if not broadcast or not placed or y.type.rank == 0:
        return y
    start = x.type.axis(axis)
    missing = x.type.rank - start - y.type.rank
    if missing < 0:
        raise n.invalid(f"{y.type} does not fit {x.type} at axis {axis}")
    return _behind(b, y, missing)


def _behind(b: Builder, x: Value, count: int) -> Value:
    """``x`` with ``count`` axes of extent 1 after its own."""
    rank = x.type.rank
    return b(ops.Unsqueeze(axes=tuple(range(rank, rank + count))), x) if count else x


@rule("PRelu")
def prelu(n: Source, b: Builder) -> Value:
    """A slope of one axis is for the channels."""
    x, slope = n.operand(0), n.operand(1)
    if slope.type.rank == 1 and slope.type.size != 1 and x.type.rank > 2:
        slope = _behind(b, slope, x.type.rank - 2)
    return b(ops.PRelu(), x, slope)


@rule("Selu")
def selu(n: Source, b: Builder) -> Value:
    return b(ops.Selu(alpha=n.real("alpha", 1.6732), gamma=n.real("gamma", 1.0507)), n.operand(0))


@rule("Cast")
def cast(n: Source, b: Builder) -> Value:
    name = n.text("to").upper()
    if name not in _TYPES:
        raise n.unsupported(f"to {name}")
    return convert(n, b, _TYPES[name])


@rule("Concat")
def concat(n: Source, b: Builder) -> Value:
    xs = n.operands()
    return b(ops.Concat(axis=xs[0].type.axis(n.integer("axis", 1))), *xs)


@rule("Dropout")
def dropout(n: Source, b: Builder) -> tuple[Value, ...]:
    n.ignore("is_test")
    return kept(n, b, n.operand(0).type.dtype, n.real("ratio", 0.5))


@rule("Gemm")
def gemm_1(n: Source, b: Builder) -> Value:
    n.ignore("broadcast")
    return gemm(n, b)


@rule("BatchNormalization")
def batch_norm_1(n: Source, b: Builder) -> Value:
    if not n.flag("is_test"):
        raise n.unsupported("is_test=0, statistics of the batch", hint="export the model for inference")
    return batch_norm(n, b)


@rule("Reshape")
def reshape(n: Source, b: Builder) -> Value:
    return reshape_to(n, b, n.integers("shape"))


@rule("Split")
def split_1(n: Source, b: Builder) -> tuple[Value, ...]:
    if n.has(1):
        return split(n, b, n.extents(1, "sizes"))
    return split(n, b, n.integers("split") if n.given("split") else None)


@rule("Tile")
def tile(n: Source, b: Builder) -> Value:
    x, count, axis = n.operand(0), n.extent(1, "tiles"), n.whole(2, "the axis")
    at = x.type.axis(axis)
    return b(ops.Tile(repeats=tuple(count if a == at else 1 for a in range(x.type.rank))), x)


@rule("Upsample")
def upsample_1(n: Source, b: Builder) -> Value:
    return upsample(n, b, (1.0, 1.0, n.real("height_scale"), n.real("width_scale")))


@rule("Pad")
def pad(n: Source, b: Builder) -> Value:
    x, flat = n.operand(0), n.integers("paddings")
    if len(flat) != 2 * x.type.rank:
        raise n.invalid(f"{len(flat)} pads for {x.type.rank} axes")
    pads = tuple(zip(flat[: x.type.rank], flat[x.type.rank :], strict=True))
    value = n.real("value", 0.0)
    match n.choice("mode", "constant", "constant", "reflect", "edge"):
        case "reflect":
            return b(ops.Pad(pads=pads, mode="reflect"), x)
        case "edge":
            return b(ops.Pad(pads=pads, mode="edge"), x)
    return b(ops.Pad(pads=pads, mode="constant", value=value), x)


@rule("LpPool")
def lp_pool(n: Source, b: Builder) -> Value:
    p = _whole(n, n.real("p", 2.0))
    kernel, strides, dilations, pads = pool_attributes(n)
    op = ops.LpPool(
        p=p, kernel=kernel, strides=strides, dilations=dilations, padding=pads, ceil=False, layout=LAYOUT
    )
    return b(op, n.operand(0))


@rule("GlobalLpPool")
def global_lp_pool(n: Source, b: Builder) -> Value:
    p, x = n.real("p", 2.0), n.operand(0)
    if not p > 0:
        raise n.invalid(f"p={p} must be above 0")
    axes = tuple(range(2, x.type.rank))
    total = b(ops.ReduceSum(axes=axes, keepdims=True), b(ops.Pow(), b(ops.Abs(), x), p))
    return b(ops.Pow(), total, 1.0 / p)


def _whole(n: Source, number: float) -> int:
    if not number.is_integer() or number < 1:
        raise n.unsupported(f"p={number}, which is not a whole number above 0")
    return int(number)


# --- experimental operators, which models of that time contain ----------------------------------------------


@rule("Affine")
def affine(n: Source, b: Builder) -> Value:
    return b(ops.Add(), b(ops.Mul(), n.operand(0), n.real("alpha", 1.0)), n.real("beta", 0.0))


@rule("Scale")
def scale(n: Source, b: Builder) -> Value:
    return b(ops.Mul(), n.operand(0), n.real("scale", 1.0))


@rule("ScaledTanh")
def scaled_tanh(n: Source, b: Builder) -> Value:
    inner = b(ops.Mul(), n.operand(0), n.real("beta", 1.0))
    return b(ops.Mul(), b(ops.Tanh(), inner), n.real("alpha", 1.0))


@rule("ParametricSoftplus")
def parametric_softplus(n: Source, b: Builder) -> Value:
    inner = b(ops.Mul(), n.operand(0), n.real("beta", 1.0))
    return b(ops.Mul(), b(ops.Softplus(), inner), n.real("alpha", 1.0))


@rule("ImageScaler")
def image_scaler(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    bias = np.array(n.reals("bias"), x.type.dtype).reshape(-1, 1, 1)
    return b(ops.Add(), b(ops.Mul(), x, n.real("scale", 1.0)), bias)


@rule("Crop")
def crop(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    x.type.require_rank(4)
    left, top, right, bottom = n.integers("border")
    if n.given("scale"):
        height, width = n.integers("scale")
        sizes = (height, width)
        return b(ops.Slice(axes=(2, 3), starts=(top, left), sizes=sizes, steps=(1, 1)), x)
    pads = ((0, 0), (0, 0), (-top, -bottom), (-left, -right))
    return b(ops.Pad(pads=pads, mode="constant"), x)
