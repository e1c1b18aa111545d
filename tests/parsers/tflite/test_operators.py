"""Operators that neither our emitter nor TensorFlow's converter writes, by hand and run in LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter.session import run
from tests.parsers.tflite.files import Graph, Op, Tensor, build, check, feeds_for, load

Parts = Sequence[Tensor | np.ndarray]


def single(
    name: str, operands: Parts, results: Parts, kind: str = "", version: int = 1, **options: Any
) -> bytes:
    """One operator; arrays are constants, other operands are inputs."""
    tensors = [t if isinstance(t, Tensor) else Tensor.of(t) for t in (*operands, *results)]
    count = len(operands)
    inputs = [i for i in range(count) if tensors[i].data is None]
    outputs = list(range(count, len(tensors)))
    op = Op(name, range(count), outputs, options, kind, version)
    return build(Graph(tensors, [op], inputs, outputs))


def i32(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int32)


PICTURE = Tensor((2, 5, 6, 3))
CASES = {
    "ADD_N": single("ADD_N", [Tensor((2, 3))] * 3, [Tensor((2, 3))], "AddNOptions"),
    "L2_POOL_2D": single(
        "L2_POOL_2D", [PICTURE], [Tensor((2, 3, 3, 3))], "Pool2DOptions",
        padding=0, strideW=2, strideH=2, filterWidth=3, filterHeight=2, fusedActivationFunction=1,
    ),
    "EMBEDDING_LOOKUP": single(
        "EMBEDDING_LOOKUP", [i32(3, 0, 1), np.arange(12, dtype=np.float32).reshape(4, 3)], [Tensor((3, 3))]
    ),
    "RANK": single("RANK", [PICTURE], [Tensor((), "int32")], "RankOptions"),
    "ZEROS_LIKE": single("ZEROS_LIKE", [PICTURE], [PICTURE], "ZerosLikeOptions"),
    "PACK": single("PACK", [Tensor((2, 3))] * 2, [Tensor((2, 2, 3))], "PackOptions", valuesCount=2, axis=-2),
    "UNPACK": single("UNPACK", [Tensor((2, 3))], [Tensor((2,))] * 3, "UnpackOptions", num=3, axis=1),
    "SELECT": single(
        "SELECT", [Tensor((2,), "bool"), Tensor((2, 3)), Tensor((2, 3))], [Tensor((2, 3))], "SelectOptions"
    ),
    "REVERSE_SEQUENCE": single(
        "REVERSE_SEQUENCE", [Tensor((2, 5)), i32(2, 4)], [Tensor((2, 5))], "ReverseSequenceOptions",
        seqDim=1, batchDim=0,
    ),
    "GATHER/batch": single(
        "GATHER", [Tensor((2, 3, 4)), np.array([[0, 2], [3, 1]], np.int32)], [Tensor((2, 3, 2))],
        "GatherOptions", 5, axis=2, batchDims=1,
    ),
    "GATHER/batch_first": single(
        "GATHER", [Tensor((2, 3, 4)), np.array([[0, 2], [1, 1]], np.int32)], [Tensor((2, 2, 4))],
        "GatherOptions", 5, axis=1, batchDims=1,
    ),
    "STRIDED_SLICE/shrink_new_ellipsis": single(
        "STRIDED_SLICE", [Tensor((2, 3, 4)), i32(1, 0, 0, 3), i32(2, 0, 0, 0), i32(1, 1, 1, -2)],
        [Tensor((3, 1, 2))], "StridedSliceOptions", 4,
        shrinkAxisMask=1, ellipsisMask=2, newAxisMask=4, endMask=8,
    ),
    "STRIDED_SLICE/offset": single(
        "STRIDED_SLICE", [Tensor((6,)), i32(2), i32(3), i32(1)], [Tensor((3,))], "StridedSliceOptions", 4,
        offset=True,
    ),
    "DYNAMIC_UPDATE_SLICE": single(
        "DYNAMIC_UPDATE_SLICE", [Tensor((4, 5)), Tensor((2, 2)), i32(3, 1)], [Tensor((4, 5))],
        "DynamicUpdateSliceOptions",
    ),
    "BROADCAST_ARGS": single("BROADCAST_ARGS", [i32(3, 1), i32(2, 1, 4)], [Tensor((3,), "int32")]),
    "RESHAPE/option": single(
        "RESHAPE", [Tensor((2, 6))], [Tensor((3, 4))], "ReshapeOptions", newShape=[3, -1]
    ),
    "FILL": single("FILL", [i32(2, 3), Tensor(())], [Tensor((2, 3))], "FillOptions"),
    "PADV2": single(
        "PADV2", [Tensor((2, 3)), np.array([[1, 0], [2, 1]], np.int32), np.float32(7).reshape(1)],
        [Tensor((3, 6))], "PadV2Options",
    ),
    "ONE_HOT": single(
        "ONE_HOT",
        [i32(1, -1, 3, 0), i32(3).reshape(()), np.float32(2).reshape(()), np.float32(-1).reshape(())],
        [Tensor((4, 3))], "OneHotOptions", axis=-1,
    ),
    "SUM/twice": single("SUM", [Tensor((2, 3)), i32(1, -1)], [Tensor((2,))], "ReducerOptions"),
    "SPLIT_V": single(
        "SPLIT_V", [Tensor((5, 2)), i32(1, -1), i32(0).reshape(())], [Tensor((1, 2)), Tensor((4, 2))],
        "SplitVOptions", numSplits=2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operator(name: str, tmp_path: Path) -> None:
    check(CASES[name], tmp_path, steps=2)


@pytest.mark.parametrize("lengths", [(4, 8), (8, 4), (4, 16)])
@pytest.mark.parametrize("part", ["REAL", "IMAG", "COMPLEX_ABS"])
def test_rfft2d(part: str, lengths: tuple[int, int], tmp_path: Path) -> None:
    whole = (2, lengths[0], lengths[1] // 2 + 1)
    tensors = [Tensor((2, 5, 8)), Tensor.of(i32(*lengths)), Tensor(whole, "complex64"), Tensor(whole)]
    ops = [Op("RFFT2D", [0, 1], [2], {}, "Rfft2dOptions"), Op(part, [2], [3])]
    check(build(Graph(tensors, ops, [0], [3])), tmp_path)


def test_complex_numbers_go_nowhere_else(tmp_path: Path) -> None:
    tensors = [Tensor((2, 4, 8)), Tensor.of(i32(4, 8)), Tensor((2, 4, 5), "complex64")]
    ops = [Op("RFFT2D", [0, 1], [2], {}, "Rfft2dOptions")]
    with pytest.raises(UnsupportedError, match="complex numbers as an output"):
        load(build(Graph(tensors, ops, [0], [2])), tmp_path)


@pytest.mark.parametrize("version", [4, 5])
def test_non_max_suppression(version: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1, (20, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.1, 0.5, (20, 2))], axis=1).astype(np.float32)
    numbers = [np.array(v, np.float32).reshape(()) for v in (0.3, 0.2, 0.0)]
    most = i32(8).reshape(())
    name = f"NON_MAX_SUPPRESSION_V{version}"
    results = [Tensor((8,), "int32"), Tensor((8,)), Tensor((), "int32")]
    data = single(
        name, [boxes, Tensor((20,)), most, *numbers[: version - 2]],
        results if version == 5 else [results[0], results[2]], f"NonMaxSuppressionV{version}Options",
    )  # fmt: skip
    check(data, tmp_path, feeds={"t1": rng.permutation(20).astype(np.float32) / 20})


STABLE = {
    "STABLEHLO_ADD": (2, {}),
    "STABLEHLO_MAXIMUM": (2, {}),
    "STABLEHLO_LOGISTIC": (1, {}),
    "STABLEHLO_NEGATE": (1, {}),
    "STABLEHLO_CLAMP": (3, {}),
    "STABLEHLO_REMAINDER": (2, {}),
}


@pytest.mark.parametrize("name", STABLE)
def test_stablehlo_elementwise(name: str, tmp_path: Path) -> None:
    """Few of them have kernels in LiteRT: NumPy says what the specification does."""
    count, _ = STABLE[name]
    module = load(single(name, [Tensor((2, 3))] * count, [Tensor((2, 3))]), tmp_path)
    feeds = feeds_for(module)
    a, *rest = feeds.values()
    (found,) = run(module.graph, feeds).values()
    wanted = {
        "STABLEHLO_ADD": lambda: a + rest[0],
        "STABLEHLO_MAXIMUM": lambda: np.maximum(a, rest[0]),
        "STABLEHLO_LOGISTIC": lambda: 1 / (1 + np.exp(-a)),
        "STABLEHLO_NEGATE": lambda: -a,
        "STABLEHLO_CLAMP": lambda: np.minimum(np.maximum(rest[0], a), rest[1]),
        "STABLEHLO_REMAINDER": lambda: np.fmod(a, rest[0]),
    }[name]()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_stablehlo_shapes(tmp_path: Path) -> None:
    x = Tensor((2, 3))
    tensors = [x, Tensor((3, 2)), Tensor((4, 3, 2)), Tensor((2, 2, 2))]
    ops = [
        Op("STABLEHLO_TRANSPOSE", [0], [1], {"permutation": [1, 0]}, "StablehloTransposeOptions"),
        Op(
            "STABLEHLO_BROADCAST_IN_DIM", [1], [2],
            {"broadcastDimensions": [1, 2]}, "StablehloBroadcastInDimOptions",
        ),
        Op(
            "STABLEHLO_SLICE", [2], [3],
            {"startIndices": [1, 0, 0], "limitIndices": [4, 2, 2], "strides": [2, 1, 1]},
            "StablehloSliceOptions",
        ),
    ]  # fmt: skip
    module = load(build(Graph(tensors, ops, [0], [3])), tmp_path)
    feeds = feeds_for(module)
    (found,) = run(module.graph, feeds).values()
    np.testing.assert_array_equal(found, np.broadcast_to(feeds["t0"].T, (4, 3, 2))[1:4:2, :2])


def test_an_option_that_no_rule_reads_is_refused(tmp_path: Path) -> None:
    data = single(
        "FULLY_CONNECTED", [Tensor((2, 3)), np.ones((4, 3), np.float32)], [Tensor((2, 4))],
        "FullyConnectedOptions", weightsFormat=1,
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match="shuffled weights"):
        load(data, tmp_path)


def test_a_result_of_another_type_is_invalid(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="is i32, not f32"):
        load(single("EXP", [Tensor((2,))], [Tensor((2,), "int32")], "ExpOptions"), tmp_path)


def test_an_operand_that_nothing_makes_is_invalid(tmp_path: Path) -> None:
    tensors = [Tensor((2,), name="x"), Tensor((2,), name="lost"), Tensor((2,))]
    data = build(Graph(tensors, [Op("ADD", [0, 1], [2], {}, "AddOptions")], [0], [2]))
    with pytest.raises(InvalidModelError, match="nothing makes its operand tensor 'lost'"):
        load(data, tmp_path)
