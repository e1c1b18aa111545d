from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x
from tests.parsers.onnx.evaluate import evaluate

POSITIVE = x(2, 3, 4, low=0.1, high=3.0)
UNIT = x(2, 3, 4, low=-0.9, high=0.9)
SPECIAL = np.array([[0.5, np.inf, -np.inf, np.nan, -0.0, -1.5]], np.float32)
INTS, MORE = x(3, 4, low=-9, high=9, dtype=np.int32), x(3, 4, low=1, high=5, dtype=np.int32)

CASES = [
    *(
        c
        for kind in ("Abs", "Neg", "Exp", "Floor", "Ceil", "Identity")
        for c in case(kind, x(2, 3, 4), opset=(7, 17))
    ),
    *(c for kind in ("Log", "Sqrt", "Reciprocal") for c in case(kind, POSITIVE, opset=(7, 17))),
    *(c for kind in ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan") for c in case(kind, UNIT, opset=(7, 22))),
    *(
        c
        for kind in ("Sinh", "Cosh", "Asinh", "Atanh", "Erf", "Sign")
        for c in case(kind, UNIT, opset=(9, 17))
    ),
    *case("Acosh", x(2, 3, low=1.0, high=4.0), opset=9),
    *case("Round", np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.4], np.float32), opset=11),
    *case("Abs", INTS, opset=13),
    *case("Neg", INTS, opset=13),
    *case("Not", x(2, 3, dtype=np.bool_), opset=(7, 17)),
    *case("IsNaN", SPECIAL, opset=(9, 13)),
    *case("IsInf", SPECIAL, opset=10),
    *case("IsInf", SPECIAL, opset=10, detect_negative=0),
    *case("IsInf", SPECIAL, opset=20, detect_positive=0),
    *(
        c
        for kind in ("Add", "Sub", "Mul", "Div")
        for c in (
            *case(kind, x(2, 3, 4), x(3, 1, low=0.5), opset=(7, 13, 14)),
            *case(kind, x(4, low=0.5), fixed(x(2, 1, 4, low=0.5)), opset=14),
            *case(kind, INTS, MORE, opset=14),
        )
    ),
    *(
        c
        for kind in ("Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual")
        for c in case(kind, INTS, MORE[0], opset=13)
    ),
    *(c for kind in ("Less", "Greater") for c in case(kind, x(2, 3), x(3), opset=(7, 9))),
    *case("LessOrEqual", x(2, 3), x(1, 3), opset=(12, 16)),
    *(
        c
        for kind in ("And", "Or", "Xor")
        for c in case(kind, x(2, 3, dtype=np.bool_), x(3, dtype=np.bool_, seed=1))
    ),
    *(c for kind in ("BitwiseAnd", "BitwiseOr", "BitwiseXor") for c in case(kind, INTS, MORE[:1], opset=18)),
    *case("BitwiseNot", INTS, opset=18),
    *case("BitShift", MORE.astype(np.uint8), MORE[0].astype(np.uint8), opset=11, direction="LEFT"),
    *case("BitShift", MORE.astype(np.uint32), MORE[0].astype(np.uint32), opset=11, direction="RIGHT"),
    *case("Pow", POSITIVE, x(4), opset=(7, 12, 13, 15)),
    *case("Pow", INTS, fixed([2, 3, 0, 1], np.int32), opset=13),
    *case("Pow", POSITIVE, fixed([2], np.int64), opset=13),
    *case("Pow", MORE, fixed([0.5, 2.0, 1.5, 0.0]), opset=13),
    *case("Pow", x(3, low=0, high=100000, dtype=np.int64), fixed([2.0]), opset=13),
    *case("Mod", INTS, MORE, opset=(10, 13)),
    *case("Mod", INTS, fixed(-3, np.int32), opset=13),
    *case("Mod", x(3, 4), x(4, low=0.3), opset=13, fmod=1),
    *case("Mod", INTS, MORE, opset=13, fmod=1),
    *case("Where", x(3, 1, dtype=np.bool_), x(3, 4), x(4), opset=(9, 16)),
    *(
        c
        for kind in ("Sum", "Max", "Min", "Mean")
        for c in (
            *case(kind, x(2, 3), x(1, 3), x(2, 1, seed=1), opset=(8, 13)),
            *case(kind, x(2, 3), opset=(8, 13)),
            *case(kind, x(2, 3), x(2, 3, seed=1), opset=7),
        )
    ),
    *case("Max", INTS, MORE, opset=13),
    *(
        c
        for to in (1, 6, 7, 9, 10, 11)
        for c in case("Cast", x(3, 4, low=-5, high=5), opset=(7, 9, 13), to=to)
    ),
    *case("Cast", x(3, 4, low=-200, high=200, dtype=np.int32), opset=13, to=3),
    *case("CastLike", x(3, 4), np.zeros(1, np.int64), opset=(15, 19)),
    *(
        c
        for to in (17, 18, 19, 20)
        for c in case("Cast", x(3, 4, low=-1e4, high=1e4), opset=19, oracle="reference", to=to)
    ),
    *case("Cast", x(3, 4, low=-1e4, high=1e4), opset=19, oracle="reference", to=17, saturate=0),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("rounding", ["up", "down", "nearest"])
def test_a_cast_to_powers_of_two(rounding: str, saturate: int, tmp_path: Path) -> None:
    """Against ONNX's own conversion; what is infinite is the largest number where it saturates."""
    numbers = np.array([1e-38, 0.124, 0.25, 1.1, 1.49, 1.5, 1.51, 3.0, 1.8e38, 3.4e38], np.float32)
    (c,) = case("Cast", numbers, to=24, round_mode=rounding, saturate=saturate, opset=24, oracle="reference")
    path = tmp_path / "cast.onnx"
    path.write_bytes(c.values[0].model().SerializeToString())
    graph = load(path).graph
    (found,) = evaluate(graph, {"x0": numbers})
    wanted = numpy_helper.to_float8e8m0(numbers, bool(saturate), rounding)
    np.testing.assert_array_equal(found.view(np.uint8), wanted.view(np.uint8))
    ends = np.array([0, np.inf, np.nan] + [1] * 7, np.float32)
    (found,) = evaluate(graph, {"x0": ends})
    assert found.view(np.uint8).tolist()[:3] == [0, 254 if saturate else 255, 255]
