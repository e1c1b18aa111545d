"""TFLite rules for the StableHLO operators that do what operators of the IR do."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.parsers.tflite.elementwise import convert
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

UNARY: dict[str, Op] = {
    "STABLEHLO_LOGISTIC": ops.Sigmoid(),
    "STABLEHLO_ABS": ops.Abs(),
    "STABLEHLO_COSINE": ops.Cos(),
    "STABLEHLO_EXPONENTIAL": ops.Exp(),
    "STABLEHLO_FLOOR": ops.Floor(),
    "STABLEHLO_LOG": ops.Log(),
    "STABLEHLO_NEGATE": ops.Neg(),
    "STABLEHLO_RSQRT": ops.Rsqrt(),
    "STABLEHLO_TANH": ops.Tanh(),
}
BINARY: dict[str, Op] = {
    "STABLEHLO_ADD": ops.Add(),
    "STABLEHLO_DIVIDE": ops.Div(),
    "STABLEHLO_MULTIPLY": ops.Mul(),
    "STABLEHLO_MAXIMUM": ops.Max(),
    "STABLEHLO_MINIMUM": ops.Min(),
    "STABLEHLO_POWER": ops.Pow(),
    "STABLEHLO_REMAINDER": ops.Fmod(),
    "STABLEHLO_SUBTRACT": ops.Sub(),
}
COMPARISONS: tuple[Op, ...] = (
    ops.Equal(),
    ops.NotEqual(),
    ops.GreaterEqual(),
    ops.Greater(),
    ops.LessEqual(),
    ops.Less(),
)


@rule(*UNARY)
def unary(n: Source, b: Builder) -> Value:
    return b(UNARY[n.kind], n.operand(0))


@rule(*BINARY)
def binary(n: Source, b: Builder) -> Value:
    return b(BINARY[n.kind], n.operand(0), n.operand(1))


@rule("STABLEHLO_AND", "STABLEHLO_OR")
def connective(n: Source, b: Builder) -> Value:
    x, y = n.operand(0), n.operand(1)
    bits, logic = (ops.BitwiseAnd(), ops.And()) if n.kind == "STABLEHLO_AND" else (ops.BitwiseOr(), ops.Or())
    return b(logic if x.type.dtype.kind == "b" else bits, x, y)


@rule("STABLEHLO_COMPARE")
def compare(n: Source, b: Builder) -> Value:
    n.ignore("compare_type")
    direction = n.integer("comparison_direction")
    if direction >= len(COMPARISONS):
        raise n.unsupported(f"comparison_direction={direction}")
    return b(COMPARISONS[direction], n.operand(0), n.operand(1))


@rule("STABLEHLO_SELECT")
def select(n: Source, b: Builder) -> Value:
    return b(ops.Where(), n.operand(0), n.operand(1), n.operand(2))


@rule("STABLEHLO_CLAMP")
def clamp(n: Source, b: Builder) -> Value:
    return b(ops.Min(), b(ops.Max(), n.operand(1), n.operand(0)), n.operand(2))


@rule("STABLEHLO_CONVERT")
def convert_(n: Source, b: Builder) -> Value:
    return convert(b, n.operand(0), n.output_record().dtype)


@rule("STABLEHLO_RESHAPE")
def reshape(n: Source, b: Builder) -> Value:
    return b(ops.Reshape(shape=n.output_record().shape), n.stored(0))


@rule("STABLEHLO_CONCATENATE")
def concatenate(n: Source, b: Builder) -> Value:
    xs = [n.stored(i) for i in range(len(n.inputs))]
    if not xs:
        raise n.invalid("of nothing")
    return b(ops.Concat(axis=xs[0].type.axis(n.integer("dimension"))), *xs)


@rule("STABLEHLO_TRANSPOSE")
def transpose(n: Source, b: Builder) -> Value:
    x = n.stored(0)
    return b(ops.Transpose(perm=x.type.axes(n.option("permutation"))), x)


@rule("STABLEHLO_BROADCAST_IN_DIM")
def broadcast_in_dim(n: Source, b: Builder) -> Value:
    """The axes go where the option says; the others are new."""
    x, shape, places = n.stored(0), n.output_record().shape, n.option("broadcast_dimensions")
    fits = len(places) == x.type.rank and list(places) == sorted(set(places))
    if not fits or any(not 0 <= place < len(shape) for place in places) or -1 in shape:
        raise n.unsupported(f"of {x.type} to {list(shape)} along {list(places)}")
    added = tuple(axis for axis in range(len(shape)) if axis not in places)
    return b(ops.Expand(shape=shape), b(ops.Unsqueeze(axes=added), x) if added else x)


@rule("STABLEHLO_SLICE")
def slice_(n: Source, b: Builder) -> Value:
    x = n.stored(0)
    starts, ends, steps = (n.option(name) for name in ("start_indices", "limit_indices", "strides"))
    if not len(starts) == len(ends) == len(steps) == x.type.rank or min(steps, default=1) < 1:
        raise n.invalid(f"of {x.type} from {list(starts)} to {list(ends)} in steps of {list(steps)}")
    sizes = tuple(-(-(end - start) // step) for start, end, step in zip(starts, ends, steps, strict=True))
    return b(ops.Slice(axes=tuple(range(x.type.rank)), starts=starts, sizes=sizes, steps=steps), x)


@rule("STABLEHLO_PAD")
def pad(n: Source, b: Builder) -> Value:
    x, low, high = n.stored(0), n.option("edge_padding_low"), n.option("edge_padding_high")
    if any(n.option("interior_padding")):
        raise n.unsupported("between elements")
    if not len(low) == len(high) == x.type.rank:
        raise n.invalid(f"of {x.type} by {list(low)} and {list(high)}")
    value = float(n.scalar(1, "a value"))
    return b(ops.Pad(pads=tuple(zip(low, high, strict=True)), mode="constant", value=value), x)


@rule("STABLEHLO_IOTA")
def iota(n: Source, b: Builder) -> Value:
    record = n.output_record()
    axis, shape = n.integer("iota_dimension"), record.shape
    if not 0 <= axis < len(shape) or -1 in shape:
        raise n.invalid(f"along axis {axis} of {list(shape)}")
    start, limit, delta = (b.constant(v, record.dtype) for v in (0, shape[axis], 1))
    line = b(ops.Range(size=shape[axis]), start, limit, delta)
    rest = (1,) * (len(shape) - axis - 1)
    return b(ops.Expand(shape=shape), b(ops.Reshape(shape=(shape[axis], *rest)), line))
