"""Attention: Attention, AdditiveAttention, MultiHeadAttention and GroupedQueryAttention."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence

import ml_dtypes

from mmconvert import dtypes
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Abs,
    Add,
    And,
    Einsum,
    Expand,
    GreaterEqual,
    Less,
    MatMul,
    Mul,
    ReduceSum,
    Reshape,
    ScaledDotProductAttention,
    Sigmoid,
    Sub,
    Tanh,
    Transpose,
    Unsqueeze,
    Where,
)
from mmconvert.ir.ops.attention import positions
from mmconvert.parsers.keras.activations import softmax, softmax_over
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.quantized import quantized_einsum
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

# --- a score for each pair, without heads -------------------------------------------------------------


@rule("Attention", "AdditiveAttention")
def attention(layer: KerasLayer, b: Builder) -> Value | tuple[Value, ...]:
    if len(layer.inputs) not in (2, 3):
        raise layer.invalid(f"the layer takes a query, a value and perhaps a key, not {len(layer.inputs)}")
    query, value, key = (*layer.inputs, layer.inputs[1])[:3]
    masks = [None if mask is None else layer.cast(mask, dtypes.BOOL) for mask in layer.masks]
    layer.ignore("dropout")
    causal = _flag(layer, "use_causal_mask") or (layer.version < 3 and layer.flag("causal", False))
    scores = _pair_scores(layer, b, query, key)
    seen = None if masks[1] is None else b(Unsqueeze(axes=(1,)), masks[1])
    if causal:
        seen = _both(b, seen, _causal(b, query, key))
    if seen is not None:
        low = 65504.0 if scores.type.dtype == dtypes.F16 else 1e9
        scores = b(Where(), seen, scores, b(Sub(), scores, low))
    weights = softmax(b, scores)
    y = b(MatMul(), weights, value)
    if masks[0] is not None:
        zero = b.constant(0.0, y.type.dtype)
        y = b(Where(), b(Unsqueeze(axes=(2,)), masks[0]), y, zero)
        layer.mask = masks[0]
    return (y, weights) if _flag(layer, "return_attention_scores") else y


def _pair_scores(layer: KerasLayer, b: Builder, query: Value, key: Value) -> Value:
    """[batch, queries, keys]: products, or sums of tanh over the features."""
    query.type.require_rank(3)
    key.type.require_rank(3)
    use_scale = layer.flag("use_scale", layer.kind == "AdditiveAttention")
    mode = layer.string("score_mode", "dot") if layer.kind == "Attention" else "additive"
    shapes: dict[str, tuple[int, ...] | None] = {}
    if use_scale:
        shapes["scale"] = (layer.extent(query, 2),) if mode == "additive" else ()
    if mode == "concat":
        shapes["concat_score_weight"] = ()
    found = dict(zip(shapes, layer.variables(shapes), strict=True))
    factors = {name: layer.weight(name, tensor) for name, tensor in found.items()}
    scale = factors.get("scale")
    if mode == "dot":
        scores = b(MatMul(), query, b(Transpose(perm=(0, 2, 1)), key))
        return scores if scale is None else b(Mul(), scores, scale)
    if mode not in ("concat", "additive"):
        raise layer.refuse(f"score_mode {mode!r}")
    pairs = b(Add(), b(Unsqueeze(axes=(2,)), query), b(Unsqueeze(axes=(1,)), key))
    if mode == "concat":
        bent = b(Tanh(), pairs if scale is None else b(Mul(), pairs, scale))
        return b(Mul(), b(ReduceSum(axes=(3,), keepdims=False), bent), factors["concat_score_weight"])
    bent = b(Tanh(), pairs)
    return b(ReduceSum(axes=(3,), keepdims=False), bent if scale is None else b(Mul(), bent, scale))


# --- heads ---------------------------------------------------------------------------------------------


@rule("MultiHeadAttention", "GroupedQueryAttention", "GroupQueryAttention")
def multi_head_attention(layer: KerasLayer, b: Builder) -> Value | tuple[Value, ...]:
    """Projections to heads, attention over some axes, and a projection back."""
    multi = layer.kind == "MultiHeadAttention"
    layer.ignore("seed", "query_shape", "key_shape", "value_shape", "softmax_robust_masking")
    layer.ignore("flash_attention", "attention_axes", "output_shape", "value_dim")
    heads = layer.integer("num_heads" if multi else "num_query_heads")
    size = layer.integer("key_dim" if multi else "head_dim")
    shared = heads if multi else layer.integer("num_key_value_heads")
    value_size = layer.integer("value_dim", size) if multi and layer.setting("value_dim", None) else size
    if heads < 1 or shared < 1 or heads % shared:
        raise layer.invalid(f"{heads} heads cannot share {shared}")
    query, value, key = _operands(layer)
    seen = _seen(layer, b, query, value, key)
    # In the order of the variables in `.h5` files.
    parts = [
        _projected(layer, b, query, "query", heads, size),
        _projected(layer, b, key, "key", shared, size),
    ]
    gate = None
    if layer.flag("use_gate", False):
        gate = b(Sigmoid(), _projected(layer, b, query, "gate", heads, value_size))
    parts.append(_projected(layer, b, value, "value", shared, value_size))
    axes = _attention_axes(layer, query)
    scores_wanted = _flag(layer, "return_attention_scores")
    plain = not scores_wanted and layer.version >= 3 and layer.number("dropout", 0.0) == 0
    layer.ignore("dropout")
    if axes == (1,) and query.type.rank == 3 and plain:
        y, scores = _fused(layer, b, parts, size, seen), None
    else:
        y, scores = _explicit(layer, b, parts, size, axes, seen)
    y = y if gate is None else b(Mul(), y, gate)
    layer.mask = layer.host.mask(layer.source(0, "query"))
    output = _output(layer, b, y, query)
    return (output, scores) if scores_wanted and scores is not None else output


def _operands(layer: KerasLayer) -> tuple[Value, Value, Value]:
    """Query, value and key, in the type of the layer; the key is the value when it is not given."""
    query, value = layer.source(0, "query"), layer.source(1, "value")
    key = layer.argument(2, "key")
    key = key if isinstance(key, Value) else value
    return tuple(layer.floats(layer.cast(x, layer.dtype)) for x in (query, value, key))  # type: ignore[return-value]


def _projected(layer: KerasLayer, b: Builder, x: Value, name: str, heads: int, size: int) -> Value:
    """``..., features`` -> ``..., heads, size``."""
    part = layer.part("EinsumDense", name, f"{name}_dense/")
    features = layer.extent(x, -1)
    biased = layer.flag("use_bias", True)
    front, last, new = "abcdefgh"[: x.type.rank - 1], "x", "yz"
    equation = f"{front}{last},{last}{new}->{front}{new}"
    dense = part.as_einsum(x, equation, (heads, size), new if biased else "")
    if dense is not None:
        return quantized_einsum(dense, b, dense.quantization or "", equation)
    shapes: dict[str, tuple[int, ...] | None] = {"kernel": (features, heads, size)}
    if biased:
        shapes["bias"] = (heads, size)
    kernel, *bias = part.variables(shapes)
    y = b(MatMul(), x, part.weight("kernel", kernel.reshape((features, heads * size))))
    if bias:
        y = b(Add(), y, part.weight("bias", bias[0].reshape((heads * size,))))
    return b(Reshape(shape=(*x.type.shape[:-1], heads, size)), y)


def _output(layer: KerasLayer, b: Builder, y: Value, query: Value) -> Value:
    """``..., heads, size`` -> ``..., features``, or the shape that the user gave."""
    part = layer.part("EinsumDense", "attention_output", "output_dense/")
    heads, size = layer.extent(y, -2), layer.extent(y, -1)
    given = layer.setting("output_shape", None)
    if given is None:
        shape: tuple[int, ...] = (layer.extent(query, -1),)
    else:
        shape = layer.integers("output_shape")
    biased = layer.flag("use_bias", True)
    front, last, new = "abcdefgh"[: y.type.rank - 2], "wx", "ijklm"[: len(shape)]
    equation = f"{front}{last},{last}{new}->{front}{new}"
    dense = part.as_einsum(y, equation, shape, new if biased else "")
    if dense is not None:
        return quantized_einsum(dense, b, dense.quantization or "", equation)
    count = math.prod(shape)
    shapes: dict[str, tuple[int, ...] | None] = {"kernel": (heads, size, *shape)}
    if biased:
        shapes["bias"] = shape
    kernel, *bias = part.variables(shapes)
    flat = b(Reshape(shape=(*y.type.shape[:-2], heads * size)), y)
    z = b(MatMul(), flat, part.weight("kernel", kernel.reshape((heads * size, count))))
    if bias:
        z = b(Add(), z, part.weight("bias", bias[0].reshape((count,))))
    return z if len(shape) == 1 else b(Reshape(shape=(*y.type.shape[:-2], *shape)), z)


def _attention_axes(layer: KerasLayer, query: Value) -> tuple[int, ...]:
    rank = query.type.rank
    if layer.setting("attention_axes", None) is None:
        return tuple(range(1, rank - 1))
    return tuple(axis % rank for axis in layer.integers("attention_axes"))


def _fused(layer: KerasLayer, b: Builder, parts: Sequence[Value], size: int, seen: Value | None) -> Value:
    """Attention by Keras's own function, which gives a query that sees nothing the mean of all values."""
    query, key, value = (b(Transpose(perm=(0, 2, 1, 3)), part) for part in parts)
    bias = None
    if seen is not None:
        dtype = query.type.dtype
        low = 0.7 * float(ml_dtypes.finfo(dtype).min)  # type: ignore[no-untyped-call]
        bias = b(Where(), seen, b.constant(0.0, dtype), b.constant(low, dtype))
        bias = b(Unsqueeze(axes=(1,)), bias) if bias.type.rank == 3 else bias
    y = b(ScaledDotProductAttention(scale=1 / math.sqrt(size)), query, key, value, bias)
    return b(Transpose(perm=(0, 2, 1, 3)), y)


