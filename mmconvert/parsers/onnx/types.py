"""Types of graph inputs, and the numbers of element types."""

from __future__ import annotations

from onnx import TensorShapeProto, ValueInfoProto

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
        raise UnsupportedError(f"inputs of {kind.removesuffix('_type')} type are not supported", where=where)
    tensor = info.type.tensor_type
    dtype = tensors.dtype_of(tensor.elem_type, where)
    if not tensor.HasField("shape"):
        raise UnsupportedError(
            "an input of unknown rank",
            where=where,
            hint="give the input a shape; single extents may stay unknown",
        )
    if len(tensor.shape.dim) > tensors.MAX_RANK:
        raise InvalidModelError(f"it has more than {tensors.MAX_RANK} axes", where=where)
    shape = [_extent(dim, axis, info.name, symbols) for axis, dim in enumerate(tensor.shape.dim)]
    return TensorType(dtype, tuple(shape))


def _extent(dim: TensorShapeProto.Dimension, axis: int, name: str, symbols: Symbols) -> Extent:
    if dim.WhichOneof("value") == "dim_value" and dim.dim_value != -1:  # some exporters write -1 for unknown
        if not 0 <= dim.dim_value <= _MAX_EXTENT:
            raise InvalidModelError(
                f"axis {axis} cannot have the extent {dim.dim_value}", where=f"input {name!r}"
            )
        return dim.dim_value
    return symbols.of(dim.dim_param, f"{name}_{axis}")
