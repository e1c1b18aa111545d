"""Layers that `model.quantize()` made: int8 and int4 weights, int8 activations, float8.

The numbers of the file are kept: int8 weights stay int8 constants, and what the layer rounds at every call
it rounds here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from mmconvert import dtypes
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Abs,
    Add,
    Cast,
    Clip,
    Dequantize,
    Div,
    Einsum,
    Gather,
    MatMul,
    Mul,
    ReduceMax,
    Reshape,
    Round,
    Squeeze,
    Sub,
    Transpose,
    Unsqueeze,
)
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.tensors import Array, Tensor

EPSILON = 1e-7
FLOAT8 = ml_dtypes.float8_e4m3fn


def quantized_dense(layer: KerasLayer, b: Builder, mode: str) -> Value:
    """Dense in one of the modes."""
    x, units = layer.input(), layer.integer("units")
    _ignored(layer)
    features = layer.extent(x, -1)
    tensors = _variables(layer, mode, "kernel")
    if mode == "float8":
        kernel = _float8_kernel(layer, tensors)
        y = b(MatMul(), _float8(b, x, tensors["inputs_scale"]), layer.weight("kernel", kernel))
    else:
        rounded, scale = _rounded(layer, b, x, (x.type.rank - 1,))
        if mode == "int8":
            _require(layer, tensors["kernel"], (features, units))
            y = b(MatMul(), rounded, _integers(layer, b, tensors["kernel"]))
            y = b(Div(), y, layer.weight("kernel_scale", tensors["kernel_scale"]))
        else:
            y = b(MatMul(), rounded, _packed(layer, b, tensors, (features, units)))
        y = y if scale is None else b(Div(), y, scale)
    return activate(layer, _biased(layer, b, y, tensors, bf16=mode == "float8"))


def quantized_einsum(layer: KerasLayer, b: Builder, mode: str, equation: str) -> Value:
    """EinsumDense in one of the modes; what is summed over shares a scale."""
    x = layer.input()
    _ignored(layer)
    if "." in equation:  # Keras 3.15 cannot quantize such a layer
        raise layer.refuse(f"{mode} with the equation {equation!r}", "save the model before it is quantized")
    terms, _, output = equation.partition("->")
    left, _, right = terms.partition(",")
    product = Einsum(equation=equation)
    tensors = _variables(layer, mode, "kernel")
    summed = tuple(i for i, letter in enumerate(left) if letter in right and letter not in output)
    if mode == "float8":
        kernel = layer.weight("kernel", _float8_kernel(layer, tensors))
        y = b(product, _float8(b, x, tensors["inputs_scale"]), kernel)
    elif mode == "int4":
        shape = _kernel_shape(layer, x, left, right, output)
        rows = math.prod(e for e, letter in zip(shape, right, strict=True) if letter not in output)
        kernel4 = b(Reshape(shape=shape), _packed(layer, b, tensors, (rows, math.prod(shape) // rows)))
        # In groups the weights alone are rounded, whatever the settings say of the inputs.
        rounded, scale = (x, None) if _is_grouped(layer) else _rounded(layer, b, x, summed)
        y = b(product, rounded, kernel4)
    else:
        rounded, scale = _rounded(layer, b, x, summed)
        y = b(product, rounded, _integers(layer, b, tensors["kernel"]))
        y = b(Div(), y, layer.weight("kernel_scale", tensors["kernel_scale"]))
    if mode != "float8" and scale is not None:
        letters = [left[i] for i in range(len(left)) if i not in summed]
        y = b(Div(), y, _spread(b, scale, letters, summed, output))
    return activate(layer, _biased(layer, b, y, tensors, bf16=mode == "float8"))


def _kernel_shape(layer: KerasLayer, x: Value, left: str, right: str, output: str) -> tuple[int, ...]:
    """The shape of a kernel that the file holds as a matrix."""
    given = layer.setting("output_shape")
    wanted = given if isinstance(given, list) else [given]
    sizes = dict(zip(reversed(output), reversed(wanted), strict=False))
    said = [layer.extent(x, left.index(i)) if i in left else sizes.get(i) for i in right]
    found = [size for size in said if isinstance(size, int) and size > 0]
    if len(found) < len(said):
        raise layer.invalid(f"output_shape = {given!r} does not tell the shape of the kernel")
    return tuple(found)


def quantized_rows(
    layer: KerasLayer, b: Builder, mode: str, indices: Value, rows: int, columns: int
) -> Value:
    """Rows of a quantized Embedding."""
    tensors = _variables(layer, mode, "embeddings")
    if mode == "int8":
        table, scale = tensors["embeddings"], tensors["embeddings_scale"]
        _require(layer, table, (rows, columns))
        found = b(
            Cast(to=layer.dtype), b(Gather(axis=0), layer.weight("embeddings", table, dtypes.I8), indices)
        )
        divisor = b(Gather(axis=0), layer.weight("embeddings_scale", scale.reshape((rows, 1))), indices)
        return b(Div(), found, divisor)
    return _rows4(layer, b, tensors, indices, (rows, columns))


def _rows4(
    layer: KerasLayer, b: Builder, tensors: dict[str, Tensor], indices: Value, shape: tuple[int, int]
) -> Value:
    """Rows of four-bit integers, as bytes: what is picked is made floats, not the table."""
    scale, columns = tensors["embeddings_scale"], shape[1]
    block = _block(tensors, columns) if "g_idx" in tensors else columns
    if not block or columns % block:
        weights = layer.weight("embeddings", _int4(tensors, "embeddings", shape, rows=False))
        return b(Gather(axis=0), weights, indices)
    groups = (shape[0], columns // block)
    numbers = tensors["embeddings"].map(lambda data: _unpacked(data, columns), dtype=dtypes.I8, shape=shape)

    def picked(name: str, tensor: Tensor, dtype: dtypes.DType) -> Value:
        found = b(Gather(axis=0), layer.weight(name, tensor, dtype), indices)
        return b(Cast(to=layer.dtype), found)

    y = picked("embeddings", numbers, dtypes.I8)
    whole = y.type.shape
    y = b(Reshape(shape=(*whole[:-1], groups[1], block)), y)
    last = (y.type.rank - 1,)
    if "g_idx" in tensors:
        zero = picked("embeddings_zero", tensors["embeddings_zero"].reshape(groups), dtypes.I8)
        y = b(Sub(), y, b(Unsqueeze(axes=last), zero))
        factor = scale.reshape(groups)
    else:
        factor = scale.map(lambda s: 1 / s).reshape(groups)
    y = b(Mul(), y, b(Unsqueeze(axes=last), picked("embeddings_scale", factor, dtypes.F32)))
    return b(Reshape(shape=whole), y)


def _block(tensors: dict[str, Tensor], extent: int) -> int:
    """How many neighbours share a scale; 0 where the groups are not in order."""
    index = tensors["g_idx"].numpy().astype(np.int64)
    block = int(np.count_nonzero(index == 0))
    return block if block and np.array_equal(index, np.arange(extent) // block) else 0


def quantized_reverse(layer: KerasLayer, b: Builder, mode: str, x: Value, rows: int, columns: int) -> Value:
    """The products of ``x`` with all rows of a quantized table."""
    tensors = _variables(layer, mode, "embeddings")
    rounded, scale = _rounded(layer, b, x, (x.type.rank - 1,))
    if mode == "int8":
        turned = b(Transpose(perm=(1, 0)), _integers(layer, b, tensors["embeddings"], "embeddings"))
        y = b(Div(), b(MatMul(), rounded, turned), layer.weight("scale", tensors["embeddings_scale"]))
    else:
        table = _packed(layer, b, tensors, (rows, columns), "embeddings")
        y = b(MatMul(), rounded, b(Transpose(perm=(1, 0)), table))
    return y if scale is None else b(Div(), y, scale)


# --- weights -------------------------------------------------------------------------------------------


def _variables(layer: KerasLayer, mode: str, name: str) -> dict[str, Tensor]:
    """The variables of a layer by name, in the order in which each mode has them."""
    bias = ["bias"] if name == "kernel" and _has_bias(layer) else []
    names = {
        "int8": [name, *bias, f"{name}_scale"],
        "int4": [name, *bias, f"{name}_scale", *([f"{name}_zero", "g_idx"] if _is_grouped(layer) else [])],
        "float8": [
            name,
            *bias,
            *(
                f"{kind}_{part}"
                for kind in ("inputs", "kernel", "outputs_grad")
                for part in ("scale", "amax_history")
            ),
        ],
    }[mode]
    return dict(zip(names, layer.variables(dict.fromkeys(names)), strict=True))


def _has_bias(layer: KerasLayer) -> bool:
    if layer.kind == "EinsumDense":
        return layer.setting("bias_axes", None) is not None
    return layer.flag("use_bias", True)


def _integers(layer: KerasLayer, b: Builder, tensor: Tensor, name: str = "kernel") -> Value:
    """Integers among floats, in a form that says that they are to stay as small as they are."""
    return b(Dequantize(), layer.weight(name, tensor, dtypes.I8), np.array(1, layer.dtype))


def _is_grouped(layer: KerasLayer) -> bool:
    """True where groups of rows share scales and zeros, as by default; else each column has one scale."""
    item: Any = layer.setting("quantization_config", None)
    config = item.get("config") if isinstance(item, dict) else None
    if isinstance(config, dict) and "block_size" in config:
        return config["block_size"] not in (None, -1)
    policy = layer.setting("dtype", None)
    mode = policy.get("config", {}).get("mode") if isinstance(policy, dict) else None
    return not (isinstance(mode, str) and mode.endswith("/-1"))


def _int4(tensors: dict[str, Tensor], name: str, shape: tuple[int, int], *, rows: bool) -> Tensor:
    """``(q - zero) * scale`` of the group that each row (or column) belongs to; two numbers lie in a byte.

    Without groups it is ``q / scale``, with a scale for each column (or row).
    """
    packed, scale = tensors[name], tensors[f"{name}_scale"]
    axis = 0 if rows else 1

    def unpack(data: Array) -> Array:
        both = _unpacked(data, shape[1]).astype(np.float32)
        if "g_idx" not in tensors:
            return np.asarray(both / np.expand_dims(scale.numpy().reshape(-1), axis), np.float32)
        index = tensors["g_idx"].numpy().astype(np.int64)
        factors = np.take(scale.numpy(), index, axis=axis)
        zeros = np.take(tensors[f"{name}_zero"].numpy(), index, axis=axis).astype(np.float32)
        return np.asarray((both - zeros) * factors, np.float32)

    return packed.map(unpack, dtype=dtypes.F32, shape=shape)


def _packed(
    layer: KerasLayer, b: Builder, tensors: dict[str, Tensor], shape: tuple[int, int], name: str = "kernel"
) -> Value:
    """A matrix as four-bit integers that are made floats; as floats where its groups are not in order.

    Groups are made of the rows of a kernel, and of the columns of a table of embeddings.
    """
    scale, zero, block = tensors[f"{name}_scale"], None, 0
    rows = name == "kernel"
    along = 0 if rows else 1
    if "g_idx" in tensors:
        zeros = tensors[f"{name}_zero"]
        block = _block(tensors, shape[along])
        if not block or np.abs(zeros.numpy().astype(np.int64) + 0.5).max(initial=0) > 7.5:
            return layer.weight(name, _int4(tensors, name, shape, rows=rows))
        zero = layer.weight(f"{name}_zero", zeros, dtypes.BY_NAME["i4"])
    else:
        scale = scale.map(lambda s: 1 / s).reshape((shape[1 - along],))
    numbers = tensors[name].map(lambda data: _unpacked(data, shape[1]), dtype=dtypes.I8, shape=shape)
    op = Dequantize(axis=along if block else 1 - along, block=block)
    kernel = layer.weight(name, numbers, dtypes.BY_NAME["i4"])
    return b(op, kernel, layer.weight(f"{name}_{'scales' if block else 'factors'}", scale), zero)


def _unpacked(data: Array, columns: int) -> Array:
    """Two numbers from each byte, the lower half first."""
    low, high = data.astype(np.int8) << 4 >> 4, data.astype(np.int8) >> 4
    return np.stack([low, high], axis=-1).reshape(data.shape[0], -1)[:, :columns]


def _float8_kernel(layer: KerasLayer, tensors: dict[str, Tensor]) -> Tensor:
    scale = np.float32(tensors["kernel_scale"].numpy())

    def rounded(kernel: Array) -> Array:
        limit = np.float32(ml_dtypes.finfo(FLOAT8).max)  # type: ignore[no-untyped-call]
        return np.clip(kernel / scale, -limit, limit).astype(FLOAT8).astype(np.float32) * scale

    return tensors["kernel"].map(rounded)


def _float8(b: Builder, x: Value, scale: Tensor) -> Value:
    """``x`` as float8 has it."""
    factor = float(scale.numpy())
    limit = float(ml_dtypes.finfo(FLOAT8).max)  # type: ignore[no-untyped-call]
    small = b(Cast(to=np.dtype(FLOAT8)), b(Clip(low=-limit, high=limit), b(Div(), x, factor)))
    return b(Mul(), b(Cast(to=x.type.dtype), small), factor)


# --- activations ---------------------------------------------------------------------------------------


def _rounded(layer: KerasLayer, b: Builder, x: Value, axes: tuple[int, ...]) -> tuple[Value, Value | None]:
    """``x`` times a scale, in whole numbers up to 127; and the scale, from the largest along ``axes``."""
    limits = _limits(layer)
    if limits is None:
        return x, None
    low, high, epsilon = limits
    largest = b(ReduceMax(axes=axes, keepdims=True), b(Abs(), x))
    scale = b(Div(), high, b(Add(), largest, epsilon))
    return b(Clip(low=low, high=high), b(Round(), b(Mul(), x, scale))), scale


def _limits(layer: KerasLayer) -> tuple[float, float, float] | None:
    """Least and largest number of the activations' quantizer and its epsilon; None when there is none."""
    item: Any = layer.setting("quantization_config", None)
    if item is None:
        return (-127.0, 127.0, EPSILON) if layer.quantization == "int8" else None
    quantizer = item.get("config", {}).get("activation_quantizer") if isinstance(item, dict) else None
    if quantizer is None:
        return None
    config = quantizer.get("config") if isinstance(quantizer, dict) else None
    if not isinstance(config, dict) or quantizer.get("class_name") != "AbsMaxQuantizer":
        raise layer.refuse("a quantizer of activations that is not AbsMaxQuantizer")
    low, high = config.get("value_range", (-127, 127))
    return float(low), float(high), float(config.get("epsilon", EPSILON))


def _spread(b: Builder, scale: Value, letters: Sequence[str], summed: tuple[int, ...], output: str) -> Value:
    """The scale of the inputs in the places of the output's axes; 1 along those of the kernel."""
    flat = b(Squeeze(axes=summed), scale)
    kept = [letter for letter in output if letter in letters]
    flat = b(Transpose(perm=tuple(list(letters).index(letter) for letter in kept)), flat)
    new = tuple(i for i, letter in enumerate(output) if letter not in letters)
    return b(Unsqueeze(axes=new), flat) if new else flat


def _biased(layer: KerasLayer, b: Builder, y: Value, tensors: dict[str, Tensor], *, bf16: bool) -> Value:
    if "bias" not in tensors:
        return y
    bias = tensors["bias"]
    if bf16 and layer.dtype == dtypes.F32:
        bias = bias.cast(dtypes.BF16).cast(dtypes.F32)
    return b(Add(), y, layer.weight("bias", bias))


def _require(layer: KerasLayer, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise layer.invalid(
            f"a weight has shape {list(tensor.shape)} in the file, and should have {list(shape)}"
        )


def _ignored(layer: KerasLayer) -> None:
    layer.ignore("lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size", "use_bias")
