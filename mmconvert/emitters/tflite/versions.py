"""Which version of an operator a use of it needs, and which runtime that version came with.

The facts are those of TensorFlow's ``op_version.cc`` and ``runtime_version.cc``: a runtime refuses a version
above its own, so each use asks for the oldest that has what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mmconvert import dtypes
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.ir.types import TensorType

Types = Sequence[TensorType | None]
Options = Mapping[str, Any]

_BY_TYPE: dict[str, dict[str, int]] = {
    name: dict(zip(types.split(), versions, strict=True))
    for names, types, versions in (
        (
            "AVERAGE_POOL_2D MAX_POOL_2D SOFTMAX MEAN MIRROR_PAD REDUCE_MAX REDUCE_MIN RELU6 RSQRT",
            "i8 i16",
            (2, 3),
        ),
        ("LOGISTIC TANH BATCH_MATMUL", "i8 i16", (2, 3)),
        ("RELU", "i8 u8 i16", (2, 2, 3)),
        ("GELU", "i8 u8", (2, 2)),
        ("SUM LOG_SOFTMAX SQUARED_DIFFERENCE SPACE_TO_DEPTH DEPTH_TO_SPACE GREATER LESS_EQUAL", "i8", (2,)),
        ("L2_NORMALIZATION SPLIT_V", "i8", (2,)),
        ("EXP LOG SQRT REDUCE_PROD", "i8 i16", (2, 2)),
        ("LEAKY_RELU", "i16", (2,)),
        ("ABS", "i8 u8 i16 i32", (2, 2, 4, 5)),
        ("SIGN", "i32", (2,)),
        ("ADD", "i8 i64 i16 f16", (2, 4, 5, 6)),
        ("SUB", "i8 i64 i16", (2, 4, 5)),
        ("MUL", "i8 i64 i16 u32 f16", (2, 5, 7, 7, 8)),
        ("FLOOR_DIV", "f32 i8 i16", (2, 3, 3)),
        ("FLOOR_MOD", "i8 i16", (2, 2)),
        ("MAXIMUM MINIMUM", "i8 i16", (2, 4)),
        ("EQUAL", "i8 i16", (2, 5)),
        ("NOT_EQUAL", "i8 i16", (2, 4)),
        ("LESS GREATER_EQUAL", "i8 i16", (2, 3)),
        ("ARG_MAX ARG_MIN", "i8 bool", (2, 3)),
        ("TOPK_V2", "i8 i16", (2, 3)),
        ("CONCATENATION", "i8 i16 u32", (2, 3, 4)),
        ("TRANSPOSE", "i8 bool i16 bf16", (2, 3, 5, 8)),
        ("TILE", "i8", (3,)),
        ("REVERSE_V2", "bool i8", (2, 3)),
        ("PAD PADV2", "i8 i16 bool", (2, 3, 5)),
        ("SLICE", "i8 i16 u32", (2, 4, 6)),
        ("STRIDED_SLICE", "i8 bool u32", (2, 3, 7)),
        ("GATHER", "i8 bool i16", (2, 3, 4)),
        ("GATHER_ND", "i16 bool", (3, 5)),
        ("RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND", "i8 i16", (2, 4)),
        ("RANGE", "i64", (2,)),
        ("DEQUANTIZE", "i8 i16 f16", (2, 3, 3)),
    )
    for name in names.split()
}


def version(builtin: tfl.Builtin, inputs: Types, outputs: Types, options: Options) -> int:
    """The version of ``builtin`` that these operands and options need."""
    special = _SPECIAL.get(builtin.name)
    needed = special(inputs, outputs, options) if special else 1
    data = inputs[0] if inputs else None
    by_type = _BY_TYPE.get(builtin.name)
    if by_type and data is not None:
        needed = max(needed, by_type.get(dtypes.name(data.dtype), 1))
    return needed


def _rank(types: Types) -> int:
    return max((t.rank for t in types if t is not None), default=0)


def _is_hybrid(inputs: Types) -> bool:
    """Floats times integers."""
    x, weight = inputs[:2]
    return x is not None and weight is not None and x.dtype == dtypes.F32 and weight.dtype == dtypes.I8


def _broadcasts_above_4(inputs: Types) -> bool:
    first, second = inputs[0], inputs[1]
    return first is not None and second is not None and first.shape != second.shape and _rank(inputs) > 4


def _conv_2d(inputs: Types, outputs: Types, options: Options) -> int:
    x, weight = inputs[0], inputs[1]
    assert x is not None
    assert weight is not None
    if _is_hybrid(inputs):
        return 5
    channels, seen = x.shape[-1], weight.shape[-1]
    if isinstance(channels, int) and channels != seen:
        return 6
    return {dtypes.I8: 3, dtypes.I16: 4}.get(x.dtype, 1)


def _depthwise_conv_2d(inputs: Types, outputs: Types, options: Options) -> int:
    assert inputs[0] is not None
    if _is_hybrid(inputs):
        return 6
    dilated = options.get("dilation_w_factor", 1) != 1 or options.get("dilation_h_factor", 1) != 1
    return {dtypes.I8: 3, dtypes.I16: 5}.get(inputs[0].dtype, 2 if dilated else 1)


def _fully_connected(inputs: Types, outputs: Types, options: Options) -> int:
    assert inputs[0] is not None
    if inputs[0].dtype == dtypes.I16:
        return 7
    if _is_hybrid(inputs):
        return 12
    if len(inputs) == 2:
        return 6
    if options.get("keep_num_dims"):
        return 5
    return 4 if inputs[0].dtype == dtypes.I8 else 1


def _transpose_conv(inputs: Types, outputs: Types, options: Options) -> int:
    if options.get("fused_activation_function"):
        return 4
    assert inputs[1] is not None
    return 3 if len(inputs) == 4 else 2 if inputs[1].dtype == dtypes.I8 else 1


def _resize_bilinear(inputs: Types, outputs: Types, options: Options) -> int:
    return 3 if options.get("half_pixel_centers") else 1


def _resize_nearest(inputs: Types, outputs: Types, options: Options) -> int:
    return 3 if options.get("half_pixel_centers") or options.get("align_corners") else 1


def _transpose(inputs: Types, outputs: Types, options: Options) -> int:
    rank = _rank(inputs[:1])
    return 8 if rank > 6 else 6 if rank > 5 else 4 if rank > 4 else 1


def _strided_slice(inputs: Types, outputs: Types, options: Options) -> int:
    return 4 if _rank(inputs[:1]) > 4 else 1


def _slice(inputs: Types, outputs: Types, options: Options) -> int:
    return 5 if _rank(inputs[:1]) > 4 else 1


def _pad(inputs: Types, outputs: Types, options: Options) -> int:
    return 4 if _rank(inputs[:1]) > 4 else 1


def _sub(inputs: Types, outputs: Types, options: Options) -> int:
    return 3 if _broadcasts_above_4(inputs) else 1


def _div(inputs: Types, outputs: Types, options: Options) -> int:
    return 2 if _broadcasts_above_4(inputs) else 1


def _gather(inputs: Types, outputs: Types, options: Options) -> int:
    return 5 if options.get("batch_dims") else 1


def _broadcast_to(inputs: Types, outputs: Types, options: Options) -> int:
    assert inputs[0] is not None
    return 3 if inputs[0].dtype in (dtypes.I8, dtypes.I16) else 2


def _space_batch(inputs: Types, outputs: Types, options: Options) -> int:
    return 3 if _rank(inputs[:1]) != 4 else 1


def _split(inputs: Types, outputs: Types, options: Options) -> int:
    assert inputs[1] is not None
    return {dtypes.I8: 2, dtypes.I32: 3, dtypes.I16: 4}.get(inputs[1].dtype, 1)


def _cast(inputs: Types, outputs: Types, options: Options) -> int:
    types = {t.dtype for t in (*inputs, *outputs) if t is not None}
    newest_first = (("bf16", 7), ("f64", 5), ("f16", 5), ("u16", 4), ("i8", 3), ("u32", 2))
    return next((number for name, number in newest_first if dtypes.BY_NAME[name] in types), 1)


def _fill(inputs: Types, outputs: Types, options: Options) -> int:
    assert inputs[1] is not None
    return {dtypes.F16: 4, dtypes.I8: 3, dtypes.I16: 3, dtypes.BOOL: 2}.get(inputs[1].dtype, 1)


def _where(inputs: Types, outputs: Types, options: Options) -> int:
    assert inputs[0] is not None
    return 1 if inputs[0].dtype == dtypes.BOOL else 2


def _recurrent(inputs: Types, outputs: Types, options: Options) -> int:
    """Without an input gate, the first weights are left out."""
    weights = [t for t in inputs[1:3] if t is not None]
    if inputs[0] is None or not _is_hybrid((inputs[0], weights[0])):
        return 1
    return 3 if options.get("asymmetric_quantize_inputs") else 2


def _lstm(inputs: Types, outputs: Types, options: Options) -> int:
    if options.get("kernel_type"):  # the one over a single matrix
        return 2
    needed = _recurrent(inputs, outputs, options)
    return needed + 1 if needed > 1 else 1


def _svdf(inputs: Types, outputs: Types, options: Options) -> int:
    if inputs[0] is not None and inputs[0].dtype == dtypes.I8:
        return 3
    return (1, 2, 4)[_recurrent(inputs, outputs, options) - 1]


def _quantize(inputs: Types, outputs: Types, options: Options) -> int:
    return 2 if any(t is not None and t.dtype == dtypes.I16 for t in (*inputs, *outputs)) else 1


def _dequantize(inputs: Types, outputs: Types, options: Options) -> int:
    return 5 if options.get("along_axis") else 1


_SPECIAL: dict[str, Callable[[Types, Types, Options], int]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "TRANSPOSE": _transpose,
    "DEQUANTIZE": _dequantize,
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "PAD": _pad,
    "PADV2": _pad,
    "SUB": _sub,
    "MAXIMUM": _sub,
    "MINIMUM": _sub,
    "DIV": _div,
    "GATHER": _gather,
    "BROADCAST_TO": _broadcast_to,
    "SPACE_TO_BATCH_ND": _space_batch,
    "BATCH_TO_SPACE_ND": _space_batch,
    "SPLIT": _split,
    "CAST": _cast,
    "FILL": _fill,
    "WHERE": _where,
    "QUANTIZE": _quantize,
    "LSTM": _lstm,
    "SVDF": _svdf,
    **dict.fromkeys(
        (
            "RNN",
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            "BIDIRECTIONAL_SEQUENCE_LSTM",
            "UNIDIRECTIONAL_SEQUENCE_RNN",
            "BIDIRECTIONAL_SEQUENCE_RNN",
        ),
        _recurrent,
    ),
}

_RUNTIMES = {
    name: tuple(releases.split())
    for names, releases in (
        ("AVERAGE_POOL_2D MAX_POOL_2D SOFTMAX", "1.5 1.14 2.3"),
        ("BATCH_MATMUL", "2.3 2.3 2.4 2.5"),
        ("BROADCAST_TO", "2.5 2.5 2.5"),
        ("CONV_2D", "1.5 1.14 1.14 2.3 2.4 2.9 2.11 2.15"),
        ("DEPTHWISE_CONV_2D", "1.5 1.12 1.14 2.2 2.3 2.3 2.11"),
        ("ADD", "1.5 1.14 2.4 2.6 2.13 2.23"),
        ("SUB", "1.6 1.14 2.3 2.4 2.4"),
        ("MUL", "1.5 1.14 1.15 2.3 2.6 2.11 2.13 2.23"),
        ("DIV", "1.6 2.3"),
        ("SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND", "1.6 1.14 2.3 2.12"),
        ("CAST", "1.5 2.7 2.8 2.9 2.12 2.15 2.17 2.21"),
        ("CONCATENATION", "1.5 1.14 2.3 2.14 2.21"),
        ("DEPTH_TO_SPACE", "2.1 2.5"),
        ("SPACE_TO_DEPTH L2_NORMALIZATION", "1.5 1.14"),
        ("FULLY_CONNECTED", "1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3 2.11 2.15 2.17 2.18 2.21"),
        ("GATHER", "1.6 1.14 1.15 2.4 2.5 2.13 2.15"),
        ("GATHER_ND", "1.14 2.3 2.5 2.13 2.16"),
        ("MAXIMUM MINIMUM", "1.14 1.14 2.3 2.3"),
        ("PAD", "1.5 1.14 2.4 2.6 2.20"),
        ("PADV2", "1.9 1.14 2.4 2.6 2.20"),
        ("TILE", "1.10.1 2.2 2.8"),
        ("TRANSPOSE", "1.6 1.14 1.15 2.3 2.4 2.12 2.14.4 2.22"),
        ("TRANSPOSE_CONV", "1.9 2.2 2.3 2.13 2.15"),
        ("MEAN", "1.6 1.14 2.4"),
        ("SUM", "1.10 1.15"),
        ("REDUCE_MAX REDUCE_MIN", "1.11 1.14 2.5"),
        ("REDUCE_PROD", "1.11 2.6"),
        ("RELU6", "1.5 1.14 2.5"),
        ("RESIZE_BILINEAR", "1.7 1.14 2.2 2.5"),
        ("RESIZE_NEAREST_NEIGHBOR", "1.13.1 1.14 2.3 2.4"),
        ("SPLIT", "1.5 1.14 1.14 2.3"),
        ("SPLIT_V", "1.13.1 2.3"),
        ("STRIDED_SLICE", "1.6 1.14 2.1 2.2 2.5 2.6 2.14 2.14"),
        ("TOPK_V2", "1.7 1.14 2.13"),
        ("ARG_MAX ARG_MIN", "1.9 1.14 2.9"),
        ("SLICE", "1.14 1.14 1.14 2.4 2.5 2.14 2.21"),
        ("TANH LOGISTIC", "1.14 1.14 2.3"),
        ("LEAKY_RELU", "1.13.1 2.3"),
        ("SQUARED_DIFFERENCE", "1.13.1 2.5"),
        ("MIRROR_PAD", "1.13.1 2.3 2.12"),
        ("EQUAL", "1.14 1.14 2.3 2.13 2.21"),
        ("NOT_EQUAL", "1.14 1.14 2.3 2.21"),
        ("GREATER LESS_EQUAL LOG_SOFTMAX", "1.14 1.14"),
        ("GREATER_EQUAL LESS", "1.14 1.14 2.13"),
        ("FLOOR_DIV", "1.14 1.14 2.13"),
        ("FLOOR_MOD", "1.13 2.13"),
        ("RELU", "1.5 2.1 2.5"),
        ("EXP", "1.7 2.12"),
        ("LOG", "1.14 2.15"),
        ("SQRT", "1.10 2.21"),
        ("RSQRT", "1.10 2.5 2.15"),
        ("ABS", "1.13 2.4 2.5 2.6 2.12"),
        ("FILL", "1.13 2.3 2.5 2.12"),
        ("REVERSE_V2", "1.14 2.2 2.5"),
        ("RANGE", "1.13 2.14"),
        ("WHERE", "1.14 2.8"),
        ("GELU", "2.9 2.9"),
        ("SIGN", "2.11 2.12"),
        ("SELECT_V2", "2.2 2.12"),
        ("RESHAPE LOCAL_RESPONSE_NORMALIZATION RELU_N1_TO_1", "1.5"),
        ("SQUEEZE", "1.6"),
        ("PRELU", "1.8"),
        ("FLOOR NEG SIN", "1.9"),
        ("EXPAND_DIMS SHAPE POW", "1.10"),
        ("ONE_HOT REDUCE_ANY LOGICAL_OR LOGICAL_AND LOGICAL_NOT", "1.11"),
        ("SQUARE", "1.12"),
        ("CEIL ELU ROUND COS", "1.14"),
        ("REVERSE_SEQUENCE", "1.14"),
        ("HARD_SWISH IF WHILE", "1.15"),
        ("SCATTER_ND", "2.1"),
        ("CUMSUM", "2.4"),
        ("CONV_3D", "2.5"),
        ("DYNAMIC_UPDATE_SLICE", "2.9"),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", "1.13.1 1.14 2.3 2.12"),
        ("BIDIRECTIONAL_SEQUENCE_LSTM", "1.14 1.14 1.14"),
        ("LSTM", "1.7 1.10 1.14 2.3"),
        ("SVDF", "1.5 1.14 2.2 2.3"),
        ("RNN", "1.5 1.14 2.3"),
        ("UNIDIRECTIONAL_SEQUENCE_RNN BIDIRECTIONAL_SEQUENCE_RNN", "1.14 1.14 2.3"),
        ("REDUCE_ALL CONV_3D_TRANSPOSE", "2.6"),
        ("RELU_0_TO_1 ATAN2", "2.10"),
        ("BITWISE_XOR RIGHT_SHIFT BITCAST", "2.13"),
        ("DEQUANTIZE", "1.13.1 1.14 1.15 2.2 2.7"),
        ("QUANTIZE", "1.14 1.15 2.7"),
    )
    for name in names.split()
}


def runtime(used: Iterable[tuple[tfl.Builtin, int]]) -> str:
    """The oldest TensorFlow Lite release that has every one of ``used``, as ``"2.3.0"``."""
    newest = (1, 5, 0)
    for builtin, number in used:
        releases = _RUNTIMES[builtin.name]
        parts = [int(part) for part in releases[number - 1].split(".")]
        newest = max(newest, (parts[0], parts[1], parts[2] if len(parts) > 2 else 0))
    return ".".join(map(str, newest))
