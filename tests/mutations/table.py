"""All the faults."""

from __future__ import annotations

import numpy as np

from mmconvert.ir import ops
from tests.mutations.changes import (
    all_gates,
    channels,
    gates,
    half_turn,
    half_turn_nhwc,
    one_more,
    other_perm,
    read_across,
    shifted,
    swapped,
    twice,
    variance_for_mean,
    zero,
)
from tests.mutations.devices import attribute, operator, weight
from tests.mutations.edits import (
    ncnn_parameter,
    onnx_attribute,
    onnx_operator,
    onnx_weight,
    tflite_weight,
    weight_bytes,
)
from tests.mutations.faults import Fault, passes, patched, reads, runs, writes
from tests.mutations.models import weight_of

ALIGNED = attribute(coordinates="align_corners")
COUNTED = attribute(count_include_pad=True)
EPSILON = attribute(epsilon=1e-5)
RESET = attribute(linear_before_reset=False)
SHIFTED = attribute(padding=shifted)
TURNED, TURNED_LAST = weight(1, half_turn), weight(1, half_turn_nhwc)

IS_TURNED = "weight turned by half a turn"
IS_SHIFTED = "with padding="
IS_ADDED = "added along axis 1|bias left out|beta=0.0"
IS_PERMUTED = r"perm=\(0,2,3,1\)|under permute"

READING = [
    reads("shift", "cnn", "tflite", "MaxPool", ops.MaxPool, SHIFTED, IS_SHIFTED),
    reads(
        "padding counts", "cnn", "onnx", "AveragePool", ops.AveragePool, COUNTED, "count_include_pad=False"
    ),
    reads("epsilon", "cnn", "mnn", "BatchNormalization", ops.BatchNorm, EPSILON, "epsilon=0.01"),
    reads(
        "mean for bias",
        "cnn",
        "ncnn",
        "BatchNormalization",
        ops.BatchNorm,
        variance_for_mean,
        "added along axis 1",
    ),
    reads("aligned corners", "cnn", "tflite", "Resize", ops.Resize, ALIGNED, "coordinates=half_pixel"),
    reads("half turn", "cnn", "ncnn", "Conv", ops.Conv, TURNED, IS_TURNED),
    reads("channel order", "cnn", "tflite", "Conv", ops.Conv, weight(1, channels), "reversed along axis 1"),
    reads("slope", "cnn", "onnx", "LeakyRelu", ops.LeakyRelu, attribute(alpha=0.3), "alpha="),
    reads("axis", "transformer", "onnx", "Softmax", ops.Softmax, attribute(axis=2), "axis=3"),
    reads(
        "log",
        "transformer",
        "tflite",
        "LogSoftmax",
        ops.LogSoftmax,
        operator(ops.Softmax(axis=1)),
        "Log",
        "Softmax",
    ),
    reads("epsilon", "transformer", "mnn", "LayerNormalization", ops.LayerNorm, EPSILON, "epsilon=0.01"),
    reads("no bias", "transformer", "onnx", "Gemm", ops.Gemm, weight(2, zero), IS_ADDED),
    reads(
        "gate order",
        "lstm",
        "onnx",
        "LSTM",
        ops.LSTM,
        all_gates(0, 2, 1, 3),
        "the gates in the order 0,2,1,3",
    ),
    reads(
        "gate order", "lstm", "mnn", "LSTM", ops.LSTM, all_gates(0, 1, 3, 2), "the gates in the order 0,1,3,2"
    ),
    reads("reset", "gru", "onnx", "GRU", ops.GRU, RESET, "linear_before_reset=True"),
    reads("some gates", "gru", "ncnn", "GRU", ops.GRU, weight(2, gates(1, 0, 2)), "gates of the recurrence"),
    reads(
        "zero point",
        "quantized",
        "onnx",
        "DequantizeLinear",
        ops.Dequantize,
        weight(2, one_more),
        "one less|added",
        "Conv",
    ),
    reads("operands", "depthwise", "ncnn", "Sub", ops.Sub, swapped, "operands swapped"),
    reads("start", "depthwise", "tflite", "Slice", ops.Slice, attribute(starts=(1, 1)), "starts|shifted"),
]

