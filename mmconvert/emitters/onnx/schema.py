"""What ONNX itself says: its element types, its opsets, and which types its operators take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from onnx import IR_VERSION, NodeProto, OperatorSetIdProto, TensorProto, defs, helper

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import UnsupportedError, UsageError

OLDEST = 9
"""The first opset that is written: before, a constant had to be an input as well, and Where did not exist."""
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


_BY_TYPE = {type_name(dtype): dtype for dtype in dtypes.BY_NAME.values()}


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


def complaint(node: NodeProto, types: Mapping[str, DType], opset: int) -> str | None:
    """Why ``node`` is not an operator of ``opset``, or None when it is.

    Args:
        node: what a rule wrote.
        types: the types of the values that are known.
        opset: the operator set.
    """
    found = signature(node.op_type, opset)
    if found is None:
        return f"ONNX has no {node.op_type} {_since(node.op_type, opset)}"
    for names, parameters in zip((node.input, node.output), found, strict=True):
        for index, name in enumerate(names):
            dtype = types.get(name)
            if dtype is not None and not parameters[min(index, len(parameters) - 1)].takes(dtype):
                return f"ONNX {node.op_type} does not take {type_name(dtype)} at opset {opset}"
    return None


@dataclass(frozen=True)
class Parameter:
    """An operand or a result of an operator.

    Attributes:
        types: the types that it may have, as ``type_name`` spells them.
        variable: what the signature calls its type; parameters of one variable have the same type.
    """

    types: frozenset[str]
    variable: str

    def takes(self, dtype: DType) -> bool:
        """Whether it may have this type."""
        return type_name(dtype) in self.types


@cache
def signature(kind: str, opset: int) -> tuple[list[Parameter], list[Parameter]] | None:
    """The operands and the results of an operator, None when the opset lacks it; the last may be variadic."""
    found = _schema(kind, opset)
    if found is None:
        return None
    operands, results = (
        [Parameter(frozenset(p.types), p.type_str) for p in side] for side in (found.inputs, found.outputs)
    )
    return operands, results


@cache
def attributes(kind: str, opset: int) -> dict[str, str] | None:
    """The attributes of an operator with their types (``INTS``); None when the opset lacks the operator."""
    found = _schema(kind, opset)
    if found is None:
        return None
    return {name: str(a.type).rpartition(".")[2] for name, a in found.attributes.items()}


def results(node: NodeProto, types: Mapping[str, DType], opset: int) -> list[DType | None]:
    """The types of what ``node`` makes, None for one that does not follow from the types that are known."""
    found = signature(node.op_type, opset)
    if found is None:
        return [None] * len(node.output)
    if node.op_type == "Cast":
        to = next(a.i for a in node.attribute if a.name == "to")
        return [_BY_TYPE[f"tensor({TensorProto.DataType.Name(to).lower()})"]]
    operands, made = found
    bound = {
        operands[min(i, len(operands) - 1)].variable: types[name]
        for i, name in enumerate(node.input)
        if name in types
    }
    parameters = [made[min(i, len(made) - 1)] for i in range(len(node.output))]
    return [bound.get(p.variable, _BY_TYPE.get(p.variable)) for p in parameters]


def _schema(kind: str, opset: int) -> defs.OpSchema | None:
    found = defs.get_schema(kind, opset, "") if defs.has(kind, opset, "") else None
    return None if found is None or found.deprecated else found


def _since(kind: str, opset: int) -> str:
    """The opsets that lack an operator: all before its first, or just this one."""
    first = next((o for o in range(opset, NEWEST + 1) if signature(kind, o)), None)
    return f"at opset {opset}" if first is None else f"before opset {first}"
