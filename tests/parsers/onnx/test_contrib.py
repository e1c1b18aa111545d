from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import UnsupportedError
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import Case, check_case, fixed, run_oracle, x
from tests.parsers.onnx.evaluate import assert_close, evaluate


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
NIBBLES, BLOCKS = fixed(x(5, 2, 16, low=0, high=255, dtype=np.uint8)), fixed(x(5, 2))
KERNELS, BIG = (
    fixed(x(4, 3, 3, 3, low=-127, high=127, dtype=np.int8)),
    x(4, low=-900, high=900, dtype=np.int32),
)
IDS, SEGMENTS = x(2, 4, low=0, high=9, dtype=np.int32), x(2, 4, low=0, high=1, dtype=np.int32)
EMBEDDINGS = fixed(x(10, 8)), fixed(x(6, 8)), fixed(x(2, 8))
TABLES = fixed(x(16, 2, low=-1, high=1)), fixed(x(16, 2, low=-1, high=1, seed=1))


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
    case(
        "FusedGemm", x(6, 3), fixed(x(5, 6)), fixed(x(3, 1)), activation="Tanh", beta=2.0, transA=1, transB=1
    ),
    case("FusedGemm", x(3, 6), WEIGHT, activation="Elu", activation_alpha=0.5),
    case("FusedGemm", x(3, 6), WEIGHT, activation="HardSigmoid", activation_alpha=0.5, activation_beta=0.3),
    case("FusedGemm", x(3, 6), WEIGHT, activation="ThresholdedRelu", activation_alpha=0.5),
    case("FusedConv", x(1, 4, 7), fixed(x(6, 4, 3)), fixed(x(6)), activation="Sigmoid", strides=[2]),
    case("FusedConv", x(1, 4, 7, 6), fixed(x(6, 2, 3, 3)), activation="Relu", group=2, dilations=[2, 1]),
    case("FusedMatMul", x(2, 6, 3), x(2, 5, 6), transA=1, transB=1, alpha=0.25),
    case("FusedMatMul", x(3, 2, 4), x(2, 4, 5), transBatchA=1),
    case("TransposeMatMul", x(2, 6, 3), x(2, 5, 6), transA=1, transB=1, alpha=0.25),
    case("FusedMatMul", x(4, 2, 3, 6), x(2, 3, 4, 5), transBatchA=1, transA=1),
    case("FusedMatMul", x(2, 3, 4), x(4, 2, 5), transBatchB=1),
    case("FusedMatMul", x(2, 3, 4), x(5, 2, 4), transBatchB=1, transB=1),
    case("Gelu", X),
    case("FastGelu", X, BIAS),
    case("FastGelu", X),
    case("BiasGelu", X, BIAS),
    case("QuickGelu", X, alpha=1.5),
    case("SkipLayerNormalization", X, x(2, 4, 8, seed=1), SCALE, BIAS, fixed(x(8, seed=2)), epsilon=1e-5),
    case("SkipLayerNormalization", X, x(2, 4, 8, seed=1), SCALE),
    case("SkipSimplifiedLayerNormalization", X, x(2, 4, 8, seed=1), SCALE, BIAS, epsilon=1e-6),
    case("SkipLayerNormalization", X, x(1, 4, 8), SCALE, BIAS),
    case("SkipLayerNormalization", X, x(4, 8), SCALE, None, BIAS),
    case("SkipLayerNormalization", x(4, 8), x(4, 8, seed=1), SCALE),
    case("Inverse", x(2, 3, 3)),
    case("Inverse", x(2, 2, 3, 3)),
    case("Unique", x(9, low=0, high=3), outputs=3),
    case("Pad", X, fixed([0, 1, 2, 1, 0, 0]), fixed(1.5)),
    case("Pad", X, fixed([0, 1, 2, 1, 0, 0]), mode="edge"),
    case("Pad", X, fixed([0, 1, 2, 1, 0, 0]), mode="reflect"),
    case("QuantizeLinear", x(2, 3, 4), TENTH, fixed(np.array(900, np.uint16))),
    case("QuantizeLinear", x(2, 3, 4), fixed([0.1, 0.2, 0.3]), fixed(np.zeros(3, np.int8)), axis=1),
    case("DequantizeLinear", x(2, 3, 4, low=0, high=60000, dtype=np.uint16), TENTH, fixed(np.uint16(900))),
    case("DequantizeLinear", x(2, 3, 4, low=-9, high=9, dtype=np.int32), fixed([0.1, 0.2, 0.3]), axis=1),
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
    *(
        case("QLinearSoftmax", values, fixed(0.02), point, fixed(1 / 256), least, axis=axis, opset=opset)
        for values, point, least, axis, opset in (
            (BYTES, POINT, fixed(np.array(0, np.uint8)), 1, 12),
            (BYTES.view(np.int8), fixed(np.array(3, np.int8)), fixed(np.array(-128, np.int8)), -1, 13),
        )
    ),
    case(
        "QLinearAveragePool",
        *(x(1, 6, 6, 4, low=0, high=255, dtype=np.uint8), TENTH, POINT, fixed(0.11), POINT),
        kernel_shape=[3, 3],
        pads=[1, 1, 1, 1],
        channels_last=1,
        count_include_pad=1,
    ),
    case(
        "QLinearConv",
        *(x(1, 6, 5, 3, low=0, high=255, dtype=np.uint8), fixed(0.02), POINT, KERNELS),
        *(fixed(x(4, low=0.01, high=0.05)), fixed(np.zeros(4, np.int8)), *OUT, fixed(BIG)),
        channels_last=1,
        pads=[1, 1, 1, 1],
    ),
    case(
        "QGemm",
        *(x(3, 6, low=0, high=255, dtype=np.uint8), fixed(0.02), POINT, SIGNED, fixed(0.03)),
        *(fixed(np.array(0, np.int8)), fixed(x(5, low=-900, high=900, dtype=np.int32)), fixed(0.11), POINT),
    ),
    case(
        "QGemm",
        *(x(6, 3, low=0, high=255, dtype=np.uint8), fixed(0.02), POINT),
        *(fixed(SIGNED.array.T.copy()), fixed(x(5, low=0.01, high=0.05)), fixed(np.zeros(5, np.int8))),
        fixed(x(5, low=-900, high=900, dtype=np.int32)),
        transA=1,
        transB=1,
        alpha=0.5,
    ),
    case("QLinearWhere", x(2, 4, 6, dtype=bool), BYTES, TENTH, POINT, OTHER, fixed(0.03), POINT, *OUT),
    case(
        "NhwcMaxPool", x(1, 6, 5, 3, low=-128, high=127, dtype=np.int8), kernel_shape=[3, 3], strides=[2, 2]
    ),
    case(
        "NhwcMaxPool",
        x(1, 6, 5, 3, low=0, high=255, dtype=np.uint8),
        kernel_shape=[2, 2],
        strides=[2, 2],
        pads=[0, 1, 0, 1],
        ceil_mode=1,
        dilations=[2, 1],
    ),
    case("NhwcMaxPool", x(1, 6, 5, 3, low=0, high=255, dtype=np.uint8), kernel_shape=[2, 2], strides=[2, 2]),
    case("DynamicQuantizeMatMul", x(2, 4, 6), SIGNED, fixed(0.02), fixed(np.array(3, np.int8)), fixed(x(5))),
    case("DynamicQuantizeMatMul", x(2, 4, 6), SIGNED, fixed(x(5, low=0.01, high=0.03))),
    case(
        "DynamicQuantizeMatMul",
        *(x(4, 6), SIGNED, fixed(x(5, low=0.01, high=0.03)), fixed(x(5, low=-9, high=9, dtype=np.int8))),
    ),
    case(
        "MatMulIntegerToFloat", BYTES, x(2, 6, 5, low=0, high=255, dtype=np.uint8), TENTH, TENTH, POINT, POINT
    ),
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
    *(
        case("MatMulNBits", x(3, 64), NIBBLES, BLOCKS, *more, K=64, N=5, bits=4, block_size=32)
        for more in (
            (fixed(x(5, 2, low=5, high=9)),),
            (None, fixed((np.arange(64)[::-1] // 32).astype(np.int32))),
        )
    ),
    case(
        "MatMulNBits",
        *(x(3, 40), fixed(x(5, 3, 8, low=0, high=255, dtype=np.uint8)), fixed(x(5, 3))),
        *(fixed(x(5, 2, low=0, high=255, dtype=np.uint8)), None, fixed(x(5))),
        K=40,
        N=5,
        bits=4,
        block_size=16,
    ),
    case("EmbedLayerNormalization", IDS, None, *EMBEDDINGS[:2], None, SCALE, BIAS, outputs=2),
    case(
        "EmbedLayerNormalization",
        *(IDS, SEGMENTS, *EMBEDDINGS, SCALE, BIAS, None, x(2, 4, low=0, high=5, dtype=np.int32)),
        outputs=3,
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
    case("Attention", X, *PACKED, np.array([4, 3, 1, 0], np.int32), num_heads=2),
    case("Attention", X, *PACKED, x(2, 4, 4, low=0, high=1, dtype=np.int32), num_heads=2),
    case("Attention", X, fixed(x(8, 40)), fixed(x(40)), num_heads=2, qkv_hidden_sizes=[16, 16, 8]),
    case(
        "Attention",
        *(x(2, 2, 8), *PACKED, x(2, 5, low=0, high=1, dtype=np.int32), PAST),
        num_heads=2,
        unidirectional=1,
        outputs=2,
    ),
    case("MultiHeadAttention", X, x(2, 2, 5, 4), x(2, 2, 5, 4, seed=1), num_heads=2),
    case("MultiHeadAttention", X, x(2, 2, 5, 4), x(2, 2, 5, 4, seed=1), PACKED[1], num_heads=2),
    case("MultiHeadAttention", X, X, X, None, LENGTHS, num_heads=2),
    case("MultiHeadAttention", X, X, X, None, x(2, 4, 4, low=0, high=1, dtype=np.int32), num_heads=2),
    case("MultiHeadAttention", X, X, X, None, SEEN, num_heads=2, mask_filter_value=-3.0, scale=0.5),
    case("MultiHeadAttention", X, x(2, 6, 8), x(2, 6, 10), num_heads=2),
    case("MultiHeadAttention", X, X, X, fixed(x(24)), num_heads=2),
    case("MultiHeadAttention", X, X, X, None, SEEN, num_heads=2),
    case("MultiHeadAttention", X, X, X, None, None, x(1, 2, 4, 4), num_heads=2, unidirectional=1),
    case("MultiHeadAttention", X, X, X, None, None, None, PAST[0], PAST[1], num_heads=2, outputs=3),
    case("RotaryEmbedding", X, x(2, 4, low=0, high=15, dtype=np.int64), *TABLES),
    case("RotaryEmbedding", x(2, 2, 4, 4), np.array([3]), *TABLES, interleaved=1),
    case(
        "RotaryEmbedding",
        *(x(2, 4, 16), x(2, 4, low=0, high=15, dtype=np.int64), *TABLES),
        num_heads=2,
        rotary_embedding_dim=4,
    ),
    case(
        "QAttention",
        *(x(2, 2, 8, low=0, high=255, dtype=np.uint8), fixed(x(8, 24, low=-127, high=127, dtype=np.int8))),
        *(PACKED[1], fixed(0.01), fixed(x(24, low=0.01, high=0.03)), None, POINT),
        *(fixed(np.zeros(24, np.int8)), PAST),
        num_heads=2,
        unidirectional=1,
        outputs=2,
    ),
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


def few_bits(*columns: int) -> Any:
    """An LSTM with a scale for all weights, or one for each of ``columns``."""
    parts = [(fixed(x(1, size, 20, low=-127, high=127, dtype=np.int8)), size) for size in (4, 5)]
    scales = [
        (fixed(x(1, *columns, low=0.004, high=0.008, seed=s)), fixed(np.zeros((1, *columns), np.int8)))
        for _, s in parts
    ]
    return case(
        "DynamicQuantizeLSTM",
        *(x(6, 2, 4), parts[0][0], parts[1][0], fixed(x(1, 40)), None, None, None, None),
        *(v for pair in scales for v in pair),
        outputs=3,
        hidden_size=5,
    )


FEW_BITS = [few_bits(), few_bits(20)]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path, rtol=2e-4)


def test_packed_operands(tmp_path: Path) -> None:
    """ONNX Runtime has them on other devices only: they compute what the same operands do one by one."""
    query, key, value = (x(2, 4, 8, seed=s) for s in range(3))
    (plain,) = case("MultiHeadAttention", query, key, value, num_heads=2).values
    (wanted,) = run_oracle(plain.model(), plain.feeds)
    heads = [v.reshape(2, 4, 2, 4) for v in (query, key, value)]
    for operands in ([np.stack(heads, 3)], [query, np.stack(heads[1:], 3)]):
        (c,) = case("MultiHeadAttention", *operands, num_heads=2).values
        path = tmp_path / "packed.onnx"
        path.write_bytes(c.model().SerializeToString())
        (found,) = evaluate(load(path).graph, c.feeds)
        assert_close(found, wanted)


@pytest.mark.parametrize("c", FEW_BITS)
def test_an_lstm_of_few_bits(c: Case, tmp_path: Path) -> None:
    """ONNX Runtime rounds inputs and states to 8 bits as well, so that only the first digits agree."""
    check_case(c, tmp_path, rtol=2e-2)


@pytest.mark.parametrize(
    ("c", "message"),
    [
        (case("FusedConv", IMAGE, fixed(x(4, 3, 3, 3)), activation="Sinus"), "the activation 'Sinus'"),
        (case("Attention", X, *PACKED, num_heads=2, do_rotary=1), "with rotation"),
    ],
)
def test_unsupported(c: Any, message: str, tmp_path: Path) -> None:
    (one,) = c.values
    with pytest.raises(UnsupportedError, match=message):
        check_case(one, tmp_path)
