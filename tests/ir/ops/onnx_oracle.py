"""ONNX Runtime as an oracle: one node, built from the ONNX specification alone, run without optimisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from mmconvert.ir.geometry import Explicit, Padding
from mmconvert.ir.types import Array
from tests.cases.case import Case
from tests.ir.ops import rows


def operands(case: Case) -> list[Array]:
    """The values of the operands that the case has, in order, read-only."""
    return [array for array in rows.operands(case) if array is not None]


def fields(case: Case) -> Any:
    """The case's operator, for reading the fields of its own class."""
    return case.op


def run_node(
    kind: str,
    inputs: Sequence[Array | None],
    *,
    attributes: Mapping[str, Any] | None = None,
    opset: int = 21,
    outputs: int = 1,
) -> list[Array]:
    """The outputs of one ONNX node; an operand that is None is left out."""
    onnxruntime = pytest.importorskip("onnxruntime")
    names = ["" if array is None else f"x{index}" for index, array in enumerate(inputs)]
    feeds = {name: array for name, array in zip(names, inputs, strict=True) if array is not None}
    results = [f"y{index}" for index in range(outputs)]
    node = onnx.helper.make_node(kind, names, results, **(attributes or {}))
    declared = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    untyped = [onnx.ValueInfoProto(name=name) for name in results]
    graph = onnx.helper.make_graph([node], "one", declared, untyped)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def same_pads(
    extents: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    *,
    extra_after: bool,
) -> tuple[tuple[int, int], ...]:
    """TensorFlow's SAME, written down a second time."""
    pads = []
    for extent, k, stride, dilation in zip(extents, kernel, strides, dilations, strict=True):
        out = int(np.ceil(extent / stride))
        total = max(0, (out - 1) * stride + 1 + (k - 1) * dilation - extent)
        small, large = total // 2, total - total // 2
        pads.append((small, large) if extra_after else (large, small))
    return tuple(pads)


def pads_attribute(
    padding: Padding,
    extents: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """ONNX's ``pads``: all that come before, then all that come after."""
    if isinstance(padding, Explicit):
        pads = padding.pads
    else:
        pads = same_pads(extents, kernel, strides, dilations, extra_after=padding.extra_after)
    return [before for before, _ in pads] + [after for _, after in pads]
