"""Numbers to categories and categories to vectors: CategoryEncoding, Discretization, IntegerLookup."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import (
    Add,
    Cast,
    Equal,
    Gather,
    GreaterEqual,
    Identity,
    Mod,
    Mul,
    ReduceAny,
    ReduceMax,
    ReduceSum,
    Squeeze,
    Unsqueeze,
    Where,
)
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.rules import Rules
from mmconvert.tensors import Array

rule: Rules[str] = Rules("Keras")

MAX_ENTRIES = 1 << 20
"""More entries than this are not written out as numbers in a config."""


@rule("CategoryEncoding")
def category_encoding(layer: KerasLayer, b: Builder) -> Value:
    layer.ignore("max_tokens")
    depth = layer.integer("num_tokens")
    weights = layer.keyword("count_weights")
    return _encoded(layer, b, layer.inputs[0], depth, layer.dtype, weights)


@rule("Discretization")
def discretization(layer: KerasLayer, b: Builder) -> Value:
    """How many of the boundaries a number has reached."""
    layer.ignore("num_bins", "epsilon")
    if layer.setting("bin_boundaries", None) is None:
        raise layer.refuse("boundaries that are not in the config", "give bin_boundaries, and save again")
    edges = layer.array("bin_boundaries").reshape(-1)
    x = layer.cast(layer.input(), dtypes.F32)
    reached = b(GreaterEqual(), b(Unsqueeze(axes=(x.type.rank,)), x), edges)
    bins = b(ReduceSum(axes=(x.type.rank,), keepdims=False), b(Cast(to=dtypes.I32), reached))
    integer = dtypes.I32 if layer.version >= 3 else dtypes.I64
    return _encoded(layer, b, bins, len(edges) + 1, layer.dtype, None, integer)


@rule("IntegerLookup")
def integer_lookup(layer: KerasLayer, b: Builder) -> Value:
    """The place of a number in a list; ``invert`` goes the other way."""
    layer.ignore(
        "max_tokens", "vocabulary_size", "vocabulary_dtype", "salt", "has_input_vocabulary", "encoding"
    )
    x = layer.cast(layer.input(), dtypes.I64)
    words = _vocabulary(layer)
    strangers, mode = layer.integer("num_oov_indices", 1), layer.string("output_mode", "int")
    mask = layer.setting("mask_token", None)
    for key in ("idf_weights", "pad_to_max_tokens"):
        if layer.setting(key, None):
            raise layer.refuse(key)
    special = [layer.integer("mask_token")] if mask is not None and mode == "int" else []
    start = len(special) + strangers
    if layer.flag("invert", False):
        layer.ignore("oov_method", "sparse")
        table = np.array([*special, *[layer.integer("oov_token", -1)] * strangers, *words], np.int64)
        return b(Gather(axis=0), table, x)
    if layer.string("oov_method", "floormod") != "floormod" and strangers > 1:
        raise layer.refuse("oov_method")
    column = b(Unsqueeze(axes=(x.type.rank,)), x)
    same = b(Equal(), column, words)
    last = (x.type.rank,)
    places = b(Mul(), b(Cast(to=dtypes.I64), same), np.arange(start, start + len(words), dtype=np.int64))
    place = b(ReduceSum(axes=last, keepdims=False), places)
    other: Value = b.constant(len(special), dtypes.I64)
    if strangers > 1:
        other = b(Add(), b(Mod(), x, np.array(strangers, np.int64)), other)
    y = b(Where(), b(ReduceAny(axes=last, keepdims=False), same), place, other)
    if special:
        y = b(Where(), b(Equal(), x, special[0]), np.array(0, np.int64), y)
    dtype = dtypes.F32 if layer.version < 3 else dtypes.I64
    return _encoded(layer, b, y, start + len(words), dtype, None, integer=dtypes.I64)


def _vocabulary(layer: KerasLayer) -> Array:
    """The words of the config, without those that stand for the mask and for what is not known."""
    items: Any = layer.setting("vocabulary", None)
    if not isinstance(items, list):
        raise layer.refuse(
            "a vocabulary that is not in the config",
            "give the vocabulary when the layer is made, and save again",
        )
    if len(items) > MAX_ENTRIES:
        raise layer.refuse(f"a vocabulary of {len(items)} numbers")
    if not all(type(item) is int and abs(item) < 1 << 63 for item in items):
        raise layer.invalid("the vocabulary does not consist of integers")
    mask, unknown = layer.setting("mask_token", None), layer.setting("oov_token", -1)
    if mask is not None and items and items[0] == mask:
        items = items[1:]
    if items and items[0] == unknown:
        items = items[1:]
    return np.array(items, np.int64)


def _encoded(
    layer: KerasLayer,
    b: Builder,
    x: Value,
    depth: int,
    dtype: DType,
    weights: Any,
    integer: DType = dtypes.I32,
) -> Value:
    """Indices as they are, as unit vectors, or as sets and counts over an axis."""
    if layer.flag("sparse", False):
        raise layer.refuse("sparse outputs")
    mode = layer.string("output_mode", "multi_hot" if layer.kind == "CategoryEncoding" else "int")
    if mode == "int":
        return b(Identity(), layer.cast(x, integer))
    rank = x.type.rank
    if not 1 <= depth <= MAX_ENTRIES:
        raise layer.invalid(f"{depth} categories")
    if mode == "one_hot":
        if rank > 1 and x.type.shape[-1] == 1:
            x = b(Squeeze(axes=(rank - 1,)), x)
        return _one_hot(b, x, depth, dtype)
    if mode not in ("multi_hot", "count") or rank < 2:
        raise layer.refuse(f"output_mode {mode!r} of rank {rank}")
    hot = _one_hot(b, x, depth, dtype)
    if isinstance(weights, Value):
        hot = b(Mul(), hot, b(Unsqueeze(axes=(weights.type.rank,)), layer.cast(weights, dtype)))
    reduction = ReduceMax if mode == "multi_hot" else ReduceSum
    return b(reduction(axes=(1,), keepdims=False), hot)


def _one_hot(b: Builder, x: Value, depth: int, dtype: DType) -> Value:
    """1 at the index along a new last axis; nothing where there is no such index."""
    indices = x if dtypes.is_integer(x.type.dtype) else b(Cast(to=dtypes.I32), x)
    row = np.arange(depth).astype(indices.type.dtype)
    return b(Cast(to=dtype), b(Equal(), b(Unsqueeze(axes=(x.type.rank,)), indices), row))
