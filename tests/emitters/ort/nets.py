"""Small models for the tests of ORT files."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from mmconvert.tensors import Array


def convolutions() -> Module:
    """Two convolutions of 32 channels, which ONNX Runtime gives its blocked layout on x86."""
    rng = np.random.default_rng(0)
    graph = Graph("net")
    b = Builder(graph)
    y = graph.input("x", TensorType(dtypes.F32, (1, 32, 6, 6)))
    padding = Explicit(((1, 1), (1, 1)))
    for _ in range(2):
        weight = rng.standard_normal((32, 32, 3, 3)).astype(np.float32)
        op = ops.Conv(strides=(1, 1), dilations=(1, 1), padding=padding, layout=Layout.NCHW)
        y = b(ops.Relu(), b(op, y, weight))
    graph.set_outputs([y], ["y"])
    return Module(graph)


def branches() -> Module:
    """A choice between two graphs of operators that occur nowhere else in it."""

    def body(op: type[ops.Exp] | type[ops.Neg]) -> Graph:
        graph = Graph(op.__name__)
        graph.set_outputs([Builder(graph)(op(), graph.input("v", TensorType(dtypes.F32, (3,))))], ["w"])
        return graph

    graph = Graph("net")
    flag = graph.input("flag", TensorType(dtypes.BOOL, ()))
    x = graph.input("x", TensorType(dtypes.F32, (3,)))
    op = ops.If(then_branch=body(ops.Exp), else_branch=body(ops.Neg))
    graph.set_outputs([Builder(graph)(op, flag, x)], ["y"])
    return Module(graph)


def picture() -> dict[str, Array]:
    """An input of ``convolutions``."""
    return {"x": np.random.default_rng(1).standard_normal((1, 32, 6, 6)).astype(np.float32)}
