"""Sparse tensors, made dense: the IR has no others."""

from __future__ import annotations

import math

import numpy as np

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.onnxlib import SparseTensorProto, TensorProto
from mmconvert.parsers.onnx import tensors
from mmconvert.parsers.onnx.external import Folder
from mmconvert.tensors import Array, Tensor

LIMIT = 1 << 28
"""A tensor that takes more bytes when it is dense is refused: few bytes of a file can ask for any number."""


def dense(sparse: SparseTensorProto, folder: Folder | None) -> Tensor:
    """The dense tensor; it is put together when it is read.

    Raises:
        InvalidModelError: indices and values do not fit together, or lie outside of the tensor.
        UnsupportedError: it would take more than ``LIMIT`` bytes.
    """
    where = f"sparse tensor {sparse.values.name!r}"
    values, indices = _read(sparse.values, folder), _read(sparse.indices, folder)
    shape = tuple(int(d) for d in sparse.dims)
    if len(shape) > tensors.MAX_RANK or any(extent < 0 for extent in shape):
        raise InvalidModelError(f"it cannot have the shape {list(shape)}", where=where)
    nbytes = math.prod(shape) * values.dtype.itemsize
    if nbytes > LIMIT:
        raise UnsupportedError(f"a sparse tensor of {nbytes} bytes when it is dense", where=where)
    positions = _positions(indices.numpy(), values.size, shape, where)

    def load() -> Array:
        array = np.zeros(math.prod(shape), values.dtype)
        array[positions] = values.numpy().reshape(-1)
        return array.reshape(shape)

    return Tensor(values.dtype, shape, load)


def _read(proto: TensorProto, folder: Folder | None) -> Tensor:
    data = proto.SerializeToString()
    return tensors.read(data, 0, len(data), folder)[1]


def _positions(indices: Array, count: int, shape: tuple[int, ...], where: str) -> Array:
    """Where the values go in the flattened tensor; ONNX gives that, or one index for each axis."""
    size = math.prod(shape)
    fits = indices.dtype == np.int64 and indices.shape in ((count,), (count, len(shape)))
    if fits and indices.ndim == 2:
        fits = not len(indices) or bool(((indices >= 0) & (indices < shape)).all())
        if fits:
            indices = indices @ np.array([math.prod(shape[a + 1 :]) for a in range(len(shape))], np.int64)
    if not fits or not bool(((indices >= 0) & (indices < size)).all()):
        raise InvalidModelError("its indices do not fit its shape and values", where=where)
    return indices.astype(np.int64)
