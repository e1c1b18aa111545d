"""The weights of convolutions in an MNN file: floats, half floats, or integers with scales."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.flat import Blob, Table
from mmconvert.emitters.mnn.schema import loading, table
from mmconvert.errors import InternalError
from mmconvert.tensors import Array, Tensor

_PALETTE, _HALF, _PLAIN = 1, 3, 4
_NO_PAIRS = -128
"""What stands for the least integer; with 0, MNN takes scales for an older form of them."""


def floats(tensor: Tensor) -> Blob:
    """A weight as a vector that is loaded while it is written."""
    return Blob(4 * tensor.size, loading(tensor), 4)


def weights(tensor: Tensor) -> dict[str, Any]:
    """The slot for the weights of a convolution: as they are, or the narrow numbers behind them."""
    stored, scale = tensor.stored, tensor.scale
    if stored is None:
        return {"weight": floats(tensor)}
    if stored.dtype == dtypes.F16:
        return {"quanParameter": table("IDSTQuan", type=_HALF, buffer=Blob(stored.nbytes, stored.numpy))}
    if scale is None:
        raise InternalError(f"a weight is stored in {dtypes.name(stored.dtype)}")
    return {"quanParameter": _integers(stored, scale)}


def _integers(stored: Tensor, scale: Tensor) -> Table:
    """Integers of 8 bits as they are, those of 4 as places in a list of all sixteen."""
    rows = scale.numpy().reshape(scale.shape[0], -1)
    block = math.gcd(rows.shape[1], *(np.flatnonzero((rows[:, 1:] != rows[:, :-1]).any(axis=0)) + 1).tolist())
    alpha = np.ascontiguousarray(rows[:, ::block])
    common = {"alpha": Blob(alpha.nbytes, lambda: alpha, 4), "aMin": _NO_PAIRS, "quantScale": 1.0}
    if stored.dtype == dtypes.I8:
        return table("IDSTQuan", type=_PLAIN, buffer=Blob(stored.size, stored.numpy), **common)
    head = struct.pack("<BIIB", 2, *rows.shape, 16) + np.arange(-8, 8, dtype=np.int8).tobytes()

    def packed() -> list[Array]:
        places = (stored.numpy().astype(np.int8).reshape(-1) + 8).astype(np.uint8)
        places = np.append(places, np.zeros(places.size % 2, np.uint8))
        return [np.frombuffer(head, np.uint8), places[0::2] << 4 | places[1::2]]

    size = len(head) + -(-stored.size // 2)
    return table("IDSTQuan", type=_PALETTE, shapeInt32=True, buffer=Blob(size, packed), **common)
