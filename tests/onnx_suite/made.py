"""Models of one node in forms that ONNX's backend suite has no case for; the numbers come from NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mmconvert.ir.types import Array
from tests.onnx_suite.suite import SuiteCase

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (2, 3, 4, 6)).astype(np.float32)
P = RNG.uniform(0.5, 2, (2, 3, 4)).astype(np.float32)
LADDER = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
C = np.array([0.5, -1.0, 2.0], np.float32)
BOXES = np.array([[0, 0, 0, 7, 7], [0, 0, 4, 3, 7]], np.float32)

REDUCTIONS = {
    "ReduceL1": lambda v, **k: np.abs(v).sum(**k),
    "ReduceL2": lambda v, **k: np.sqrt((v * v).sum(**k)),
    "ReduceLogSum": lambda v, **k: np.log(v.sum(**k)),
    "ReduceLogSumExp": lambda v, **k: np.log(np.exp(v).sum(**k)),
    "ReduceSumSquare": lambda v, **k: (v * v).sum(**k),
}


def _case(
    kind: str, opset: int, inputs: list[Any], outputs: list[Any], fixed: int = 0, **attributes: Any
) -> SuiteCase:
    """A case; the last ``fixed`` of its inputs are initializers."""
    arrays = [np.asarray(v) for v in inputs]
    names = [f"x{i}" for i in range(len(arrays))]
    kept = len(arrays) - fixed
    weights = [numpy_helper.from_array(a, n) for a, n in zip(arrays[kept:], names[kept:], strict=True)]
    given = [_info(n, a) for n, a in zip(names[:kept], arrays[:kept], strict=True)]
    wanted = [np.asarray(v) for v in outputs]
    made = [_info(f"y{i}", a) for i, a in enumerate(wanted)]
    node = helper.make_node(kind, names, [v.name for v in made], name=kind, **attributes)
    model = helper.make_model(
        helper.make_graph([node], "made", given, made, weights),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=8,
    )
    return SuiteCase(f"made_{kind}_{opset}", "made", model, 1e-4, 1e-6, [(arrays[:kept], wanted)])


def _info(name: str, array: Array) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _norm(x: Array) -> Array:
    s, b, m, v = (k.reshape(3, 1, 1) for k in (C, C + 1, C * 2, C * C))
    return (x - m) / np.sqrt(v + np.float32(1e-5)) * s + b


def cases() -> Iterator[SuiteCase]:
    """All of them."""
    yield _case("BatchNormalization", 1, [X, C, C + 1, C * 2, C * C], [_norm(X)], 4, is_test=1)
    yield _case("Cast", 1, [X], [X.astype(np.int32)], to="INT32")
    deep = np.concatenate([X, X + 1, X + 2, X + 3], 1)
    wide = deep.reshape(2, 2, 2, 3, 4, 6).transpose(0, 3, 4, 1, 5, 2).reshape(2, 3, 8, 12)
    yield _case("DepthToSpace", 1, [deep], [wide], blocksize=2)
    cubes = (np.abs(X) ** 3).sum((2, 3), keepdims=True) ** np.float32(1 / 3)
    for opset, p in ((1, 3.0), (2, 3), (22, 3)):
        yield _case("GlobalLpPool", opset, [X], [cubes], p=p)
    yield _case("LpPool", 1, [X], [cubes], p=3.0, kernel_shape=[4, 6])
    for opset in (1, 22):
        largest = [[LADDER[0, 0, 3::4, 3::4]], [LADDER[0, 0, 5:8:2, 1:4:2]]]
        yield _case("MaxRoiPool", opset, [LADDER, BOXES], [np.array(largest)], pooled_shape=[2, 2])
    for opset in (15, 28):
        yield _optional(opset)
    pads = ((0, 0), (0, 0), (1, 0), (2, 1))
    yield _case("Pad", 1, [X], [np.pad(X, pads, "edge")], mode="edge", paddings=[0, 0, 1, 2, 0, 0, 0, 1])
    for (kind, function), opset in itertools.product(REDUCTIONS.items(), (1, 11, 13)):
        yield _case(kind, opset, [P], [function(P, axis=(0, 2))], axes=[0, 2], keepdims=0)
    yield _case("Reshape", 1, [X], [X.reshape(2, -1)], shape=[0, -1])
    scales, none = np.array([1, 1, 2, 3], np.float32), np.zeros(0, np.float32)
    wide = X.repeat(2, 2).repeat(3, 3)
    yield _case("Resize", 10, [X, scales], [wide], 1)
    asymmetric = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    yield _case("Resize", 11, [X, none, scales], [wide], 2, **asymmetric)
    whole = np.array([[[[18, 22], [50, 54]]]], np.float32)
    regions = np.array([[0, 0, 8, 8]], np.float32)
    yield _case(
        "RoiAlign",
        10,
        [LADDER, regions, np.array([0])],
        [whole],
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    flat = X[:1]
    yield _case("Squeeze", 11, [flat], [flat[0]], axes=[-4])
    yield _case("Unsqueeze", 11, [X], [X[:, None, ..., None]], axes=[-1, 1])
    yield _case("Tile", 1, [X, np.array(3), np.array(1)], [np.tile(X, (1, 3, 1, 1))], 2)
    order = np.argsort(-X, axis=1)[:, :2]
    yield _case("TopK", 1, [X], [np.take_along_axis(X, order, 1), order], axis=1, k=2)
    yield _case("Upsample", 1, [X], [wide], height_scale=2.0, width_scale=3.0)
    yield _case("Upsample", 7, [X], [wide], scales=[1.0, 1.0, 2.0, 3.0])


def _optional(opset: int) -> SuiteCase:
    """An optional that is made and asked for what it holds."""
    nodes = [
        helper.make_node("Optional", ["x0"], ["o"], name="Optional"),
        helper.make_node("OptionalGetElement", ["o"], ["y0"]),
        helper.make_node("OptionalHasElement", ["o"], ["y1"]),
    ]
    yes = np.array(True)
    graph = helper.make_graph(nodes, "made", [_info("x0", P)], [_info("y0", P), _info("y1", yes)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return SuiteCase(f"made_Optional_{opset}", "made", model, 0, 0, [([P], [P, yes])])
