"""Which element types the kernels of LiteRT have, and which wider type can stand in for one they lack.

The table holds what the built-in kernels run, found by running each of them; delegates may know less and then
leave the operator to these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Value


@dataclass(frozen=True, slots=True)
class Kernel:
    """The element types of an operator's data, and which operands are data (None: all of them)."""

    types: tuple[DType, ...]
    data: tuple[int, ...] | None


_ALL = "f32 i32 i64 u8 i8 i16 u16 u32 bool f16 bf16 f64"
_MOST = "f32 i32 i64 u8 i8 i16 bool f16 bf16"

KERNELS = {
    name: Kernel(tuple(dtypes.BY_NAME[t] for t in types.split()), data)
    for names, types, data in (
        ("CONV_2D DEPTHWISE_CONV_2D CONV_3D FULLY_CONNECTED BATCH_MATMUL PRELU ATAN2", "f32", None),
        ("TRANSPOSE_CONV CONV_3D_TRANSPOSE", "f32", (2, 1, 3)),
        ("AVERAGE_POOL_2D L2_NORMALIZATION LOCAL_RESPONSE_NORMALIZATION LOG_SOFTMAX", "f32", (0,)),
        ("RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 LEAKY_RELU ELU HARD_SWISH GELU", "f32", (0,)),
        ("EXP LOG SQRT RSQRT SQUARE CEIL RESIZE_BILINEAR", "f32", (0,)),
        ("MAX_POOL_2D", "f32 u8 i8 i16", (0,)),
        ("SOFTMAX SIN COS", "f32 f16", (0,)),
        ("LOGISTIC TANH FLOOR ROUND", "f32 f16 bf16", (0,)),
        ("ABS", "f32 i32 i16", (0,)),
        ("NEG", "f32 i32 i64 i8 i16 f16 bf16", (0,)),
        ("SIGN", "f32 i32 f64", (0,)),
        ("ADD", "f32 i32 i64 i16 f16", None),
        ("SUB", "f32 i32 i64", None),
        ("MUL", "f32 i32 i64 i16 u32 f16", None),
        ("DIV POW SQUARED_DIFFERENCE", "f32 i32", None),
        ("FLOOR_DIV", "f32 i32 i8 i16", None),
        ("FLOOR_MOD", "f32 i32 i64 i8 i16", None),
        ("MAXIMUM MINIMUM", "f32 i32 i64 u8 i8 i16 f16 bf16", None),
        ("BITWISE_XOR RIGHT_SHIFT", "i32 u8 i8 i16 u16 u32", None),
        ("EQUAL", "f32 i32 i64 i16 bool f16", None),
        ("NOT_EQUAL", "f32 i32 i64 bool f16", None),
        ("LESS GREATER", "f32 i32 i64 i16 f16 bf16", None),
        ("LESS_EQUAL GREATER_EQUAL", "f32 i32 i64 i16 f16", None),
        ("LOGICAL_AND LOGICAL_OR LOGICAL_NOT REDUCE_ANY REDUCE_ALL", "bool", (0, 1)),
        ("SELECT_V2", _ALL, (1, 2)),
        ("MEAN SUM CUMSUM", "f32 i32 i64", (0,)),
        ("REDUCE_PROD REDUCE_MAX REDUCE_MIN TOPK_V2", "f32 i32 i64 u8 i8 i16", (0,)),
        ("ARG_MAX ARG_MIN", "f32 i32 u8 i8 bool", (0,)),
        (
            "RESHAPE EXPAND_DIMS SQUEEZE TRANSPOSE TILE BROADCAST_TO MIRROR_PAD SLICE STRIDED_SLICE",
            _ALL,
            (0,),
        ),
        ("SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND", _ALL, (0,)),
        ("CONCATENATION", f"{_MOST} u32", None),
        ("SPLIT", "f32 i32 i64 u8 i8 i16", (1,)),
        ("SPLIT_V", "f32 i32 i64 u8 i8 i16", (0,)),
        ("REVERSE_V2 GATHER GATHER_ND PAD", _MOST, (0,)),
        ("REVERSE_SEQUENCE", "f32 i32 i64 u8 i16", (0,)),
        ("PADV2", _MOST, (0, 2)),
        ("DYNAMIC_UPDATE_SLICE", "f32 i32 i64 i8 bool", (0, 1)),
        ("DEPTH_TO_SPACE SPACE_TO_DEPTH", "f32 i32 i64 u8 i8", (0,)),
        ("FILL", _ALL, (1,)),
        ("RANGE", "f32 i32 i64", None),
        ("SCATTER_ND", "f32 i32 i64 u8 i8 bool", (1,)),
        ("ONE_HOT", "f32 i32 i64 u8 i8 bool", (2, 3)),
        ("WHERE", "f32 i32 i64 u8 i8 u32 bool", (0,)),
        ("RESIZE_NEAREST_NEIGHBOR", "f32 i32 u8 i8 i16 u16 u32 bool f16 bf16", (0,)),
    )
    for name in names.split()
}

_WIDER = {
    "bool": "u8 i8 i32 f32",
    "u8": "i16 i32 i64 f32",
    "i8": "i16 i32 i64 f32",
    "u16": "i32 i64 f32",
    "i16": "i32 i64 f32",
    "u32": "i64",
    "i32": "i64",
    "f16": "f32",
    "bf16": "f32",
}
"""For each element type those that hold all of its values, the smallest first."""


def data_type(builtin: tfl.Builtin, inputs: Sequence[Value | None]) -> DType | None:
    """The element type that the kernel has to have, or None when it does not matter."""
    kernel = KERNELS.get(builtin.name)
    if kernel is None:
        return None
    first = inputs[kernel.data[0] if kernel.data else 0]
    return None if first is None else first.type.dtype


def is_data(builtin: tfl.Builtin, position: int) -> bool:
    """True when the operand at ``position`` is data, not a shape or an index."""
    kernel = KERNELS.get(builtin.name)
    return kernel is not None and (kernel.data is None or position in kernel.data)


def carrier(builtin: tfl.Builtin, dtype: DType) -> DType:
    """``dtype`` where the kernel has it, else the smallest type that it has and that holds all its values.

    Raises:
        UnsupportedError: there is none.
    """
    types = KERNELS[builtin.name].types
    if dtype in types:
        return dtype
    for name in _WIDER.get(dtypes.name(dtype), "").split():
        if dtypes.BY_NAME[name] in types:
            return dtypes.BY_NAME[name]
    raise UnsupportedError(f"TFLite's {builtin.name} has no {dtypes.name(dtype)}")
