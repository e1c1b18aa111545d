"""Matrix products, tables and attention."""

from __future__ import annotations

import math

from mmconvert import dtypes
from mmconvert.ir import dims, ops
from mmconvert.ir.graph import Value
from mmconvert.parsers.ncnn.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("NCNN")


@rule("MatMul")
def matmul(layer: Source) -> Value:
    layer.only(2)
    a, b = layer.inputs
    if a.type.rank == 2 or b.type.rank == 2:  # vectors have no batch axis that NumPy would understand
        raise layer.unsupported("products with vectors")
    rank = max(a.type.rank, b.type.rank)
    a, b = (layer.reshape(v, (1, *(1,) * (rank - v.type.rank), *v.type.shape[1:])) for v in (a, b))
    if layer.p.flag("transB"):
        b = layer.b(ops.Transpose(perm=(*range(rank - 2), rank - 1, rank - 2)), b)
    return layer.b(ops.MatMul(), a, b)


@rule("Gemm")
def gemm(layer: Source) -> Value:
    p = layer.p
    if any(
        p.integer(name) for name in ("output_N1M", "output_elempack", "output_elemtype", "output_transpose")
    ):
        raise layer.unsupported("a Gemm that packs its output")
    for name in ("constant_TILE_M", "constant_TILE_N", "constant_TILE_K", "quantize_term"):
        p.integer(name)
    rows, columns, depth = (p.integer(f"constant{name}") for name in "MNK")
    given = iter(layer.inputs)
    turned_a, turned_b = p.flag("transA"), p.flag("transB")
    a = _matrix(layer, given, "a", (depth, rows) if turned_a else (rows, depth), constant=p.flag("constantA"))
    b = _matrix(
        layer, given, "b", (columns, depth) if turned_b else (depth, columns), constant=p.flag("constantB")
    )
    kind = p.integer("constant_broadcast_type_C")
    c: Value | None = None
    if p.flag("constantC"):
        shapes = {0: (), 1: (rows, 1), 2: (rows, 1), 3: (rows, columns), 4: (1, columns)}
        c = layer.constant("c", shapes[kind]) if kind in shapes else None
    else:
        other = next(given, None)
        if other is not None:
            shape = other.type.shape[1:]
            c = layer.reshape(
                other, (shape[0], 1) if len(shape) == 1 and shape[0] == a.type.shape[0] else shape
            )
    op = ops.Gemm(alpha=p.real("alpha"), beta=p.real("beta"), transpose_a=turned_a, transpose_b=turned_b)
    y = layer.b(op, a, b, c)
    return layer.reshape(y, (1, *y.type.shape))


def _matrix(layer: Source, given: object, name: str, shape: tuple[int, int], *, constant: bool) -> Value:
    if constant:
        return layer.constant(name, shape)
    value = next(given, None)  # type: ignore[call-overload]
    if not isinstance(value, Value):
        raise layer.invalid(f"Gemm has no operand {name}")
    extents = value.type.shape[1:]
    return layer.reshape(value, extents if len(extents) == 2 else (1, dims.product(extents)))


@rule("Embed")
def embed(layer: Source) -> Value:
    outputs, words = layer.p.count("num_output", 1), layer.p.count("input_dim", 1)
    layer.p.count("weight_data_size")
    table = layer.weight("weight", (words, outputs))
    if layer.p.flag("int8_scale_term") or table.dtype == dtypes.I8:
        (scale,) = layer.weight("weight_scales").numpy().reshape(-1).tolist()
        factor = 0.0 if not scale else 1 / scale
        table = table.map(lambda array: (array * dtypes.F32.type(factor)).astype("f4"), dtype=dtypes.F32)
    indices = layer.reshape(layer.x, (layer.x.type.size,))
    if not dtypes.is_integer(indices.type.dtype):
        raise layer.unsupported("a table looked up at computed places")
    name = f"{layer.stored.layer.name}.weight"
    rows = layer.b(ops.Gather(axis=0), layer.b.constant(table, name=name), indices)
    bias = layer.optional("bias", (outputs,)) if layer.p.flag("bias_term") else None
    rows = rows if bias is None else layer.b(ops.Add(), rows, bias)
    return layer.reshape(rows, (1, *rows.type.shape))


