"""Activations, as layers and by name."""

from __future__ import annotations

from .row import IMAGE, LINE, rows

NAMES = [
    "relu",
    "leaky_relu",
    "relu6",
    "softmax",
    "celu",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "squareplus",
    "soft_shrink",
    "sparse_plus",
    "silu",
    "gelu",
    "glu",
    "tanh",
    "tanh_shrink",
    "sigmoid",
    "sparse_sigmoid",
    "exponential",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "hard_shrink",
    "linear",
    "mish",
    "log_softmax",
    "log_sigmoid",
    "sparsemax",
    "swish",
    "hard_swish",
]

ROWS = [
    *rows(LINE, **{f"activation_{name}": lambda L, name=name: L.Activation(name) for name in NAMES}),
    *rows(
        LINE,
        relu=lambda L: L.ReLU(),
        relu_max=lambda L: L.ReLU(max_value=1.0),
        relu_6=lambda L: L.ReLU(6.0),
        relu_slope=lambda L: L.ReLU(negative_slope=0.1),
        relu_threshold=lambda L: L.ReLU(threshold=0.5),
        relu_threshold_slope=lambda L: L.ReLU(threshold=0.5, negative_slope=0.1),
        relu_max_slope=lambda L: L.ReLU(max_value=1.0, negative_slope=0.1),
        relu_everything=lambda L: L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.25),
        leaky=lambda L: L.LeakyReLU(),
        leaky_slope=lambda L: L.LeakyReLU(negative_slope=0.05),
        elu=lambda L: L.ELU(0.5),
        prelu=lambda L: L.PReLU(),
        prelu_shared=lambda L: L.PReLU(shared_axes=[1]),
        softmax=lambda L: L.Softmax(),
        softmax_axis=lambda L: L.Softmax(axis=1),
        softmax_axes=lambda L: L.Softmax(axis=[1, 2]),
        dense_with_layer=lambda L: L.Dense(3, activation=L.LeakyReLU(0.1)),
    ),
    *rows(IMAGE, prelu_image=lambda L: L.PReLU(shared_axes=[1, 2])),
]
