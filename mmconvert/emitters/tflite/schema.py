"""The tables, operators and numbers of the TensorFlow Lite schema, version 3, as far as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mmconvert import dtypes
from mmconvert.emitters.flat import TableType

IDENTIFIER = b"TFL3"
VERSION = 3

MODEL = TableType(
    "Model",
    "version:u32 operator_codes:[table] subgraphs:[table] description:string buffers:[table]"
    " metadata_buffer:[i32] metadata:[table] signature_defs:[table]",
)
OPERATOR_CODE = TableType(
    "OperatorCode", "deprecated_builtin_code:i8 custom_code:string version:i32=1 builtin_code:i32"
)
SUBGRAPH = TableType("SubGraph", "tensors:[table] inputs:[i32] outputs:[i32] operators:[table] name:string")
TENSOR = TableType(
    "Tensor",
    "shape:[i32] type:i8 buffer:u32 name:string quantization:table is_variable:bool sparsity:table"
    " shape_signature:[i32] has_rank:bool",
)
QUANTIZATION = TableType(
    "QuantizationParameters",
    "min:[f32] max:[f32] scale:[f32] zero_point:[i64] details_type:u8 details:table quantized_dimension:i32",
)
OPERATOR = TableType(
    "Operator",
    "opcode_index:u32 inputs:[i32] outputs:[i32] builtin_options_type:u8 builtin_options:table"
    " custom_options:[u8] custom_options_format:i8 mutating_variable_inputs:[bool] intermediates:[i32]",
)
BUFFER = TableType("Buffer", "data:blob offset:u64 size:u64")
METADATA = TableType("Metadata", "name:string buffer:u32")
SIGNATURE_DEF = TableType(
    "SignatureDef", "inputs:[table] outputs:[table] signature_key:string _ subgraph_index:u32"
)
TENSOR_MAP = TableType("TensorMap", "name:string tensor_index:u32")

TENSOR_TYPES = {
    dtypes.BY_NAME[name]: number
    for name, number in {
        "f32": 0,
        "f16": 1,
        "i32": 2,
        "u8": 3,
        "i64": 4,
        "bool": 6,
        "i16": 7,
        "c64": 8,
        "i8": 9,
        "f64": 10,
        "c128": 11,
        "u64": 12,
        "u32": 15,
        "u16": 16,
        "bf16": 18,
    }.items()
}
"""The number of each element type; what is not here cannot stand in a file."""


class Padding(IntEnum):
    """How a window is padded."""

    SAME = 0
    VALID = 1


class Activation(IntEnum):
    """What is applied to an operator's result before it is stored."""

    NONE = 0
    RELU = 1
    RELU_N1_TO_1 = 2
    RELU6 = 3
    TANH = 4


class Mirror(IntEnum):
    """Whether MIRROR_PAD repeats the element at the border."""

    REFLECT = 0
    SYMMETRIC = 1


@dataclass(frozen=True, slots=True, eq=False)
class Builtin:
    """An operator of the schema: its number, and the number and slots of its options in the union."""

    name: str
    code: int
    union: int = 0
    options: TableType | None = None


def _builtin(name: str, code: int, union: int = 0, slots: str = "") -> Builtin:
    return Builtin(name, code, union, TableType(f"{name} options", slots) if union else None)


_FUSED = "fused_activation_function:i8"
_WINDOW = "padding:i8 stride_w:i32 stride_h:i32"
_POOL = f"{_WINDOW} filter_width:i32 filter_height:i32 {_FUSED}"
_DILATION = "dilation_w_factor:i32=1 dilation_h_factor:i32=1"
_CONV_3D = (
    f"padding:i8 stride_d:i32 stride_w:i32 stride_h:i32 {_FUSED}"
    " dilation_d_factor:i32=1 dilation_w_factor:i32=1 dilation_h_factor:i32=1"
)

# Convolution and pooling
CONV_2D = _builtin("CONV_2D", 3, 1, f"{_WINDOW} {_FUSED} {_DILATION} quantized_bias_type:i8")
DEPTHWISE_CONV_2D = _builtin(
    "DEPTHWISE_CONV_2D", 4, 2, f"{_WINDOW} depth_multiplier:i32 {_FUSED} {_DILATION}"
)
TRANSPOSE_CONV = _builtin("TRANSPOSE_CONV", 67, 49, f"{_WINDOW} {_FUSED} quantized_bias_type:i8")
CONV_3D = _builtin("CONV_3D", 132, 106, _CONV_3D)
CONV_3D_TRANSPOSE = _builtin("CONV_3D_TRANSPOSE", 141, 106, _CONV_3D)
AVERAGE_POOL_2D = _builtin("AVERAGE_POOL_2D", 1, 5, _POOL)
MAX_POOL_2D = _builtin("MAX_POOL_2D", 17, 5, _POOL)

