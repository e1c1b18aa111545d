"""The parameters and weights of every layer of the public runtime.

``PARAMETERS`` has for each kind its parameters as ``name=number:default``; a default that is a name means "as
that one", none means 0. The order is that of the kinds' numbers in binary files.
"""

from __future__ import annotations

import functools

PARAMETERS: dict[str, str] = {
    "AbsVal": "",
    "ArgMax": "out_max_val=0 topk=1:1",
    "BatchNorm": "channels=0 eps=1",
    "Bias": "bias_data_size=0",
    "BNLL": "",
    "Concat": "axis=0",
    "Convolution": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w dilation_w=2:1 dilation_h=12:dilation_w "
        "stride_w=3:1 stride_h=13:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top pad_value=18 bias_term=5 weight_data_size=6 int8_scale_term=8 "
        "activation_type=9 activation_params=10 dynamic_weight=19"
    ),
    "Crop": (
        "woffset=0 hoffset=1 doffset=13 coffset=2 outw=3 outh=4 outd=14 outc=5 woffset2=6 hoffset2=7 "
        "doffset2=15 coffset2=8 starts=9 ends=10 axes=11 starts_expr=19 ends_expr=20 axes_expr=21"
    ),
    "Deconvolution": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w dilation_w=2:1 dilation_h=12:dilation_w "
        "stride_w=3:1 stride_h=13:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top output_pad_right=18 output_pad_bottom=19:output_pad_right output_w=20 "
        "output_h=21:output_w bias_term=5 weight_data_size=6 activation_type=9 activation_params=10 "
        "dynamic_weight=28"
    ),
    "Dropout": "scale=0:1",
    "Eltwise": "op_type=0 coeffs=1",
    "ELU": "alpha=0:0.1",
    "Embed": "num_output=0 input_dim=1 bias_term=2 weight_data_size=3 int8_scale_term=18",
    "Exp": "base=0:-1 scale=1:1 shift=2",
    "Flatten": "",
    "InnerProduct": (
        "num_output=0 bias_term=1 weight_data_size=2 int8_scale_term=8 activation_type=9 activation_params=10"
    ),
    "Input": "w=0 h=1 d=11 c=2",
    "Log": "base=0:-1 scale=1:1 shift=2",
    "LRN": "region_type=0 local_size=1:5 alpha=2:1 beta=3:0.75 bias=4:1",
    "MemoryData": "w=0 h=1 d=11 c=2 load_type=21:1",
    "MVN": "normalize_variance=0 across_channels=1 eps=2:0.0001",
    "Pooling": (
        "pooling_type=0 kernel_w=1 kernel_h=11:kernel_w stride_w=2:1 stride_h=12:stride_w pad_left=3 "
        "pad_right=14:pad_left pad_top=13:pad_left pad_bottom=15:pad_top global_pooling=4 pad_mode=5 "
        "avgpool_count_include_pad=6 adaptive_pooling=7 out_w=8 out_h=18:out_w"
    ),
    "Power": "power=0:1 scale=1:1 shift=2",
    "PReLU": "num_slope=0",
    "Proposal": (
        "feat_stride=0:16 base_size=1:16 pre_nms_topN=2:6000 after_nms_topN=3:300 nms_thresh=4:0.7 "
        "min_size=5:16"
    ),
    "Reduction": "operation=0 reduce_all=1:1 coeff=2:1 axes=3 keepdims=4 fixbug0=5",
    "ReLU": "slope=0",
    "Reshape": (
        "w=0:-233 h=1:-233 d=11:-233 c=2:-233 input_batch_axis=12:233 output_batch_axis=13:233 shape_expr=6"
    ),
    "ROIPooling": "pooled_width=0 pooled_height=1 spatial_scale=2:1",
    "Scale": "scale_data_size=0 bias_term=1",
    "Sigmoid": "",
    "Slice": "slices=0 axis=1 indices=2",
    "Softmax": "axis=0 fixbug0=1",
    "Split": "",
    "SPP": "pooling_type=0 pyramid_height=1:1",
    "TanH": "",
    "Threshold": "threshold=0",
    "Tile": "axis=0 tiles=1:1 repeats=2",
    "RNN": "num_output=0 weight_data_size=1 direction=2 int8_scale_term=8",
    "LSTM": "num_output=0 weight_data_size=1 direction=2 hidden_size=3:num_output int8_scale_term=8",
    "BinaryOp": "op_type=0 with_scalar=1 b=2",
    "UnaryOp": "op_type=0",
    "ConvolutionDepthWise": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w dilation_w=2:1 dilation_h=12:dilation_w "
        "stride_w=3:1 stride_h=13:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top pad_value=18 bias_term=5 weight_data_size=6 group=7:1 "
        "int8_scale_term=8 activation_type=9 activation_params=10 dynamic_weight=19"
    ),
    "Padding": ("top=0 bottom=1 left=2 right=3 type=4 value=5 per_channel_pad_data_size=6 front=7 behind=8"),
    "Squeeze": "squeeze_w=0 squeeze_h=1 squeeze_d=11 squeeze_c=2 axes=3",
    "ExpandDims": "axes=3",
    "Normalize": (
        "across_spatial=0 across_channel=4:1 channel_shared=1 eps=2:0.0001 eps_mode=9 scale_data_size=3"
    ),
    "Permute": "order_type=0",
    "PriorBox": (
        "min_sizes=0 max_sizes=1 aspect_ratios=2 variances_0=3:0.1 variances_1=4:0.1 "
        "variances_2=5:0.2 variances_3=6:0.2 flip=7:1 clip=8 image_width=9 image_height=10 "
        "step_width=11:-233 step_height=12:-233 offset=13 step_mmdetection=14 center_mmdetection=15"
    ),
    "DetectionOutput": (
        "num_class=0 nms_threshold=1:0.05 nms_top_k=2:300 keep_top_k=3:100 confidence_threshold=4:0.5 "
        "variances_0=5:0.1 variances_1=6:0.1 variances_2=7:0.2 variances_3=8:0.2"
    ),
    "Interp": (
        "resize_type=0 height_scale=1:1 width_scale=2:1 output_height=3 output_width=4 "
        "dynamic_target_size=5 align_corner=6 size_expr=9"
    ),
    "DeconvolutionDepthWise": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w dilation_w=2:1 dilation_h=12:dilation_w "
        "stride_w=3:1 stride_h=13:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top output_pad_right=18 output_pad_bottom=19:output_pad_right output_w=20 "
        "output_h=21:output_w bias_term=5 weight_data_size=6 group=7:1 activation_type=9 "
        "activation_params=10 dynamic_weight=28"
    ),
    "ShuffleChannel": "group=0:1 reverse=1",
    "InstanceNorm": "channels=0 eps=1:0.001 affine=2:1",
    "Clip": "min=0 max=1",
    "Reorg": "stride=0:1 mode=1",
    "YoloDetectionOutput": (
        "num_class=0:20 num_box=1:5 confidence_threshold=2:0.01 nms_threshold=3:0.45 biases=4"
    ),
    "Quantize": "scale_data_size=0:1",
    "Dequantize": "scale_data_size=0:1 bias_data_size=1",
    "Yolov3DetectionOutput": (
        "num_class=0:20 num_box=1:5 confidence_threshold=2:0.01 nms_threshold=3:0.45 biases=4 mask=5 "
        "anchors_scale=6"
    ),
    "PSROIPooling": "pooled_width=0:7 pooled_height=1:7 spatial_scale=2:0.0625 output_dim=3",
    "ROIAlign": "pooled_width=0 pooled_height=1 spatial_scale=2:1 sampling_ratio=3 aligned=4 version=5",
    "Packing": "out_elempack=0:1 use_padding=1 cast_type_from=2 cast_type_to=3",
    "Requantize": (
        "scale_in_data_size=0:1 scale_out_data_size=1:1 bias_data_size=2 activation_type=3 "
        "activation_params=4"
    ),
    "Cast": "type_from=0 type_to=1",
    "HardSigmoid": "alpha=0:0.2 beta=1:0.5",
    "SELU": "alpha=0:1.67326324 lambda=1:1.050700987",
    "HardSwish": "alpha=0:0.2 beta=1:0.5",
    "Noop": "",
    "PixelShuffle": "upscale_factor=0:1 mode=1",
    "DeepCopy": "",
    "Mish": "",
    "StatisticsPooling": "include_stddev=0",
    "Swish": "",
    "Gemm": (
        "alpha=0:1 beta=1:1 transA=2 transB=3 constantA=4 constantB=5 constantC=6 constantM=7 "
        "constantN=8 constantK=9 constant_broadcast_type_C=10 output_N1M=11 output_elempack=12 "
        "output_elemtype=13 output_transpose=14 quantize_term=18 constant_TILE_M=20 "
        "constant_TILE_N=21 constant_TILE_K=22"
    ),
    "GroupNorm": "group=0:1 channels=1 eps=2:0.001 affine=3:1",
    "LayerNorm": "affine_size=0 eps=1:0.001 affine=2:1",
    "Softplus": "",
    "GRU": "num_output=0 weight_data_size=1 direction=2 int8_scale_term=8",
    "MultiHeadAttention": (
        "embed_dim=0 num_heads=1:1 weight_data_size=2 kdim=3:embed_dim vdim=4:embed_dim attn_mask=5 "
        "scale=6 kv_cache=7 quantize_term=18"
    ),
    "GELU": "fast_gelu=0",
    "Convolution1D": (
        "num_output=0 kernel_w=1 dilation_w=2:1 stride_w=3:1 pad_left=4 pad_right=15:pad_left "
        "pad_value=18 bias_term=5 weight_data_size=6 activation_type=9 activation_params=10 "
        "dynamic_weight=19"
    ),
    "Pooling1D": (
        "pooling_type=0 kernel_w=1 stride_w=2:1 pad_left=3 pad_right=14:pad_left global_pooling=4 "
        "pad_mode=5 avgpool_count_include_pad=6 adaptive_pooling=7 out_w=8"
    ),
    "ConvolutionDepthWise1D": (
        "num_output=0 kernel_w=1 dilation_w=2:1 stride_w=3:1 pad_left=4 pad_right=15:pad_left "
        "pad_value=18 bias_term=5 weight_data_size=6 group=7:1 activation_type=9 activation_params=10 "
        "dynamic_weight=19"
    ),
    "Convolution3D": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w kernel_d=21:kernel_w dilation_w=2:1 "
        "dilation_h=12:dilation_w dilation_d=22:dilation_w stride_w=3:1 stride_h=13:stride_w "
        "stride_d=23:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top pad_front=24:pad_left pad_behind=17:pad_front pad_value=18 bias_term=5 "
        "weight_data_size=6 activation_type=9 activation_params=10"
    ),
    "ConvolutionDepthWise3D": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w kernel_d=21:kernel_w dilation_w=2:1 "
        "dilation_h=12:dilation_w dilation_d=22:dilation_w stride_w=3:1 stride_h=13:stride_w "
        "stride_d=23:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top pad_front=24:pad_left pad_behind=17:pad_front pad_value=18 bias_term=5 "
        "weight_data_size=6 group=7:1 activation_type=9 activation_params=10"
    ),
    "Pooling3D": (
        "pooling_type=0 kernel_w=1 kernel_h=11:kernel_w kernel_d=21:kernel_w stride_w=2:1 "
        "stride_h=12:stride_w stride_d=22:stride_w pad_left=3 pad_right=14:pad_left "
        "pad_top=13:pad_left pad_bottom=15:pad_top pad_front=23:pad_left pad_behind=16:pad_front "
        "global_pooling=4 pad_mode=5 avgpool_count_include_pad=6 adaptive_pooling=7 out_w=8 "
        "out_h=18:out_w out_d=28:out_w"
    ),
    "MatMul": "transB=0",
    "Deconvolution1D": (
        "num_output=0 kernel_w=1 dilation_w=2:1 stride_w=3:1 pad_left=4 pad_right=15:pad_left "
        "output_pad_right=18 output_w=20 bias_term=5 weight_data_size=6 activation_type=9 "
        "activation_params=10 dynamic_weight=28"
    ),
    "DeconvolutionDepthWise1D": (
        "num_output=0 kernel_w=1 dilation_w=2:1 stride_w=3:1 pad_left=4 pad_right=15:pad_left "
        "output_pad_right=18 output_w=20 bias_term=5 weight_data_size=6 group=7:1 activation_type=9 "
        "activation_params=10 dynamic_weight=28"
    ),
    "Deconvolution3D": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w kernel_d=21:kernel_w dilation_w=2:1 "
        "dilation_h=12:dilation_w dilation_d=22:dilation_w stride_w=3:1 stride_h=13:stride_w "
        "stride_d=23:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top pad_front=24:pad_left pad_behind=17:pad_front output_pad_right=18 "
        "output_pad_bottom=19:output_pad_right output_pad_behind=20:output_pad_right output_w=25 "
        "output_h=26:output_w output_d=27:output_w bias_term=5 weight_data_size=6 activation_type=9 "
        "activation_params=10"
    ),
    "DeconvolutionDepthWise3D": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w kernel_d=21:kernel_w dilation_w=2:1 "
        "dilation_h=12:dilation_w dilation_d=22:dilation_w stride_w=3:1 stride_h=13:stride_w "
        "stride_d=23:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top pad_front=24:pad_left pad_behind=17:pad_front output_pad_right=18 "
        "output_pad_bottom=19:output_pad_right output_pad_behind=20:output_pad_right output_w=25 "
        "output_h=26:output_w output_d=27:output_w bias_term=5 weight_data_size=6 group=7:1 "
        "activation_type=9 activation_params=10"
    ),
    "Einsum": "equation_mat=0",
    "DeformableConv2D": (
        "num_output=0 kernel_w=1 kernel_h=11:kernel_w dilation_w=2:1 dilation_h=12:dilation_w "
        "stride_w=3:1 stride_h=13:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top bias_term=5 weight_data_size=6 activation_type=9 activation_params=10"
    ),
    "GLU": "axis=0",
    "Fold": (
        "kernel_w=1 kernel_h=11:kernel_w dilation_w=2:1 dilation_h=12:dilation_w stride_w=3:1 "
        "stride_h=13:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top output_w=20 output_h=21:output_w"
    ),
    "Unfold": (
        "kernel_w=1 kernel_h=11:kernel_w dilation_w=2:1 dilation_h=12:dilation_w stride_w=3:1 "
        "stride_h=13:stride_w pad_left=4 pad_right=15:pad_left pad_top=14:pad_left "
        "pad_bottom=16:pad_top pad_value=18"
    ),
    "GridSample": "sample_type=0:1 padding_mode=1:1 align_corner=2 permute_fusion=3",
    "CumulativeSum": "axis=0",
    "CopyTo": "woffset=0 hoffset=1 doffset=13 coffset=2 starts=9 axes=11",
    "Erf": "",
    "Diag": "diagonal=0",
    "CELU": "alpha=0:1",
    "Shrink": "bias=0 lambd=1:0.5",
    "RMSNorm": "affine_size=0 eps=1:0.001 affine=2:1",
    "Spectrogram": (
        "n_fft=0 power=1 hoplen=2 winlen=3:n_fft window_type=4 center=5:1 pad_type=6:2 normalized=7 "
        "onesided=8:1"
    ),
    "InverseSpectrogram": ("n_fft=0 returns=1 hoplen=2 winlen=3:n_fft window_type=4 center=5:1 normalized=7"),
    "Flip": "axes=0",
    "SDPA": "attn_mask=5 scale=6 kv_cache=7 int8_scale_term=18",
    "RotaryEmbed": "interleaved=0",
}

