"""Types of graph inputs, and the numbers of element types."""

from __future__ import annotations

from onnx import TensorShapeProto, TypeProto, ValueInfoProto

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.types import Extent, TensorType
from mmconvert.parsers.onnx import tensors
from mmconvert.parsers.onnx.symbols import Symbols

_MAX_EXTENT = 1 << 48


def input_type(info: ValueInfoProto, symbols: Symbols) -> TensorType:
    """The type of a graph input.

    Raises:
        UnsupportedError: it is no dense tensor of numbers, or its rank is unknown.
        InvalidModelError: an extent is negative.
    """
    where = f"input {info.name!r}"
    kind = info.type.WhichOneof("value")
    if kind is None:
        raise InvalidModelError("it has no type", where=where)
    if kind != "tensor_type":
        hint = f"say how many tensors it holds: items={{{info.name!r}: 2}} (--items {info.name}=2)"
        what = f"inputs of {kind.removesuffix('_type')} type are not supported"
        raise UnsupportedError(what, where=where, hint=hint)
    return _tensor_type(info.type.tensor_type, info.name, symbols)


def item_types(info: ValueInfoProto, count: int, symbols: Symbols) -> list[TensorType]:
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
        found.append(_tensor_type(own, f"{info.name}_{index}", symbols))
    return found


def _tensor_type(tensor: TypeProto.Tensor, name: str, symbols: Symbols) -> TensorType:
    where = f"input {name!r}"
    dtype = tensors.dtype_of(tensor.elem_type, where)
    if not tensor.HasField("shape"):
        raise UnsupportedError(
            "an input of unknown rank",
            where=where,
            hint="give the input a shape; single extents may stay unknown",
        )
    if len(tensor.shape.dim) > tensors.MAX_RANK:
        raise InvalidModelError(f"it has more than {tensors.MAX_RANK} axes", where=where)
    shape = [_extent(dim, axis, name, symbols) for axis, dim in enumerate(tensor.shape.dim)]
    return TensorType(dtype, tuple(shape))


def _extent(dim: TensorShapeProto.Dimension, axis: int, name: str, symbols: Symbols) -> Extent:
    if dim.WhichOneof("value") == "dim_value" and dim.dim_value != -1:  # some exporters write -1 for unknown
        if not 0 <= dim.dim_value <= _MAX_EXTENT:
            raise InvalidModelError(
                f"axis {axis} cannot have the extent {dim.dim_value}", where=f"input {name!r}"
            )
        return dim.dim_value
    return symbols.of(dim.dim_param, f"{name}_{axis}")
