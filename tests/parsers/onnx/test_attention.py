from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError
from tests.parsers.onnx.cases import Case, case, check_case, x

Q, K, V = x(2, 3, 4, 8), x(2, 3, 6, 8), x(2, 3, 6, 10)
FLAT = x(2, 4, 24), x(2, 6, 24), x(2, 6, 30)
PAST = x(2, 3, 5, 8), x(2, 3, 5, 10)
SEEN = x(4, 6, dtype=np.bool_) | np.eye(4, 6, dtype=bool)
COS, SIN = x(9, 4, low=-1, high=1), x(9, 4, low=-1, high=1, seed=1)
IDS = x(2, 4, low=0, high=8, dtype=np.int64)

CASES = [
    *case("Attention", Q, K, V, opset=(23, 24)),
    *case("Attention", Q, K, V, scale=0.25, softcap=1.5, opset=23),
    *case("Attention", Q, K, V, is_causal=1, opset=23),
    *case("Attention", Q, K, V, SEEN, opset=23),
    *case("Attention", Q, K, V, x(2, 1, 4, 6), opset=23),
    *case("Attention", *FLAT, q_num_heads=3, kv_num_heads=3, opset=23),
    *case("Attention", x(2, 4, 48), *FLAT[1:], opset=23, q_num_heads=6, kv_num_heads=3),
    *case("Attention", Q, K, V, None, *PAST, outputs=3, opset=23),
    *case("Attention", Q, K, V, x(4, 11), *PAST, outputs=3, opset=23),
    *(
        c
        for mode in range(4)
        for c in case(
            "Attention",
            Q,
            K,
            V,
            SEEN,
            None,
            None,
            opset=23,
            outputs=4,
            oracle="reference",
            qk_matmul_output_mode=mode,
        )
    ),
    *case(
        "Attention", Q, K, V, None, None, None, np.array([3, 6]), opset=24, oracle="reference", is_causal=1
    ),
    *case("Attention", Q, K, V, opset=25, oracle="reference", left_window_size=2, right_window_size=1),
    *case("Attention", Q, K, V, None, *PAST, opset=25, outputs=3, oracle="reference", left_window_size=1),
    *case("RotaryEmbedding", x(2, 3, 4, 8), COS, SIN, IDS, opset=23),
    *case("RotaryEmbedding", x(2, 3, 4, 8), COS, SIN, IDS, opset=23, interleaved=1),
    *case("RotaryEmbedding", x(2, 4, 24), COS, SIN, IDS, opset=23, num_heads=3),
    *case(
        "RotaryEmbedding", x(2, 3, 4, 12), COS, SIN, IDS, opset=23, rotary_embedding_dim=8, oracle="reference"
    ),
    *case("RotaryEmbedding", x(2, 3, 4, 8), x(2, 4, 4), x(2, 4, 4, seed=1), opset=23),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


def test_flat_operands_need_the_number_of_heads(tmp_path: Path) -> None:
    (c,) = case("Attention", *FLAT, opset=23, oracle="reference")
    with pytest.raises(InvalidModelError, match="the number of heads is missing"):
        check_case(c.values[0], tmp_path)
