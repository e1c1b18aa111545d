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


KERNELS: dict[str, Kernel] = {}

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
