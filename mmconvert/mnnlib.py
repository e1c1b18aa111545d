"""The MNN schema: tables, operators and numbers, declared once for those who write, read and run the files.

A table lists its slots as ``name:type`` in the order of their numbers, with ``=default`` where that is not 0.
A union is two slots, a ``u8`` with the number of the table's type and the table.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from mmconvert import dtypes, flatview
from mmconvert.dtypes import DType
from mmconvert.tensors import Array

VERSION: Final = "3.6.1"
"""The release whose schema this is."""

_TABLES = """
Net: bizCode:string extraTensorDescribe:[table] extraInfo:table oplists:[table] outputName:[string]
  preferForwardType:i8 sourceType:i8 tensorName:[string] tensorNumber:i32 usage:i8 subgraphs:[table]
  mnn_uuid:string
Op: inputIndexes:[i32] main_type:u8 main:table name:string outputIndexes:[i32] type:i32
  defaultDimentionFormat:i8=1 externalPath:string
TensorDescribe: blob:table index:i32 name:string regions:[table] quantInfo:table
TensorQuantInfo: scale:f32 zero:f32 min:f32=-128 max:f32=127 type:i32
SubGraphProto: name:string inputs:[i32] outputs:[i32] tensors:[string] nodes:[table]
  extraTensorDescribe:[table]
ExtraInfo: buffer:[i8] name:string version:string
Blob: dims:[i32] dataFormat:i8 dataType:i32=1 uint8s:[u8] int8s:[i8] int32s:[i32] int64s:[i64]
  float32s:[f32] strings:[string] external:[i64]
Input: dims:[i32] dtype:i32=1 dformat:i8=2
Convolution2D: common:table weight:[f32] bias:[f32] quanParameter:table symmetricQuan:table
  sparseParameter:table external:[i64]
Convolution2DCommon: padX:i32 padY:i32 kernelX:i32=1 kernelY:i32=1 strideX:i32=1 strideY:i32=1 dilateX:i32=1
  dilateY:i32=1 padMode:i8 group:i32=1 outputCount:i32 inputCount:i32 relu:bool relu6:bool pads:[i32]
  outPads:[i32] hasOutputShape:bool
IDSTQuan: buffer:[i8] alpha:[f32] type:i32 useInt32:bool quantScale:f32 scaleIn:f32 scaleOut:f32
  aMaxOrBits:i32 aMin:i32 readType:i32 has_scaleInt:bool shapeInt32:bool weightSize:u32 index:[u32]
  alphaFp16:[u16] scaleStorage:i8
QuantizedFloatParam: weight:[i8] bias:[i32] scale:[f32] tensorScale:[f32] method:i8 nbits:i32=8 zeroPoint:i8
  outputZeroPoint:i8 clampMin:i8=-128 clampMax:i8=127 winogradAttr:[i32] outputDataType:i32=6
  floatzeros:[f32]
Convolution3D: common:table weight:[f32] bias:[f32] external:[i64]
Convolution3DCommon: dilates:[i32] strides:[i32] kernels:[i32] pads:[i32] padMode:i8 inputCount:i32
  outputCount:i32 relu:bool relu6:bool group:i32=1 outPads:[i32] hasOutputShape:bool
InnerProduct: outputCount:i32 biasTerm:i32 weightSize:i32 weight:[f32] bias:[f32] axis:i32 transpose:bool
  quanParameter:table
Pool: padX:i32 padY:i32 isGlobal:bool kernelX:i32 kernelY:i32 strideX:i32 strideY:i32 type:i8 padType:i8
  dataType:i32=1 ceilModel:bool=1 pads:[i32] countType:i8
Pool3D: strides:[i32] kernels:[i32] pads:[i32] type:i8 padType:i8 isGlobal:bool
Relu: slope:f32
Relu6: minValue:f32 maxValue:f32=6.0
PRelu: slopeCount:i32 slope:[f32]
ELU: alpha:f32
Selu: scale:f32 alpha:f32
LRN: regionType:i32 localSize:i32 alpha:f32 beta:f32 bias:f32=1.0
ArgMax: outMaxVal:i32 topK:i32 axis:i32 softmaxThreshold:i32
Axis: axis:i32
LSTM: outputCount:i32 weightSize:i32 clippingThreshold:f32 weightI:table weightH:table bias:table
  weightIQ:table weightIA:table quantScale:f32
