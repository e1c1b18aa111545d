"""Changes to written files: ONNX through its protobuf, TFLite through its flatbuffer, NCNN through its text,
and any of them by searching for the bytes of a weight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from mmconvert.ir.types import Array

Edit = Callable[[Path], None]


def onnx_attribute(kind: str, name: str, value: object) -> Edit:
    """Another attribute of the nodes of a kind."""

    def edit(path: Path) -> None:
        model = onnx.load(path)
        nodes = [node for node in model.graph.node if node.op_type == kind]
        assert nodes
        for node in nodes:
            for attribute in [a for a in node.attribute if a.name == name]:
                node.attribute.remove(attribute)
            node.attribute.append(onnx.helper.make_attribute(name, value))
        onnx.save(model, path)

    return edit


def onnx_weight(kind: str, index: int, function: Callable[[Array], Array], which: int = 0) -> Edit:
    """Another weight of a node of a kind."""

    def edit(path: Path) -> None:
        model = onnx.load(path)
        node = [n for n in model.graph.node if n.op_type == kind][which]
        (weight,) = (w for w in model.graph.initializer if w.name == node.input[index])
        old = onnx.numpy_helper.to_array(weight)
        new = np.ascontiguousarray(function(old).astype(old.dtype))
        weight.CopyFrom(onnx.numpy_helper.from_array(new, weight.name))
        onnx.save(model, path)

    return edit


def onnx_operator(kind: str, other: str) -> Edit:
    """Another operator."""

    def edit(path: Path) -> None:
        model = onnx.load(path)
        nodes = [n for n in model.graph.node if n.op_type == kind]
        assert nodes
        for node in nodes:
            node.op_type = other
            del node.attribute[:]
        onnx.save(model, path)

    return edit


def tflite_weight(operator: str, index: int, function: Callable[[Array], Array]) -> Edit:
    """Other bytes of the weight of the first operator of a kind."""

    def edit(path: Path) -> None:
        import tflite

        data = bytearray(path.read_bytes())
        model = tflite.Model.GetRootAs(data)
        graph = model.Subgraphs(0)
        code = getattr(tflite.BuiltinOperator, operator)
        for i in range(graph.OperatorsLength()):
            op = graph.Operators(i)
            if model.OperatorCodes(op.OpcodeIndex()).BuiltinCode() == code:
                break
        tensor = graph.Tensors(op.Inputs(index))
        dtype = {0: np.float32, 9: np.int8, 2: np.int32}[tensor.Type()]
        old = model.Buffers(tensor.Buffer()).DataAsNumpy().view(dtype).reshape(tensor.ShapeAsNumpy())
        new = np.ascontiguousarray(function(old.copy()).astype(dtype)).tobytes()
        _overwrite(path, data, old.tobytes(), new)

    return edit


def ncnn_parameter(kind: str, old: str, new: str) -> Edit:
    """Another parameter in the lines of the layers of a kind."""

    def edit(path: Path) -> None:
        lines = path.read_text().splitlines()
        found = [i for i, line in enumerate(lines) if line.split()[:1] == [kind] and f" {old}" in line]
        assert found, path.read_text()
        for i in found:
            lines[i] = lines[i].replace(f" {old}", f" {new}")
        path.write_text("\n".join(lines) + "\n")

    return edit


def weight_bytes(old: Array, function: Callable[[Array], Array], suffix: str = "") -> Edit:
    """Other bytes where a known weight stands."""

    def edit(path: Path) -> None:
        target = path.with_suffix(suffix) if suffix else path
        new = np.ascontiguousarray(function(old.copy()).astype(old.dtype)).tobytes()
        _overwrite(target, bytearray(target.read_bytes()), np.ascontiguousarray(old).tobytes(), new)

    return edit


def _overwrite(path: Path, data: bytearray, old: bytes, new: bytes) -> None:
    start = data.find(old)
    assert start >= 0, "the weight is not in the file"
    data[start : start + len(old)] = new
    path.write_bytes(data)
