"""Rules for operators that ONNX Runtime adds when it optimizes a model (domain com.microsoft)."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops.attention import positions
from mmconvert.ir.types import Layout
from mmconvert.parsers.onnx import indexing, matmul, windows
from mmconvert.parsers.onnx.activation import PLAIN
from mmconvert.parsers.onnx.elementwise import cast
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")

_DOMAIN = "com.microsoft"
_EPSILON = 1e-12
"""Of the fused normalisations."""


@rule(f"{_DOMAIN}.FusedConv")
def fused_conv(n: Source, b: Builder) -> Value:
    activation, parameters = n.text("activation", ""), n.reals("activation_params", ())
    y = windows.conv(n, b)
    if n.has(3):
        y = b(ops.Add(), y, n.operand(3))
    return _activated(n, b, y, activation, parameters)


@rule(f"{_DOMAIN}.FusedGemm")
def fused_gemm(n: Source, b: Builder) -> Value:
    activation = n.text("activation", "")
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    parameters = tuple(n.real(name) for name in names if n.given(name))
    return _activated(n, b, matmul.gemm(n, b), activation, parameters)


def _activated(n: Source, b: Builder, y: Value, name: str, parameters: tuple[float, ...]) -> Value:
    op: Op | None = None
    match name, parameters:
        case "", _:
            return y
        case (("Relu" | "Tanh" | "Sigmoid" | "Softplus" | "Softsign"), _):
            op = PLAIN[name]()
        case "LeakyRelu", (alpha, *_):
            op = ops.LeakyRelu(alpha=alpha)
        case "LeakyRelu", ():
            op = ops.LeakyRelu(alpha=0.01)
        case "Elu", (alpha, *_):
            op = ops.Elu(alpha=alpha)
        case "ThresholdedRelu", (alpha, *_):
            op = ops.ThresholdedRelu(alpha=alpha)
        case "Clip", (low, high, *_):
            op = ops.Clip(low=low, high=high)
        case "HardSigmoid", (alpha, beta, *_):
            op = ops.HardSigmoid(alpha=alpha, beta=beta)
    if op is None:
        raise n.unsupported(f"the activation {name!r} of {list(parameters)}")
    return b(op, y)


@rule(f"{_DOMAIN}.FusedMatMul", f"{_DOMAIN}.TransposeMatMul")
def fused_matmul(n: Source, b: Builder) -> Value:
    sides = []
    for index, letter in enumerate("AB"):
        x = n.operand(index)
        x = _batch_turned(b, x) if n.flag(f"transBatch{letter}") else x
        sides.append(_turned(b, x) if n.flag(f"trans{letter}") else x)
    y, alpha = b(ops.MatMul(), *sides), n.real("alpha", 1.0)
    return y if alpha == 1.0 else b(ops.Mul(), y, alpha)


def _turned(b: Builder, x: Value) -> Value:
    """The last two axes in each other's place."""
    rank = x.type.rank
    return x if rank < 2 else b(ops.Transpose(perm=(*range(rank - 2), rank - 1, rank - 2)), x)


def _batch_turned(b: Builder, x: Value) -> Value:
    """The first axis behind the batch axes."""
    rank = x.type.rank
    return x if rank < 3 else b(ops.Transpose(perm=(*range(1, rank - 1), 0, rank - 1)), x)


@rule(f"{_DOMAIN}.Gelu")
def gelu(n: Source, b: Builder) -> Value:
    return b(ops.Gelu(), n.operand(0))


@rule(f"{_DOMAIN}.BiasGelu", f"{_DOMAIN}.FastGelu")
def bias_gelu(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    x = b(ops.Add(), x, n.operand(1)) if n.has(1) else x
    return b(ops.Gelu(approximate=n.kind == "FastGelu"), x)


@rule(f"{_DOMAIN}.QuickGelu")
def quick_gelu(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    return b(ops.Mul(), x, b(ops.Sigmoid(), b(ops.Mul(), x, n.real("alpha", 1.702))))


@rule(f"{_DOMAIN}.SkipLayerNormalization")
def skip_layer_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    total = _with_skip(n, b, 4)
    op = ops.LayerNorm(axes=(total.type.rank - 1,), epsilon=n.real("epsilon", _EPSILON))
    return b(op, total, n.operand(2), n.optional(3)), None, None, total


@rule(f"{_DOMAIN}.SkipSimplifiedLayerNormalization")
def skip_rms_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    total = _with_skip(n, b, 3)
    op = ops.RMSNorm(axes=(total.type.rank - 1,), epsilon=n.real("epsilon", _EPSILON))
    return b(op, total, n.operand(2)), None, None, total


def _with_skip(n: Source, b: Builder, bias: int) -> Value:
    total = b(ops.Add(), n.operand(0), n.operand(1))
    return b(ops.Add(), total, n.operand(bias)) if n.has(bias) else total


@rule("SimplifiedLayerNormalization")
def rms_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    x, scale = n.operand(0), n.operand(1)
    n.ignore("stash_type")
    axes = tuple(range(x.type.axis(n.integer("axis", -1)), x.type.rank))
    return b(ops.RMSNorm(axes=axes, epsilon=n.real("epsilon", 1e-5)), x, cast(b, scale, x.type.dtype)), None


@rule(f"{_DOMAIN}.EmbedLayerNormalization")
def embed_layer_norm(n: Source, b: Builder) -> tuple[Value | None, ...]:
    """The sum of the embeddings of words, positions and segments, normalised."""
    n.ignore("mask_index_type")
    ids, batch = n.operand(0), n.operand(0).type.shape[0]
    total = b(ops.Gather(axis=0), n.operand(2), ids)
    places = n.operand(8) if n.has(8) else positions(b, ids, 1)
    total = b(ops.Add(), total, b(ops.Gather(axis=0), n.operand(3), places))
    if n.has(1) and n.has(4):
        total = b(ops.Add(), total, b(ops.Gather(axis=0), n.operand(4), n.operand(1)))
    op = ops.LayerNorm(axes=(2,), epsilon=n.real("epsilon", _EPSILON))
    y = b(op, total, n.operand(5), n.operand(6))
    if n.has(7):
        counts = b(ops.ReduceSum(axes=(1,), keepdims=False), cast(b, n.operand(7), dtypes.I32))
    else:
        counts = b(ops.Fill(shape=(batch,), value=0, dtype=dtypes.I32))
    return y, counts, total


@rule(f"{_DOMAIN}.Pad")
def pad(n: Source, b: Builder) -> Value:
    return indexing.pad_11(n, b)


@rule(f"{_DOMAIN}.Unique")
def unique(n: Source, b: Builder) -> tuple[Value, ...]:
    count = n.context.symbols.fresh(f"{n.origin.name}_count")
    y, _, which, counts = b.multi(ops.Unique(count=count, sorted=False), n.operand(0))
    return y, which, counts


@rule(f"{_DOMAIN}.NhwcMaxPool")
def nhwc_max_pool(n: Source, b: Builder) -> Value:
    kernel, strides, dilations, pads = windows.pool_attributes(n)
    op = ops.MaxPool(
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        padding=pads,
        ceil=n.flag("ceil_mode"),
        layout=Layout.NHWC,
    )
    return b(op, n.operand(0))
