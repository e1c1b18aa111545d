from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmconvert.ir.kernels import average_pool, lp_pool, max_pool, max_pool_indices, pool
from tests.ir.kernels.cases import Array, Geometry, geometries, normal, to_first, to_last


def out_of(window: Geometry, *, ceil: bool) -> tuple[int, ...]:
    """Output extents by the rule of ONNX and PyTorch."""
    found = []
    for extent, (before, after), reach, stride in zip(
        window.extents, window.pads, window.reach, window.strides, strict=True
    ):
        room = extent + before + after - reach
        count = (-(-room // stride) if ceil else room // stride) + 1
        found.append(count - 1 if ceil and (count - 1) * stride >= extent + before else count)
    return tuple(found)


def options_of(window: Geometry, *, ceil: bool, last: bool) -> dict[str, Any]:
    """The keywords that all pooling kernels share."""
    return {
        "kernel": window.kernel,
        "strides": window.strides,
        "dilations": window.dilations,
        "pads": window.pads,
        "out": out_of(window, ceil=ceil),
        "channels_last": last,
    }


def naive(x: Array, window: Geometry, out: tuple[int, ...], *, pad: bool = False) -> list[Array]:
    """The values of each window in row-major order, `[N, C, taps]` each; `pad` adds the padding."""
    found = []
    for place in np.ndindex(*out):
        at = [
            o * s - before + np.arange(k) * d
            for o, k, s, d, (before, _) in zip(
                place, window.kernel, window.strides, window.dilations, window.pads, strict=True
            )
        ]
        kept = [a[(a >= 0) & (a < n)] for a, n in zip(at, window.extents, strict=True)]
        values = x[np.ix_(range(x.shape[0]), range(x.shape[1]), *kept)].reshape(*x.shape[:2], -1)
        if pad:
            bounds = zip(at, window.extents, window.pads, strict=True)
            taps = np.prod(
                [np.count_nonzero((a >= -before) & (a < n + after)) for a, n, (before, after) in bounds]
            )
            values = np.pad(values, ((0, 0), (0, 0), (0, int(taps) - values.shape[-1])))
        found.append(values)
    return found


def stack(values: list[Array], out: tuple[int, ...]) -> Array:
    """One `[N, C]` per window to `[N, C, *out]`."""
    together = np.stack(values, axis=-1)
    return together.reshape(*together.shape[:2], *out)


def randomly(test: Any) -> Any:
    """Run a test over random windows."""
    cases = given(
        window=geometries(),
        batch=st.integers(1, 2),
        ceil=st.booleans(),
        last=st.booleans(),
        scratch=st.sampled_from([1, 100, 1 << 20]),
    )
    return settings(max_examples=100, deadline=None)(cases(test))


@randomly
def test_max_pool(window: Geometry, batch: int, ceil: bool, last: bool, scratch: int) -> None:
    x = normal(0, batch, 2, *window.extents, dtype=np.float32)
    options = options_of(window, ceil=ceil, last=last)
    with mock.patch.object(pool, "_SCRATCH", scratch):
        y = max_pool(to_last(x) if last else x, **options)
    expected = [values.max(-1, initial=-np.inf) for values in naive(x, window, options["out"])]
    np.testing.assert_array_equal(to_first(y) if last else y, stack(expected, options["out"]))


@randomly
def test_indices_point_at_the_first_maximum(
    window: Geometry, batch: int, ceil: bool, last: bool, scratch: int
) -> None:
    x = np.random.default_rng(0).integers(-3, 3, (batch, 2, *window.extents), dtype=np.int8)  # many equals
    options = options_of(window, ceil=ceil, last=last)
    with mock.patch.object(pool, "_SCRATCH", scratch):
        y, where = max_pool_indices(to_last(x) if last else x, **options)
    places = naive(np.arange(x.size).reshape(x.shape), window, options["out"])
    expected = [
        np.take_along_axis(at, values.argmax(-1)[..., None], -1)[..., 0]
        if at.size
        else np.full(x.shape[:2], -1)
        for at, values in zip(places, naive(x, window, options["out"]), strict=True)
    ]
    np.testing.assert_array_equal(to_first(where) if last else where, stack(expected, options["out"]))
    np.testing.assert_array_equal(y, max_pool(to_last(x) if last else x, **options))


@pytest.mark.parametrize("include", [False, True])
@randomly
def test_average_pool(
    include: bool, window: Geometry, batch: int, ceil: bool, last: bool, scratch: int
) -> None:
    x = normal(0, batch, 2, *window.extents)
    options = options_of(window, ceil=ceil, last=last)
    with mock.patch.object(pool, "_SCRATCH", scratch):
        y = average_pool(to_last(x) if last else x, count_include_pad=include, **options)
    expected = [
        values.sum(-1) / max(1, values.shape[-1]) for values in naive(x, window, options["out"], pad=include)
    ]
    np.testing.assert_allclose(
        to_first(y) if last else y, stack(expected, options["out"]), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("p", [1, 2, 3])
@randomly
def test_lp_pool(p: int, window: Geometry, batch: int, ceil: bool, last: bool, scratch: int) -> None:
    x = normal(0, batch, 2, *window.extents)
    options = options_of(window, ceil=ceil, last=last)
    with mock.patch.object(pool, "_SCRATCH", scratch):
        y = lp_pool(to_last(x) if last else x, p=p, **options)
    expected = [(np.abs(values) ** p).sum(-1) ** (1 / p) for values in naive(x, window, options["out"])]
    np.testing.assert_allclose(
        to_first(y) if last else y, stack(expected, options["out"]), rtol=1e-12, atol=1e-12
    )


def onnxruntime(op: str, x: Array, outputs: int = 1, **attributes: Any) -> list[Array]:
    """One operator in ONNX Runtime."""
    runtime = pytest.importorskip("onnxruntime")
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y", "i"][:outputs], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [
            helper.make_tensor_value_info("y", kind, None),
            helper.make_tensor_value_info("i", helper.np_dtype_to_tensor_dtype(np.dtype(np.int64)), None),
        ][:outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: list[Array] = session.run(None, {"x": x})
    return found


CORNERS = [
    Geometry((5,), (3,), (2,), (1,), ((0, 0),)),
    Geometry((5,), (2,), (3,), (1,), ((1, 1),)),
    Geometry((6,), (3,), (4,), (1,), ((1, 1),)),  # overhangs the padding
    Geometry((5,), (3,), (4,), (1,), ((0, 2),)),
    Geometry((5,), (4,), (3,), (1,), ((2, 0),)),
    Geometry((6,), (4,), (3,), (1,), ((0, 0),)),  # overhangs the input
    Geometry((7,), (2,), (3,), (2,), ((1, 1),)),
    Geometry((6, 7), (3, 4), (4, 3), (1, 1), ((1, 1), (2, 0))),
    Geometry((5, 9), (3, 2), (2, 3), (2, 1), ((2, 1), (0, 1))),
    Geometry((5, 4, 6), (2, 3, 3), (2, 2, 4), (1, 1, 1), ((1, 0), (1, 1), (1, 1))),
]


def attributes_of(window: Geometry, *, ceil: bool) -> dict[str, Any]:
    """The window in ONNX's words."""
    before, after = zip(*window.pads, strict=True)
    return {
        "kernel_shape": window.kernel,
        "strides": window.strides,
        "dilations": window.dilations,
        "pads": [*before, *after],
        "ceil_mode": int(ceil),
    }


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("window", CORNERS, ids=str)
def test_average_agrees_with_onnxruntime(window: Geometry, include: bool, ceil: bool) -> None:
    x = normal(0, 2, 3, *window.extents, dtype=np.float32)
    (expected,) = onnxruntime(
        "AveragePool", x, count_include_pad=int(include), **attributes_of(window, ceil=ceil)
    )
    y = average_pool(x, count_include_pad=include, **options_of(window, ceil=ceil, last=False))
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("window", CORNERS, ids=str)
def test_average_agrees_with_torch_in_ceil_mode(window: Geometry, include: bool) -> None:
    torch = pytest.importorskip("torch")
    pads = [before for before, _ in window.pads]
    if set(window.dilations) != {1} or any(p > k // 2 for p, k in zip(pads, window.kernel, strict=True)):
        pytest.skip("PyTorch cannot express it")
    window = _symmetric(window)
    x = normal(0, 2, 3, *window.extents)
    function = getattr(torch.nn.functional, f"avg_pool{window.rank}d")
    expected = function(torch.tensor(x), window.kernel, window.strides, pads, True, include).numpy()
    y = average_pool(x, count_include_pad=include, **options_of(window, ceil=True, last=False))
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


def _symmetric(window: Geometry) -> Geometry:
    pads = tuple((before, before) for before, _ in window.pads)
    return Geometry(window.extents, window.kernel, window.strides, window.dilations, pads)


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("column_major", [False, True])
@pytest.mark.parametrize("window", CORNERS, ids=str)
def test_max_and_indices_agree_with_onnxruntime(window: Geometry, column_major: bool, ceil: bool) -> None:
    x = normal(0, 2, 3, *window.extents, dtype=np.float32)
    attributes = attributes_of(window, ceil=ceil)
    expected = onnxruntime("MaxPool", x, 2, storage_order=int(column_major), **attributes)
    options = options_of(window, ceil=ceil, last=False)
    y, where = max_pool_indices(x, column_major=column_major, **options)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(where, expected[1])
    np.testing.assert_array_equal(max_pool(x, **options), expected[0])


@pytest.mark.parametrize("window", CORNERS, ids=str)
def test_lp_agrees_with_onnxruntime(window: Geometry) -> None:
    x = normal(0, 2, 3, *window.extents, dtype=np.float32)
    (expected,) = onnxruntime("LpPool", x, p=3, **attributes_of(window, ceil=False))
    y = lp_pool(x, p=3, **options_of(window, ceil=False, last=False))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("row", [[np.nan, 1, 2], [1, np.nan, 2], [1, 2, np.nan]])
def test_nan_is_the_maximum_and_the_first_one_is_found(row: list[float]) -> None:
    x = np.array([[[*row, np.nan]]])
    options = options_of(Geometry((4,), (4,), (1,), (1,), ((0, 0),)), ceil=False, last=False)
    y, where = max_pool_indices(x, **options)
    assert np.isnan(y).all()
    assert np.isnan(max_pool(x, **options)).all()
    assert where.tolist() == [[[np.isnan(row).argmax()]]]


@pytest.mark.parametrize(
    ("dtype", "lowest"),
    [(np.float16, -np.inf), (np.float64, -np.inf), (np.int8, -128), (np.uint8, 0), (np.bool_, 0)],
)
def test_an_empty_window(dtype: npt.DTypeLike, lowest: float) -> None:
    x = np.ones((1, 1, 3), dtype)
    options = options_of(Geometry((3,), (1,), (2,), (1,), ((1, 0),)), ceil=False, last=False)
    y, where = max_pool_indices(x, **options)
    assert y.dtype == dtype
    assert y.tolist() == max_pool(x, **options).tolist() == [[[lowest, 1]]]
    assert where.tolist() == [[[-1, 1]]]
    if y.dtype.kind == "f":
        assert average_pool(x, count_include_pad=False, **options).tolist() == [[[0, 1]]]


def test_the_mean_of_narrow_floats_does_not_overflow() -> None:
    x = np.full((1, 8, 8, 2), 30000, np.float16)
    options = options_of(Geometry((8, 8), (8, 8), (1, 1), (1, 1), ((0, 0),) * 2), ceil=False, last=True)
    y = average_pool(x, count_include_pad=True, **options)
    assert y.dtype == np.float16
    assert y.tolist() == [[[[30000, 30000]]]]


@pytest.mark.parametrize("last", [False, True])
def test_no_images(last: bool) -> None:
    x = np.empty((0, 4, 4, 3) if last else (0, 3, 4, 4), np.float32)
    options = options_of(Geometry((4, 4), (2, 2), (2, 2), (1, 1), ((0, 0),) * 2), ceil=False, last=last)
    y, where = max_pool_indices(x, **options)
    assert y.shape == where.shape == max_pool(x, **options).shape == ((0, 2, 2, 3) if last else (0, 3, 2, 2))
