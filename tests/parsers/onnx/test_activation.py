from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import UnsupportedError
from mmconvert.ir.ops import Clip, Reshape, Silu, Softmax
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

X = x(2, 3, 4, low=-4, high=4)
SOFTMAXES = ("Softmax", "LogSoftmax", "Hardmax")
CASES = [
    *(
        c
        for kind in ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign")
        for c in case(kind, X, opset=(7, 17))
    ),
    *case("HardSwish", X, opset=(14, 22)),
    *case("Mish", X, opset=18),
    *case("LeakyRelu", X, opset=(7, 16)),
    *case("LeakyRelu", X, opset=16, alpha=0.3),
    *case("Elu", X, opset=(7, 22)),
    *case("Elu", X, opset=7, alpha=2.0),
    *case("Selu", X, opset=(7, 22)),
    *case("Selu", X, opset=7, alpha=1.5, gamma=2.0),
    *case("Celu", X, opset=12),
    *case("Celu", X, opset=12, alpha=0.5),
    *case("ThresholdedRelu", X, opset=10),
    *case("ThresholdedRelu", X, opset=22, alpha=0.5),
    *case("HardSigmoid", X, opset=(7, 22)),
    *case("HardSigmoid", X, opset=7, alpha=0.5, beta=0.6),
    *case("Gelu", X, opset=20),
    *case("Gelu", X, opset=20, approximate="tanh"),
    *case("Shrink", X, opset=9),
    *case("Shrink", X, opset=9, lambd=1.5, bias=1.5),
    *case("Swish", X, opset=24, oracle="reference"),
    *case("Swish", X, opset=24, oracle="reference", alpha=1.5),
    *case("PRelu", X, x(2, 3, 4, seed=1), opset=(7, 9, 16)),
    *case("PRelu", X, fixed(x(3, 1, low=0, high=1)), opset=16),
    *case("PRelu", X, fixed(x(4)), opset=16),
    *case(
        "PRelu", x(3, 4, low=-9, high=9, dtype=np.int32), fixed([3], np.int32), opset=9, oracle="reference"
    ),
    *case("Clip", X, opset=(7, 11, 13)),
    *case("Clip", X, opset=7, min=-1.0, max=0.5),
    *case("Clip", X, opset=7, max=0.5),
    *case("Clip", X, fixed(-1.0), fixed(0.5), opset=(11, 12, 13)),
    *case("Clip", X, None, fixed(0.5), opset=13),
    *case("Clip", X, fixed(-1.0), opset=13),
    *case("Clip", X, fixed(1.0), fixed(-1.0), opset=13),
    *case("Clip", X, np.float32(-1.0), np.float32(0.5), opset=13),
    *case("Clip", X, np.float32(-1.0), opset=13),
    *case("Clip", x(3, 4, low=-9, high=9, dtype=np.int64), fixed(-2), fixed(5), opset=12),
    *case("Clip", x(3, 4, low=-9, high=9, dtype=np.int64), fixed(-(2**63) + 1), fixed(2**62 + 1), opset=12),
    *(c for kind in SOFTMAXES for c in case(kind, X, opset=(7, 11, 13))),
    *(c for kind in SOFTMAXES for axis in (0, 1, 2) for c in case(kind, X, opset=(7, 11, 13), axis=axis)),
    *(c for kind in SOFTMAXES for c in case(kind, X, opset=(11, 13), axis=-2)),
    *case("Softmax", x(5), opset=11, axis=0),
    *case("Softmax", x(2, 5, 1, 1), opset=11, axis=1),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


def parse(c: Case, folder: Path) -> list[type]:
    (folder / "case.onnx").write_bytes(c.model().SerializeToString())
    return [type(node.op) for node in load(folder / "case.onnx").graph]


def only(params: list[pytest.param]) -> Case:
    (param,) = params
    return param.values[0]


def test_old_softmax_is_plain_where_it_can_be(tmp_path: Path) -> None:
    assert parse(only(case("Softmax", x(2, 5, 1, 1), opset=11, axis=1)), tmp_path) == [Softmax]
    assert parse(only(case("Softmax", x(2, 5), opset=11)), tmp_path) == [Softmax]
    assert parse(only(case("Softmax", X, opset=11)), tmp_path) == [Reshape, Softmax, Reshape]


def test_known_bounds_become_attributes(tmp_path: Path) -> None:
    assert parse(only(case("Clip", X, fixed(-1.0), fixed(0.5), opset=13)), tmp_path) == [Clip]


def test_integers_that_an_operator_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="Shrink: of i32 elements at Shrink 'n'"):
        parse(only(case("Shrink", x(3, dtype=np.int32), opset=9)), tmp_path)


def test_swish_with_its_default_is_silu(tmp_path: Path) -> None:
    assert parse(only(case("Swish", X, opset=24, oracle="reference")), tmp_path) == [Silu]
