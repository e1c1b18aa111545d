"""Attention, with masks of all kinds, and EinsumDense."""

from __future__ import annotations

from typing import Any

from .row import Row, rows

QUERY, VALUE = (5, 4), (6, 4)
WORDS = (6,)


def _attention(keras: Any, *inputs: Any, kind: str = "Attention", call: Any = (), **settings: Any) -> Any:
    return getattr(keras.layers, kind)(**settings)(list(inputs), **dict(call))


def _heads(keras: Any, *inputs: Any, call: Any = (), **settings: Any) -> Any:
    return keras.layers.MultiHeadAttention(2, 3, **settings)(*inputs, **dict(call))


def _grouped(keras: Any, *inputs: Any, call: Any = (), **settings: Any) -> Any:
    return keras.layers.GroupQueryAttention(3, 4, 2, **settings)(*inputs, **dict(call))


def _words(keras: Any, x: Any) -> Any:
    return keras.layers.Embedding(6, 4, mask_zero=True)(x)


def _row(name: str, shapes: Any, make: Any, dtype: str = "float32", **settings: Any) -> Row:
    return Row(name, shapes, lambda keras, *x: make(keras, *x, **settings), dtype)


def _kinds(name: str, kind: str, **settings: Any) -> list[Row]:
    return [
        _row(name, (QUERY, VALUE), _attention, kind=kind, **settings),
        _row(f"{name}_key", (QUERY, (6, 4), VALUE), _attention, kind=kind, **settings),
    ]


SCORES = {"return_attention_scores": True}
CAUSAL = {"use_causal_mask": True}

ROWS = [
    *_kinds("attention", "Attention"),
    *_kinds("attention_scale", "Attention", use_scale=True),
    *_kinds("attention_concat", "Attention", score_mode="concat", use_scale=True),
    *_kinds("additive", "AdditiveAttention"),
    *_kinds("additive_no_scale", "AdditiveAttention", use_scale=False),
    _row("attention_concat_no_scale", (QUERY, VALUE), _attention, score_mode="concat"),
    _row("attention_scores", (QUERY, VALUE), _attention, call=SCORES),
    _row("attention_causal", (QUERY, VALUE), _attention, call=CAUSAL),
    _row(
        "additive_causal_scores", (QUERY, VALUE), _attention, kind="AdditiveAttention", call=CAUSAL | SCORES
    ),
    Row("attention_masked", (WORDS,), lambda keras, x: _attention(keras, *[_words(keras, x)] * 2), "int32"),
    Row(
        "attention_masked_causal",
        (WORDS, WORDS),
        lambda keras, x, y: _attention(keras, _words(keras, x), _words(keras, y), call=CAUSAL),
        "int32",
    ),
    Row(
        "attention_given_masks",
        (QUERY, VALUE),
        lambda keras, x, y: keras.layers.Attention()([x, y], mask=[x[:, :, 0] > -1.0, y[:, :, 0] > 0.0]),
    ),
    _row("heads", (QUERY, VALUE), _heads),
    _row("heads_key", (QUERY, (6, 2), VALUE), _heads),
    _row("heads_no_bias", (QUERY, VALUE), _heads, use_bias=False),
    _row("heads_value_size", (QUERY, VALUE), _heads, value_dim=5),
    _row("heads_output", (QUERY, VALUE), _heads, output_shape=7),
    _row("heads_output_axes", (QUERY, VALUE), _heads, output_shape=(2, 3)),
    _row("heads_dropout", (QUERY, VALUE), _heads, dropout=0.5),
    _row("heads_scores", (QUERY, QUERY), _heads, call=SCORES),
    _row("heads_causal", (QUERY, VALUE), _heads, call=CAUSAL),
    _row("heads_causal_scores", (QUERY, QUERY), _heads, call=CAUSAL | SCORES),
    _row("heads_two_axes", ((3, 4, 5), (2, 3, 5)), _heads, attention_axes=(1, 2)),
    _row("heads_one_axis_of_two", ((3, 4, 5), (3, 4, 5)), _heads, attention_axes=(2,)),
    _row("heads_gate", (QUERY, VALUE), _heads, use_gate=True),
    _row("heads_window", (QUERY, QUERY), _heads, sliding_window=2, call=CAUSAL),
    _row("heads_any_length", ((None, 4), (None, 4)), _heads, call=CAUSAL),
    Row(
        "heads_masked",
        (WORDS, WORDS),
        lambda keras, x, y: _heads(keras, _words(keras, x), _words(keras, y)),
        "int32",
    ),
    Row(
        "heads_masked_causal",
        (WORDS,),
        lambda keras, x: _heads(keras, *[_words(keras, x)] * 2, call=CAUSAL),
        "int32",
    ),
    Row(
        "heads_mask_handed_on",
        (WORDS,),
        lambda keras, x: keras.layers.GlobalAveragePooling1D()(_heads(keras, *[_words(keras, x)] * 2)),
        "int32",
    ),
    Row(
        "heads_given_mask",
        (QUERY, VALUE, (5, 6)),
        lambda keras, x, y, m: _heads(keras, x, y, call={"attention_mask": m > 0.0}),
    ),
    Row(
        "heads_given_mask_scores",
        (QUERY, QUERY, (5, 5)),
        lambda keras, x, y, m: _heads(keras, x, y, call={"attention_mask": m > 1.0} | SCORES),
    ),
    _row("grouped", (QUERY, VALUE), _grouped),
    _row("grouped_no_bias", (QUERY, VALUE), _grouped, use_bias=False),
    _row("grouped_causal", (QUERY, VALUE), _grouped, call=CAUSAL),
    _row("grouped_scores", (QUERY, VALUE), _grouped, call=SCORES),
    _row("grouped_gate", (QUERY, VALUE), _grouped, use_gate=True),
    Row(
        "grouped_masked",
        (WORDS,),
        lambda keras, x: _grouped(keras, *[_words(keras, x)] * 2),
        "int32",
    ),
    *rows(
        (5, 4),
        einsum=lambda L: L.EinsumDense("abc,cd->abd", output_shape=(None, 7), bias_axes="d"),
        einsum_no_bias=lambda L: L.EinsumDense("abc,bcd->abd", output_shape=(5, 3)),
        einsum_activation=lambda L: L.EinsumDense(
            "...x,xy->...y", output_shape=3, bias_axes="y", activation="relu"
        ),
        einsum_heads=lambda L: L.EinsumDense("btd,dnh->btnh", output_shape=(None, 2, 3), bias_axes="nh"),
        einsum_two=lambda L: L.EinsumDense("abc,bcde->ade", output_shape=(3, 2), bias_axes="de"),
    ),
    Row(
        "softmax_masked",
        ((4, 5), (4, 5)),
        lambda keras, x, m: keras.layers.Softmax()(x, mask=m > 0.0),
    ),
    Row(
        "softmax_masked_axes",
        ((4, 5), (4, 5)),
        lambda keras, x, m: keras.layers.Softmax(axis=(1, 2))(x, mask=m > 0.0),
    ),
]
