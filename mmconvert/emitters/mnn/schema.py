"""The tables of the MNN schema as something to write."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from mmconvert import dtypes, mnnlib
from mmconvert.dtypes import DType
from mmconvert.emitters.flat import Blob, Table, TableType
from mmconvert.errors import InternalError, UnsupportedError
from mmconvert.tensors import Array, Tensor


@cache
def _type(name: str) -> TableType:
    # Weights are vectors that go to the file one at a time.
    declaration = mnnlib.TABLES[name]
    for vector in _STREAMED.get(name, ()):
        declaration = declaration.replace(*vector)
    return TableType(name, declaration)


_STREAMED = {
    "Blob": (("int32s:[i32]", "int32s:blob"), ("float32s:[f32]", "float32s:blob")),
    "Convolution2D": (("weight:[f32]", "weight:blob"),),
    "Convolution3D": (("weight:[f32]", "weight:blob"),),
    "IDSTQuan": (("buffer:[i8]", "buffer:blob"), ("alpha:[f32]", "alpha:blob")),
}


def table(name: str, /, **values: Any) -> Table:
    """A table of the schema with these slots."""
    return _type(name)(**values)


def operator(
    kind: str, inputs: list[int], outputs: list[int], name: str, layout: int, **parameters: Any
) -> Table:
    """An operator with its parameters."""
    code, parameter = mnnlib.OPERATORS[kind]
    if parameters and not parameter:
        raise InternalError(f"{kind} has no parameters")
    return table(
        "Op",
        type=code,
        name=name,
        inputIndexes=inputs,
        outputIndexes=outputs,
        main_type=mnnlib.UNION[parameter] if parameter else 0,
        main=table(parameter, **parameters) if parameter else None,
        defaultDimentionFormat=layout,
    )


def data_type(dtype: DType) -> int:
    """MNN's number of the element type that stands for ``dtype``.

    Raises:
        UnsupportedError: there is none.
    """
    stored = mnnlib.stored(dtype)
    if stored is None:
        raise UnsupportedError(
            f"MNN computes in f32 and i32, and has no tensors of {dtypes.name(dtype)}",
            hint="convert the model to float32 first" if dtypes.is_float(dtype) else "",
        )
    return mnnlib.FLOAT if stored == dtypes.F32 else mnnlib.INT32


def blob(tensor: Tensor) -> Table:
    """A constant, in the element type that stands for its own."""
    kind = data_type(tensor.dtype)
    size = 4 * tensor.size
    slot = "float32s" if kind == mnnlib.FLOAT else "int32s"
    return table("Blob", dims=list(tensor.shape), dataType=kind, **{slot: Blob(size, loading(tensor), 4)})


def loading(tensor: Tensor) -> Callable[[], Array]:
    """Brings a constant in as f32 or i32.

    The function raises UnsupportedError when an integer does not fit into 32 bits.
    """
    if mnnlib.stored(tensor.dtype) == dtypes.F32:
        return tensor.cast(dtypes.F32).numpy
    return lambda: narrow(tensor.numpy())


def narrow(array: Array) -> Array:
    """Integers or booleans as i32.

    Raises:
        UnsupportedError: one does not fit.
    """
    if array.dtype == dtypes.I64 and array.size:
        limits = np.iinfo(np.int32)
        if array.min() < limits.min or array.max() > limits.max:
            raise UnsupportedError("MNN computes in i32, and a constant of i64 does not fit")
    return array.astype(np.int32)
