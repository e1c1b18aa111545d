"""What ONNX itself says: its element types, its opsets, and which types its operators take."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from onnx import IR_VERSION, NodeProto, OperatorSetIdProto, TensorProto, defs, helper

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import UnsupportedError, UsageError

OLDEST = 13
"""The first opset that is written: since then the axes of Squeeze and ReduceSum are operands."""
NEWEST: int = defs.onnx_opset_version()
"""The newest opset that the installed onnx package knows."""

_FULL_NAMES = {
    "f16": "float16",
    "f32": "float",
    "f64": "double",
    "bf16": "bfloat16",
    "f8e4m3fn": "float8e4m3fn",
    "f8e4m3fnuz": "float8e4m3fnuz",
    "f8e5m2": "float8e5m2",
    "f8e5m2fnuz": "float8e5m2fnuz",
    "f8e8m0": "float8e8m0",
    "f4e2m1": "float4e2m1",
    "bool": "bool",
    "c64": "complex64",
    "c128": "complex128",
    **{f"i{bits}": f"int{bits}" for bits in (2, 4, 8, 16, 32, 64)},
    **{f"u{bits}": f"uint{bits}" for bits in (2, 4, 8, 16, 32, 64)},
}


def element_type(dtype: DType) -> int:
    """The code of an element type in the file.

    Raises:
        UnsupportedError: the installed onnx package is older than the type.
    """
    full = _FULL_NAMES[dtypes.name(dtype)].upper()
    if full not in TensorProto.DataType.keys():  # noqa: SIM118  (an enum wrapper of protobuf, not a dict)
        raise UnsupportedError(
            f"the element type {dtypes.name(dtype)} is unknown to this onnx package",
            hint="update it: pip install --upgrade onnx",
        )
    return int(TensorProto.DataType.Value(full))


def type_name(dtype: DType) -> str:
    """An element type as the operators' signatures write it: ``tensor(float)``."""
    return f"tensor({_FULL_NAMES[dtypes.name(dtype)]})"


def check_opset(opset: int) -> None:
    """Refuses an opset that cannot be written.

    Raises:
        UsageError: it is too old, or newer than the installed onnx package.
    """
    if not OLDEST <= opset <= NEWEST:
        raise UsageError(
            f"ONNX opset {opset} cannot be written",
            hint=f"choose one from {OLDEST} to {NEWEST} (the newest that the installed onnx package knows)",
        )


def ir_version(opset: int) -> int:
    """The oldest file format version that may carry ``opset``: what most readers accept."""
    return helper.find_min_ir_version_for([OperatorSetIdProto(version=opset)])


def check_ir_version(version: int, opset: int) -> int:
    """``version``, when a file of that format may carry ``opset``.

    Raises:
        UsageError: it is too old for the opset, or unknown to the installed onnx package.
    """
    oldest, newest = ir_version(opset), int(IR_VERSION)
    if not oldest <= version <= newest:
        raise UsageError(
            f"ONNX IR version {version} cannot carry opset {opset}",
            hint=f"choose one from {oldest} to {newest}",
        )
    return version


def complaint(node: NodeProto, types: Mapping[str, str], opset: int) -> str | None:
    """Why ``node`` is not an operator of ``opset``, or None when it is.

    Args:
        node: what a rule wrote.
        types: the types of the values that are known, as ``type_name`` spells them.
        opset: the operator set.
    """
    signature = _signature(node.op_type, opset)
    if signature is None:
        return f"ONNX has no {node.op_type} at opset {opset}"
    for names, parameters in zip((node.input, node.output), signature, strict=True):
        for index, name in enumerate(names):
            found = types.get(name)
            if found is not None and found not in parameters[min(index, len(parameters) - 1)]:
                return f"ONNX {node.op_type} does not take {found} at opset {opset}"
    return None


@cache
def _signature(kind: str, opset: int) -> tuple[list[set[str]], list[set[str]]] | None:
    """The types that each operand and each result of an operator may have; the last one may be variadic."""
    if not defs.has(kind, opset, ""):
        return None
    schema = defs.get_schema(kind, opset, "")
    if schema.deprecated:
        return None
    return [set(p.types) for p in schema.inputs], [set(p.types) for p in schema.outputs]