# Products and normalization
FULLY_CONNECTED = _builtin(
    "FULLY_CONNECTED",
    9,
    8,
    f"{_FUSED} weights_format:i8 keep_num_dims:bool asymmetric_quantize_inputs:bool quantized_bias_type:i8",
)
BATCH_MATMUL = _builtin("BATCH_MATMUL", 126, 101, "adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool")
L2_NORMALIZATION = _builtin("L2_NORMALIZATION", 11, 12, _FUSED)
LOCAL_RESPONSE_NORMALIZATION = _builtin(
    "LOCAL_RESPONSE_NORMALIZATION", 13, 13, "radius:i32 bias:f32 alpha:f32 beta:f32"
)

# Activations
RELU = _builtin("RELU", 19)
RELU_N1_TO_1 = _builtin("RELU_N1_TO_1", 20)
RELU6 = _builtin("RELU6", 21)
RELU_0_TO_1 = _builtin("RELU_0_TO_1", 152)
LEAKY_RELU = _builtin("LEAKY_RELU", 98, 75, "alpha:f32")
PRELU = _builtin("PRELU", 54)
ELU = _builtin("ELU", 111)
LOGISTIC = _builtin("LOGISTIC", 14)
TANH = _builtin("TANH", 28)
HARD_SWISH = _builtin("HARD_SWISH", 117, 91)
GELU = _builtin("GELU", 150, 116, "approximate:bool")
SOFTMAX = _builtin("SOFTMAX", 25, 9, "beta:f32")
LOG_SOFTMAX = _builtin("LOG_SOFTMAX", 50, 36)

# Elementwise
ADD = _builtin("ADD", 0, 11, f"{_FUSED} pot_scale_int16:bool=1")
SUB = _builtin("SUB", 41, 28, f"{_FUSED} pot_scale_int16:bool=1")
MUL = _builtin("MUL", 18, 21, _FUSED)
DIV = _builtin("DIV", 42, 29, _FUSED)
FLOOR_DIV = _builtin("FLOOR_DIV", 90, 65)
FLOOR_MOD = _builtin("FLOOR_MOD", 95, 72)
POW = _builtin("POW", 78, 56)
MAXIMUM = _builtin("MAXIMUM", 55, 39)
MINIMUM = _builtin("MINIMUM", 57, 39)
SQUARED_DIFFERENCE = _builtin("SQUARED_DIFFERENCE", 99, 76)
ATAN2 = _builtin("ATAN2", 156, 122)
BITWISE_XOR = _builtin("BITWISE_XOR", 160, 125)
RIGHT_SHIFT = _builtin("RIGHT_SHIFT", 161, 126)
ABS = _builtin("ABS", 101, 78)
NEG = _builtin("NEG", 59, 42)
EXP = _builtin("EXP", 47, 33)
LOG = _builtin("LOG", 73)
SQRT = _builtin("SQRT", 75)
RSQRT = _builtin("RSQRT", 76)
SQUARE = _builtin("SQUARE", 92, 66)
FLOOR = _builtin("FLOOR", 8)
CEIL = _builtin("CEIL", 104)
ROUND = _builtin("ROUND", 116)
SIGN = _builtin("SIGN", 158, 123)
SIN = _builtin("SIN", 66)
COS = _builtin("COS", 108, 84)
CAST = _builtin("CAST", 53, 37, "in_data_type:i8 out_data_type:i8")

# Quantization
QUANTIZE = _builtin("QUANTIZE", 114, 89)
DEQUANTIZE = _builtin("DEQUANTIZE", 6, 38)

# Logic
EQUAL = _builtin("EQUAL", 71, 53)
NOT_EQUAL = _builtin("NOT_EQUAL", 72, 54)
LESS = _builtin("LESS", 58, 41)
LESS_EQUAL = _builtin("LESS_EQUAL", 63, 46)
GREATER = _builtin("GREATER", 61, 44)
GREATER_EQUAL = _builtin("GREATER_EQUAL", 62, 45)
LOGICAL_AND = _builtin("LOGICAL_AND", 86, 62)
LOGICAL_OR = _builtin("LOGICAL_OR", 84, 60)
LOGICAL_NOT = _builtin("LOGICAL_NOT", 87, 63)
SELECT_V2 = _builtin("SELECT_V2", 123, 98)

# Reductions
MEAN = _builtin("MEAN", 40, 27, "keep_dims:bool")
SUM = _builtin("SUM", 74, 27, "keep_dims:bool")
REDUCE_PROD = _builtin("REDUCE_PROD", 81, 27, "keep_dims:bool")
REDUCE_MAX = _builtin("REDUCE_MAX", 82, 27, "keep_dims:bool")
REDUCE_MIN = _builtin("REDUCE_MIN", 89, 27, "keep_dims:bool")
REDUCE_ANY = _builtin("REDUCE_ANY", 91, 27, "keep_dims:bool")
REDUCE_ALL = _builtin("REDUCE_ALL", 140, 27, "keep_dims:bool")
ARG_MAX = _builtin("ARG_MAX", 56, 40, "output_type:i8")
ARG_MIN = _builtin("ARG_MIN", 79, 57, "output_type:i8")
TOPK_V2 = _builtin("TOPK_V2", 48, 34)
CUMSUM = _builtin("CUMSUM", 128, 102, "exclusive:bool reverse:bool")

