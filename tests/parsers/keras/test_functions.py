"""The larger functions of keras.ops in functional models: samples, spectra, matrices, windows, images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import UnsupportedError
from mmconvert.interpreter import run

from .cases import Row
from .compare import close, compare, feeds, leaves, saved
from .test_targets import reaches

HEADS = (3, 2, 4)


def _newer(ops: Any, *names: str) -> list[Any]:
    """Functions that early versions of Keras 3 have not."""
    return [getattr(ops, name) for name in names if hasattr(ops, name)]


REST: dict[str, Callable[[Any, Any], Any]] = {
    "reductions": lambda ops, x: [ops.amax(x, axis=1), ops.amin(x, axis=2), *_each(ops, ("ptp",), x, axis=1)],
    "unary": lambda ops, x: _each(
        ops, ("arccosh", "fabs", "mish", "real", "conj", "conjugate", "copy"), x + 3.0
    ),
    "infinite": lambda ops, x: _each(ops, ("isposinf", "isneginf", "isreal"), x / ops.relu(x)),
    "pairs": lambda ops, x: [
        f(x, x[:, ::-1] + 0.5)
        for f in (
            ops.equal,
            ops.not_equal,
            ops.greater,
            ops.greater_equal,
            ops.less,
            ops.less_equal,
            ops.mod,
            ops.multiply,
            ops.subtract,
            ops.divide,
            ops.true_divide,
            *_newer(ops, "fmax", "fmin", "fmod"),
        )
    ],
    "bits": lambda ops, x: [
        f(ops.cast(ops.abs(x) * 9.0, "int32"), ops.cast(ops.abs(x), "int32"))
        for f in (ops.bitwise_or, ops.bitwise_xor, ops.right_shift, ops.bitwise_left_shift)
    ],
    "inverted_bits": lambda ops, x: [
        f(ops.cast(x * 9.0, "int32")) for f in (ops.bitwise_not, ops.bitwise_invert)
    ],
    "logical_or": lambda ops, x: ops.logical_or(x > 0.0, x < -1.0),
    "batch_normalization": lambda ops, x: [
        ops.batch_normalization(x, x[0, 0, 0], ops.abs(x[0, 0, 1]), -1, x[0, 0, 2], x[0, 0, 3]),
        ops.batch_normalization(x, x[0, :, 0, 0], ops.abs(x[0, :, 0, 1]), 1, epsilon=0.1),
    ],
    "broadcast_to": lambda ops, x: ops.broadcast_to(x[:, :1], (2, 3, 5, 4)),
    "dstack": lambda ops, x: ops.dstack([x, -x]),
    "empty_like": lambda ops, x: ops.empty_like(x) * 0.0,
    "flips": lambda ops, x: _each(ops, ("fliplr", "flipud"), x),
    "products": lambda ops, x: [ops.inner(x, x[0, 0]), ops.vdot(x[0, 0], x[0, 1])],
    "inverse": lambda ops, x: ops.inv(x[:, :, :4] + 9 * np.eye(4, dtype="float32")),
    "vsplit": lambda ops, x: _newer(ops, "vsplit")[0](x, 2) if hasattr(ops, "vsplit") else x,
    "blocks": lambda ops, x: (
        [f(x[:, :, :4], 2) for f in _newer(ops.nn, "depth_to_space", "space_to_depth")] or x
    ),
}


def _each(ops: Any, names: tuple[str, ...], x: Any, **settings: Any) -> list[Any]:
    return [f(x, **settings) for f in _newer(ops, *names)]


SAMPLES: dict[str, Callable[[Any, Any], Any]] = {
    "median": lambda ops, x: ops.median(x, axis=1, keepdims=True),
    "median_even": lambda ops, x: ops.median(x, axis=(2, 3)),
    "quantiles": lambda ops, x: ops.quantile(x, [0.1, 0.5, 1.0], axis=2),
    "quantile_keep": lambda ops, x: ops.quantile(x, [0.25, 0.75], axis=(1, 3), keepdims=True),
    "percentile_lower": lambda ops, x: ops.percentile(x, 30.0, axis=1, method="lower"),
    "percentile_higher": lambda ops, x: ops.percentile(x, 30.0, axis=1, method="higher"),
    "percentile_nearest": lambda ops, x: ops.percentile(x, 30.0, axis=1, method="nearest"),
    "percentile_midpoint": lambda ops, x: ops.percentile(x, 30.0, axis=1, method="midpoint"),
    "percentile": lambda ops, x: ops.percentile(x, 37.0, axis=-1),
    "trapezoid": lambda ops, x: ops.trapezoid(x, dx=0.5, axis=1),
    "trapezoid_places": lambda ops, x: ops.trapezoid(x, x=[0.0, 1.0, 4.0, 5.0], axis=-1),
    "corrcoef": lambda ops, x: ops.corrcoef(x[0, :, :, 0]),
}
HOLES: dict[str, Callable[[Any, Any], Any]] = {
    "sums": lambda ops, x: ops.nansum(x, axis=1) + ops.nanprod(x, axis=1, keepdims=False),
    "extremes": lambda ops, x: [ops.nanmax(x, axis=(1, 2)), ops.nanmin(x, axis=2, keepdims=True)],
    "moments": lambda ops, x: [
        ops.nanmean(x, axis=1),
        ops.nanvar(x, axis=(1, 3)),
        ops.nanstd(x, axis=1, keepdims=True),
    ],
    "places": lambda ops, x: [ops.nanargmax(x, axis=1), ops.nanargmin(x, axis=2, keepdims=True)],
    "cumulation": lambda ops, x: ops.nancumsum(x, axis=1) + ops.nancumprod(x, axis=2),
    "quantiles": lambda ops, x: [ops.nanmedian(x, axis=1), ops.nanquantile(x, 0.3, axis=(1, 2))],
    "quantile_methods": lambda ops, x: [
        ops.nanquantile(x, 0.3, axis=1, method=method)
        for method in ("lower", "higher", "nearest", "midpoint")
    ],
    "percentiles": lambda ops, x: ops.nanpercentile(x, 20.0, axis=1, keepdims=True),
    "spread_of_nan": lambda ops, x: ops.median(x, axis=1),
    "is_in": lambda ops, x: ops.isin(ops.round(x), np.array([0.0, 1.0], "float32")),
}
MATRICES: dict[str, Callable[[Any, Any], Any]] = {
    "trace": lambda ops, x: ops.trace(x, offset=1, axis1=1, axis2=3),
    "diagonal": lambda ops, x: [ops.diagonal(x, offset=-1, axis1=2, axis2=1), ops.diagonal(x, 1, 1, 2)],
    "diag": lambda ops, x: [ops.diag(x[0, 0, :, 0], k=k) for k in (0, 2, -1)],
    "diag_of_matrix": lambda ops, x: [ops.diag(x[0, 0], k=1), ops.diagflat(x[0, :2, 0], k=-1)],
    "kron": lambda ops, x: ops.kron(x[0, 0], x[1, 1, :2]),
    "cross": lambda ops, x: ops.cross(x[..., :3], x[..., 1:]),
    "cross_flat": lambda ops, x: [
        ops.cross(x[..., :2], x[..., 1:3]),
        ops.cross(x[..., :2], x[..., :3], axisc=1),
    ],
    "vander": lambda ops, x: [ops.vander(x[0, 0, :, 0]), ops.vander(x[0, 0, :, 0], N=3, increasing=True)],
    "determinant": lambda ops, x: [ops.det(x[:, :, :4]), *ops.slogdet(x[:, :, :4])],
    "logdet": lambda ops, x: ops.logdet(ops.matmul(x, ops.swapaxes(x, 2, 3)) + np.eye(5, dtype="float32")),
    "solve": lambda ops, x: ops.solve(x[:, :, :4] + 9 * np.eye(4, dtype="float32"), x[:, :, :4]),
    "solve_triangular": lambda ops, x: ops.solve_triangular(
        x[:, :, :4] + 9 * np.eye(4, dtype="float32"), x[:, :, :4], lower=True
    ),
    "cdist": lambda ops, x: ops.cdist(x, x[:, :, 1:4]) if hasattr(ops, "cdist") else x,
    "rot90": lambda ops, x: [ops.rot90(x, k, axes=(1, 2)) for k in (1, 3, 4)],
    "rot180": lambda ops, x: ops.rot90(x[:, :5], 2, axes=(1, 2)),
    "splits": lambda ops, x: [*ops.array_split(x, 4, axis=1), *ops.hsplit(x, 2), *ops.dsplit(x, [2, 3])],
    "search": lambda ops, x: [
        ops.searchsorted(np.array([-1.0, 0.0, 0.5], "float32"), x[0, 0, :, 0], side=s)
        for s in ("left", "right")
    ],
    "digitize": lambda ops, x: ops.digitize(x, np.array([-1.0, 0.0, 0.5])),
    "is_in": lambda ops, x: ops.isin(ops.round(x), [0.0, 1.0], invert=True),
    "unravel": lambda ops, x: ops.unravel_index(ops.cast(ops.abs(x[0, 0, :, 0]) * 20.0, "int32"), (6, 7)),
    "in_top_k": lambda ops, x: ops.in_top_k(ops.cast(ops.abs(x[:, 0, 0, 0]), "int32"), x[:, 0, 0], 2),
    "sequences": lambda ops, x: ops.extract_sequences(x, 2, 1),
    "mesh": lambda ops, x: [
        *ops.meshgrid(x[0, 0, :, 0], x[0, 0, 0, :3]),
        *ops.meshgrid(x[0, 0, 0], x[0, 0, :, 1], indexing="ij"),
    ],
    "linspace": lambda ops, x: [
        ops.linspace(x, x + 3.0, 4),
        ops.linspace(x[0, 0], 2.0, 3, endpoint=False, axis=-1),
    ],
    "logspace": lambda ops, x: ops.logspace(x, x + 1.0, 3, base=2.0),
    "full": lambda ops, x: ops.full((2, 3), x[0, 0, 0, 0]),
    "multi_hot": lambda ops, x: ops.multi_hot(ops.cast(ops.abs(x[:, :, 0, 0]), "int32"), 3),
    "rearrange": lambda ops, x: [
        ops.rearrange(x, "b h w (p c) -> b (h p) c w", p=2),
        ops.rearrange(x, "b (h p) w c -> b (p c) h w", h=3),
    ],
    "angle": lambda ops, x: ops.angle(x) if hasattr(ops, "angle") else x,
    "imag": lambda ops, x: ops.imag(x),
    "signbit": lambda ops, x: ops.signbit(ops.relu(x) * -1.0) if hasattr(ops, "signbit") else x,
    "shifts": lambda ops, x: [
        ops.left_shift(ops.cast(x * 9.0, "int32"), 2),
        ops.bitwise_right_shift(ops.cast(x * 9.0, "int32"), 1),
    ],
    "logaddexp2": lambda ops, x: ops.logaddexp2(x, 2.0 * x) if hasattr(ops, "logaddexp2") else x,
    "ldexp": lambda ops, x: ops.ldexp(x, ops.cast(x * 3.0, "int32")) if hasattr(ops, "ldexp") else x,
}
SCATTERS: dict[str, Callable[[Any, Any], Any]] = {
    "scatter": lambda ops, x: ops.scatter(np.array([[1], [3], [1]]), x[0, :3, 0], (5, 4)),
    **{
        f"update_{how}": lambda ops, x, how=how: ops.scatter_update(
            x, np.array([[0, 1], [1, 2]]), ops.ones_like(x[0, :2]) * 0.5, reduction=how
        )
        for how in (None, "add", "max", "min", "mul")
    },
    "slice_update": lambda ops, x: ops.slice_update(x[0], (1, 4, 1), x[0, :2, :2, :2]),
    "slice_update_batch": lambda ops, x: ops.slice_update(x, (0, 2, 0, 1), x[:, :3, :, 1:3]),
    "segments": lambda ops, x: [
        f(x[0], np.array([0, 2, -1, 2, 0, 4]), num_segments=5)
        for f in (ops.segment_sum, ops.segment_max, *_newer(ops, "segment_min", "segment_prod"))
    ],
}
SPECTRA: dict[str, Callable[[Any, Any], Any]] = {
    "fft": lambda ops, x: ops.fft((x, x * 0.5)),
    "fft2": lambda ops, x: ops.fft2((x, -x)),
    "ifft2": lambda ops, x: ops.ifft2((x, x + 1.0)),
    "rfft": lambda ops, x: [*ops.rfft(x), *ops.rfft(x, fft_length=6), *ops.rfft(x, 3)],
    "irfft": lambda ops, x: [ops.irfft((x, x * 2.0)), ops.irfft((x, -x), fft_length=5)],
    "stft": lambda ops, x: ops.stft(ops.reshape(x, (-1, 6, 20)), 6, 3, 8),
    "stft_edges": lambda ops, x: ops.stft(
        ops.reshape(x, (-1, 6, 20)), 6, 3, 7, window="hamming", center=False
    ),
    "stft_plain": lambda ops, x: ops.stft(ops.reshape(x, (-1, 120)), 6, 4, 8, window=None),
    "istft": lambda ops, x: ops.istft((x, x[:, :, ::-1]), 6, 2, 6),
    "istft_length": lambda ops, x: ops.istft((x, x * x), 4, 3, 7, length=9, window="hamming"),
    "istft_plain": lambda ops, x: ops.istft((x, x * x), 6, 3, 6, window=None, center=False),
}
WINDOWS: dict[str, Callable[[Any, Any], Any]] = {
    "separable": lambda ops, x: ops.separable_conv(
        x,
        np.linspace(-1, 1, 72).reshape(3, 3, 4, 2).astype("float32"),
        np.ones((1, 1, 8, 3), "float32"),
        2,
        "same",
    ),
    "adaptive": lambda ops, x: [ops.adaptive_average_pool(x, (3, 2)), ops.adaptive_max_pool(x, (4, 4))],
    "unfold": lambda ops, x: ops.unfold(x, (3, 2), padding=1, stride=(2, 1), dilation=(1, 2)),
    "fold": lambda ops, x: ops.fold(ops.reshape(x, (-1, 8, 15)), (4, 6), 2, padding=0),
    "psnr": lambda ops, x: ops.psnr(x, x * 0.5, 2.0),
    "patches": lambda ops, x: ops.image.extract_patches(x, (2, 3)),
    "patches_same": lambda ops, x: ops.image.extract_patches(x, 2, 1, 2, padding="same"),
    "patches_first": lambda ops, x: ops.image.extract_patches(x[0], 2, data_format="channels_last"),
    "crop": lambda ops, x: ops.image.crop_images(x, 1, 2, target_height=3, target_width=2),
    "crop_edges": lambda ops, x: ops.image.crop_images(x[0], 1, 0, 2, 1),
    "pad": lambda ops, x: ops.image.pad_images(x, 1, 2, target_height=9, target_width=9),
    "pad_edges": lambda ops, x: ops.image.pad_images(x[0], 1, 0, 2, 1),
    "hsv": lambda ops, x: ops.image.rgb_to_hsv(ops.sigmoid(x[..., :3])),
    "hsv_grey": lambda ops, x: ops.image.rgb_to_hsv(ops.tile(ops.relu(x[..., :1]), (1, 1, 1, 3))),
    "rgb": lambda ops, x: ops.image.hsv_to_rgb(ops.sigmoid(x[..., :3] * 3.0)),
    "sobel": lambda ops, x: ops.image.sobel_edges(x),
    "blur": lambda ops, x: ops.image.gaussian_blur(x, (3, 3), (0.7, 1.5)),
}


def _heads(ops: Any, x: Any) -> list[Any]:
    return [ops.reshape(x[:, i : i + 3], (-1, 3, 5, 4)) for i in range(3)]


ATTENTION: dict[str, Callable[[Any, Any], Any]] = {
    "attention": lambda ops, x: ops.dot_product_attention(*_heads(ops, x)),
    "attention_scale": lambda ops, x: ops.dot_product_attention(*_heads(ops, x), scale=0.3),
    "attention_causal": lambda ops, x: ops.dot_product_attention(*_heads(ops, x), is_causal=True),
    "attention_mask": lambda ops, x: ops.dot_product_attention(
        *_heads(ops, x), mask=ops.reshape(x[:, :3, :3, 0], (-1, 1, 3, 3)) > 0.0
    ),
    "attention_bias": lambda ops, x: ops.dot_product_attention(
        *_heads(ops, x), bias=ops.reshape(x[:, :3, :3, 0], (-1, 1, 3, 3)), is_causal=True
    ),
}

ALONE: dict[str, Callable[[Any, Any], Any]] = {
    **{
        f"conv_transpose_{padding}_{extra}": lambda ops, x, padding=padding, extra=extra: ops.conv_transpose(
            x, np.linspace(-1, 1, 72).reshape(3, 3, 2, 4).astype("float32"), 2, padding, output_padding=extra
        )
        for padding in ("same", "valid")
        for extra in (None, 1)
    },
    "conv_transpose_line": lambda ops, x: ops.conv_transpose(
        x[:, 0], np.linspace(-1, 1, 24).reshape(2, 3, 4).astype("float32")
    ),
    "histogram": lambda ops, x: ops.histogram(ops.ravel(x), bins=5, range=(-1.0, 1.5))[0],
    "histogram_all": lambda ops, x: ops.histogram(ops.ravel(x), bins=4),
}
"""What Keras 3.15 fails to compute in a model, but not on its own."""

CASES = REST | SAMPLES | MATRICES | SCATTERS | SPECTRA | WINDOWS | ATTENTION


@pytest.mark.parametrize("name", CASES)
def test_function_computes_what_keras_does(name: str, keras: Any, tmp_path: Path) -> None:
    x = keras.Input(batch_shape=(2, 6, 5, 4))
    model = keras.Model(x, CASES[name](keras.ops, x))
    for suffix in (".keras", ".h5"):
        compare(model, saved(model, tmp_path, suffix))


CANNOT = {
    "onnx": {
        "inverse": "ONNX has no inverse",
        "solve": "ONNX has no inverse",
        "solve_triangular": "ONNX has no inverse",
    },
    "tflite": {
        "determinant": "TFLite has no determinant",
        "inverse": "TFLite has no inverse",
        "logdet": "TFLite has no determinant",
        "segments": "TFLite scatters sums only",
        "solve": "TFLite has no inverse",
        "solve_triangular": "TFLite has no inverse",
        "update_max": "TFLite scatters sums only",
        "update_min": "TFLite scatters sums only",
        "update_mul": "TFLite scatters sums only",
    },
}


@pytest.mark.parametrize("target", CANNOT)
@pytest.mark.parametrize("name", CASES)
def test_target_computes_what_keras_does(name: str, target: str, keras: Any, tmp_path: Path) -> None:
    x = keras.Input(batch_shape=(2, 6, 5, 4))
    row = Row(name, (), lambda keras: None, tolerance=2.0)
    model = keras.Model(x, CASES[name](keras.ops, x))
    if name not in CANNOT[target]:
        reaches(row, model, target, tmp_path)
        return
    with pytest.raises(UnsupportedError):
        reaches(row, model, target, tmp_path)


@pytest.mark.parametrize("name", ALONE)
def test_function_computes_what_it_does_alone(name: str, keras: Any, tmp_path: Path) -> None:
    x = keras.Input(batch_shape=(2, 6, 5, 4))
    graph = saved(keras.Model(x, ALONE[name](keras.ops, x)), tmp_path, ".keras").graph
    ((key, values),) = feeds(graph).items()
    found = list(run(graph, {key: values}).values())
    expected = leaves(ALONE[name](keras.ops, values))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, np.asarray(theirs))


@pytest.mark.parametrize("name", HOLES)
def test_nan_is_skipped_as_keras_does(name: str, keras: Any, tmp_path: Path) -> None:
    """Some numbers are NaN, in one line all of them."""
    x = keras.Input((6, 5, 4))
    model = keras.Model(x, HOLES[name](keras.ops, x))
    module = saved(model, tmp_path, ".keras")
    ((key, values),) = feeds(module.graph).items()
    values[values < -1] = np.nan
    values[0, :, 1, 2] = values[1, 2, :, 0] = np.nan
    compare(model, module, {key: values})
