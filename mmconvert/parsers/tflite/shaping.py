"""TFLite rules that move elements without looking at them; quantized tensors keep their integers."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Layout, Shape, TensorType, broadcast
from mmconvert.parsers.tflite.activation import activated
from mmconvert.parsers.tflite.elementwise import convert
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

LAYOUT = Layout.NHWC


@rule("RESHAPE")
def reshape(n: Source, b: Builder) -> Value:
    """The operand says the new shape, or the option where there is none."""
    x, option = n.stored(0), n.option("new_shape")
    wanted: Shape = n.extents(1, "a shape") if n.has(1) and n.stored(1).type.rank == 1 else option
    return b(ops.Reshape(shape=_resolved(n, x.type, wanted)), x)


def _resolved(n: Source, x: TensorType, wanted: Shape) -> Shape:
    """``wanted`` without -1 for "what is left"."""
    free = [axis for axis, extent in enumerate(wanted) if extent == -1]
    if not free:
        return wanted
    known = dims.product(tuple(extent for extent in wanted if extent != -1))
    if len(free) > 1 or known == 0 or any(isinstance(e, int) and e < -1 for e in wanted):
        raise n.invalid(f"{x} cannot take the shape [{','.join(map(str, wanted))}]")
    left = dims.floordiv(x.size, known)
    return tuple(left if axis == free[0] else extent for axis, extent in enumerate(wanted))


@rule("SQUEEZE")
def squeeze(n: Source, b: Builder) -> Value:
    x, axes = n.stored(0), n.option("squeeze_dims")
    if not axes:
        if not x.type.is_static:
            raise n.unsupported(f"without axes, of {x.type}")
        axes = tuple(axis for axis, extent in enumerate(x.type.shape) if extent == 1)
    return b(ops.Squeeze(axes=tuple(sorted({x.type.axis(axis) for axis in axes}))), x)


@rule("EXPAND_DIMS")
def expand_dims(n: Source, b: Builder) -> Value:
    x, axis = n.stored(0), n.whole(1, "an axis")
    if not -x.type.rank - 1 <= axis <= x.type.rank:
        raise n.invalid(f"there is no place for axis {axis} in {x.type}")
    return b(ops.Unsqueeze(axes=(axis % (x.type.rank + 1),)), x)


@rule("TRANSPOSE")
def transpose(n: Source, b: Builder) -> Value:
    x = n.stored(0)
    return b(ops.Transpose(perm=x.type.axes(n.integers_of(1, "an order of axes"))), x)


@rule("CONCATENATION")
def concatenation(n: Source, b: Builder) -> Value:
    """Operands with a scale of their own, which u8 may have, are brought to that of the result."""
    plain = n.alike(*range(len(n.inputs))) and not n.pending("fused_activation_function")
    xs = [n.stored(i) for i in range(len(n.inputs))] if plain else n.operands()
    if not xs:
        raise n.invalid("of nothing")
    return activated(n, b, b(ops.Concat(axis=xs[0].type.axis(n.integer("axis"))), *xs))


@rule("PACK")
def pack(n: Source, b: Builder) -> Value:
    n.ignore("values_count")
    xs = [n.stored(i) for i in range(len(n.inputs))]
    if not xs:
        raise n.invalid("of nothing")
    rank = xs[0].type.rank + 1
    axis = xs[0].type.with_shape((1,) * rank).axis(n.integer("axis"))
    return b(ops.Concat(axis=axis), *(b(ops.Unsqueeze(axes=(axis,)), x) for x in xs))


@rule("UNPACK")
def unpack(n: Source, b: Builder) -> tuple[Value, ...]:
    x = n.stored(0)
    axis, count = x.type.axis(n.integer("axis")), n.integer("num")
    if not 1 <= count <= max(len(n.outputs), 1):
        raise n.invalid(f"{count} parts for {len(n.outputs)} results")
    parts = b.multi(ops.Split(axis=axis, sizes=(1,) * count), x)
    return tuple(b(ops.Squeeze(axes=(axis,)), part) for part in parts)


@rule("SPLIT")
def split(n: Source, b: Builder) -> tuple[Value, ...]:
    x, count = n.stored(1), n.integer("num_splits")
    axis = x.type.axis(n.whole(0, "an axis"))
    extent = x.type.shape[axis]
    if count != len(n.outputs) or count < 1 or (isinstance(extent, int) and extent % count):
        raise n.invalid(f"{extent} elements in {count} parts for {len(n.outputs)} results")
    return b.multi(ops.Split(axis=axis, sizes=(dims.floordiv(extent, count),) * count), x)


@rule("SPLIT_V")
def split_v(n: Source, b: Builder) -> tuple[Value, ...]:
    n.ignore("num_splits")
    x, sizes = n.stored(0), list(n.extents(1, "sizes"))
    axis = x.type.axis(n.whole(2, "an axis"))
    if sizes.count(-1) == 1:
        index = sizes.index(-1)
        rest: Extent = 0
        for size in (*sizes[:index], *sizes[index + 1 :]):
            rest = rest + size
        sizes[index] = x.type.shape[axis] - rest
    return b.multi(ops.Split(axis=axis, sizes=tuple(sizes)), x)


@rule("TILE")
def tile(n: Source, b: Builder) -> Value:
    return b(ops.Tile(repeats=n.extents(1, "repeats")), n.stored(0))


@rule("BROADCAST_TO")
def broadcast_to(n: Source, b: Builder) -> Value:
    x = n.stored(0)
    return b(ops.Expand(shape=broadcast(x.type, x.type.with_shape(n.extents(1, "a shape")))), x)


@rule("BROADCAST_ARGS")
def broadcast_args(n: Source, b: Builder) -> Value:
    """The shape to which two shapes broadcast."""
    types = [TensorType(dtypes.F32, n.extents(i, "a shape")) for i in (0, 1)]
    return _numbers(n, b, broadcast(*types))


def _numbers(n: Source, b: Builder, shape: Shape) -> Value:
    dtype = n.output_record().dtype
    if not all(isinstance(e, int) for e in shape):
        raise n.unsupported("of shapes that only the run tells")
    return b.constant(dims.numbers(shape), dtype)


@rule("SHAPE")
def shape(n: Source, b: Builder) -> Value:
    n.ignore("out_type")
    return convert(b, b(ops.Shape(), n.stored(0)), n.output_record().dtype)


@rule("RANK")
def rank(n: Source, b: Builder) -> Value:
    return b.constant(n.stored(0).type.rank, dtypes.I32)


@rule("FILL")
def fill(n: Source, b: Builder) -> Value:
    value = n.stored(1)
    if value.type.size != 1:
        raise n.invalid(f"with {value.type}")
    scalar = b(ops.Reshape(shape=()), value) if value.type.rank else value
    return b(ops.Expand(shape=n.extents(0, "a shape")), scalar)


@rule("ZEROS_LIKE")
def zeros_like(n: Source, b: Builder) -> Value:
    x = n.stored(0).type
    return b(ops.Fill(shape=x.shape, value=0, dtype=x.dtype))


@rule("RANGE")
def range_(n: Source, b: Builder) -> Value:
    start, limit, delta = (n.stored(i) for i in range(3))
    known = [n.known(i) for i in range(3)]
    size: Extent
    if all(k is not None for k in known):
        first, last, step = (float(n.scalar(i, "a bound")) for i in range(3))
        if step == 0 or not abs((last - first) / step) < 1 << 31:
            raise n.invalid(f"from {first} to {last} in steps of {step}")
        size = max(-int(-(last - first) // step), 0)
    elif dtypes.is_integer(start.type.dtype) and n.follows(0) and n.follows(1) and n.follows(2):
        low, high, each = (n.extent(i, "a bound") for i in range(3))
        if not isinstance(each, int) or each < 1:
            raise n.unsupported(f"from {low} to {high} in steps of {each}")
        size = dims.ceildiv(high - low, each)
    else:
        rounds = b(ops.FloorDiv(), b(ops.Sub(), start, limit), delta)
        count = convert(b, b(ops.Max(), b(ops.Neg(), rounds), 0), dtypes.I64)
        (size,) = n.read(count, "size")
    return b(ops.Range(size=size), start, limit, delta)


@rule("REVERSE_V2")
def reverse(n: Source, b: Builder) -> Value:
    x = n.stored(0)
    return b(ops.Reverse(axes=x.type.axes(n.integers_of(1, "axes"))), x)


@rule("REVERSE_SEQUENCE")
def reverse_sequence(n: Source, b: Builder) -> Value:
    x = n.stored(0)
    time, batch = x.type.axis(n.integer("seq_dim")), x.type.axis(n.integer("batch_dim"))
    return b(ops.ReverseSequence(time_axis=time, batch_axis=batch), x, n.stored(1))


@rule("DEPTH_TO_SPACE")
def depth_to_space(n: Source, b: Builder) -> Value:
    (block,) = n.positive("block_size")
    return b(ops.DepthToSpace(block=block, mode="DCR", layout=LAYOUT), n.stored(0))


@rule("SPACE_TO_DEPTH")
def space_to_depth(n: Source, b: Builder) -> Value:
    (block,) = n.positive("block_size")
    return b(ops.SpaceToDepth(block=block, layout=LAYOUT), n.stored(0))


@rule("BATCH_TO_SPACE_ND")
def batch_to_space(n: Source, b: Builder) -> Value:
    op = ops.BatchToSpace(block=n.integers_of(1, "a block"), crops=pairs(n, 2, "crops"))
    return b(op, n.stored(0))


@rule("SPACE_TO_BATCH_ND")
def space_to_batch(n: Source, b: Builder) -> Value:
    """Quantized tensors are padded with the integer that means 0."""
    block, pads = n.integers_of(1, "a block"), pairs(n, 2, "pads")
    plain = n.quantization(0) is None or not any(map(any, pads))
    return b(ops.SpaceToBatch(block=block, pads=pads), n.stored(0) if plain else n.operand(0))


def pairs(n: Source, index: int, what: str) -> tuple[tuple[int, int], ...]:
    """Operand ``index``: two integers for each axis."""
    array = n.array(index, what)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise n.invalid(f"{what} must be two integers for each axis")
    return tuple((int(before), int(after)) for before, after in array.tolist())