RNNParam: numUnits:i32 isBidirectionalRNN:bool linearBeforeReset:bool keepAllOutputs:bool fwGateWeight:table
  fwGateBias:table fwCandidateWeight:table fwCandidateBias:table fwRecurrentBias:table bwGateWeight:table
  bwGateBias:table bwCandidateWeight:table bwCandidateBias:table bwRecurrentBias:table
Slice: axis:i32 slicePoints:[i32] sourceType:i8
BatchNorm: channels:i32 slopeData:[f32] meanData:[f32] varData:[f32] biasData:[f32] Adata:[f32] Bdata:[f32]
  epsilon:f32=0.001
Scale: channels:i32 scaleData:[f32] biasData:[f32] external:[i64]
Eltwise: type:i8 coeff:[f32]
Flatten: axis:i32 endAxis:i32
Permute: dims:[i32]
Reshape: dims:[i32] dimType:i8
Interp: widthScale:f32 heightScale:f32 outputWidth:i32 outputHeight:i32 resizeType:i32 alignCorners:bool
  halfPixelCenters:bool widthOffset:f32 heightOffset:f32 cubicCoeffA:f32=-0.75 ctm:i8 depthScale:f32
  outputDepth:i32 depthOffset:f32
BinaryOp: opType:i32 T:i32=1 activationType:i32
UnaryOp: opType:i32 T:i32 tableInt8:[i8]
PackParam: dataType:i32 axis:i32
StridedSliceParam: Index:i32 T:i32 beginMask:i32 endMask:i32 ellipsisMask:i32 newAxisMask:i32
  shrinkAxisMask:i32 fromType:i32
SqueezeParam: squeezeDims:[i32]
CastParam: srcT:i32 dstT:i32
ReductionParam: operation:i8 dim:[i32] coeff:f32 keepDims:bool dType:i32=1
Gather: Tindices:i32 Tparams:i32 validateIndices:bool axis:i32
GatherV2: Taxis:i32 Tindices:i32 Tparams:i32
ExpandDims: T:i32 Tdim:i32 axis:i32
TopKV2: T:i32=1 sorted:bool largest:bool=1
Crop: axis:i32=2 offset:[i32]
SpaceBatch: blockShape:table padding:table
MatMul: T:i32 transposeA:bool transposeB:bool weight:[f32] bias:[f32]
BatchMatMulParam: adjX:bool adjY:bool
DepthSpaceParam: blockSize:i32 mode:i8
ReverseSequenceParam: batchDim:i32 seqDim:i32
OneHotParam: dType:i32=1 axis:i32=-1
PadParam: mode:i8
LayerNorm: axis:[i32] epsilon:f32 gamma:[f32] beta:[f32] group:i32=1 external:[i64] useRMSNorm:bool
GroupNorm: axis:i32 epsilon:f32 gamma:[f32] beta:[f32] group:i32=1 bSwish:i32 external:[i64]
GridSample: mode:i8 paddingMode:i8 alignCorners:bool backward:bool
TensorConvertInfo: source:i8 dest:i8
CumSum: exclusive:bool reverse:bool
RoiParameters: pooledWidth:i32 pooledHeight:i32 spatialScale:f32 samplingRatio:i32=-1 aligned:bool
  poolType:i8=1 outputGrad:bool
Normalize: acrossSpatial:i32 channelShared:i32 eps:f32 scale:[f32]
WhileParam: cond_graph:string body_graph:string aliases_inputs:[table] aliases_outputs:[string]
  aliases_updates:[table]
IfParam: then_graph:string else_graph:string aliases_inputs:[table] aliases_outputs:[table]
StringVec: data:[string]
Range: Tidx:i32
Size: outputDataType:i32
Rank:
ShapeParam: hasStart:bool start:i32 hasEnd:bool end:i32
AttentionParam: kv_cache:bool=1 kv_shared_layer:string layer_index:i32=-1 kv_shared_layer_index:i32=-1
  mhq_quant:[table] output_c4:bool attnScale:f32
