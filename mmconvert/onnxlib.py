"""The messages of ONNX files, by themselves.

The package ``onnx`` imports its checker, its schemas and JSON along with them, which takes as long as reading
a small model. Its module of messages stands alone, and is loaded alone where the package was not; imported
later, the package finds it there.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from typing import TYPE_CHECKING, Any

from mmconvert.errors import InternalError

if TYPE_CHECKING:
    from onnx import (
        AttributeProto,
        FunctionProto,
        GraphProto,
        ModelProto,
        NodeProto,
        SparseTensorProto,
        TensorProto,
        TensorShapeProto,
        TypeProto,
        ValueInfoProto,
    )

__all__ = [
    "AttributeProto",
    "FunctionProto",
    "GraphProto",
    "ModelProto",
    "NodeProto",
    "SparseTensorProto",
    "TensorProto",
    "TensorShapeProto",
    "TypeProto",
    "ValueInfoProto",
]

_MODULE = "onnx.onnx_ml_pb2"


def _messages() -> Any:
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    package = importlib.util.find_spec("onnx")
    spec = importlib.machinery.PathFinder.find_spec(
        _MODULE, package.submodule_search_locations if package else []
    )
    if spec is None or spec.loader is None:
        raise InternalError("the package onnx, which mmconvert depends on, is not complete")
    module = sys.modules[_MODULE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_messages(), name)