PASSES = [
    passes("half turn", "cnn", "tflite", "fold_batch_norm", ops.Conv, TURNED, IS_TURNED),
    passes("no bias", "cnn", "onnx", "fold_batch_norm", ops.Conv, weight(2, zero), IS_ADDED, "BatchNorm"),
    passes(
        "negated", "cnn", "mnn", "fold_batch_norm", ops.Conv, weight(2, np.negative), IS_ADDED, "BatchNorm"
    ),
    passes("shift", "cnn", "ncnn", "fold_batch_norm", ops.MaxPool, SHIFTED, IS_SHIFTED),
    passes("half turn", "cnn", "tflite", "assign_layout", ops.Conv, TURNED_LAST, IS_TURNED),
    passes("shift", "cnn", "tflite", "assign_layout", ops.MaxPool, SHIFTED, IS_SHIFTED),
    passes("axis", "transformer", "tflite", "simplify", ops.Softmax, attribute(axis=2), "axis=2"),
    passes(
        "weight read across",
        "transformer",
        "onnx",
        "simplify",
        ops.Gemm,
        weight(1, read_across),
        "weight under permute",
    ),
    passes(
        "weight doubled|alpha=2.0",
        "transformer",
        "ncnn",
        "legalize",
        ops.Gemm,
        weight(1, twice),
        "weight doubled|alpha=2.0",
    ),
    passes("epsilon", "transformer", "mnn", "legalize", ops.LayerNorm, EPSILON, "epsilon=1e-05"),
    passes("no bias", "gru", "tflite", "fold_constants", ops.Gemm, weight(2, zero), IS_ADDED),
]

WRITING = [
    *(
        writes("half turn", "cnn", target, ops.Conv, TURNED_LAST if target == "tflite" else TURNED, IS_TURNED)
        for target in ("onnx", "tflite", "ncnn", "mnn")
    ),
    *(
        writes("slope", "cnn", target, ops.LeakyRelu, attribute(alpha=0.3), "alpha=0.3")
        for target in ("onnx", "tflite", "mnn")
    ),
    *(
        writes("operands", "depthwise", target, ops.Sub, swapped, "operands swapped")
        for target in ("onnx", "tflite", "ncnn", "mnn")
    ),
    *(
        writes("Tanh", "depthwise", target, ops.Sigmoid, operator(ops.Tanh()), "with Tanh for Sigmoid")
        for target in ("onnx", "tflite")
    ),
    *(
        writes(
            "perm", "transformer", target, ops.Transpose, attribute(perm=other_perm), IS_PERMUTED, "MatMul"
        )
        for target in ("onnx", "tflite", "ncnn", "mnn")
    ),
    *(
        writes("no bias", "transformer", target, ops.Gemm, weight(2, zero), "bias left out|beta=0.0", "Add")
        for target in ("onnx", "ncnn", "mnn")
    ),
    *(
        writes("axis", "transformer", target, ops.Softmax, attribute(axis=2), "axis=2")
        for target in ("onnx", "mnn")
    ),
    writes(
        "scale",
        "transformer",
        "ncnn",
        ops.ScaledDotProductAttention,
        attribute(scale=0.9),
        "",
        "MatMul Softmax",
    ),
    *(
        writes(
            "gate order", "lstm", target, ops.LSTM, all_gates(0, 2, 1, 3), "the gates in the order 0,2,1,3"
        )
        for target in ("onnx", "tflite", "ncnn", "mnn")
    ),
    *(
        writes("some gates", "gru", target, ops.GRU, weight(2, gates(1, 0, 2)), "gates of the recurrence")
        for target in ("onnx", "ncnn")
    ),
    *(
        writes("padding counts", "cnn", target, ops.AveragePool, COUNTED, "count_include_pad=True")
        for target in ("onnx", "ncnn")
    ),
    *(
        writes("epsilon", "transformer", target, ops.LayerNorm, EPSILON, "epsilon=1e-05")
        for target in ("onnx", "ncnn")
    ),
    *(
        writes("aligned corners", "cnn", target, ops.Resize, ALIGNED, "coordinates=align_corners")
        for target in ("onnx", "tflite")
    ),
    *(
        writes("order of parts", "cnn", target, ops.Concat, swapped, "operands swapped")
        for target in ("onnx", "tflite", "ncnn", "mnn")
    ),
    writes("reset", "gru", "onnx", ops.GRU, RESET, "linear_before_reset=False"),
    writes("shift", "cnn", "onnx", ops.MaxPool, SHIFTED, IS_SHIFTED),
    writes("limit", "depthwise", "onnx", ops.Clip, attribute(high=0.8), "high=0.8"),
    writes("slopes", "depthwise", "ncnn", ops.PRelu, weight(1, twice), "doubled"),
    writes("zero point", "quantized", "onnx", ops.Quantize, weight(2, one_more), "one more|added"),
    writes(
        "weights read across",
        "quantized",
        "onnx",
        ops.Dequantize,
        weight(0, read_across),
        "under permute",
        "Conv MatMul",
    ),
    writes("slope of Elu", "cnn", "tflite", ops.Elu, attribute(alpha=1.0), "alpha=1.0|scaled"),
    writes("zero point", "quantized", "ncnn", ops.Quantize, weight(2, one_more), "one more|added"),
]

