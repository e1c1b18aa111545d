"""Merging, embeddings and rescaling."""

from __future__ import annotations

from .row import IMAGE, LINE, Row

ROWS = [
    Row("add", (LINE, LINE), lambda keras, x, y: keras.layers.Add()([x, y])),
    Row("add_same", (LINE,), lambda keras, x: keras.layers.Add()([x, x])),
    Row("add_three", (LINE, LINE, LINE), lambda keras, *x: keras.layers.Add()(x)),
    Row("add_ranks", (LINE, (4,)), lambda keras, x, y: keras.layers.Add()([x, y])),
    Row("subtract", (LINE, LINE), lambda keras, x, y: keras.layers.Subtract()([x, y])),
    Row("multiply_broadcast", (IMAGE, (1, 1, 4)), lambda keras, x, y: keras.layers.Multiply()([x, y])),
    Row("average", (LINE, LINE, LINE), lambda keras, *x: keras.layers.Average()(x)),
    Row("maximum", (LINE, LINE), lambda keras, x, y: keras.layers.Maximum()([x, y])),
    Row("minimum", (LINE, LINE), lambda keras, x, y: keras.layers.Minimum()([x, y])),
    Row("concatenate", (LINE, (9, 2)), lambda keras, x, y: keras.layers.Concatenate()([x, y])),
    Row("concatenate_axis", (LINE, (3, 4)), lambda keras, x, y: keras.layers.Concatenate(axis=1)([x, y])),
    Row("dot_vectors", ((6,), (6,)), lambda keras, x, y: keras.layers.Dot(axes=1)([x, y])),
    Row(
        "dot_normalized", ((6,), (6,)), lambda keras, x, y: keras.layers.Dot(axes=-1, normalize=True)([x, y])
    ),
    Row("dot_matrices", (LINE, (5, 9)), lambda keras, x, y: keras.layers.Dot(axes=(1, 2))([x, y])),
    Row("dot_vector_matrix", ((4,), LINE), lambda keras, x, y: keras.layers.Dot(axes=(1, 2))([x, y])),
    Row("dot_matrix_vector", (LINE, (9,)), lambda keras, x, y: keras.layers.Dot(axes=1)([x, y])),
    Row("dot_tensors", (IMAGE, (3, 8, 5)), lambda keras, x, y: keras.layers.Dot(axes=(2, 2))([x, y])),
    Row("embedding", ((5,),), lambda keras, x: keras.layers.Embedding(6, 3)(x), "int32"),
    Row("embedding_floats", ((5,),), lambda keras, x: keras.layers.Embedding(6, 3)(keras.ops.abs(x))),
    Row(
        "embedding_masked_average",
        ((5,),),
        lambda keras, x: keras.layers.GlobalAveragePooling1D()(
            keras.layers.Dense(2)(keras.layers.Embedding(6, 3, mask_zero=True)(x))
        ),
        "int32",
    ),
    Row("rescaling_integers", (IMAGE,), lambda keras, x: keras.layers.Rescaling(1 / 255)(x), "uint8"),
]