# Shapes
RESHAPE = _builtin("RESHAPE", 22, 17, "new_shape:[i32]")
EXPAND_DIMS = _builtin("EXPAND_DIMS", 70, 52)
SQUEEZE = _builtin("SQUEEZE", 43, 30, "squeeze_dims:[i32]")
TRANSPOSE = _builtin("TRANSPOSE", 39, 26)
CONCATENATION = _builtin("CONCATENATION", 2, 10, f"axis:i32 {_FUSED}")
SPLIT = _builtin("SPLIT", 49, 35, "num_splits:i32")
SPLIT_V = _builtin("SPLIT_V", 102, 79, "num_splits:i32")
TILE = _builtin("TILE", 69, 51)
BROADCAST_TO = _builtin("BROADCAST_TO", 130, 104)
SHAPE = _builtin("SHAPE", 77, 55, "out_type:i8")
REVERSE_V2 = _builtin("REVERSE_V2", 105, 81)
REVERSE_SEQUENCE = _builtin("REVERSE_SEQUENCE", 112, 87, "seq_dim:i32 batch_dim:i32")
BITCAST = _builtin("BITCAST", 159)
DEPTH_TO_SPACE = _builtin("DEPTH_TO_SPACE", 5, 94, "block_size:i32")
SPACE_TO_DEPTH = _builtin("SPACE_TO_DEPTH", 26, 19, "block_size:i32")
BATCH_TO_SPACE_ND = _builtin("BATCH_TO_SPACE_ND", 37, 24)
SPACE_TO_BATCH_ND = _builtin("SPACE_TO_BATCH_ND", 38, 25)
FILL = _builtin("FILL", 94, 68)
RANGE = _builtin("RANGE", 96, 73)
PAD = _builtin("PAD", 34, 22)
PADV2 = _builtin("PADV2", 60, 43)
MIRROR_PAD = _builtin("MIRROR_PAD", 100, 77, "mode:i8")
RESIZE_BILINEAR = _builtin("RESIZE_BILINEAR", 23, 15, "_ _ align_corners:bool half_pixel_centers:bool")
RESIZE_NEAREST_NEIGHBOR = _builtin(
    "RESIZE_NEAREST_NEIGHBOR", 97, 74, "align_corners:bool half_pixel_centers:bool"
)

# Indexing
SLICE = _builtin("SLICE", 65, 48)
STRIDED_SLICE = _builtin(
    "STRIDED_SLICE",
    45,
    32,
    "begin_mask:i32 end_mask:i32 ellipsis_mask:i32 new_axis_mask:i32 shrink_axis_mask:i32 offset:bool",
)
GATHER = _builtin("GATHER", 36, 23, "axis:i32 batch_dims:i32")
GATHER_ND = _builtin("GATHER_ND", 107, 83)
SCATTER_ND = _builtin("SCATTER_ND", 122, 97)
ONE_HOT = _builtin("ONE_HOT", 85, 61, "axis:i32")
WHERE = _builtin("WHERE", 109, 85)

# Control flow
IF = _builtin("IF", 118, 92, "then_subgraph_index:i32 else_subgraph_index:i32")
WHILE = _builtin("WHILE", 119, 93, "cond_subgraph_index:i32 body_subgraph_index:i32")
DYNAMIC_UPDATE_SLICE = _builtin("DYNAMIC_UPDATE_SLICE", 151, 117)

# Recurrent layers
_CELL = f"{_FUSED} cell_clip:f32 proj_clip:f32"
UNIDIRECTIONAL_SEQUENCE_RNN = _builtin(
    "UNIDIRECTIONAL_SEQUENCE_RNN", 35, 31, f"time_major:bool {_FUSED} asymmetric_quantize_inputs:bool"
)
UNIDIRECTIONAL_SEQUENCE_LSTM = _builtin(
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    44,
    71,
    f"{_CELL} time_major:bool asymmetric_quantize_inputs:bool diagonal_recurrent_tensors:bool",
)
BIDIRECTIONAL_SEQUENCE_LSTM = _builtin(
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    52,
    69,
    f"{_CELL} merge_outputs:bool time_major:bool=1 asymmetric_quantize_inputs:bool",
)
_ASYMMETRIC = "asymmetric_quantize_inputs:bool"
LSTM = _builtin("LSTM", 16, 14, f"{_CELL} kernel_type:i8 {_ASYMMETRIC}")
RNN = _builtin("RNN", 24, 7, f"{_FUSED} {_ASYMMETRIC}")
UNIDIRECTIONAL_SEQUENCE_RNN = _builtin(
    "UNIDIRECTIONAL_SEQUENCE_RNN", 35, 31, f"time_major:bool {_FUSED} {_ASYMMETRIC}"
)
BIDIRECTIONAL_SEQUENCE_RNN = _builtin(
    "BIDIRECTIONAL_SEQUENCE_RNN", 46, 70, f"time_major:bool {_FUSED} merge_outputs:bool {_ASYMMETRIC}"
)
SVDF = _builtin("SVDF", 27, 6, f"rank:i32 {_FUSED} {_ASYMMETRIC}")
