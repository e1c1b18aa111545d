from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import UnsupportedError
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

X = x(2, 3, 4, low=0.2, high=2.0)
TIED = np.array([[1, 3, 3, 0], [2, 2, 1, 2]], np.float32)
PLAIN = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
NORMS = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")
OLD, NEW = (7, 11), (18, 20)

CASES = [
    *(c for kind in (*PLAIN, *NORMS) for c in case(kind, X, opset=OLD)),
    *(c for kind in (*PLAIN, *NORMS) for c in case(kind, X, opset=OLD, axes=[1], keepdims=0)),
    *(c for kind in PLAIN for c in case(kind, X, opset=11, axes=[-1, 0])),
    *(c for kind in (*PLAIN, *NORMS) for c in case(kind, X, fixed([1]), opset=NEW)),
    *(c for kind in (*PLAIN, *NORMS) for c in case(kind, X, fixed([-1, 0]), opset=18, keepdims=0)),
    *(c for kind in (*PLAIN, *NORMS) for c in case(kind, X, opset=18)),
    *(c for kind in PLAIN for c in case(kind, X, opset=18, noop_with_empty_axes=1)),
    *(
        c
        for kind in PLAIN
        for c in case(kind, X, fixed(np.empty(0, np.int64)), opset=18, noop_with_empty_axes=1)
    ),
    *(c for kind in PLAIN for c in case(kind, X, fixed(np.empty(0, np.int64)), opset=18, keepdims=0)),
    *case("ReduceSum", X, fixed([0, 2]), opset=13),
    *case("ReduceSum", X, opset=13, noop_with_empty_axes=1),
    *case("ReduceMean", X, opset=13, axes=[0, 2]),
    *case("ReduceMax", x(3, 4, low=-9, high=9, dtype=np.int64), fixed([1]), opset=18),
    *case("ReduceMax", x(3, 4, dtype=np.bool_), fixed([1]), opset=20),
    *case("ReduceMin", x(3, 4, dtype=np.bool_), fixed([1]), opset=20, keepdims=0),
    *case("ReduceSum", np.float32(3.0), opset=13),
    *(c for kind in ("ArgMax", "ArgMin") for c in case(kind, X, opset=(7, 11, 13))),
    *(c for kind in ("ArgMax", "ArgMin") for c in case(kind, X, opset=13, axis=-1, keepdims=0)),
    *(c for kind in ("ArgMax", "ArgMin") for c in case(kind, TIED, opset=13, axis=1, select_last_index=1)),
    *(c for kind in ("ArgMax", "ArgMin") for c in case(kind, TIED, opset=13, axis=1)),
    *case("TopK", X, opset=7, k=2, outputs=2),
    *case("TopK", X, opset=7, k=1, axis=1, outputs=2),
    *case("TopK", X, fixed([3]), opset=(10, 11), outputs=2),
    *case("TopK", X, fixed([1]), opset=11, axis=0, largest=0, outputs=2),
    *case("TopK", TIED, fixed([3]), opset=11, outputs=2),
    *case("CumSum", X, fixed(1, np.int64), opset=(11, 14)),
    *case("CumSum", X, fixed([-1], np.int32), opset=14, exclusive=1),
    *case("CumSum", X, fixed(0, np.int64), opset=14, reverse=1),
    *case("CumSum", X, fixed(2, np.int64), opset=14, reverse=1, exclusive=1),
    *case("CumProd", X, fixed(1, np.int64), opset=26, oracle="reference", exclusive=1),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


@pytest.mark.parametrize(
    ("kind", "operands", "what"),
    [
        ("ReduceSum", (X, np.array([1])), "axes"),
        ("CumSum", (X, np.array(1)), "the axis"),
    ],
)
def test_computed_axes_are_refused(
    kind: str, operands: tuple[np.ndarray, ...], what: str, tmp_path: Path
) -> None:
    (param,) = case(kind, *operands, opset=18, outputs=2 if kind == "TopK" else 1)
    with pytest.raises(UnsupportedError, match=f"{kind}: {what} computed while the model runs"):
        check_case(param.values[0], tmp_path)