"""


def _declarations(text: str) -> dict[str, str]:
    """Declarations by the name of the table; a line that begins with a space continues the one before."""
    lines = text.strip().replace("\n ", " ").splitlines()
    return {name: " ".join(rest.split()) for name, _, rest in (line.partition(":") for line in lines)}


TABLES: Final = _declarations(_TABLES)
"""The slots of each table."""


_UNION = """
ArgMax:2 Axis:4 BatchNorm:5 BinaryOp:6 Blob:7 CastParam:8 Convolution2D:9 Crop:10 Eltwise:14 ExpandDims:15
Flatten:17 Gather:18 GatherV2:19 InnerProduct:20 Input:21 Interp:22 LRN:23 LSTM:24 MatMul:25 Normalize:27
PackParam:28 Permute:29 Pool:31 PRelu:32 Range:47 Rank:48 ReductionParam:50 Relu:51 Relu6:52 Reshape:55
RoiParameters:57 Scale:58 Selu:59 Size:60 Slice:61 SpaceBatch:63 SqueezeParam:64 StridedSliceParam:65
TensorConvertInfo:66 TopKV2:68 UnaryOp:70 RNNParam:72 BatchMatMulParam:73 DepthSpaceParam:75
ReverseSequenceParam:77 Pool3D:79 Convolution3D:80 ELU:81 OneHotParam:83 PadParam:84 WhileParam:85 IfParam:86
LayerNorm:88 GridSample:91 CumSum:94 GroupNorm:95 AttentionParam:98 ShapeParam:101
"""

UNION: Final = {name: int(number) for name, number in (item.split(":") for item in _UNION.split())}
"""The number of each table in the union of operators' parameters."""

_OPERATORS = """
ArgMax:2:ArgMax InstanceNorm:4:BatchNorm BinaryOp:7:BinaryOp Cast:9:CastParam Concat:10:Axis Const:11:Blob
Convolution:12:Convolution2D ConvolutionDepthwise:13:Convolution2D Crop:14:Crop Deconvolution:17:Convolution2D
DeconvolutionDepthwise:18:Convolution2D Dropout:21 Eltwise:22:Eltwise ELU:23:ELU ExpandDims:26:ExpandDims
Fill:27 Flatten:28:Flatten Gather:30:Gather GatherV2:31:GatherV2 InnerProduct:33:InnerProduct Input:34:Input
Interp:35:Interp LRN:37:LRN LSTM:38:LSTM MatMul:39:MatMul Normalize:43:Normalize Pack:44:PackParam
Padding:45:PadParam Permute:46:Permute Pooling:47:Pool PReLU:49:PRelu Range:65:Range Rank:66
Reduction:68:ReductionParam ReLU:69:Relu ReLU6:70:Relu6 Reshape:73:Reshape ROIPooling:76:RoiParameters
Scale:77:Scale Selu:78:Selu Shape:80 Sigmoid:81 Size:82:Size Slice:83:Slice SliceTf:84 Softmax:85:Axis
Squeeze:90:SqueezeParam StridedSlice:91:StridedSliceParam TanH:95 Tile:98 TopKV2:99:TopKV2 Transpose:100
UnaryOp:101:UnaryOp Unpack:102:Axis Where:103 RNNSequenceGRU:105:RNNParam BatchMatMul:106:BatchMatMulParam
Unsqueeze:107:SqueezeParam DepthToSpace:109:DepthSpaceParam SpaceToDepth:110:DepthSpaceParam
ReverseSequence:111:ReverseSequenceParam Pooling3D:112:Pool3D Convolution3D:113:Convolution3D GatherND:115
ScatterNd:118:BinaryOp OneHot:119:OneHotParam BroadcastTo:120 ConvertTensor:129:TensorConvertInfo
ArgMin:130:ArgMax Reverse:142 ROIAlign:143:RoiParameters
CumSum:148:CumSum ScatterElements:151:BinaryOp GatherElements:152
Select:257 Identity:262 BatchNorm:267:BatchNorm ConvTranspose3D:268:Convolution3D GroupNorm:304:GroupNorm
While:600:WhileParam If:601:IfParam LayerNorm:603:LayerNorm GridSample:604:GridSample
"""

OPERATORS: Final = {
    name: (int(code), parameter[0] if parameter else "")
    for name, code, *parameter in (item.split(":") for item in _OPERATORS.split())
}
"""The number of each operator, and the table with its parameters."""


def _numbered(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (item.split(":") for item in text.split())}