KINDS = tuple(PARAMETERS)

HINTS, MASK, SOURCE = 30, 31, 29
"""Parameters that any layer may have: the shapes of its outputs, what is switched off in it; and, in files of
mmconvert alone, what its outputs are in the source (see ``ncnnlib.notes``). Runtimes read over the last."""

_REAL_NAMES = frozenset(
    {
        "alpha",
        "aspect_ratios",
        "b",
        "base",
        "beta",
        "biases",
        "bias",
        "coeff",
        "coeffs",
        "activation_params",
        "confidence_threshold",
        "eps",
        "height_scale",
        "width_scale",
        "k",
        "lambd",
        "lambda",
        "max",
        "max_sizes",
        "min",
        "min_sizes",
        "nms_thresh",
        "nms_threshold",
        "offset",
        "pad_value",
        "power",
        "scale",
        "shift",
        "slope",
        "spatial_scale",
        "step_height",
        "step_width",
        "anchors_scale",
        "value",
        "variances_0",
        "variances_1",
        "variances_2",
        "variances_3",
        "threshold",
    }
)


@functools.cache
def numbers(kind: str) -> dict[str, int]:
    """The numbers of a kind's parameters, by name."""
    return {name: number for name, (number, _) in _fields(kind).items()}


@functools.cache
def defaults(kind: str) -> dict[str, str]:
    """What stands for a parameter that is left out: a number or another parameter's name, by name."""
    return {name: default for name, (_, default) in _fields(kind).items()}


@functools.cache
def _fields(kind: str) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for item in PARAMETERS[kind].split():
        name, _, rest = item.partition("=")
        number, _, default = rest.partition(":")
        found[name] = (int(number), default or "0")
    return found


REALS: dict[str, frozenset[int]] = {
    kind: frozenset(number for name, number in numbers(kind).items() if name in _REAL_NAMES)
    for kind in KINDS
    if _REAL_NAMES & {item.partition("=")[0] for item in PARAMETERS[kind].split()}
}
"""The parameters that are not whole numbers."""
