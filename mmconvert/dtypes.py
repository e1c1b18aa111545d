"""Element types: numpy dtypes, with the narrow ones of ``ml_dtypes``, and their short names."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

DType = np.dtype[Any]

BY_NAME: dict[str, DType] = {
    "f16": np.dtype(np.float16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f8e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "f8e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "f8e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "f8e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "f8e8m0": np.dtype(ml_dtypes.float8_e8m0fnu),
    "f4e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
    "i2": np.dtype(ml_dtypes.int2),
    "u2": np.dtype(ml_dtypes.uint2),
    "i4": np.dtype(ml_dtypes.int4),
    "u4": np.dtype(ml_dtypes.uint4),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8),
    "u16": np.dtype(np.uint16),
    "u32": np.dtype(np.uint32),
    "u64": np.dtype(np.uint64),
    "bool": np.dtype(np.bool_),
    "c64": np.dtype(np.complex64),
    "c128": np.dtype(np.complex128),
}
_NAMES = {dtype: name for name, dtype in BY_NAME.items()}

F16, F32, F64, BF16 = (BY_NAME[n] for n in ("f16", "f32", "f64", "bf16"))
I8, I16, I32, I64 = (BY_NAME[n] for n in ("i8", "i16", "i32", "i64"))
U8, U16, U32, U64 = (BY_NAME[n] for n in ("u8", "u16", "u32", "u64"))
BOOL = BY_NAME["bool"]

_FLOATS = frozenset(d for n, d in BY_NAME.items() if n.startswith(("f", "bf")))
_INTEGERS = frozenset(d for n, d in BY_NAME.items() if n.startswith(("i", "u")))


def name(dtype: DType) -> str:
    """``np.dtype("float32")`` -> ``"f32"``."""
    return _NAMES[dtype]


def is_float(dtype: DType) -> bool:
    """True for every floating type, the narrow ones included."""
    return dtype in _FLOATS


def is_integer(dtype: DType) -> bool:
    """True for every signed or unsigned integer type; not for bool."""
    return dtype in _INTEGERS


def is_numeric(dtype: DType) -> bool:
    """True for floats, integers and complex numbers."""
    return dtype in _NAMES and dtype != BOOL


def known(dtype: DType) -> bool:
    """True when the IR has this element type at all (strings and objects are not in it)."""
    return dtype in _NAMES