BINARY: Final = _numbered(
    "ADD:0 SUB:1 MUL:2 DIV:3 POW:6 REALDIV:7 MINIMUM:8 MAXIMUM:9 GREATER:10 GREATER_EQUAL:11 LESS:12"
    " FLOORDIV:13 SQUARED_DIFFERENCE:14 EQUAL:15 LESS_EQUAL:16 FLOORMOD:17 MOD:19 ATAN2:20 LOGICAL_OR:21"
    " NOT_EQUAL:22 BITWISE_AND:23 BITWISE_OR:24 BITWISE_XOR:25 LOGICAL_XOR:26 LEFT_SHIFT:27 RIGHT_SHIFT:28"
)
_UNARY = """
ABS NEG FLOOR CEIL SQUARE SQRT RSQRT EXP LOG SIN COS TAN ASIN ACOS ATAN RECIPROCAL LOG1P BNLL ACOSH SINH ASINH
ATANH SIGN ROUND COSH ERF ERFC ERFINV EXPM1 SIGMOID TANH HARDSWISH GELU GELU_STANDARD SILU
"""
UNARY: Final = {name: number for number, name in enumerate(_UNARY.split())}
REDUCTIONS: Final = _numbered("SUM:0 ASUM:1 SUMSQ:2 MEAN:3 MAXIMUM:4 MINIMUM:5 PROD:6 ANY:7 ALL:8")

FLOAT, INT32, UINT8, INT8, INT64, BOOL, BFLOAT16, HALF = 1, 3, 4, 6, 9, 10, 14, 19
"""Numbers of element types."""

NCHW, NHWC, NC4HW4 = range(3)
"""Numbers of layouts; NC4HW4 packs four channels beside one another."""


def stored(dtype: DType) -> DType | None:
    """The element type that stands for ``dtype`` in MNN, which computes in f32 and i32; None when none does.

    Floats of 16 bits are computed with more digits, and integers of 64 bits have to fit into 32.
    """
    if dtype in (dtypes.F32, dtypes.F16, dtypes.BF16):
        return dtypes.F32
    narrow = dtypes.is_integer(dtype) and dtype not in (dtypes.BY_NAME["u32"], dtypes.BY_NAME["u64"])
    return dtypes.I32 if narrow or dtype == dtypes.BOOL else None


@cache
def _slots(table: str) -> dict[str, tuple[int, str, float]]:
    """Number, type and default of each slot of a table."""
    found = {}
    for number, text in enumerate(TABLES[table].split()):
        name, _, rest = text.partition(":")
        kind, _, default = rest.partition("=")
        found[name] = (number, kind, float(default or 0))
    return found


class Record:
    """A table of a file, whose slots go by their names.

    Every method raises InvalidModelError where the bytes are not what they should be.
    """

    __slots__ = ("_slots", "_table", "kind")

    def __init__(self, table: flatview.Table, kind: str) -> None:
        """
        Args:
            table: where it lies.
            kind: its name in the schema.
        """
        self._table, self.kind, self._slots = table, kind, _slots(kind)

    def has(self, name: str) -> bool:
        """True when the slot is written."""
        return self._table.has(self._slots[name][0])

    def number(self, name: str) -> int:
        """An integer or a boolean."""
        number, kind, default = self._slots[name]
        return int(self._table.number(number, kind, default))

    def real(self, name: str) -> float:
        """A float."""
        number, kind, default = self._slots[name]
        return float(self._table.number(number, kind, default))

    def text(self, name: str) -> str:
        """A string, empty when there is none."""
        return self._table.text(self._slots[name][0])

    def vector(self, name: str) -> Array:
        """A vector of scalars, which stays in the file; empty when there is none."""
        number, kind, _ = self._slots[name]
        return self._table.vector(number, kind.strip("[]"))

    def integers(self, name: str) -> tuple[int, ...]:
        """A short vector of integers."""
        return tuple(self.vector(name).tolist())

    def record(self, name: str, kind: str) -> Record | None:
        """A table of that kind, or None."""
        table = self._table.table(self._slots[name][0])
        return None if table is None else Record(table, kind)

    def records(self, name: str, kind: str) -> list[Record]:
        """A vector of tables of that kind."""
        return [Record(table, kind) for table in self._table.tables(self._slots[name][0])]

    def texts(self, name: str) -> list[str]:
        """A vector of strings."""
        return self._table.texts(self._slots[name][0])


def root(data: memoryview) -> Record:
    """The Net that a file is.

    Raises:
        InvalidModelError: it is none.
    """
    return Record(flatview.root(data), "Net")
