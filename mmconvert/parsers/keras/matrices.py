"""Operations of `keras.ops` on matrices, sorted lines and grids of numbers."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Extent
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Abs,
    Add,
    And,
    Cast,
    Det,
    Equal,
    Expand,
    FloorDiv,
    Gather,
    GatherElements,
    Greater,
    Identity,
    Inverse,
    Less,
    LessEqual,
    Log,
    MatMul,
    Mod,
    Mul,
    Not,
    Pad,
    Pow,
    ReduceAll,
    ReduceAny,
    ReduceMax,
    ReduceSum,
    Reshape,
    Reverse,
    Sign,
    Split,
    Sqrt,
    Square,
    Squeeze,
    Sub,
    Transpose,
    Trilu,
    Unsqueeze,
    Where,
)
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.promotion import floating, operands
from mmconvert.parsers.keras.source import element_type
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

# --- diagonals and products ----------------------------------------------------------------------------


@rule("ops.Diagonal", "ops.Trace")
def diagonal(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    axes = layer.axis(x, "axis1", 0), layer.axis(x, "axis2", 1)
    line = _diagonal(layer, b, x, axes, layer.integer("offset", 0))
    return (
        line if layer.kind == "Diagonal" else b(ReduceSum(axes=(line.type.rank - 1,), keepdims=False), line)
    )


def _diagonal(layer: KerasLayer, b: Builder, x: Value, axes: tuple[int, int], offset: int) -> Value:
    """The elements whose place along the second axis is ``offset`` more than that along the first."""
    rest = tuple(axis for axis in range(x.type.rank) if axis not in axes)
    moved = b(Transpose(perm=(*rest, *axes)), x)
    rows, columns = layer.extent(moved, -2), layer.extent(moved, -1)
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    places = (max(offset, 0) - min(offset, 0) * columns) + np.arange(count, dtype=np.int64) * (columns + 1)
    flat = b(Reshape(shape=(*moved.type.shape[:-2], rows * columns)), moved)
    return b(Gather(axis=flat.type.rank - 1), flat, places)


@rule("ops.Diag", "ops.Diagflat")
def diag(layer: KerasLayer, b: Builder) -> Value:
    """A matrix with a diagonal that is given; of a matrix, its diagonal."""
    x, k = layer.tensor(0, "x"), layer.integer("k", 0)
    if layer.kind == "Diagflat":
        x = b(Reshape(shape=(dims.product(x.type.shape),)), x)
    if x.type.rank == 2:
        return _diagonal(layer, b, x, (0, 1), k)
    x.type.require_rank(1)
    count, margin = layer.extent(x, 0), abs(k)
    zero = b.constant(0, x.type.dtype)
    square = b(Where(), np.eye(count, dtype=bool), b(Unsqueeze(axes=(0,)), x), zero)
    pads = ((0, margin), (margin, 0)) if k >= 0 else ((margin, 0), (0, margin))
    return b(Pad(pads=pads), square) if k else square


@rule("ops.Kron")
def kronecker(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    rank = max(left.type.rank, right.type.rank)
    left, right = (_raised(b, value, rank) for value in (left, right))
    pairs: tuple[Extent, ...] = tuple(
        part for extent in zip(left.type.shape, right.type.shape, strict=True) for part in extent
    )
    a = b(Reshape(shape=tuple(e if i % 2 == 0 else 1 for i, e in enumerate(pairs))), left)
    c = b(Reshape(shape=tuple(e if i % 2 else 1 for i, e in enumerate(pairs))), right)
    shape = tuple(dims.product(pairs[2 * axis : 2 * axis + 2]) for axis in range(rank))
    return b(Reshape(shape=shape), b(Mul(), a, c))


def _raised(b: Builder, x: Value, rank: int) -> Value:
    missing = tuple(range(rank - x.type.rank))
    return b(Unsqueeze(axes=missing), x) if missing else x


@rule("ops.Cross")
def cross(layer: KerasLayer, b: Builder) -> Value:
    """``a[i + 1] * b[i + 2] - a[i + 2] * b[i + 1]``; a third number that is missing is 0."""
    values = operands(b, layer.operand(0, "x1"), layer.operand(1, "x2"))
    whole = layer.setting("axis", None)
    keys = ["axisa", "axisb", "axisc"] if whole is None else ["axis"] * 3
    layer.ignore("axisa", "axisb", "axisc")
    moved, sizes = [], []
    for value, key in zip(values, keys, strict=False):
        axis, rank = layer.axis(value, key), value.type.rank
        value = b(Transpose(perm=(*(a for a in range(rank) if a != axis), axis)), value)
        sizes.append(layer.extent(value, -1))
        pads = (*((0, 0) for _ in range(rank - 1)), (0, 3 - sizes[-1]))
        moved.append(b(Pad(pads=pads), value) if sizes[-1] == 2 else value)
    if not set(sizes) <= {2, 3}:
        raise layer.invalid(f"vectors of {sizes[0]} and {sizes[1]} numbers")
    one, two = np.array([1, 2, 0]), np.array([2, 0, 1])
    (a1, a2), (b1, b2) = (tuple(b(Gather(axis=v.type.rank - 1), v, i) for i in (one, two)) for v in moved)
    y = b(Sub(), b(Mul(), a1, b2), b(Mul(), a2, b1))
    last = y.type.rank - 1
    if sizes == [2, 2]:
        return b(Gather(axis=last), y, np.array(2))
    to = layer.axis(y, keys[2])
    perm = list(range(last))
    perm.insert(to, last)
    return b(Transpose(perm=tuple(perm)), y)


@rule("ops.Vander")
def powers(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    x.type.require_rank(1)
    count = layer.extent(x, 0) if layer.setting("N", None) is None else layer.sizes("N", 1)[0]
    exponents = np.arange(count, dtype=np.float32)
    if not layer.flag("increasing", False):
        exponents = exponents[::-1]
    wide = floating(b, x)
    found = b(Pow(), b(Unsqueeze(axes=(1,)), wide), exponents.astype(wide.type.dtype))
    return layer.cast(found, x.type.dtype)


# --- linear algebra ------------------------------------------------------------------------------------


@rule("ops.Det", "ops.Logdet", "ops.Slogdet")
def determinant(layer: KerasLayer, b: Builder) -> Value | tuple[Value, Value]:
    found = b(Det(), floating(b, layer.tensor(0, "x")))
    if layer.kind == "Det":
        return found
    if layer.kind == "Logdet":
        return b(Log(), found)
    return b(Sign(), found), b(Log(), b(Abs(), found))


@rule("ops.Solve", "ops.SolveTriangular")
def solve(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "a"), layer.operand(1, "b"))
    left, right = floating(b, left), floating(b, right)
    if layer.kind == "SolveTriangular":
        left = b(Trilu(k=0, upper=not layer.flag("lower", False)), left)
    vector = right.type.rank == left.type.rank - 1
    last = right.type.rank
    y = b(MatMul(), b(Inverse(), left), b(Unsqueeze(axes=(last,)), right) if vector else right)
    return b(Squeeze(axes=(last,)), y) if vector else y


@rule("ops.CDist")
def distances(layer: KerasLayer, b: Builder) -> Value:
    left, right = operands(b, layer.operand(0, "x"), layer.operand(1, "y"))
    rows = b(Unsqueeze(axes=(left.type.rank - 1,)), floating(b, left))
    columns = b(Unsqueeze(axes=(right.type.rank - 2,)), floating(b, right))
    squares = b(Square(), b(Sub(), rows, columns))
    return b(Sqrt(), b(ReduceSum(axes=(squares.type.rank - 1,), keepdims=False), squares))


# --- places --------------------------------------------------------------------------------------------


@rule("ops.Rot90")
def quarter_turns(layer: KerasLayer, b: Builder) -> Value:
    x, turns = layer.tensor(0, "array"), layer.integer("k", 1) % 4
    first, second = x.type.axes(layer.integers("axes", 2, [0, 1]))
    perm = list(range(x.type.rank))
    perm[first], perm[second] = second, first
    match turns:
        case 1:
            return b(Transpose(perm=tuple(perm)), b(Reverse(axes=(second,)), x))
        case 2:
            return b(Reverse(axes=tuple(sorted((first, second)))), x)
        case 3:
            return b(Reverse(axes=(second,)), b(Transpose(perm=tuple(perm)), x))
    return b(Identity(), x)


@rule("ops.ArraySplit", "ops.Hsplit", "ops.Vsplit", "ops.Dsplit")
def split(layer: KerasLayer, b: Builder) -> tuple[Value, ...]:
    """In parts that differ by one at most, or at given places."""
    x = layer.tensor(0, "x")
    usual = {"Hsplit": min(1, x.type.rank - 1), "Vsplit": 0, "Dsplit": 2}
    axis = x.type.axis(usual[layer.kind]) if layer.kind in usual else layer.axis(x, default=0)
    extent, where = layer.extent(x, axis), layer.setting("indices_or_sections")
    if isinstance(where, int) and where > 0:
        places = [extent // where * i + min(i, extent % where) for i in range(where + 1)]
    else:
        places = [0, *(min(i, extent) for i in layer.integers("indices_or_sections")), extent]
    sizes = tuple(after - before for before, after in pairwise(places))
    if min(sizes) < 0:
        raise layer.invalid(f"indices_or_sections = {where!r} do not ascend")
    return b.multi(Split(axis=axis, sizes=sizes), x)


def _array(given: Any) -> Any:
    """Numbers that stand in a call, in the types that Keras gives them."""
    if not isinstance(given, list | np.ndarray):
        return given
    array = np.asarray(given)
    return array.astype({"f": np.float32, "i": np.int32}.get(array.dtype.kind, array.dtype))


@rule("ops.SearchSorted", "ops.Digitize")
def place_among(layer: KerasLayer, b: Builder) -> Value:
    """How many of the sorted numbers are below a value, or not above it."""
    digits = layer.kind == "Digitize"
    given = layer.argument(1, "bins") if digits else layer.argument(0, "sorted_sequence")
    edges: Any = _array(given)
    edges, values = operands(b, edges, layer.operand(0, "x") if digits else layer.operand(1, "values"))
    right = digits or layer.string("side", "left") == "right"
    column = b(Unsqueeze(axes=(values.type.rank,)), values)
    below = b(LessEqual() if right else Less(), edges, column)
    return b(ReduceSum(axes=(values.type.rank,), keepdims=False), b(Cast(to=dtypes.I32), below))


@rule("ops.IsIn")
def is_in(layer: KerasLayer, b: Builder) -> Value:
    layer.ignore("assume_unique")
    given = layer.argument(1, "x2")
    others: Any = _array(given) if isinstance(given, list | np.ndarray) else layer.operand(1, "x2")
    x, pool = operands(b, layer.operand(0, "x1"), others)
    flat = b(Reshape(shape=(dims.product(pool.type.shape),)), pool)
    rank = x.type.rank
    found = b(ReduceAny(axes=(rank,), keepdims=False), b(Equal(), b(Unsqueeze(axes=(rank,)), x), flat))
    return b(Not(), found) if layer.flag("invert", False) else found


@rule("ops.UnravelIndex")
def unravelled(layer: KerasLayer, b: Builder) -> tuple[Value, ...]:
    x = layer.tensor(0, "indices")
    if x.type.rank != 1:
        raise layer.refuse("indices that are not a line", "flatten them first")
    found = []
    for extent in reversed(layer.integers("shape")):
        found.append(b(Mod(), x, b.constant(extent, x.type.dtype)))
        x = b(FloorDiv(), x, b.constant(extent, x.type.dtype))
    return tuple(reversed(found))


@rule("ops.InTopK")
def in_top_k(layer: KerasLayer, b: Builder) -> Value:
    """Whether fewer than ``k`` predictions are above that of the target; never where some are not finite."""
    targets, x = layer.tensor(0, "targets"), layer.tensor(1, "predictions")
    own = b(GatherElements(axis=1), x, b(Unsqueeze(axes=(1,)), targets))
    above = b(Cast(to=dtypes.I32), b(Greater(), x, own))
    few = b(Less(), b(ReduceSum(axes=(1,), keepdims=False), above), layer.integer("k"))
    finite = b(Equal(), b(Sub(), x, x), b.constant(0, x.type.dtype))
    return b(And(), few, b(ReduceAll(axes=(1,), keepdims=False), finite))


@rule("ops.ExtractSequences")
def sequences(layer: KerasLayer, b: Builder) -> Value:
    x = layer.tensor(0, "x")
    length, step = layer.sizes("sequence_length", 1)[0], layer.sizes("sequence_stride", 1)[0]
    count = (layer.extent(x, -1) - length) // step + 1
    places = np.arange(max(count, 0))[:, None] * step + np.arange(length)
    return b(Gather(axis=x.type.rank - 1), x, places.astype(np.int64))


# --- grids ---------------------------------------------------------------------------------------------


@rule("ops.Meshgrid")
def mesh(layer: KerasLayer, b: Builder) -> tuple[Value, ...]:
    lines = [layer.tensor(i, f"x{i}") for i in range(len(layer.args))]
    order = list(range(len(lines)))
    if layer.string("indexing", "xy") == "xy" and len(lines) > 1:
        order[:2] = [1, 0]
    shape = tuple(lines[i].type.require_rank(1).shape[0] for i in order)
    found = []
    for i, line in enumerate(lines):
        new = tuple(axis for axis, source in enumerate(order) if source != i)
        found.append(b(Expand(shape=shape), b(Unsqueeze(axes=new), line) if new else line))
    return tuple(found)


@rule("ops.Linspace", "ops.Logspace")
def spaced(layer: KerasLayer, b: Builder) -> Value:
    """From start to stop in equal steps; of Logspace, powers of those."""
    start, stop = operands(b, layer.operand(0, "start"), layer.operand(1, "stop"))
    count, last = layer.sizes("num", 1, 50)[0], layer.flag("endpoint", True)
    if layer.kind == "Linspace" and layer.flag("retstep", False):
        raise layer.refuse("the step beside the numbers")
    start, stop = floating(b, start), floating(b, stop)
    rank = max(start.type.rank, stop.type.rank)
    axis = layer.integer("axis", 0)
    if not -rank - 1 <= axis <= rank:
        raise layer.invalid(f"axis {axis} of rank {rank + 1}")
    axis %= rank + 1
    start, stop = (b(Unsqueeze(axes=(axis,)), _raised(b, value, rank)) for value in (start, stop))
    shares = (np.arange(count) / max(count - last, 1)).reshape([-1] + [1] * (rank - axis))
    shares = shares.astype(start.type.dtype)
    y = b(Add(), b(Mul(), start, 1 - shares), b(Mul(), stop, shares))
    if layer.kind == "Logspace":
        y = b(Pow(), b.constant(layer.number("base", 10), y.type.dtype), y)
    given = layer.setting("dtype", None)
    return y if given is None else layer.cast(y, element_type(given, layer.place))


@rule("ops.Full")
def full(layer: KerasLayer, b: Builder) -> Value:
    x, given = layer.tensor(0, "fill_value"), layer.setting("dtype", None)
    y = b(Expand(shape=layer.integers("shape")), x)
    return y if given is None else layer.cast(y, element_type(given, layer.place))


@rule("ops.MultiHot")
def multi_hot(layer: KerasLayer, b: Builder) -> Value:
    """Where some element of a row is the number of a class."""
    x, count = layer.tensor(0, "inputs"), layer.sizes("num_classes", 1)[0]
    if layer.flag("sparse", False):
        raise layer.refuse("sparse outputs")
    rank, given = x.type.rank + 1, layer.setting("dtype", None)
    axis = layer.integer("axis", -1)
    if not -rank <= axis < rank:
        raise layer.invalid(f"axis {axis} of rank {rank}")
    numbers = np.arange(count).astype(x.type.dtype).reshape([-1] + [1] * (rank - 1 - axis % rank))
    same = b(Cast(to=dtypes.I32), b(Equal(), b(Unsqueeze(axes=(axis % rank,)), x), numbers))
    hot = b(ReduceMax(axes=(min(1, x.type.rank - 1),), keepdims=False), same)
    return b(Cast(to=dtypes.F32 if given is None else element_type(given, layer.place)), hot)


# --- names for axes ------------------------------------------------------------------------------------


@rule("ops.Rearrange")
def rearrange(layer: KerasLayer, b: Builder) -> Value:
    """Axes by name, ``b (h p) c -> b h (p c)``: split, permuted, joined."""
    x, pattern = layer.tensor(0, "tensor"), layer.argument(1, "pattern")
    if not isinstance(pattern, str) or pattern.count("->") != 1:
        raise layer.invalid(f"{pattern!r} is not a pattern of axes")
    before, after = (
        [term.strip("()").split() for term in re.findall(r"\w+|\(.*?\)", half)]
        for half in pattern.split("->")
    )
    names, wanted = ([name for term in half for name in term] for half in (before, after))
    if len(before) != x.type.rank or sorted(names) != sorted(wanted) or len(set(names)) < len(names):
        raise layer.invalid(f"{pattern!r} does not fit {x.type}")
    sizes: dict[str, Extent] = {}
    for term, extent in zip(before, x.type.shape, strict=True):
        sizes |= _shared_out(layer, term, extent)
    fine = b(Reshape(shape=tuple(sizes[name] for name in names)), x)
    moved = b(Transpose(perm=tuple(names.index(name) for name in wanted)), fine)
    return b(Reshape(shape=tuple(dims.product(tuple(sizes[n] for n in term)) for term in after)), moved)


def _shared_out(layer: KerasLayer, term: list[str], extent: Extent) -> dict[str, Extent]:
    """The extents of the axes that make up one; at most one of them need not be given."""
    if len(term) == 1:
        layer.keyword(term[0])
        return {term[0]: extent}
    given = {name: layer.keyword(name) for name in term}
    known = {name: size for name, size in given.items() if isinstance(size, int) and size > 0}
    open_ = [name for name in term if name not in known]
    if len(open_) > 1:
        raise layer.invalid(f"the extents of {', '.join(open_)} are not given")
    rest = dims.floordiv(extent, int(np.prod(list(known.values()))))
    return {name: known.get(name, rest) for name in term}
