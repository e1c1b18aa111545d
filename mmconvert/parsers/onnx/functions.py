"""Functions: bodies in operators, of the file's own functions and of those that ONNX itself defines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from mmconvert.ir.types import TensorType
from mmconvert.onnxlib import AttributeProto, FunctionProto, NodeProto, TypeProto
from mmconvert.parsers.onnx import tensors
from mmconvert.parsers.onnx.source import Source


def domain_of(name: str) -> str:
    """The domain of an operator, with one spelling for that of ONNX itself."""
    return "" if name == "ai.onnx" else name


def key_of(domain: str, kind: str) -> str:
    """What rules are kept under: the operator's name, with its domain when that is not ONNX's own."""
    return f"{domain}.{kind}" if domain else kind


def is_defined(domain: str, node: NodeProto, version: int) -> bool:
    """True when ONNX defines the operator by a body of other operators."""
    schema = _schema(domain, node.op_type, version)
    return schema is not None and bool(schema.has_function or schema.has_context_dependent_function)


def definition(domain: str, node: NodeProto, source: Source) -> FunctionProto | None:
    """The body that ONNX defines for an operator, or None when there is none for these operands."""
    schema = _schema(domain, node.op_type, source.version)
    if schema is None:
        return None
    function = _body(schema, node, source)
    if function is not None:
        defaults = (attribute.default_value for attribute in schema.attributes.values())
        function.attribute_proto.extend(default for default in defaults if default.type)
    return function


def _body(schema: Any, node: NodeProto, source: Source) -> FunctionProto | None:
    if schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= source.version]
        if versions:
            return _parsed(schema.get_function_with_opset_version(max(versions)), source)
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= source.version]
        if versions:
            return _parsed(_built(schema, max(versions), node, source), source)
    return None


def _built(schema: Any, version: int, node: NodeProto, source: Source) -> bytes:
    types = []
    for index in range(len(source.inputs)):
        operand = source.optional(index)
        types.append(b"" if operand is None else _type(operand.type).SerializeToString())
    try:
        data: bytes = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), types
        )
    except RuntimeError as error:
        raise source.unsupported(f"ONNX defines no body for it: {error}") from error
    return data


def _parsed(data: bytes, source: Source) -> FunctionProto | None:
    try:
        return FunctionProto.FromString(data) if data else None
    except DecodeError as error:
        raise source.unsupported("ONNX defines no body for it") from error


def _type(type: TensorType) -> TypeProto:
    from onnx import helper

    shape = [e if isinstance(e, int) else str(e) for e in type.shape]
    return helper.make_tensor_type_proto(tensors.number_of(type.dtype), shape)


def _schema(domain: str, kind: str, version: int) -> Any:  # the stubs of OpSchema leave functions out
    from onnx import defs  # the schemas take longer to import than a small model to convert

    known = min(version, defs.onnx_opset_version()) if not domain else version
    return defs.get_schema(kind, known, domain) if defs.has(kind, known, domain) else None


def call(function: FunctionProto, node: NodeProto, source: Source) -> list[NodeProto]:
    """The nodes of ``function`` for one call of it: attributes filled in, operands that are absent left out.

    Args:
        function: what is called.
        node: the call.
        source: the call's typed view; it is told that all attributes were read.
    """
    if len(node.input) > len(function.input) or len(node.output) > len(function.output):
        raise source.invalid("the call does not fit the function")
    given = {attribute.name: attribute for attribute in node.attribute}
    for default in function.attribute_proto:
        given.setdefault(default.name, default)
    absent = {name for i, name in enumerate(function.input) if not source.has(i)}
    source.ignore(*given)
    return [_filled(inner, given, absent) for inner in function.node]


def _filled(node: NodeProto, given: Mapping[str, AttributeProto], absent: set[str]) -> NodeProto:
    filled = NodeProto()
    filled.CopyFrom(node)
    filled.input[:] = ["" if name in absent else name for name in node.input]
    del filled.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            filled.attribute.append(attribute)
        elif attribute.ref_attr_name in given:
            filled.attribute.append(given[attribute.ref_attr_name])
            filled.attribute[-1].name = attribute.name
    for attribute in filled.attribute:
        if attribute.type == AttributeProto.GRAPH:
            _replace(attribute.g.node, given, absent)
    return filled


def _replace(nodes: Iterable[NodeProto], given: Mapping[str, AttributeProto], absent: set[str]) -> None:
    for node in nodes:
        node.CopyFrom(_filled(node, given, absent))
