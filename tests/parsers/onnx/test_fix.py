"""Inputs that become constants when a model is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mmconvert.errors import UsageError
from mmconvert.interpreter import run
from mmconvert.parsers.onnx import load

TEXT = """
    m (float[2,3] x, int32 k, bool flag, float s, int64[n] axes) => (float[2,3] y, float[o] z) {
        i = Cast <to = 1> (k)
        b = Cast <to = 1> (flag)
        a = Mul(x, i)
        c = Add(a, b)
        y = Mul(c, s)
        z = ReduceSum <keepdims = 0> (x, axes)
    }"""
X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{TEXT}')
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    return tmp_path / "m.onnx"


@pytest.mark.parametrize(
    "fix",
    [
        {"k": 3, "flag": True, "s": 0.5, "axes": [1]},
        {"k": np.int32(3), "flag": np.array(True), "s": np.float32(0.5), "axes": np.array([1])},
    ],
)
def test_values(fix: dict[str, Any], path: Path) -> None:
    graph = load(path, fix=fix).graph
    assert [v.name for v in graph.inputs] == ["x"]
    found = run(graph, {"x": X})
    np.testing.assert_array_equal(found["y"], (X * 3 + 1) / 2)
    np.testing.assert_array_equal(found["z"], X.sum(axis=1))


@pytest.mark.parametrize(
    ("fix", "message"),
    [
        ({"q": 1}, r"no input called q\n.*it has x, k, flag, s, axes"),
        ({"k": 1.5}, r"'k' is i32\[\], not float64 \[\]"),
        ({"k": 1 << 40}, r"'k' is i32\[\], not int64 \[\]"),
        ({"k": True}, r"'k' is i32\[\], not bool \[\]"),
        ({"k": np.int64(3)}, r"'k' is i32\[\], not int64 \[\]"),
        ({"k": [3]}, r"'k' is i32\[\], not int32 \[1\]"),
        ({"flag": 1}, r"'flag' is bool\[\], not int64 \[\]"),
        ({"k": "three"}, r"'k' is i32\[\], not <U5 \[\]"),
        ({"axes": [[1], [1, 2]]}, r"'axes' is i64\[n\], not object \[\]"),
    ],
)
def test_values_that_do_not_fit(fix: dict[str, Any], message: str, path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        load(path, fix={"flag": True, "s": 1.0, "k": 1, "axes": [1]} | fix)
