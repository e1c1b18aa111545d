from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

X = x(2, 3, 4, low=-20, high=20)
U8, I8 = (x(2, 3, 4, low=low, high=low + 255, dtype=t) for low, t in ((0, np.uint8), (-128, np.int8)))
TENTH = fixed(0.1)
ROWS = fixed([0.1, 0.2, 0.05])
BLOCKS = fixed(x(2, 3, 2, low=0.1, high=0.2))
ZERO = fixed(128, np.uint8)
IMAGE = x(1, 4, 6, 6, low=0, high=255, dtype=np.uint8)
FILTERS = fixed(x(6, 2, 3, 3, low=-128, high=127, dtype=np.int8))
MATRIX = x(3, 4, low=0, high=255, dtype=np.uint8)
COLUMNS = fixed(x(4, 5, low=-128, high=127, dtype=np.int8))

CASES = [
    *case("QuantizeLinear", X, TENTH, ZERO, opset=(10, 13, 19, 21)),
    *case("QuantizeLinear", X, TENTH, opset=13),
    *case("QuantizeLinear", X, fixed([0.1]), fixed([3], np.int8), opset=13),
    *case("QuantizeLinear", X, ROWS, fixed([1, 2, 3], np.uint8), opset=(13, 21)),
    *case("QuantizeLinear", X, ROWS, axis=-2, opset=21),
    *case("QuantizeLinear", X, TENTH, fixed(7, np.int16), opset=21),
    *case("QuantizeLinear", X, TENTH, output_dtype=3, opset=21),
    *case(
        "QuantizeLinear",
        X,
        BLOCKS,
        fixed(x(2, 3, 2, low=0, high=9, dtype=np.int8)),
        block_size=2,
        axis=2,
        opset=21,
    ),
    *case("DequantizeLinear", U8, TENTH, ZERO, opset=(10, 13, 19, 21)),
    *case("DequantizeLinear", I8, ROWS, fixed([1, 2, 3], np.int8), opset=13),
    *case("DequantizeLinear", x(5, low=-9999, high=9999, dtype=np.int32), TENTH, opset=13),
    *case("DequantizeLinear", I8, BLOCKS, block_size=2, axis=-1, opset=21),
    *case("DynamicQuantizeLinear", X, opset=11, outputs=3),
    *case("MatMulInteger", MATRIX, COLUMNS, opset=10),
    *case("MatMulInteger", MATRIX, COLUMNS, fixed(7, np.uint8), fixed([1, -2, 3, 4, 5], np.int8), opset=10),
    *case(
        "ConvInteger", IMAGE, fixed(x(6, 2, 3, 3, low=0, high=255, dtype=np.uint8)), ZERO, group=2, opset=10
    ),
    *case(
        "QLinearConv",
        *(
            IMAGE,
            fixed(0.05),
            ZERO,
            FILTERS,
            fixed(0.02),
            fixed(0, np.int8),
            fixed(0.8),
            fixed(100, np.uint8),
        ),
        fixed(x(6, low=-2000, high=2000, dtype=np.int32)),
        group=2,
        pads=[1, 1, 1, 1],
        strides=[2, 2],
        opset=10,
    ),
    *case(
        "QLinearConv",
        *(IMAGE, fixed(0.05), ZERO, FILTERS, fixed(x(6, low=0.01, high=0.03)), fixed([0] * 6, np.int8)),
        *(fixed(0.7), fixed(90, np.uint8)),
        group=2,
        opset=10,
    ),
    *case(
        "QLinearMatMul",
        *(MATRIX, fixed(0.05), ZERO, COLUMNS, fixed(0.02), fixed(3, np.int8), fixed(0.3), ZERO),
        opset=10,
    ),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


def test_a_negative_block_is_invalid(tmp_path: Path) -> None:
    (c,) = case("QuantizeLinear", X, TENTH, block_size=-1, opset=21, oracle="reference")
    with pytest.raises(InvalidModelError, match="block_size=-1"):
        check_case(c.values[0], tmp_path)
