"""Functions of keras.ops in functional models, against Keras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import UnsupportedError

from .compare import compare, saved

ONE: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda ops, x: (1.0 - (x * 2.0 + 1)) / 4 - x,
    "negative": lambda ops, x: -x,
    "power": lambda ops, x: ops.abs(x) ** 2.5,
    "floor_divide": lambda ops, x: x // 0.75,
    "modulo": lambda ops, x: x % 0.75,
    "array": lambda ops, x: x * np.array([1.0, 2.0, 3.0, 4.0], np.float32),
    "exp_log": lambda ops, x: ops.log(ops.exp(x) + 1.0) + ops.log1p(ops.square(x)) + ops.expm1(x),
    "roots": lambda ops, x: (
        ops.sqrt(ops.abs(x)) + ops.rsqrt(ops.square(x) + 1.0) + ops.reciprocal(x * x + 1.0)
    ),
    "circular": lambda ops, x: ops.sin(x) + ops.cos(x) + ops.tan(x / 4.0) + ops.arctan(x),
    "hyperbolic": lambda ops, x: ops.sinh(x) + ops.cosh(x) + ops.tanh(x) + ops.arcsinh(x),
    "inverse": lambda ops, x: ops.arcsin(x / 4.0) + ops.arccos(x / 4.0) + ops.arctanh(x / 4.0),
    "rounding": lambda ops, x: ops.floor(x) + ops.ceil(x) * 2.0 + ops.round(x) * 4.0 + ops.trunc(x),
    "sign": lambda ops, x: ops.sign(x) + ops.absolute(x),
    "erf": lambda ops, x: ops.erf(x),
    "minimum": lambda ops, x: ops.minimum(ops.maximum(x, -0.5), 0.5),
    "clip": lambda ops, x: ops.clip(x, -1, 0.5),
    "where": lambda ops, x: ops.where(x > 0.5, x, 0.5),
    "where_tensors": lambda ops, x: ops.where(ops.logical_and(x > 0.0, ops.logical_not(x >= 1.0)), x, -x),
    "comparisons": lambda ops, x: ops.cast((x < 0.0) | (x <= -1.0), "float32") + ops.cast(x != x, "float32"),
    "xor": lambda ops, x: ops.logical_xor(x > 0.0, x > 1.0),
    "is_nan": lambda ops, x: ops.isnan(x) | ops.isinf(x / 0.0),
    "cast": lambda ops, x: ops.cast(x, "int32"),
    "cast_nothing": lambda ops, x: ops.cast(x, "float32"),
    "stop_gradient": lambda ops, x: ops.stop_gradient(x),
    "mean": lambda ops, x: ops.mean(x, axis=[1, 2], keepdims=True),
    "sum": lambda ops, x: ops.sum(x, axis=-1),
    "reductions": lambda ops, x: ops.max(x, axis=1) + ops.min(x, axis=1) + ops.prod(x, axis=1),
    "all_any": lambda ops, x: ops.all(x > -1.5, axis=1) | ops.any(x > 1.8, axis=1),
    "logsumexp": lambda ops, x: ops.logsumexp(x, axis=2, keepdims=True),
    "variance": lambda ops, x: ops.var(x, axis=1) + ops.std(x, axis=1),
    "argmax": lambda ops, x: ops.argmax(x, axis=-1) + ops.argmin(x, axis=-1),
    "cumsum": lambda ops, x: ops.cumsum(x, axis=1) + ops.cumprod(x, axis=1),
    "matmul": lambda ops, x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))),
    "reshape": lambda ops, x: ops.reshape(x, (-1, 4)),
    "transpose": lambda ops, x: ops.transpose(ops.transpose(x), (3, 0, 2, 1)),
    "swapaxes": lambda ops, x: ops.swapaxes(x, 1, -1),
    "expand_squeeze": lambda ops, x: ops.squeeze(ops.expand_dims(ops.expand_dims(x, 1), -1), 1),
    "expand_axes": lambda ops, x: ops.expand_dims(x, (1, -1)),
    "squeeze_all": lambda ops, x: ops.squeeze(x[:, :1]),
    "concatenate": lambda ops, x: ops.concatenate([x, x * 2.0], axis=1),
    "stack": lambda ops, x: ops.stack([x, -x], axis=-1),
    "split": lambda ops, x: ops.split(x, 2, axis=-1),
    "split_points": lambda ops, x: ops.split(x, [2, 5], axis=1),
    "pad": lambda ops, x: ops.pad(x, [[0, 0], [1, 2], [0, 0], [0, 1]], constant_values=3.0),
    "pad_reflect": lambda ops, x: ops.pad(x, [[0, 0], [1, 2], [0, 0], [0, 1]], mode="reflect"),
    "tile": lambda ops, x: ops.tile(x, (1, 2, 1, 3)),
    "flip": lambda ops, x: ops.flip(x, axis=1),
    "take": lambda ops, x: ops.take(x, np.array([2, 0, 1]), axis=1),
    "item": lambda ops, x: x[:, 0],
    "item_last": lambda ops, x: x[..., -1],
    "item_slices": lambda ops, x: x[:, 1:-1, ::2, 3:0:-1],
    "item_new_axis": lambda ops, x: x[:, None, 1, ...],
    "item_beyond": lambda ops, x: x[:, -3:100],
    "resize": lambda ops, x: ops.image.resize(x, (4, 9)),
    "resize_nearest": lambda ops, x: ops.image.resize(x, (4, 9), interpolation="nearest"),
    "relu": lambda ops, x: ops.relu(x) + ops.relu6(x) + ops.leaky_relu(x, 0.3) + ops.elu(x) + ops.selu(x),
    "sigmoid": lambda ops, x: ops.sigmoid(x) + ops.silu(x) + ops.log_sigmoid(x) + ops.hard_sigmoid(x),
    "sparse": lambda ops, x: (
        ops.sparse_plus(x) + ops.sparse_sigmoid(x) + ops.squareplus(x, 2) + ops.sparsemax(x)
    ),
    "hard": lambda ops, x: (
        ops.hard_silu(x) + ops.hard_tanh(x) + ops.hard_shrink(x, 0.25) + ops.soft_shrink(x, 1.0)
    ),
    "soft": lambda ops, x: ops.softplus(x) + ops.softsign(x) + ops.celu(x, 0.5) + ops.tanh_shrink(x),
    "gelu": lambda ops, x: ops.gelu(x) + ops.gelu(x, approximate=False),
    "softmax": lambda ops, x: ops.softmax(x, axis=1) + ops.log_softmax(x),
    "glu": lambda ops, x: ops.glu(x),
    "threshold": lambda ops, x: ops.threshold(x, 0.5, -3.0),
    "logarithms": lambda ops, x: ops.log2(ops.abs(x) + 1.0) + ops.log10(ops.abs(x) + 1.0),
    "angles": lambda ops, x: ops.deg2rad(x) + ops.rad2deg(x) + ops.arctan2(x, x + 3.0),
    "powers": lambda ops, x: ops.exp2(x) + ops.cbrt(x) + ops.erfc(x) if hasattr(ops, "erfc") else ops.exp2(x),
    "sinc": lambda ops, x: ops.sinc(ops.relu(x)) if hasattr(ops, "sinc") else ops.relu(x),
    "finite": lambda ops, x: ops.isfinite(x / ops.relu(x)),
    "nan_to_num": lambda ops, x: ops.nan_to_num(ops.relu(x) / ops.relu(x)),
    "pairs": lambda ops, x: (
        ops.hypot(x, x + 1.0) + ops.logaddexp(x, 2.0 * x) + ops.divide_no_nan(x, ops.relu(x))
    ),
    "heaviside": lambda ops, x: ops.heaviside(ops.relu(x), ops.ones_like(x) * 0.5),
    "bits": lambda ops, x: ops.bitwise_and(ops.cast(x * 9.0, "int32"), ops.cast(x, "int32")),
    "isclose": lambda ops, x: ops.isclose(x, ops.round(x), atol=0.1),
    "saturate": lambda ops, x: ops.saturate_cast(x * 300.0, "uint8"),
    "average": lambda ops, x: ops.average(x, axis=1, weights=ops.abs(x) + 1.0),
    "count": lambda ops, x: ops.count_nonzero(ops.relu(x), axis=2),
    "moments": lambda ops, x: ops.moments(x, axes=[1, 2], keepdims=True),
    "norm": lambda ops, x: ops.norm(x, axis=-1) + ops.norm(x, ord=1, axis=-1),
    "normalize": lambda ops, x: ops.normalize(x, axis=2),
    "select": lambda ops, x: ops.select([x > 1.0, x > 0.0], [x, -x], 0.5),
    "ravel": lambda ops, x: ops.ravel(x),
    "moveaxis": lambda ops, x: ops.moveaxis(x, (1, 2), (-1, 1)),
    "roll": lambda ops, x: ops.roll(x, (2, -1), (1, 2)),
    "repeat": lambda ops, x: ops.repeat(x, 3, axis=2),
    "unstack": lambda ops, x: ops.unstack(x, axis=2),
    "stacks": lambda ops, x: [ops.hstack([x, x]), ops.vstack([x, -x]), ops.append(x, x, axis=-1)],
    "likes": lambda ops, x: ops.zeros_like(x) + ops.ones_like(x) * ops.full_like(x, 3.0),
    "triangles": lambda ops, x: ops.tril(x, 1) + ops.triu(x, -1),
    "diff": lambda ops, x: ops.diff(x, n=2, axis=1),
    "take_along": lambda ops, x: ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1),
    "sorted": lambda ops, x: ops.sort(x, axis=2),
    "top_k": lambda ops, x: ops.top_k(x, 2),
    "one_hot": lambda ops, x: ops.one_hot(ops.cast(x, "int32"), 3, axis=1),
    "einsum": lambda ops, x: ops.einsum("bijc,bkjc->bik", x, x),
    "outer": lambda ops, x: ops.outer(x[:, 0, 0, 0], x[0, :, 0, 0]),
    "dots": lambda ops, x: ops.dot(x, ops.transpose(x[0, 0])) + ops.tensordot(x, x[0, 0], [[3], [1]]),
    "trace": lambda ops, x: ops.trace(x, axis1=2, axis2=3) + ops.sum(ops.diagonal(x, axis1=2, axis2=3), -1),
    "pools": lambda ops, x: ops.max_pool(x, 2) + ops.average_pool(x, 2, padding="valid"),
    "conv": lambda ops, x: ops.conv(x, np.ones((2, 2, 4, 3), "float32"), padding="same"),
    "depthwise": lambda ops, x: ops.depthwise_conv(x, np.ones((2, 2, 4, 2), "float32")),
    "layer_norm": lambda ops, x: ops.layer_normalization(x, axis=-1) + ops.rms_normalization(x, axis=-1),
    "grayscale": lambda ops, x: ops.image.rgb_to_grayscale(x[..., :3]),
    "slice": lambda ops, x: ops.slice(x, (0, 1, 0, 2), (2, 3, 5, 1)),
}


@pytest.mark.parametrize("name", ONE)
def test_operation_computes_what_keras_does(name: str, keras: Any, tmp_path: Path) -> None:
    x = keras.Input((6, 5, 4))
    model = keras.Model(x, ONE[name](keras.ops, x))
    for suffix in (".keras", ".h5"):
        compare(model, saved(model, tmp_path, suffix))


def test_integers_and_floats_meet_as_in_keras(keras: Any, tmp_path: Path) -> None:
    x, y = keras.Input((4,), dtype="int32"), keras.Input((4,), dtype="float16")
    outputs = [x + 1, x / 2, x * 0.5, x + y, y * 2.0, keras.ops.sqrt(x), keras.ops.mean(x, axis=1), x > 1.5]
    model = keras.Model([x, y], outputs)
    compare(model, saved(model, tmp_path, ".keras"))


def test_relu_activation_as_an_operation(keras: Any, tmp_path: Path) -> None:
    x = keras.Input((4,))
    model = keras.Model(x, keras.activations.relu(x, negative_slope=0.1, max_value=1.0, threshold=0.2))
    compare(model, saved(model, tmp_path, ".keras"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("argmax of all", "Argmax: an index into all elements"),
        ("round to decimals", "Round: rounding to decimals"),
        ("take of all", "Take: an index into all elements"),
        ("erfinv", "Erfinv"),
        ("median of all", "Median: over an axis of unknown extent"),
        ("quantile", "Quantile: a method that Keras does not heed in a model"),
    ],
)
def test_operation_is_refused(name: str, says: str, keras: Any, tmp_path: Path) -> None:
    x = keras.Input((4, 3))
    outputs = {
        "argmax of all": lambda: keras.ops.argmax(x),
        "round to decimals": lambda: keras.ops.round(x, 1),
        "take of all": lambda: keras.ops.take(x, np.array([0, 1])),
        "erfinv": lambda: keras.ops.erfinv(x),
        "median of all": lambda: keras.ops.median(x),
        "quantile": lambda: keras.ops.quantile(x, 0.5, axis=1, method="lower"),
    }
    model = keras.Model(x, outputs[name]())
    with pytest.raises(UnsupportedError) as caught:
        saved(model, tmp_path, ".keras")
    assert [problem.what for problem in caught.value.problems] == [says]
