from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import Pad, Slice
from mmconvert.ir.types import TensorType
from tests.cases.case import Case
from tests.cases.pad import CASES
from tests.ir.ops.onnx_oracle import fields, operands, run_node

N = Dim.symbol("n")


def run_pad(op: Pad, x: Any) -> Any:
    pads = np.array(op.pads, dtype=np.int64)
    value = np.array(op.value).astype(x.dtype)
    return run_node("Pad", [x, pads.T.reshape(-1), value], attributes={"mode": op.mode})[0]


@pytest.mark.parametrize("case", [c for c in CASES if fields(c).mode != "symmetric"], ids=str)
def test_pad_is_onnx_runtimes(case: Case) -> None:
    (x,) = operands(case)
    np.testing.assert_array_equal(case.op.evaluate(x), run_pad(fields(case), x))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("constant", "vvabcdv"),
        ("edge", "aaabcdd"),
        ("reflect", "cbabcdc"),
        ("symmetric", "baabcdd"),
        ("wrap", "cdabcda"),
    ],
)
def test_modes_by_hand(mode: Any, expected: str) -> None:
    x = np.array([ord(c) for c in "abcd"])
    y = Pad(pads=((2, 1),), mode=mode, value=ord("v")).evaluate(x)
    assert "".join(map(chr, y)) == expected


@pytest.mark.parametrize(
    ("mode", "before"), [("reflect", "cb"), ("symmetric", "ba"), ("wrap", "bc"), ("edge", "aa")]
)
def test_cropping_comes_first(mode: Any, before: str) -> None:
    x = np.array([ord(c) for c in "abcd"])
    y = Pad(pads=((2, -1),), mode=mode).evaluate(x)
    assert "".join(map(chr, y)) == before + "abc"


def test_extents_may_be_symbols() -> None:
    x = TensorType(dtypes.F32, (N, 4))
    assert str(Pad(pads=((1, N), (-1, 0))).infer(x)) == "f32[2*n+1,3]"
    assert Pad(pads=((0, N),)).bind({"n": 2}).evaluate(np.ones(1)).tolist() == [1, 0, 0]


def test_decomposition_over_symbols() -> None:
    graph = Graph()
    x = graph.input("x", TensorType(dtypes.F32, (N, 4)))
    y = Pad(pads=((2, 1), (-1, 0)), mode="reflect").decompose(Builder(graph), x)
    assert y is not None
    assert str(y.type) == "f32[n+3,3]"
    starts = [node.op.starts for node in graph if isinstance(node.op, Slice)]
    assert [", ".join(map(str, s)) for s in starts] == ["1", "2", "n-2"]


@pytest.mark.parametrize(("mode", "pad"), [("reflect", 4), ("symmetric", 5), ("wrap", 5)])
def test_what_would_run_over_the_elements_twice_does_not_decompose(mode: Any, pad: int) -> None:
    graph = Graph()
    x = graph.input("x", TensorType(dtypes.F32, (4,)))
    assert Pad(pads=((pad, 0),), mode=mode).decompose(Builder(graph), x) is None


def test_what_does_not_fit_is_refused() -> None:
    x = TensorType(dtypes.F32, (2, 3))
    with pytest.raises(InferenceError, match="one axis for each pair of pads"):
        Pad(pads=((0, 0),)).infer(x)
    with pytest.raises(InferenceError, match="more than is taken away"):
        Pad(pads=((-1, -2), (0, 0))).infer(x)
    with pytest.raises(InferenceError, match="more than is taken away"):
        Pad(pads=((-3, 4), (0, 0))).infer(x)
    with pytest.raises(InferenceError, match=r"more than is taken away .* \(edge\)"):
        Pad(pads=((-2, 1), (0, 0)), mode="edge").infer(x)
