"""Types of graph inputs, and the numbers of element types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.ir.types import Extent, Shape, TensorType
from mmconvert.onnxlib import TensorShapeProto, TypeProto, ValueInfoProto
from mmconvert.parsers.onnx import tensors
from mmconvert.parsers.symbols import Symbols

_MAX_EXTENT = 1 << 48


Shapes = Mapping[str, Sequence[int | None]]
"""Extents that are given for inputs by their names; None leaves one as the file has it."""


def input_type(info: ValueInfoProto, symbols: Symbols, shapes: Shapes) -> TensorType:
    """The type of a graph input.

    Raises:
        UnsupportedError: it is no dense tensor of numbers, or its rank is unknown.
        InvalidModelError: an extent is negative.
        UsageError: ``shapes`` has another shape than the file.
    """
    where = f"input {info.name!r}"
    kind = info.type.WhichOneof("value")
    if kind is None:
        raise InvalidModelError("it has no type", where=where)
    if kind != "tensor_type":
        hint = f"say how many tensors it holds: items={{{info.name!r}: 2}} (--items {info.name}=2)"
        what = f"inputs of {kind.removesuffix('_type')} type are not supported"
        raise UnsupportedError(what, where=where, hint=hint)
    return _tensor_type(info.type.tensor_type, info.name, symbols, shapes)


def item_types(info: ValueInfoProto, count: int, symbols: Symbols, shapes: Shapes) -> list[TensorType]:
    """The types of ``count`` tensors that a graph input of sequence or optional type holds.

    Raises:
        UnsupportedError: they are no dense tensors of numbers, or their rank is unknown.
        InvalidModelError: it holds no tensors, or cannot hold as many.
    """
    type, where = info.type, f"input {info.name!r}"
    single = type.WhichOneof("value") == "optional_type"
    while (kind := type.WhichOneof("value")) in ("optional_type", "sequence_type"):
        single = single and kind == "optional_type"
        type = type.optional_type.elem_type if kind == "optional_type" else type.sequence_type.elem_type
    if kind != "tensor_type" or count < 0 or (single and count > 1):
        raise InvalidModelError(f"it cannot hold {count} tensors", where=where)
    found = []
    for index in range(count):
        # The tensors of a sequence share no more than their rank: a name means another extent in each.
        own = TypeProto.Tensor()
        own.CopyFrom(type.tensor_type)
        for dim in own.shape.dim:
            dim.ClearField("dim_param")
        found.append(_tensor_type(own, f"{info.name}_{index}", symbols, shapes))
    return found


def _tensor_type(tensor: TypeProto.Tensor, name: str, symbols: Symbols, shapes: Shapes) -> TensorType:
    where, given = f"input {name!r}", shapes.get(name)
    dtype = tensors.dtype_of(tensor.elem_type, where)
    dims = list(tensor.shape.dim)
    if not tensor.HasField("shape"):
        if given is None:
            hint = f"say its shape, with None for what stays unknown: shapes={{{name!r}: (1, None)}}"
            raise UnsupportedError("an input of unknown rank", where=where, hint=hint)
        dims = [TensorShapeProto.Dimension() for _ in given]
    if len(dims) > tensors.MAX_RANK:
        raise InvalidModelError(f"it has more than {tensors.MAX_RANK} axes", where=where)
    shape = tuple(_extent(dim, axis, name, symbols) for axis, dim in enumerate(dims))
    return TensorType(dtype, shape if given is None else _fitting(shape, given, where))


def _fitting(have: Shape, given: Sequence[int | None], where: str) -> Shape:
    """The extents of the file, and those that are given where it leaves them open."""
    pairs = list(zip(have, given, strict=False))
    if len(have) != len(given) or any(isinstance(e, int) and g not in (e, None) for e, g in pairs):
        shown = ",".join(map(str, have))
        raise UsageError(f"the {where} is [{shown}], which the shape {list(given)} does not fit")
    if any(g is not None and g < 0 for g in given):
        raise UsageError(f"an extent of the {where} is negative: {list(given)}")
    return tuple(e if g is None else g for e, g in pairs)


def _extent(dim: TensorShapeProto.Dimension, axis: int, name: str, symbols: Symbols) -> Extent:
    if dim.WhichOneof("value") == "dim_value" and dim.dim_value != -1:  # some exporters write -1 for unknown
        if not 0 <= dim.dim_value <= _MAX_EXTENT:
            raise InvalidModelError(
                f"axis {axis} cannot have the extent {dim.dim_value}", where=f"input {name!r}"
            )
        return dim.dim_value
    return symbols.of(dim.dim_param, f"{name}_{axis}")
