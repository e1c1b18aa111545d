"""The TensorFlow Lite schema, version 3, as far as it is read: slots of tables, operators and their options.

Options are declared as ``name:type``, in the order of their slots, with ``=default`` where that is not 0;
``_`` holds the place of a slot that says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from mmconvert import dtypes
from mmconvert.dtypes import DType

IDENTIFIER: Final = b"TFL3"
VERSION: Final = 3


class Model:
    """Slots of the root table."""

    VERSION, CODES, SUBGRAPHS, DESCRIPTION, BUFFERS, _, METADATA, SIGNATURES = range(8)


class Code:
    """Slots of OperatorCode."""

    OLD, CUSTOM, VERSION, NUMBER = range(4)


class Graph:
    """Slots of SubGraph."""

    TENSORS, INPUTS, OUTPUTS, OPERATORS, NAME = range(5)


class Tensor:
    """Slots of Tensor."""

    SHAPE, TYPE, BUFFER, NAME, QUANTIZATION, VARIABLE, SPARSITY, SIGNATURE, HAS_RANK = range(9)
    EXTERNAL = 10


class Quantization:
    """Slots of QuantizationParameters."""

    _MIN, _MAX, SCALE, ZERO_POINT, DETAILS_TYPE, DETAILS, AXIS = range(7)


class Operator:
    """Slots of Operator."""

    CODE, INPUTS, OUTPUTS, UNION, OPTIONS, CUSTOM, _FORMAT, _MUTATED, INTERMEDIATES = range(9)
    LARGE_OFFSET, LARGE_SIZE, UNION_2, OPTIONS_2 = range(9, 13)


class Buffer:
    """Slots of Buffer."""

    DATA, OFFSET, SIZE = range(3)


class Metadata:
    """Slots of Metadata."""

    NAME, BUFFER = range(2)


class Signature:
    """Slots of SignatureDef."""

    INPUTS, OUTPUTS, KEY, _, SUBGRAPH = range(5)


class Named:
    """Slots of TensorMap."""

    NAME, TENSOR = range(2)


class Sparsity:
    """Slots of SparsityParameters."""

    ORDER, BLOCK_MAP, DIMENSIONS = range(3)


class Dimension:
    """Slots of DimensionMetadata; the two vectors of numbers are unions of tables with one slot."""

    FORMAT, SIZE, SEGMENTS_TYPE, SEGMENTS, INDICES_TYPE, INDICES = range(6)


_TYPES = "f32 f16 i32 u8 i64 - bool i16 c64 i8 f64 c128 u64 - - u32 u16 i4 bf16 i2 u4"
TYPES: Final[dict[int, DType]] = {
    number: dtypes.BY_NAME[name] for number, name in enumerate(_TYPES.split()) if name != "-"
}
"""The element type behind each number; strings (5), resources (13) and variants (14) are no numbers."""

TYPE_NAMES: Final = {5: "strings", 13: "resources", 14: "variants"}

_OPERATORS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP
FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX
SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE
UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX
DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER
GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL
LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT
LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N
GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF
WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL
PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL
GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM
ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD
STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP
STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL
STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER
STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER
STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD
STABLEHLO_IOTA STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE
STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE
STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT
"""
_NAMES: Final = tuple(_OPERATORS.split())
CUSTOM: Final = "CUSTOM"


def operator_name(number: int) -> str:
    """The operator with this number; one that is newer goes by its number."""
    return _NAMES[number] if 0 <= number < len(_NAMES) else f"operator {number}"


@dataclass(frozen=True, slots=True)
class Slot:
    """One option."""

    name: str
    type: str
    default: float


@cache
def options(name: str) -> tuple[int, tuple[Slot, ...]]:
    """The number of an operator's options in the union (0: it has none), and their slots."""
    union, _, declaration = _OPTIONS.get(name, "0").partition(" ")
    slots = []
    for text in declaration.split():
        field, _, rest = text.partition(":")
        kind, _, default = rest.partition("=")
        slots.append(Slot(field, kind, float(default or 0)))
    return int(union), tuple(slots)