def _explicit(
    layer: KerasLayer,
    b: Builder,
    parts: Sequence[Value],
    size: int,
    axes: tuple[int, ...],
    seen: Value | None,
) -> tuple[Value, Value]:
    """Attention over any axes, by sums over named ones: scores are [batch axes, heads, queries, keys]."""
    query, key, value = parts
    if key.type.shape[-2] != query.type.shape[-2]:
        key, value = (_repeated(b, x, layer.extent(query, -2)) for x in (key, value))
    letters = iter(string.ascii_lowercase)
    rank = query.type.rank
    query_term = [next(letters) for _ in range(rank)]
    key_term = [next(letters) if axis in axes else query_term[axis] for axis in range(rank - 1)]
    features = next(letters)
    batch = [query_term[axis] for axis in range(rank - 1) if axis not in axes]
    score_term = [*batch, *(query_term[a] for a in axes), *(key_term[a] for a in axes)]
    q, k = "".join(query_term), "".join([*key_term, query_term[-1]])
    v, s = "".join([*key_term, features]), "".join(score_term)
    out = "".join([*query_term[:-1], features])
    scaled = b(Mul(), query, 1 / math.sqrt(size))
    scores = b(Einsum(equation=f"{k},{q}->{s}"), key, scaled)
    last = tuple(range(scores.type.rank - len(axes), scores.type.rank))
    if seen is not None:
        for _ in range(scores.type.rank - seen.type.rank):
            seen = b(Unsqueeze(axes=(seen.type.rank - 2 * len(axes),)), seen)
    scores = _softmax(layer, b, scores, seen, last)
    return b(Einsum(equation=f"{s},{v}->{out}"), scores, value), scores


