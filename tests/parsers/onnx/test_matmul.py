from pathlib import Path

import numpy as np
import pytest

from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

A, B = x(4, 3), x(3, 5)
CASES = [
    *case("MatMul", A, B, opset=(7, 9, 13)),
    *case("MatMul", x(2, 1, 4, 3), fixed(x(5, 3, 2))),
    *case("MatMul", x(3), x(3, 5)),
    *case("MatMul", x(4, 3), x(3)),
    *case("MatMul", x(3), x(3, seed=1)),
    *case("MatMul", x(4, 3, low=-5, high=5, dtype=np.int32), x(3, 2, low=-5, high=5, dtype=np.int32)),
    *case("Gemm", A, B, fixed(x(5)), opset=(7, 9, 11, 13)),
    *case("Gemm", A, B, opset=(11, 13)),
    *case("Gemm", A, B, fixed(x(4, 1)), alpha=0.5, beta=2.0, opset=(7, 13)),
    *case("Gemm", x(3, 4), x(5, 3), fixed(x(4, 5)), transA=1, transB=1, opset=(7, 13)),
    *case("Gemm", A, B, np.float32(0.5), beta=0.5),
    *case("Einsum", A, B, equation="ij,jk->ik"),
    *case("Einsum", A, B, equation=" i j , j k -> k i "),
    *case("Einsum", x(2, 4, 3), x(2, 3, 5), equation="...ij,...jk"),
    *case("Einsum", x(4, 4), equation="ii->i"),
    *case("Einsum", x(2, 3, 4), equation="bij->b"),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)
