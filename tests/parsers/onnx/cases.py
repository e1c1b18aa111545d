"""One-node models: how a test writes one down, and how it is held against a runtime."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mmconvert.ir.types import Array
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.evaluate import assert_close, evaluate

# ONNX Runtime reads the models of its time; the IR version says nothing about what an operator computes.
IR_VERSION = 10


@dataclass(frozen=True)
class Fixed:
    """An operand that is an initializer."""

    array: Array


def fixed(values: Any, dtype: Any = None) -> Fixed:
    """An initializer; lists of integers are int64, other numbers float32."""
    array = np.asarray(values)
    if dtype is None:
        dtype = np.int64 if array.dtype.kind == "i" and not isinstance(values, np.ndarray) else array.dtype
        dtype = np.float32 if dtype == np.float64 and not isinstance(values, np.ndarray) else dtype
    return Fixed(array.astype(dtype))


def x(*shape: int, low: float = -2.0, high: float = 2.0, dtype: Any = np.float32, seed: int = 0) -> Array:
    """Random numbers, the same for the same arguments."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, low, high, np.dtype(dtype).str, seed)).encode()))
    if np.dtype(dtype).kind in "iu":
        return rng.integers(int(low), int(high), shape, endpoint=True).astype(dtype)
    if np.dtype(dtype) == np.bool_:
        return rng.random(shape) < 0.5
    return rng.uniform(low, high, shape).astype(dtype)


@dataclass(frozen=True)
class Case:
    """One node: operator, operands (arrays are inputs, ``Fixed`` initializers, None left out), attributes."""

    kind: str
    operands: tuple[Array | Fixed | None, ...]
    opset: int
    outputs: int = 1
    oracle: str = "runtime"
    domain: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        shown = [f"{k}={v.decode() if isinstance(v, bytes) else v}" for k, v in self.attributes.items()]
        shapes = "x".join(
            "-" if o is None else str(list(np.shape(o.array if isinstance(o, Fixed) else o)))
            for o in self.operands
        )
        return f"{self.kind}-{self.opset}-{shapes}-{','.join(shown)}".replace(" ", "")

    def model(self) -> onnx.ModelProto:
        """The model, with inputs ``x0``, ``x1`` and outputs ``y0``, ``y1``."""
        names, inputs, initializers = [], [], []
        for index, operand in enumerate(self.operands):
            name = "" if operand is None else f"x{index}"
            names.append(name)
            if isinstance(operand, Fixed):
                initializers.append(numpy_helper.from_array(operand.array, name))
            elif operand is not None:
                kind = helper.np_dtype_to_tensor_dtype(np.asarray(operand).dtype)
                inputs.append(helper.make_tensor_value_info(name, kind, np.shape(operand)))
        outputs = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(self.kind, names, outputs, name="n", domain=self.domain, **self.attributes)
        graph = helper.make_graph(
            [node], "g", inputs, [onnx.ValueInfoProto(name=y) for y in outputs], initializers
        )
        opset = helper.make_opsetid(self.domain, self.opset)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        return onnx.shape_inference.infer_shapes(model) if self.oracle == "runtime" else model

    @property
    def feeds(self) -> dict[str, Array]:
        return {
            f"x{i}": np.asarray(a)
            for i, a in enumerate(self.operands)
            if a is not None and not isinstance(a, Fixed)
        }


def case(
    kind: str,
    *operands: Array | Fixed | None,
    opset: int | Sequence[int] = 17,
    outputs: int = 1,
    oracle: str = "runtime",
    **attributes: Any,
) -> list[Any]:
    """Parameters for ``pytest.mark.parametrize``: the case under each of the opsets."""
    opsets = [opset] if isinstance(opset, int) else opset
    made = [Case(kind, operands, o, outputs, oracle, attributes=attributes) for o in opsets]
    return [pytest.param(c, id=c.name) for c in made]


def run_oracle(model: onnx.ModelProto, feeds: dict[str, Array], oracle: str = "runtime") -> list[Array]:
    """The outputs of a model by ONNX Runtime, or by ONNX's reference where that has no kernel."""
    if oracle == "reference":
        from onnx.reference import ReferenceEvaluator

        return [np.asarray(y) for y in ReferenceEvaluator(model).run(None, feeds)]
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(y) for y in session.run(None, feeds)]


def check_case(c: Case, folder: Path, *, rtol: float = 2e-5) -> None:
    """Parsed and evaluated, the case gives what its oracle gives."""
    model = c.model()
    path = folder / "case.onnx"
    path.write_bytes(model.SerializeToString())
    graph = load(path).graph
    expected = run_oracle(model, c.feeds, c.oracle)
    actual = evaluate(graph, c.feeds)
    assert graph.output_names == [f"y{i}" for i in range(c.outputs)]
    for index, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert_close(a, e, rtol=rtol, what=f"output {index}")
