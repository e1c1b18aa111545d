"""Constants of an MNN file, and the weights of convolutions in all the ways in which they are stored."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mmconvert import dtypes, mnnlib
from mmconvert.mnnlib import Record
from mmconvert.parsers.mnn.source import Source
from mmconvert.tensors import Array, Tensor

_SLOTS = {
    mnnlib.FLOAT: "float32s",
    mnnlib.INT32: "int32s",
    mnnlib.INT64: "int64s",
    mnnlib.UINT8: "uint8s",
    mnnlib.INT8: "int8s",
}
_OUTSIDE = {mnnlib.FLOAT: "<f4", mnnlib.INT32: "<i4", mnnlib.HALF: "<f2"}
_PALETTE, _SPARSE, _HALF, _PLAIN = 1, 2, 3, 4


def constant(n: Source) -> Tensor:
    """The elements of a Const, in f32 or i32, as MNN computes with them."""
    blob = n.parameters
    kind = blob.number("dataType")
    if places := blob.integers("external"):
        return _outside_constant(n, kind, places, _shape(n, blob))
    if kind == mnnlib.HALF:
        shape = _shape(n, blob)
        data = blob.vector("uint8s")
        if data.size % 2:
            raise n.invalid("half a number")
        return _checked(n, data.view(np.float16), shape).cast(dtypes.F32)
    if kind not in _SLOTS:
        raise n.unsupported(f"elements of the type {kind}")
    tensor = _checked(n, blob.vector(_SLOTS[kind]), _shape(n, blob))
    return tensor if kind == mnnlib.FLOAT else tensor.cast(dtypes.I32)


def _shape(n: Source, blob: Record) -> tuple[int, ...]:
    shape = blob.integers("dims")
    if any(e < 0 for e in shape):
        raise n.invalid(f"a constant of the shape {list(shape)}")
    return shape


def _checked(n: Source, data: Array, shape: tuple[int, ...]) -> Tensor:
    if data.size != math.prod(shape):
        raise n.invalid(f"{data.size} elements for the shape {list(shape)}")
    return Tensor.of(data.reshape(shape))


def floats(n: Source, record: Record, name: str, shape: tuple[int, ...]) -> Tensor:
    """A vector of floats among the parameters, under a shape."""
    return _checked(n, record.vector(name), shape)


def kernel(n: Source, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """The weights of a convolution under their shape, and its bias, None where there is none.

    Raises:
        UnsupportedError: they are stored in a way that is not known.
    """
    conv, filters = n.parameters, n.part("common", "Convolution2DCommon").number("outputCount")
    quantized = conv.record("quanParameter", "IDSTQuan")
    if places := conv.integers("external"):
        # Where there are integers, their scales stand between them and the bias.
        kinds = ("<f4", "<f4") if quantized is None else ("i1", "<f4", "<f4")
        data, *scales, bias = _outside(n, places, kinds)
    else:
        is_plain = quantized is None or conv.vector("weight").size
        quantized = None if is_plain else quantized
        data = conv.vector("weight") if quantized is None else quantized.vector("buffer")
        scales, bias = [], conv.vector("bias")
    if quantized is None:
        weight = _checked(n, data, shape)
    else:
        weight = narrow(n, quantized, shape, filters, data, scales[0] if scales else None)
    return weight, _checked(n, bias, (filters,)) if bias.size else None


def _outside(n: Source, places: tuple[int, ...], kinds: tuple[str, ...]) -> list[Array]:
    """Vectors in the file beside, one after the other: where the first begins, and the bytes of each."""
    data = n.shared.external
    if data is None:
        raise n.invalid(f"its weights are in {n.shared.path.name}.weight, which is not there")
    at, *sizes = (*places, *(0 for _ in kinds))[: len(kinds) + 1]
    found = []
    for kind, size in zip(kinds, sizes, strict=True):
        count, rest = divmod(size, np.dtype(kind).itemsize)
        if min(at, size) < 0 or at + size > len(data) or rest:
            raise n.invalid("its weights do not lie in the file beside it")
        found.append(np.frombuffer(data, kind, count, at))
        at += size
    return found


def _outside_constant(n: Source, kind: int, places: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    if kind not in _OUTSIDE:
        raise n.unsupported(f"elements of the type {kind} in a file of their own")
    (data,) = _outside(n, places, (_OUTSIDE[kind],))
    tensor = _checked(n, data, shape)
    return tensor.cast(dtypes.F32 if tensor.dtype == dtypes.F16 else tensor.dtype)


def narrow(
    n: Source, record: Record, shape: tuple[int, ...], filters: int, data: Array, scales: Array | None = None
) -> Tensor:
    """Weights behind half floats or integers.

    Args:
        n: their operator.
        record: says how they are stored.
        shape: of the weights.
        filters: how many there are.
        data: the bytes.
        scales: of the integers, where they are not in ``record``.

    Raises:
        UnsupportedError: they are stored in a way that is not known.
    """
    kind, count = record.number("type"), math.prod(shape)
    if kind == _HALF:
        if data.size != 2 * count:
            raise n.invalid(f"{data.size} bytes of half floats for {count} weights")
        return Tensor.of(data.view(np.float16).reshape(shape)).cast(dtypes.F32)
    if record.number("has_scaleInt"):
        raise n.unsupported("weights of a quantized convolution")
    if kind not in (_PALETTE, _PLAIN):
        raise n.unsupported(f"weights stored in the way {kind}")
    integers = _palette(n, record, count, data) if kind == _PALETTE else _plain(n, count, data)
    scale, low = _scales(n, record, filters, count, scales)
    offset = record.number("aMin") if record.number("readType") else 0

    def load() -> Array:
        rows = integers().astype(np.float32).reshape(scale.size, -1)
        rows = (rows - np.float32(offset)) * scale[:, None]
        return (rows if low is None else rows + low[:, None]).reshape(shape)

    return Tensor(dtypes.F32, shape, load)


def _plain(n: Source, count: int, data: Array) -> Callable[[], Array]:
    if data.size != count:
        raise n.invalid(f"{data.size} bytes for {count} weights")
    return lambda: data


def _palette(n: Source, record: Record, count: int, data: Array) -> Callable[[], Array]:
    """Indices into a few samples, packed with the most significant bits first."""
    data = data.view(np.uint8)
    wide = 4 if record.number("shapeInt32") else 2
    rank = int(data[0]) if data.size else 0
    at = 1 + rank * wide
    if at >= data.size:
        raise n.invalid("its weights are cut off")
    number = int(data[at]) or 256
    samples = data[at + 1 : at + 1 + number].view(np.int8)
    bits = max((number - 1).bit_length(), 1)
    packed = data[at + 1 + number :]
    if samples.size != number or packed.size < -(-count * bits // 8):
        raise n.invalid("its weights are cut off")

    def load() -> Array:
        if bits == 8:
            return samples[np.minimum(packed[:count], number - 1)]
        flags = np.unpackbits(packed[: -(-count * bits // 8)])[: count * bits].reshape(count, bits)
        indices = flags.astype(np.int32) @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int32))
        return samples[np.minimum(indices, number - 1)]

    return load


def _scales(
    n: Source, record: Record, filters: int, count: int, given: Array | None
) -> tuple[Array, Array | None]:
    """The scale of each block of weights, and the least weight where they are not symmetric."""
    alpha = record.vector("alpha") if given is None else given
    if not alpha.size:
        alpha = record.vector("alphaFp16").view(np.float16).astype(np.float32)
    pairs = record.number("readType") != 0
    blocks = alpha.size // 2 if pairs else alpha.size
    if not blocks or blocks % max(filters, 1) or count % blocks or (pairs and alpha.size % 2):
        raise n.invalid(f"{alpha.size} scales for {count} weights of {filters} filters")
    if not pairs:
        return alpha, None
    return alpha[1::2], alpha[0::2]
