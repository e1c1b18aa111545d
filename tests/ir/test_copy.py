"""Copies with numbers for extents: everything follows, inside the graphs of operators as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert.errors import InferenceError
from mmconvert.interpreter import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.check import check
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.dims import Dim, symbols
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import TensorType
from mmconvert.parsers.onnx import load
from mmconvert.passes.pipeline import optimize, subgraphs
from mmconvert.runtimes.onnxruntime import Session
from tests.emitters.onnx.files import execute, write
from tests.verification.graphs import graph_of

BODIES = {
    "If": """
        m (float[n,3] x, float[m,3] z, bool c) => (float[o,3] y) {
            s = Add(x, z)
            y = If(c) <then_branch = t () => (float[o,3] a) { a = Add(s, x) },
                       else_branch = e () => (float[o,3] b) { b = Neg(s) }>
        }""",
    "Loop": """
        m (float[n,3] x, float[m,3] z, bool c) => (float[o,3] y) {
            s = Add(x, z)
            k = Constant <value = int64 {3}> ()
            y = Loop(k, c, s) <body = l (int64 i, bool go, float[o,3] v) => (bool on, float[o,3] w) {
                on = Identity(go)
                shape = Shape(s)
                flat = Flatten(v)
                full = Reshape(flat, shape)
                w = Add(full, x)
            }>
        }""",
    "Scan": """
        m (float[n,3] x, float[m,3] z, bool c) => (float[o,3] y) {
            s = Add(x, z)
            start = ReduceMax <keepdims = 0> (s)
            last, y = Scan <num_scan_inputs = 1, body = l (float v, float[3] r) => (float u, float[3] made) {
                u = Identity(v)
                made = Mul(r, v)
            }> (start, s)
        }""",
}


@pytest.mark.parametrize("fixed", [{"n": 4}, {"m": 4}, {"n": 4, "m": 4}, {"n": 4, "m": 1}], ids=str)
@pytest.mark.parametrize("kind", BODIES)
def test_graphs_inside_operators_follow(kind: str, fixed: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{BODIES[kind]}')
    path.write_bytes(proto.SerializeToString())
    graph = load(path).graph
    copy = copy_graph(graph, fixed)
    for part in (copy, *subgraphs(copy)):
        check(part)
        assert not symbols(*(e for v in part.values() for e in v.type.shape)) & fixed.keys()
    optimize(copy)
    rng = np.random.default_rng(0)
    feed = {
        "x": rng.standard_normal((4, 3)).astype(np.float32),
        "z": rng.standard_normal((fixed.get("m", 4), 3)).astype(np.float32),
        "c": np.array(True),
    }
    wanted = Session(path).run(feed)["y"]
    np.testing.assert_allclose(run(copy, feed)["y"], wanted, rtol=1e-6)
    (tmp_path / "again").mkdir()
    again = write(copy_graph(graph, fixed), tmp_path / "again")
    np.testing.assert_allclose(execute(again, feed)["y"], wanted, rtol=1e-6)


def test_what_is_known_of_a_captured_shape_stays_known() -> None:
    n, outer, inner = Dim.symbol("n"), Graph("outer"), Graph("inner")
    x = outer.input("x", TensorType(np.dtype(np.float32), (n, 3)))
    shape = Builder(outer)(ops.Shape(), x)
    taken = inner.input("shape", shape.type, content=shape.content)
    inner.set_outputs([Builder(inner)(ops.Neg(), taken)], ["y"])
    flag = outer.input("flag", TensorType(np.dtype(bool), ()))
    outer.set_outputs([Builder(outer)(ops.If(then_branch=inner, else_branch=inner), flag, shape)], ["y"])
    (node,) = (n for n in copy_graph(outer, {"n": 5}) if isinstance(n.op, ops.If))
    assert node.op.then_branch.inputs[0].extents == (5, 3)
    assert taken.extents == (n, 3)


def test_extents_that_do_not_fit() -> None:
    graph = graph_of(
        """
        graph "g"(x: f32[n,3]) -> (y: f32[3*n//4,4])
          %1 = Reshape(x) {shape=(3*n//4,4)}
          return %1
        """
    )
    assert str(copy_graph(graph, {"n": 8}).outputs[0].type) == "f32[6,4]"
    with pytest.raises(InferenceError, match="Reshape"):
        copy_graph(graph, {"n": 3})
