from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import UnsupportedError
from tests.parsers.onnx.cases import Case, check_case, fixed, x


def case(
    kind: str, *operands: Any, outputs: int = 1, domain: str = "com.microsoft", **attributes: Any
) -> Any:
    c = Case(kind, operands, 1, outputs, domain=domain, attributes=attributes)
    return pytest.param(c, id=c.name)


X = x(2, 4, 8)
SCALE, BIAS = fixed(x(8)), fixed(x(8, seed=1))
IMAGE = x(1, 3, 6, 5)
BYTES, OTHER = (x(2, 4, 6, low=0, high=255, dtype=np.uint8, seed=s) for s in (0, 1))
TENTH, POINT = fixed(0.0973), fixed(np.array(120, np.uint8))
OUT = fixed(0.2137), fixed(np.array(100, np.uint8))
WEIGHT, SIGNED = fixed(x(6, 5)), fixed(x(6, 5, low=-127, high=127, dtype=np.int8))
LENGTHS, SEEN = np.array([4, 2], np.int32), np.array([[1, 1, 1, 0], [1, 0, 1, 1]], np.int32)
PACKED = fixed(x(8, 24)), fixed(x(24))
PAST = x(2, 2, 2, 3, 4)
WIDE_TABLES = fixed(x(16, 8, low=-1, high=1)), fixed(x(16, 8, low=-1, high=1, seed=1))
TABLES = fixed(x(16, 2, low=-1, high=1)), fixed(x(16, 2, low=-1, high=1, seed=1))


def gqa(query: Any, key: Any, value: Any, *rest: Any, total: int, past: int, **attributes: Any) -> Any:
    """Two sequences of four new positions after ``past`` old ones."""
    old = [x(2, 2, past, 16, seed=s) for s in (1, 2)]
    ends = np.full(2, total - 1, np.int32), fixed(np.array(total, np.int32))
    return case(
        "GroupQueryAttention",
        *(query, key, value, *old, *ends, *rest),
        outputs=3,
        num_heads=4,
        kv_num_heads=2,
        **attributes,
    )