AFTERWARDS = [
    patched(
        "half turn",
        "quantized",
        "tflite",
        "Conv Dequantize",
        tflite_weight("CONV_2D", 1, half_turn_nhwc),
        "half a turn",
    ),
    patched(
        "one per cent",
        "cnn",
        "onnx",
        "Conv BatchNorm",
        onnx_weight("Conv", 1, lambda w: w * np.float32(1.01)),
        "scaled",
    ),
    patched(
        "perm",
        "transformer",
        "onnx",
        "Transpose",
        onnx_attribute("Transpose", "perm", [0, 2, 3, 1]),
        IS_PERMUTED,
    ),
    patched("Relu for Elu", "cnn", "onnx", "Elu", onnx_operator("Elu", "Relu"), "Relu|alpha=0.0"),
    patched("axis", "transformer", "onnx", "LogSoftmax", onnx_attribute("LogSoftmax", "axis", 0), "axis=0"),
    patched(
        "some gates",
        "lstm",
        "onnx",
        "LSTM",
        onnx_weight("LSTM", 1, gates(0, 3, 2, 1)),
        "gates of the weight in the order 0,3,2,1",
    ),
    patched(
        "scale",
        "quantized",
        "onnx",
        "Quantize Dequantize Conv",
        onnx_weight("DequantizeLinear", 1, twice),
        "scaled|doubled",
    ),
    patched("half turn", "cnn", "tflite", "Conv", tflite_weight("CONV_2D", 1, half_turn_nhwc), IS_TURNED),
    patched(
        "no bias",
        "cnn",
        "tflite",
        "Gemm",
        tflite_weight("FULLY_CONNECTED", 2, zero),
        "bias left out|beta=0.0",
    ),
    patched(
        "slope",
        "cnn",
        "ncnn",
        "LeakyRelu",
        ncnn_parameter("Convolution", "-23310=1,0.15", "-23310=1,0.3"),
        "alpha=0.3",
    ),
    patched(
        "half turn",
        "depthwise",
        "ncnn",
        "Conv",
        weight_bytes(weight_of("depthwise", "depth"), half_turn, ".bin"),
        IS_TURNED,
    ),
    patched(
        "channel order",
        "depthwise",
        "mnn",
        "Conv",
        weight_bytes(weight_of("depthwise", "depth"), np.flipud, ""),
        "reversed along axis 0",
    ),
]

RUNNING = [
    runs(
        "half turn",
        "quantized",
        "tflite",
        "Conv Dequantize",
        tflite_weight("CONV_2D", 1, half_turn_nhwc),
        "half a turn",
    ),
    runs("half turn", "cnn", "onnx", "Conv", onnx_weight("Conv", 1, half_turn), IS_TURNED),
    runs(
        "padding counts",
        "cnn",
        "onnx",
        "AveragePool",
        onnx_attribute("AveragePool", "count_include_pad", 1),
        "count_include_pad=True",
    ),
    runs(
        "epsilon",
        "transformer",
        "onnx",
        "LayerNorm",
        onnx_attribute("LayerNormalization", "epsilon", 1e-5),
        "epsilon=1e-05",
    ),
    runs(
        "reset",
        "gru",
        "onnx",
        "GRU",
        onnx_attribute("GRU", "linear_before_reset", 0),
        "linear_before_reset=False",
    ),
    runs(
        "aligned corners",
        "cnn",
        "onnx",
        "Resize",
        onnx_attribute("Resize", "coordinate_transformation_mode", "align_corners"),
        "coordinates=align_corners",
    ),
    runs("half turn", "cnn", "tflite", "Conv", tflite_weight("CONV_2D", 1, half_turn_nhwc), IS_TURNED),
    runs(
        "doubled",
        "cnn",
        "tflite",
        "MatMul",
        tflite_weight("FULLY_CONNECTED", 1, twice),
        "weight doubled|operand 1 doubled",
    ),
    runs(
        "slope",
        "cnn",
        "ncnn",
        "LeakyRelu",
        ncnn_parameter("Convolution", "-23310=1,0.15", "-23310=1,0.3"),
        "alpha=0.3",
    ),
    runs(
        "half turn",
        "depthwise",
        "mnn",
        "Conv",
        weight_bytes(weight_of("depthwise", "depth"), half_turn, ""),
        IS_TURNED,
    ),
]

FAULTS: list[Fault] = [*READING, *PASSES, *WRITING, *AFTERWARDS, *RUNNING]
