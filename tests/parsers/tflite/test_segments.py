"""Groups of elements, and diagonals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.parsers.tflite.files import Graph, Op, Tensor, build, check

IDS = np.array([2, 0, -1, 2, 1, 0], np.int32)
ROWS = Tensor((6, 3))


def single(
    name: str, inputs: list[Tensor], outputs: list[Tensor], kind: str = "", **options: object
) -> bytes:
    """One operator; constants are not fed."""
    count = len(inputs)
    results = range(count, count + len(outputs))
    fed = [index for index, tensor in enumerate(inputs) if tensor.data is None]
    op = Op(name, range(count), results, options, kind)
    return build(Graph([*inputs, *outputs], [op], fed, results))


def test_unique(tmp_path: Path) -> None:
    data = single("UNIQUE", [Tensor((9,), "int32")], [Tensor((-1,), "int32"), Tensor((9,), "int64")],
                  "UniqueOptions", idxOutType=4)  # fmt: skip
    check(data, tmp_path, feeds={"t0": np.array([5, 3, 5, -1, 3, 7, 7, 0, -1], np.int32)})


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_bucketize(dtype: str, tmp_path: Path) -> None:
    data = single("BUCKETIZE", [Tensor((2, 5), dtype)], [Tensor((2, 5), "int32")], "BucketizeOptions",
                  boundaries=[-0.5, 0.0, 2.0, 2.0, 9.0])  # fmt: skip
    x = np.array([[-1, -0.5, 0, 1, 2], [3, 9, 10, -9, 0.5]]).astype(dtype)
    check(data, tmp_path, feeds={"t0": x})


@pytest.mark.parametrize("constant", [False, True])
def test_segment_sum(constant: bool, tmp_path: Path) -> None:
    """LiteRT's reference kernels are without it."""
    ids = np.array([0, 0, 1, 1, 1, 2], np.int32)
    data = single("SEGMENT_SUM", [ROWS, Tensor.of(ids) if constant else Tensor((6,), "int32")],
                  [Tensor((-1, 3))], "SegmentSumOptions")  # fmt: skip
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    feeds = {"t0": x} if constant else {"t0": x, "t1": ids}
    check(data, tmp_path, feeds=feeds, resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES")


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("shape", [(6,), (2, 3)])
@pytest.mark.parametrize("name", ["SUM", "PROD", "MAX", "MIN"])
def test_unsorted_segments(name: str, shape: tuple[int, ...], dtype: str, tmp_path: Path) -> None:
    """One of four segments stays empty, and one slice belongs to none."""
    ids, count = Tensor(shape, "int32"), Tensor.of(np.array(4, np.int32))
    x, y = Tensor((*shape, 3), dtype), Tensor((4, 3), dtype)
    kind = f"UnsortedSegment{name.capitalize()}Options"
    data = single(f"UNSORTED_SEGMENT_{name}", [x, ids, count], [y], kind)
    numbers = (np.random.default_rng(0).normal(size=(*shape, 3)) * 9).astype(dtype)
    check(data, tmp_path, feeds={"t0": numbers, "t1": IDS.reshape(shape)})


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_matrix_diag(dtype: str, tmp_path: Path) -> None:
    check(
        single("MATRIX_DIAG", [Tensor((2, 3), dtype)], [Tensor((2, 3, 3), dtype)], "MatrixDiagOptions"),
        tmp_path,
    )


@pytest.mark.parametrize(("rows", "columns"), [(3, 3), (2, 4), (4, 2)])
def test_matrix_set_diag(rows: int, columns: int, tmp_path: Path) -> None:
    matrix = Tensor((2, rows, columns))
    inputs = [matrix, Tensor((2, min(rows, columns)))]
    check(single("MATRIX_SET_DIAG", inputs, [matrix], "MatrixSetDiagOptions"), tmp_path)


@pytest.mark.parametrize(
    ("places", "shape", "values"),
    [
        (np.array([[0, 1], [2, 3], [1, 0]]), (3, 4), (3,)),
        (np.array([1, 4]), (6,), (2,)),
        (np.array([[1, 1], [2, 0]]), (3, 4), ()),
        (np.array(2), (5,), ()),
    ],
    ids=str,
)
def test_sparse_to_dense(
    places: np.ndarray, shape: tuple[int, ...], values: tuple[int, ...], tmp_path: Path
) -> None:
    inputs = [
        Tensor.of(places.astype(np.int32)),
        Tensor.of(np.array(shape, np.int32)),
        Tensor(values),
        Tensor.of(np.array(-1, np.float32)),
    ]
    check(single("SPARSE_TO_DENSE", inputs, [Tensor(shape)], "SparseToDenseOptions"), tmp_path)
