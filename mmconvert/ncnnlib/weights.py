"""What a layer has in ``.bin``, in the order of the file, and how it is stored there.

A weight is either tagged (a word before it says how it is stored) or plain float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ncnnlib import records
from mmconvert.ncnnlib.parameters import Parameters
from mmconvert.tensors import Array, Tensor

F32_TAG, F16_TAG, I8_TAG, RAW_TAG = 0, 0x01306B47, 0x000D4B38, 0x0002C056
TABLE = 256
"""Entries of the table before weights that any other tag stands before: one byte each picks from it."""


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight: its name, how many elements it has, and whether a tag stands before it."""

    name: str
    count: int
    tagged: bool = False


def expected(p: Parameters) -> list[Weight]:
    """The weights of a layer, in order.

    Raises:
        InvalidModelError: a count is missing or makes no sense.
    """
    list_ = _LISTS.get(p.layer.kind)
    return list(list_(p)) if list_ else []


def _convolution(p: Parameters) -> Iterator[Weight]:
    if "dynamic_weight" in p.names and p.flag("dynamic_weight"):
        return
    outputs = p.count("num_output")
    yield Weight("weight", p.count("weight_data_size"), tagged=True)
    if p.flag("bias_term"):
        yield Weight("bias", outputs)
    scales = p.integer("int8_scale_term") if "int8_scale_term" in p.names else 0
    if scales:
        grouped = p.layer.kind == "ConvolutionDepthWise"
        yield Weight(
            "weight_scales", outputs if not grouped else p.count("group") if scales % 100 == 1 else 1
        )
        yield Weight("input_scales", 1)
        if scales > 100:
            yield Weight("output_scales", 1)


def _inner_product(p: Parameters) -> Iterator[Weight]:
    outputs = p.count("num_output")
    yield Weight("weight", p.count("weight_data_size"), tagged=True)
    if p.flag("bias_term"):
        yield Weight("bias", outputs)
    if p.flag("int8_scale_term"):
        yield Weight("weight_scales", outputs)
        yield Weight("input_scales", 1)


def _embed(p: Parameters) -> Iterator[Weight]:
    yield Weight("weight", p.count("weight_data_size"), tagged=True)
    if p.flag("bias_term"):
        yield Weight("bias", p.count("num_output"))
    if p.flag("int8_scale_term"):
        yield Weight("weight_scales", 1)


def _batch_norm(p: Parameters) -> Iterator[Weight]:
    for name in ("slope", "mean", "variance", "bias"):
        yield Weight(name, p.count("channels"))


def _scale(p: Parameters) -> Iterator[Weight]:
    if p.integer("scale_data_size") == records.LAST:  # the scale is an operand
        return
    yield Weight("scale", p.count("scale_data_size"))
    if p.flag("bias_term"):
        yield Weight("bias", p.count("scale_data_size"))


def _affine(size: str, *, shift: bool = True) -> Callable[[Parameters], Iterator[Weight]]:
    def weights(p: Parameters) -> Iterator[Weight]:
        if p.flag("affine"):
            yield Weight("gamma", p.count(size))
            if shift:
                yield Weight("beta", p.count(size))

    return weights


def _single(size: str, name: str) -> Callable[[Parameters], Iterator[Weight]]:
    def weights(p: Parameters) -> Iterator[Weight]:
        if p.count(size):
            yield Weight(name, p.count(size))

    return weights


def _memory_data(p: Parameters) -> Iterator[Weight]:
    extents = [p.count(name) for name in ("w", "h", "d", "c")]
    yield Weight("data", math.prod(e for e in extents if e), tagged=p.integer("load_type") == 0)


def _recurrent(gates: int, biases: int) -> Callable[[Parameters], Iterator[Weight]]:
    def weights(p: Parameters) -> Iterator[Weight]:
        outputs, directions = p.count("num_output"), 2 if p.integer("direction") == 2 else 1
        hidden = p.count("hidden_size") if "hidden_size" in p.names else outputs
        yield Weight("weight_xc", p.count("weight_data_size"), tagged=True)
        yield Weight("bias", directions * biases * hidden, tagged=True)
        yield Weight("weight_hc", directions * gates * hidden * outputs, tagged=True)
        if hidden != outputs:
            yield Weight("weight_hr", directions * outputs * hidden, tagged=True)
        if p.flag("int8_scale_term"):
            yield Weight("weight_xc_scales", directions * gates * hidden)
            yield Weight("weight_hc_scales", directions * gates * hidden)

    return weights


