"""ONNX rules for sequences and optionals of known length: they are taken apart when the model is read.

A sequence is the tuple of its tensors, an optional that is there is what it holds. Nothing of them is left in
the IR, where every value is a tensor.
"""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.onnx import scope
from mmconvert.parsers.onnx.source import Items, Source, Thing
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")


@rule("SequenceEmpty")
def sequence_empty(n: Source, b: Builder) -> Items:
    n.ignore("dtype")
    return Items(())


@rule("SequenceConstruct")
def sequence_construct(n: Source, b: Builder) -> Items:
    return Items(tuple(n.operands()))


@rule("SequenceLength")
def sequence_length(n: Source, b: Builder) -> Value:
    return b.constant(len(n.items(0).values), dtypes.I64)


@rule("SequenceAt")
def sequence_at(n: Source, b: Builder) -> Value:
    items = n.items(0).values
    return b(ops.Identity(), items[_position(n, 1, len(items))])


@rule("SequenceInsert")
def sequence_insert(n: Source, b: Builder) -> Items:
    items = list(n.items(0).values)
    position = _position(n, 2, len(items), last=len(items)) if n.has(2) else len(items)
    items.insert(position, n.operand(1))
    return Items(tuple(items))


@rule("SequenceErase")
def sequence_erase(n: Source, b: Builder) -> Items:
    items = list(n.items(0).values)
    del items[_position(n, 1, len(items)) if n.has(1) else -1]
    return Items(tuple(items))


def _position(n: Source, index: int, count: int, last: int | None = None) -> int:
    """Operand ``index`` as a position from the front."""
    position = n.whole(index, "the position")
    from_front = position + count if position < 0 else position
    if not 0 <= from_front <= (count - 1 if last is None else last):
        raise n.invalid(f"there is no position {position} in a sequence of {count}")
    return from_front


@rule("SplitToSequence")
def split_to_sequence(n: Source, b: Builder) -> Items:
    x = n.operand(0)
    axis, keepdims = x.type.axis(n.integer("axis", 0)), n.flag("keepdims", True)
    extent = x.type.shape[axis]
    if not isinstance(extent, int):
        raise n.unsupported(f"{x.type}, an axis of unknown size", hint="give the input a fixed size")
    if n.has(1) and n.operand(1).type.rank == 1:
        sizes = n.integers_of(1, "sizes")
    else:
        size = n.whole(1, "a size") if n.has(1) else 1
        if size < 1:
            raise n.invalid(f"a size of {size}")
        sizes = tuple(min(size, extent - start) for start in range(0, extent, size))
    if sum(sizes) != extent or min(sizes, default=0) < 0:
        raise n.invalid(f"an axis of {extent} does not split into {list(sizes)}")
    parts = b.multi(ops.Split(axis=axis, sizes=sizes), x)
    if keepdims or n.has(1):
        return Items(parts)
    return Items(tuple(b(ops.Squeeze(axes=(axis,)), part) for part in parts))


@rule("ConcatFromSequence")
def concat_from_sequence(n: Source, b: Builder) -> Value:
    items, axis, new = n.items(0).values, n.integer("axis"), n.flag("new_axis")
    if not items:
        raise n.invalid("the sequence is empty")
    shape = items[0].type
    if new:
        at = shape.with_shape((1, *shape.shape)).axis(axis)
        items = tuple(b(ops.Unsqueeze(axes=(at,)), item) for item in items)
        return b(ops.Concat(axis=at), *items)
    return b(ops.Concat(axis=shape.axis(axis)), *items)


@rule("SequenceMap")
def sequence_map(n: Source, b: Builder) -> tuple[Items, ...]:
    body, count = n.graph("body"), len(n.items(0).values)
    operands = [n.thing(index) for index in range(len(n.inputs))]
    if any(isinstance(thing, Items) and len(thing.values) != count for thing in operands):
        raise n.invalid("its sequences are not of one length")
    rounds = []
    for index in range(count):
        arguments = [thing.values[index] if isinstance(thing, Items) else thing for thing in operands]
        rounds.append([scope.tensor(n, thing) for thing in scope.unrolled(n, b, body, arguments)])
    return tuple(Items(tuple(made[i] for made in rounds)) for i in range(len(n.outputs)))


@rule("Optional")
def optional(n: Source, b: Builder) -> Thing:
    n.ignore("type")
    return n.thing(0) if n.has(0) else Items((), absent=True)


@rule("OptionalHasElement")
def optional_has_element(n: Source, b: Builder) -> Value:
    thing = n.thing(0) if n.has(0) else Items((), absent=True)
    return b.constant(np.array(not (isinstance(thing, Items) and thing.absent)))


@rule("OptionalGetElement")
def optional_get_element(n: Source, b: Builder) -> Thing:
    thing = n.thing(0)
    if isinstance(thing, Items) and thing.absent:
        raise n.invalid("the optional is empty")
    return thing if isinstance(thing, Items) else b(ops.Identity(), thing)