@rule("Einsum")
def einsum(layer: Source) -> Value:
    codes = layer.p.integers("equation_mat")
    if not all(32 <= code < 127 for code in codes):
        raise layer.invalid("an equation is made of letters")
    equation = "".join(map(chr, codes))
    operands = [layer.reshape(v, v.type.shape[1:]) for v in layer.inputs]
    y = layer.b(ops.Einsum(equation=equation), *operands)
    return layer.reshape(y, (1, *y.type.shape) if y.type.rank else (1, 1))


@rule("MultiHeadAttention")
def attention(layer: Source) -> Value:
    """Query, key and value as [length, width]; one of them stands for those that are missing."""
    p, width, heads = layer.p, layer.p.count("embed_dim", 1), layer.p.count("num_heads", 1)
    if p.flag("kv_cache") or p.integer("quantize_term"):
        raise layer.unsupported("attention with a cache, or with quantized weights")
    total = p.count("weight_data_size", 1)
    size = width // heads
    inputs = list(layer.inputs)
    mask = inputs.pop() if p.flag("attn_mask") else None
    if not 1 <= len(inputs) <= 3:
        raise layer.invalid(f"attention over {len(inputs)} operands")
    query, key = inputs[0], inputs[1] if len(inputs) > 1 else inputs[0]
    value = inputs[2] if len(inputs) > 2 else key
    depths = {"q": total // width, "k": p.count("kdim"), "v": p.count("vdim")}
    parts = [
        _heads(layer, _projected(layer, x, name, width, depths[name]), heads, size)
        for name, x in (("q", query), ("k", key), ("v", value))
    ]
    mixed = _mixed(layer, parts, mask, size)
    turned = layer.b(ops.Transpose(perm=(0, 2, 1, 3)), mixed)
    joined = layer.reshape(turned, (1, turned.type.shape[1], width))
    return _projected(layer, joined, "out", depths["q"], width)


@rule("SDPA")
def heads_of_attention(layer: Source) -> Value:
    """Query, key and value as [heads, length, size]."""
    if layer.p.flag("kv_cache") or layer.p.integer("int8_scale_term"):
        raise layer.unsupported("attention with a cache, or in 8 bits")
    inputs = list(layer.inputs)
    mask = inputs.pop() if layer.p.flag("attn_mask") else None
    if len(inputs) != 3:
        raise layer.invalid(f"attention over {len(inputs)} operands")
    size = inputs[0].type.require_rank(4).shape[3]
    return _mixed(layer, inputs, mask, size if isinstance(size, int) else 0)


def _mixed(layer: Source, parts: list[Value], mask: Value | None, size: int) -> Value:
    """Attention over what is [batch, heads, length, ``size``]."""
    if not layer.p.has("scale") and not size:
        raise layer.unsupported("attention over heads of unknown size")
    scale = layer.p.real("scale") if layer.p.has("scale") else 1 / math.sqrt(size)
    if mask is not None:
        extents = mask.type.shape[1:]
        mask = layer.reshape(mask, (1, 1, *extents) if len(extents) == 2 else (1, *extents))
    return layer.b(ops.ScaledDotProductAttention(scale=scale), *parts, mask)


def _projected(layer: Source, x: Value, name: str, outputs: int, inputs: int) -> Value:
    weight = layer.weight(f"{name}_weight", (outputs, inputs)).transpose((1, 0))
    product = layer.b(ops.MatMul(), x, layer.b.constant(weight, name=f"{layer.stored.layer.name}.{name}"))
    return layer.b(ops.Add(), product, layer.constant(f"{name}_bias", (outputs,)))


def _heads(layer: Source, x: Value, heads: int, size: int) -> Value:
    cut = layer.reshape(x, (1, x.type.shape[1], heads, size))
    return layer.b(ops.Transpose(perm=(0, 2, 1, 3)), cut)