def _attention(p: Parameters) -> Iterator[Weight]:
    _require_plain(p, "quantize_term")
    width, total = p.count("embed_dim", 1), p.count("weight_data_size")
    for name, depth in (("q", total // width), ("k", p.count("kdim")), ("v", p.count("vdim"))):
        yield Weight(f"{name}_weight", width * depth, tagged=True)
        yield Weight(f"{name}_bias", width)
    yield Weight("out_weight", total, tagged=True)
    yield Weight("out_bias", total // width)


def _gemm(p: Parameters) -> Iterator[Weight]:
    _require_plain(p, "quantize_term")
    rows, columns, depth = (p.integer(f"constant{name}") for name in "MNK")
    if p.flag("constantA"):
        yield Weight("a", rows * depth, tagged=True)
    if p.flag("constantB"):
        yield Weight("b", depth * columns, tagged=True)
    kind = p.integer("constant_broadcast_type_C")
    if p.flag("constantC") and kind != -1:
        yield Weight("c", {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}.get(kind, 0), tagged=True)


def _require_plain(p: Parameters, name: str) -> None:
    if p.flag(name):
        raise UnsupportedError(f"{p.layer.kind} with quantized weights cannot be read", where=p.where)


def _requantize(p: Parameters) -> Iterator[Weight]:
    yield Weight("scale_in", p.count("scale_in_data_size"))
    yield Weight("scale_out", p.count("scale_out_data_size"))
    if p.count("bias_data_size"):
        yield Weight("bias", p.count("bias_data_size"))


def _dequantize(p: Parameters) -> Iterator[Weight]:
    yield Weight("scale", p.count("scale_data_size"))
    if p.count("bias_data_size"):
        yield Weight("bias", p.count("bias_data_size"))


_CONVOLUTIONS = [
    f"{kind}{'DepthWise' if grouped else ''}{axes}"
    for kind in ("Convolution", "Deconvolution")
    for grouped in (False, True)
    for axes in ("", "1D", "3D")
]
_LISTS: dict[str, Callable[[Parameters], Iterator[Weight]]] = {
    **dict.fromkeys([*_CONVOLUTIONS, "DeformableConv2D"], _convolution),
    "BatchNorm": _batch_norm,
    "Bias": _single("bias_data_size", "bias"),
    "Dequantize": _dequantize,
    "Embed": _embed,
    "Gemm": _gemm,
    "GroupNorm": _affine("channels"),
    "GRU": _recurrent(3, 4),
    "InnerProduct": _inner_product,
    "InstanceNorm": _affine("channels"),
    "LayerNorm": _affine("affine_size"),
    "LSTM": _recurrent(4, 4),
    "MemoryData": _memory_data,
    "MultiHeadAttention": _attention,
    "Normalize": _single("scale_data_size", "scale"),
    "Padding": _single("per_channel_pad_data_size", "values"),
    "PReLU": _single("num_slope", "slope"),
    "Quantize": _single("scale_data_size", "scale"),
    "Requantize": _requantize,
    "RMSNorm": _affine("affine_size", shift=False),
    "RNN": _recurrent(1, 1),
    "Scale": _scale,
}


class Reader:
    """Goes through a ``.bin`` file; the tensors that it gives read their bytes when they are asked to."""

    def __init__(self, data: memoryview, where: str) -> None:
        self._data, self.where, self.position = data, where, 0

    @property
    def spare(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self.position

    def take(self, weight: Weight) -> Tensor:
        """The next weight; its element type is how it is stored, a table's numbers are float32.

        Raises:
            InvalidModelError: the file ends before it does.
        """
        tag = int(np.frombuffer(self._bytes(4, weight), "<u4")[0]) if weight.tagged else RAW_TAG
        if tag in (F32_TAG, RAW_TAG):
            return self._plain(weight, dtypes.F32)
        if tag == F16_TAG:
            return self._plain(weight, dtypes.F16)
        if tag == I8_TAG:
            return self._plain(weight, dtypes.I8)
        table = np.frombuffer(self._bytes(4 * TABLE, weight), "<f4")
        return self._plain(weight, dtypes.U8).map(lambda codes: table[codes], dtype=dtypes.F32)

    def _plain(self, weight: Weight, dtype: DType) -> Tensor:
        size = weight.count * dtype.itemsize
        view = self._bytes(size, weight)
        self.position += min(-size % 4, len(self._data) - self.position)
        return Tensor.of(np.frombuffer(view, dtype.newbyteorder("<")))

    def _bytes(self, size: int, weight: Weight) -> memoryview:
        start, end = self.position, self.position + size
        if end > len(self._data):
            raise InvalidModelError(
                f"{weight.name} ends at byte {end}, the file at {len(self._data)}", where=self.where
            )
        self.position = end
        return self._data[start:end]


def stored_bytes(weight: Weight, dtype: DType = dtypes.F32) -> int:
    """How many bytes a weight takes up in the file."""
    size = weight.count * dtype.itemsize
    return 4 * weight.tagged + size + -size % 4


def stored_type(weight: Weight, tensor: Tensor) -> DType:
    """How a weight is stored: in float16 where the tensor is, and a tag can say so; else in float32."""
    return dtypes.F16 if weight.tagged and tensor.dtype == dtypes.F16 else dtypes.F32


def encode(weight: Weight, tensor: Tensor) -> Iterator[Array | bytes]:
    """The bytes of a weight, in pieces."""
    stored = stored_type(weight, tensor)
    if weight.tagged:
        yield np.array([F16_TAG if stored == dtypes.F16 else F32_TAG], "<u4")
    for block in tensor.blocks():
        yield np.ascontiguousarray(block, stored.newbyteorder("<"))
    yield bytes(-(stored.itemsize * tensor.size) % 4)