CASES = [
    *(
        case(
            "FusedConv",
            *(IMAGE, fixed(x(4, 3, 3, 3)), fixed(x(4))),
            activation=activation,
            activation_params=parameters,
            pads=[1, 1, 1, 1],
        )
        for activation, parameters in (
            ("Relu", [0.0]),
            ("Tanh", [0.0]),
            ("LeakyRelu", [0.2]),
            ("Clip", [-0.5, 1.5]),
            ("HardSigmoid", [0.3, 0.4]),
        )
    ),
    case("FusedConv", IMAGE, fixed(x(4, 3, 3, 3)), fixed(x(4)), x(1, 4, 4, 3), activation="Relu"),
    case("FusedGemm", x(3, 6), WEIGHT, fixed(x(5)), activation="Relu", alpha=0.5),
    case("FusedGemm", x(3, 6), WEIGHT, fixed(x(5)), activation="LeakyRelu", activation_alpha=0.3),
    case("FusedMatMul", x(2, 6, 3), x(2, 5, 6), transA=1, transB=1, alpha=0.25),
    case("Gelu", X),
    case("FastGelu", X, BIAS),
    case("FastGelu", X),
    case("BiasGelu", X, BIAS),
    case("QuickGelu", X, alpha=1.5),
    case("SkipLayerNormalization", X, x(2, 4, 8, seed=1), SCALE, BIAS, fixed(x(8, seed=2)), epsilon=1e-5),
    case("SkipLayerNormalization", X, x(2, 4, 8, seed=1), SCALE),
    case("SkipSimplifiedLayerNormalization", X, x(2, 4, 8, seed=1), SCALE, BIAS, epsilon=1e-6),
    case("Inverse", x(2, 3, 3)),
    case("Unique", x(9, low=0, high=3), outputs=3),
    case("Pad", X, fixed([0, 1, 2, 1, 0, 0]), fixed(1.5)),
    case("QLinearAdd", BYTES, TENTH, POINT, OTHER, fixed(0.0519), fixed(np.array(3, np.uint8)), *OUT),
    case(
        "QLinearMul",
        BYTES,
        TENTH,
        POINT,
        OTHER,
        fixed(0.05),
        fixed(np.array(3, np.uint8)),
        fixed(0.9),
        OUT[1],
    ),
    case("QLinearSigmoid", BYTES, fixed(0.02), POINT, fixed(1 / 256), fixed(np.array(0, np.uint8))),
    case("QLinearLeakyRelu", BYTES, fixed(0.02), POINT, fixed(0.021), POINT, alpha=0.1),
    case(
        "QLinearSoftmax",
        BYTES,
        fixed(0.02),
        POINT,
        fixed(1 / 256),
        fixed(np.array(0, np.uint8)),
        axis=2,
        opset=13,
    ),
    case(
        "QLinearConcat", *OUT, BYTES, TENTH, POINT, OTHER, fixed(0.15), fixed(np.array(3, np.uint8)), axis=1
    ),
    *(
        case(kind, x(1, 4, 6, 6, low=0, high=255, dtype=np.uint8), TENTH, POINT, fixed(0.11), POINT, **p)
        for kind, p in (
            ("QLinearAveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]}),
            ("QLinearGlobalAveragePool", {"channels_last": 0}),
            ("QLinearGlobalAveragePool", {"channels_last": 1}),
        )
    ),
    case("NhwcMaxPool", x(1, 6, 5, 3, low=0, high=255, dtype=np.uint8), kernel_shape=[2, 2], strides=[2, 2]),
    case("DynamicQuantizeMatMul", x(2, 4, 6), SIGNED, fixed(0.02), fixed(np.array(3, np.int8)), fixed(x(5))),
    case("DynamicQuantizeMatMul", x(2, 4, 6), SIGNED, fixed(x(5, low=0.01, high=0.03))),
    case(
        "MatMulIntegerToFloat",
        BYTES,
        SIGNED,
        TENTH,
        fixed(x(5, low=0.01, high=0.03)),
        POINT,
        None,
        fixed(x(5)),
    ),
    *(
        case(
            "MatMulNBits",
            *(
                x(3, 64),
                fixed(x(5, 2, 32 * bits // 8, low=0, high=255, dtype=np.uint8)),
                fixed(x(5, 2, low=0, high=1)),
            ),
            *zeros,
            K=64,
            N=5,
            bits=bits,
            block_size=32,
        )
        for bits, zeros in (
            (4, ()),
            (4, (fixed(x(5, 1, low=0, high=255, dtype=np.uint8)),)),
            (8, ()),
        )
    ),
    case(
        "EmbedLayerNormalization",
        *(x(2, 4, low=0, high=9, dtype=np.int32), x(2, 4, low=0, high=1, dtype=np.int32)),
        *(fixed(x(10, 8)), fixed(x(6, 8)), fixed(x(2, 8)), SCALE, BIAS, SEEN),
        outputs=2,
    ),
    case("Attention", X, *PACKED, num_heads=2),
    case("Attention", X, *PACKED, LENGTHS, num_heads=2),
    case("Attention", X, *PACKED, SEEN, num_heads=2, scale=0.3),
    case("Attention", X, *PACKED, num_heads=2, unidirectional=1),
    case("Attention", X, *PACKED, None, PAST, num_heads=2, unidirectional=1, outputs=2),
    case("Attention", X, *PACKED, None, None, x(2, 2, 4, 4), num_heads=2),
    case("MultiHeadAttention", X, x(2, 6, 8), x(2, 6, 10), num_heads=2),
    case("MultiHeadAttention", X, X, X, fixed(x(24)), num_heads=2),
    case("MultiHeadAttention", X, X, X, None, SEEN, num_heads=2),
    case("MultiHeadAttention", X, X, X, None, None, x(1, 2, 4, 4), num_heads=2, unidirectional=1),
    case("MultiHeadAttention", X, X, X, None, None, None, PAST[0], PAST[1], num_heads=2, outputs=3),
    gqa(x(2, 4, 64), x(2, 4, 32), x(2, 4, 32, seed=1), total=4, past=0),
    gqa(x(2, 4, 128), None, None, total=4, past=0),
    gqa(x(2, 4, 64), x(2, 4, 32), x(2, 4, 32, seed=1), *WIDE_TABLES, total=4, past=0, do_rotary=1),
    gqa(x(2, 1, 64), x(2, 1, 32), x(2, 1, 32, seed=1), *WIDE_TABLES, total=6, past=5, do_rotary=1),
    gqa(x(2, 1, 64), x(2, 1, 32), x(2, 1, 32, seed=1), total=6, past=5, local_window_size=3, softcap=2.0),
    gqa(x(2, 4, 64), x(2, 4, 32), x(2, 4, 32, seed=1), total=4, past=0, local_window_size=2, scale=0.4),
    case("RotaryEmbedding", X, x(2, 4, low=0, high=15, dtype=np.int64), *TABLES),
    case("RotaryEmbedding", x(2, 2, 4, 4), np.array([3]), *TABLES, interleaved=1),
    case(
        "QAttention",
        *(
            x(2, 4, 8, low=0, high=255, dtype=np.uint8),
            fixed(x(8, 24, low=-127, high=127, dtype=np.int8)),
            PACKED[1],
        ),
        *(fixed(0.01), fixed(0.02), SEEN, POINT, fixed(np.array(0, np.int8))),
        num_heads=2,
    ),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path, rtol=2e-4)


@pytest.mark.parametrize("columns", [(), (20,)])
def test_an_lstm_of_few_bits(columns: tuple[int, ...], tmp_path: Path) -> None:
    """ONNX Runtime rounds inputs and states to 8 bits as well, so that only the first digits agree."""
    parts = [(fixed(x(1, size, 20, low=-127, high=127, dtype=np.int8)), size) for size in (4, 5)]
    scales = [
        (fixed(x(1, *columns, low=0.004, high=0.008, seed=s)), fixed(np.zeros((1, *columns), np.int8)))
        for _, s in parts
    ]
    c = case(
        "DynamicQuantizeLSTM",
        *(x(6, 2, 4), parts[0][0], parts[1][0], fixed(x(1, 40)), None, None, None, None),
        *(v for pair in scales for v in pair),
        outputs=3,
        hidden_size=5,
    )
    (one,) = c.values
    check_case(one, tmp_path, rtol=2e-2)


@pytest.mark.parametrize(
    ("c", "message"),
    [
        (case("FusedConv", IMAGE, fixed(x(4, 3, 3, 3)), activation="Sinus"), "the activation 'Sinus'"),
        (case("FusedMatMul", x(2, 3, 3), x(2, 3, 3), transBatchA=1), "batch axes"),
        (case("Attention", X, *PACKED, num_heads=2, do_rotary=1), "with rotation"),
        (gqa(x(2, 4, 16), x(2, 4, 8), x(2, 4, 8), total=4, past=0, smooth_softmax=1), "smooth softmax"),
    ],
)
def test_unsupported(c: Any, message: str, tmp_path: Path) -> None:
    (one,) = c.values
    with pytest.raises(UnsupportedError, match=message):
        check_case(one, tmp_path)