def _softmax(layer: KerasLayer, b: Builder, x: Value, seen: Value | None, axes: tuple[int, ...]) -> Value:
    """As the layer Softmax has it."""
    if seen is None:
        return softmax_over(b, x, axes)
    dtype = x.type.dtype
    zero, low = b.constant(0.0, dtype), b.constant(-3e4 if dtype.itemsize < 4 else -1e9, dtype)
    if layer.version < 3:
        return softmax_over(b, b(Add(), x, b(Where(), seen, zero, low)), axes)
    return b(Where(), seen, softmax_over(b, b(Where(), seen, x, low), axes), zero)


def _repeated(b: Builder, x: Value, heads: int) -> Value:
    """Every head of ``x`` several times in a row."""
    *front, shared, size = x.type.shape
    times = dims.floordiv(heads, shared)
    wide = b(Expand(shape=(*front, shared, times, size)), b(Unsqueeze(axes=(x.type.rank - 1,)), x))
    return b(Reshape(shape=(*front, heads, size)), wide)


# --- masks ---------------------------------------------------------------------------------------------


def _seen(layer: KerasLayer, b: Builder, query: Value, value: Value, key: Value) -> Value | None:
    """Which query sees which key, [batch, queries, keys] or more: all masks that there are together."""
    found: Value | None = None
    for name, position, axis in (("query", 0, 2), ("value", 1, 1), ("key", 2, 1)):
        mask = _mask(layer, name, position)
        if mask is not None:
            found = _both(b, found, b(Unsqueeze(axes=(axis,)), layer.cast(mask, dtypes.BOOL)))
    if _flag(layer, "use_causal_mask"):
        found = _both(b, found, _causal(b, query, value))
    if layer.setting("sliding_window", None) is not None:
        found = _both(b, found, _near(b, query, value, layer.integer("sliding_window")))
    given = layer.argument(6, "attention_mask")
    return _both(b, found, layer.cast(given, dtypes.BOOL)) if isinstance(given, Value) else found


def _mask(layer: KerasLayer, name: str, position: int) -> Value | None:
    given = layer.argument(position + 3, f"{name}_mask")
    if isinstance(given, Value):
        return given
    source = layer.argument(position, name)
    return layer.host.mask(source) if isinstance(source, Value) else None


def _both(b: Builder, left: Value | None, right: Value) -> Value:
    return right if left is None else b(And(), left, right)


def _places(b: Builder, query: Value, key: Value) -> tuple[Value, Value]:
    """The number of each query as a column [1, queries, 1], and of each key as a row."""
    return b(Unsqueeze(axes=(0, 2)), positions(b, query, 1)), b(Unsqueeze(axes=(0, 1)), positions(b, key, 1))


def _causal(b: Builder, query: Value, key: Value) -> Value:
    return b(GreaterEqual(), *_places(b, query, key))


def _near(b: Builder, query: Value, key: Value, window: int) -> Value:
    row, column = _places(b, query, key)
    return b(Less(), b(Abs(), b(Sub(), row, column)), window)


def _flag(layer: KerasLayer, name: str) -> bool:
    value = layer.keyword(name)
    if value not in (None, False, True):
        raise layer.invalid(f"{name} = {value!r} is neither true nor false")
    return bool(value)