_FUSED = "fused_activation_function:i8"
_WINDOW = "padding:i8 stride_w:i32 stride_h:i32"
_POOL = f"5 {_WINDOW} filter_width:i32 filter_height:i32 {_FUSED}"
_DILATION = "dilation_w_factor:i32=1 dilation_h_factor:i32=1"
_CONV_3D = (
    f"106 padding:i8 stride_d:i32 stride_w:i32 stride_h:i32 {_FUSED}"
    " dilation_d_factor:i32=1 dilation_w_factor:i32=1 dilation_h_factor:i32=1"
)
_REDUCER = "27 keep_dims:bool"
_LSTM = f"{_FUSED} cell_clip:f32 proj_clip:f32"
_ASYMMETRIC = "asymmetric_quantize_inputs:bool"

_OPTIONS: Final[dict[str, str]] = {
    "CONV_2D": f"1 {_WINDOW} {_FUSED} {_DILATION} quantized_bias_type:i8",
    "DEPTHWISE_CONV_2D": f"2 {_WINDOW} depth_multiplier:i32 {_FUSED} {_DILATION}",
    "TRANSPOSE_CONV": f"49 {_WINDOW} {_FUSED} quantized_bias_type:i8",
    "CONV_3D": _CONV_3D,
    "CONV_3D_TRANSPOSE": _CONV_3D,
    "AVERAGE_POOL_2D": _POOL,
    "MAX_POOL_2D": _POOL,
    "L2_POOL_2D": _POOL,
    "FULLY_CONNECTED": (
        f"8 {_FUSED} weights_format:i8 keep_num_dims:bool {_ASYMMETRIC} quantized_bias_type:i8"
    ),
    "BATCH_MATMUL": f"101 adj_x:bool adj_y:bool {_ASYMMETRIC}",
    "L2_NORMALIZATION": f"12 {_FUSED}",
    "LOCAL_RESPONSE_NORMALIZATION": "13 radius:i32 bias:f32 alpha:f32 beta:f32",
    "LEAKY_RELU": "75 alpha:f32",
    "HARD_SWISH": "91",
    "GELU": "116 approximate:bool",
    "SOFTMAX": "9 beta:f32",
    "LOG_SOFTMAX": "36",
    "ADD": f"11 {_FUSED} pot_scale_int16:bool=1",
    "SUB": f"28 {_FUSED} pot_scale_int16:bool=1",
    "MUL": f"21 {_FUSED}",
    "DIV": f"29 {_FUSED}",
    "FLOOR_DIV": "65",
    "FLOOR_MOD": "72",
    "POW": "56",
    "MAXIMUM": "39",
    "MINIMUM": "39",
    "SQUARED_DIFFERENCE": "76",
    "ATAN2": "122",
    "BITWISE_XOR": "125",
    "RIGHT_SHIFT": "126",
    "ABS": "78",
    "NEG": "42",
    "EXP": "33",
    "SQUARE": "66",
    "SIGN": "123",
    "COS": "84",
    "CAST": "37 in_data_type:i8 out_data_type:i8",
    "BITCAST": "0",
    "EQUAL": "53",
    "NOT_EQUAL": "54",
    "LESS": "41",
    "LESS_EQUAL": "46",
    "GREATER": "44",
    "GREATER_EQUAL": "45",
    "LOGICAL_AND": "62",
    "LOGICAL_OR": "60",
    "LOGICAL_NOT": "63",
    "SELECT": "47",
    "SELECT_V2": "98",
    "MEAN": _REDUCER,
    "SUM": _REDUCER,
    "REDUCE_PROD": _REDUCER,
    "REDUCE_MAX": _REDUCER,
    "REDUCE_MIN": _REDUCER,
    "REDUCE_ANY": _REDUCER,
    "REDUCE_ALL": _REDUCER,
    "ARG_MAX": "40 output_type:i8",
    "ARG_MIN": "57 output_type:i8",
    "TOPK_V2": "34",
    "CUMSUM": "102 exclusive:bool reverse:bool",
    "UNIQUE": "80 idx_out_type:i8=2",
    "RESHAPE": "17 new_shape:[i32]",
    "EXPAND_DIMS": "52",
    "SQUEEZE": "30 squeeze_dims:[i32]",
    "TRANSPOSE": "26",
    "CONCATENATION": f"10 axis:i32 {_FUSED}",
    "PACK": "59 values_count:i32 axis:i32",
    "UNPACK": "64 num:i32 axis:i32",
    "SPLIT": "35 num_splits:i32",
    "SPLIT_V": "79 num_splits:i32",
    "TILE": "51",
    "BROADCAST_TO": "104",
    "SHAPE": "55 out_type:i8",
    "RANK": "86",
    "ZEROS_LIKE": "67",
    "REVERSE_V2": "81",
    "REVERSE_SEQUENCE": "87 seq_dim:i32 batch_dim:i32",
    "DEPTH_TO_SPACE": "94 block_size:i32",
    "SPACE_TO_DEPTH": "19 block_size:i32",
    "BATCH_TO_SPACE_ND": "24",
    "SPACE_TO_BATCH_ND": "25",
    "FILL": "68",
    "RANGE": "73",
    "PAD": "22",
    "PADV2": "43",
    "MIRROR_PAD": "77 mode:i8",
    "RESIZE_BILINEAR": "15 _:i32 _:i32 align_corners:bool half_pixel_centers:bool",
    "RESIZE_NEAREST_NEIGHBOR": "74 align_corners:bool half_pixel_centers:bool",
    "SLICE": "48",
    "STRIDED_SLICE": (
        "32 begin_mask:i32 end_mask:i32 ellipsis_mask:i32 new_axis_mask:i32 shrink_axis_mask:i32 offset:bool"
    ),
    "DYNAMIC_UPDATE_SLICE": "117",
    "GATHER": "23 axis:i32 batch_dims:i32",
    "GATHER_ND": "83",
    "SCATTER_ND": "97",
    "SPARSE_TO_DENSE": "50 validate_indices:bool",
    "ONE_HOT": "61 axis:i32",
    "WHERE": "85",
    "MATRIX_DIAG": "88",
    "MATRIX_SET_DIAG": "90",
    "SEGMENT_SUM": "100",
    "ADD_N": "82",
    "BUCKETIZE": "115 boundaries:[f32]",
    "IF": "92 then_subgraph_index:i32 else_subgraph_index:i32",
    "WHILE": "93 cond_subgraph_index:i32 body_subgraph_index:i32",
    "CALL": "16 subgraph:u32",
    "CALL_ONCE": "103 init_subgraph_index:i32",
    "VAR_HANDLE": "111 container:string shared_name:string",
    "READ_VARIABLE": "112",
    "ASSIGN_VARIABLE": "113",
    "QUANTIZE": "89",
    "DEQUANTIZE": "38",
    "FAKE_QUANT": "58 min:f32 max:f32 num_bits:i32 narrow_range:bool",
    "DENSIFY": "99",
    "RFFT2D": "105",
    "LSTM": f"14 {_LSTM} kernel_type:i8 {_ASYMMETRIC}",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        f"71 {_LSTM} time_major:bool {_ASYMMETRIC} diagonal_recurrent_tensors:bool"
    ),
    "BIDIRECTIONAL_SEQUENCE_LSTM": f"69 {_LSTM} merge_outputs:bool time_major:bool=1 {_ASYMMETRIC}",
    "RNN": f"7 {_FUSED} {_ASYMMETRIC}",
    "UNIDIRECTIONAL_SEQUENCE_RNN": f"31 time_major:bool {_FUSED} {_ASYMMETRIC}",
    "BIDIRECTIONAL_SEQUENCE_RNN": f"70 time_major:bool {_FUSED} merge_outputs:bool {_ASYMMETRIC}",
    "SVDF": f"6 rank:i32 {_FUSED} {_ASYMMETRIC}",
    "NON_MAX_SUPPRESSION_V4": "95",
    "NON_MAX_SUPPRESSION_V5": "96",
    "STABLEHLO_CONCATENATE": "1 dimension:i64",
    "STABLEHLO_BROADCAST_IN_DIM": "2 broadcast_dimensions:[i64]",
    "STABLEHLO_SLICE": "3 start_indices:[i64] limit_indices:[i64] strides:[i64]",
    "STABLEHLO_COMPARE": "8 comparison_direction:u32 compare_type:u32",
    "STABLEHLO_PAD": "10 edge_padding_low:[i64] edge_padding_high:[i64] interior_padding:[i64]",
    "STABLEHLO_IOTA": "11 iota_dimension:i64",
    "STABLEHLO_TRANSPOSE": "17 permutation:[i64]",
    "STABLEHLO_COMPOSITE": (
        "21 name:string decomposition_subgraph_index:i32 composite_attributes:[u8]"
        " composite_attributes_format:i8 version:i32"
    ),
}
"""For each operator that has options, their number in the union, and what they are.

Those of the StableHLO operators are in a union of their own, whose numbers begin anew.
"""
