from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.interpreter import run
from mmconvert.verification.inputs import fit, generate
from tests.verification.graphs import MLP, graph_of


def embedding(index: str = "i64[n,5]", cast: str = "") -> str:
    ids = "%1" if cast else "ids"
    return f"""
        graph "embedding"(ids: {index}) -> (y: f32[n,5,4])
          %w0: f32[7,4] = weight
          {cast}
          %2 = Gather(%w0, {ids}) {{axis=0}}
          return %2
    """


# --- generated ---------------------------------------------------------------------------------------------


def test_the_same_for_every_run() -> None:
    first, second = generate(graph_of(MLP)), generate(graph_of(MLP))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a["x"], b["x"])


def test_another_seed_and_another_name_give_other_numbers() -> None:
    graph = graph_of(
        """
        graph "add"(a: f32[4], b: f32[4]) -> (y: f32[4])
          %1 = Add(a, b)
          return %1
        """
    )
    ((zero,), (one,)) = (generate(graph, count=1, seed=seed) for seed in (0, 1))
    assert not np.array_equal(zero["a"], zero["b"])
    assert not np.array_equal(zero["a"], one["a"])


def test_a_dynamic_batch_is_tried_as_one_and_as_two() -> None:
    feeds = generate(graph_of(MLP))
    assert [f["x"].shape for f in feeds] == [(1, 8), (2, 8)]
    assert all(f["x"].dtype == np.float32 for f in feeds)


def test_extents_can_be_given() -> None:
    assert generate(graph_of(MLP), extents={"n": 5})[0]["x"].shape == (5, 8)


def test_extents_are_found_that_the_operators_can_work_on() -> None:
    graph = graph_of(
        """
        graph "classifier"(image: f32[n,h,w,3]) -> (y: f32[n,10])
          %w0: f32[3,1,1,3] = weight
          %w1: f32[150528,10] = weight
          %1 = Conv(image, %w0) {strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) layout=NHWC}
          %2 = Reshape(%1) {shape=(n,3*h*w)}
          %3 = MatMul(%2, %w1)
          return %3
        """
    )
    feeds = generate(graph)
    assert [f["image"].shape for f in feeds] == [(1, 224, 224, 3), (2, 224, 224, 3)]


def test_a_first_axis_that_is_no_batch() -> None:
    graph = graph_of(
        """
        graph "window"(signal: f32[t]) -> (y: f32[t-9])
          %1 = Slice(signal) {axes=(0,) starts=(9,) sizes=(t-9,) steps=(1,)}
          return %1
        """
    )
    feeds = generate(graph)
    assert all(f["signal"].size >= 10 for f in feeds)
    run(graph, feeds[0])


def test_no_extents_will_do() -> None:
    graph = graph_of(
        """
        graph "odd"(x: f32[n,k]) -> (y: f32[n,3])
          %w0: f32[7,3] = weight
          %1 = MatMul(x, %w0)
          return %1
        """
    )
    with pytest.raises(InvalidModelError, match=r"for k, n that .*\n  hint: .*MatMul.*--inputs"):
        generate(graph)


def test_a_negative_seed() -> None:
    with pytest.raises(UsageError, match="not negative"):
        generate(graph_of(MLP), seed=-1)


def test_integers_stay_within_the_table_that_they_index() -> None:
    graph = graph_of(embedding())
    (feed,) = generate(graph, count=1, extents={"n": 100})
    assert feed["ids"].dtype == np.int64
    assert set(feed["ids"].flat) == set(range(7))
    run(graph, feed)


@pytest.mark.parametrize(
    ("index", "moves"),
    [
        ("i32[n,5]", "%1 = Cast(ids) {to=i64}"),
        ("f32[n,5]", "%1 = Cast(ids) {to=i32}"),
        ("i64[n,1,5]", "%1 = Squeeze(ids) {axes=(1,)}"),
    ],
)
def test_numbers_that_are_moved_before_they_index(index: str, moves: str) -> None:
    graph = graph_of(embedding(index, moves))
    (feed,) = generate(graph, count=1, extents={"n": 100})
    assert set(feed["ids"].flat) == set(range(7))


def test_the_smallest_of_several_tables_counts() -> None:
    graph = graph_of(
        """
        graph "two"(ids: i64[n]) -> (y: f32[n,4], z: f32[n,3])
          %w0: f32[70,4] = weight
          %1 = Gather(%w0, ids) {axis=0}
          %c1: f32[] = 1.0
          %c2: f32[] = 0.0
          %2 = OneHot(ids, %c2, %c1) {depth=3 axis=1}
          return %1, %2
        """
    )
    (feed,) = generate(graph, count=1, extents={"n": 100})
    assert set(feed["ids"].flat) == set(range(3))


def identity(dtype: str, name: str = "x") -> str:
    return f"""
        graph "identity"({name}: {dtype}[1000]) -> (y: {dtype}[1000])
          %1 = Identity({name})
          return %1
    """


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("i64", 0, 99), ("i32", 0, 99), ("u8", 0, 255), ("i8", 0, 99), ("i4", 0, 7), ("bool", 0, 1)],
)
def test_ranges(dtype: str, low: int, high: int) -> None:
    (feed,) = generate(graph_of(identity(dtype)), count=1)
    array = feed["x"].astype(np.int64)
    assert (array.min(), array.max()) == (low, high)


def test_a_mask_is_mostly_set() -> None:
    (feed,) = generate(graph_of(identity("i64", "attention_mask")), count=1)
    assert set(feed["attention_mask"].flat) == {0, 1}
    assert 0.7 < feed["attention_mask"].mean() < 0.9


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f64", "c64"])
def test_other_element_types(dtype: str) -> None:
    graph = graph_of(identity(dtype))
    (feed,) = generate(graph, count=1)
    assert feed["x"].dtype == graph.inputs[0].type.dtype
    assert 0.8 < np.std(feed["x"].astype(np.complex64 if dtype == "c64" else np.float64)) < 1.6


# --- the user's own ----------------------------------------------------------------------------------------


def test_arrays_that_fit_are_taken_as_they_are() -> None:
    x = np.ones((3, 8), np.float32)
    assert fit(graph_of(MLP), {"x": x})["x"] is x


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ">f4", ml_dtypes.bfloat16])
def test_floats_are_rounded(dtype: object) -> None:
    fitted = fit(graph_of(MLP), {"x": np.full((3, 8), 1.5, dtype)})["x"]  # type: ignore[call-overload]
    assert fitted.dtype == np.float32
    np.testing.assert_array_equal(fitted, 1.5)


def test_integers_of_another_width() -> None:
    graph = graph_of(embedding("i32[n,5]"))
    fitted = fit(graph, {"ids": np.full((2, 5), 6, np.int64)})["ids"]
    assert fitted.dtype == np.int32
    with pytest.raises(UsageError, match=r"is i32\[n,5\], not int64 \[2, 5\]"):
        fit(graph, {"ids": np.full((2, 5), 1 << 40)})


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, r"the input 'x' is missing\n.*'x' \(f32\[n,8\]\)"),
        ({"x": np.zeros((1, 8), np.float32), "z": np.zeros(1)}, "no input called 'z'"),
        ({"x": np.zeros((1, 8), np.int64)}, r"is f32\[n,8\], not int64 \[1, 8\]\n.*astype\('float32'\)"),
        ({"x": np.zeros((1, 8), np.complex64)}, "not complex64"),
        ({"x": np.array([["a"] * 8])}, "not <U1"),
        ({"x": np.zeros((1, 7), np.float32)}, r"not of shape \[1, 7\]"),
        ({"x": np.zeros(8, np.float32)}, r"not of shape \[8\]"),
    ],
)
def test_arrays_that_do_not_fit(feed: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(graph_of(MLP), feed)


def test_two_inputs_that_disagree_on_an_extent() -> None:
    graph = graph_of(
        """
        graph "add"(a: f32[n], b: f32[n]) -> (y: f32[n])
          %1 = Add(a, b)
          return %1
        """
    )
    with pytest.raises(UsageError, match=r"'b' is f32\[n\] with n=2, not of shape \[3\]"):
        fit(graph, {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)})


def test_open_extents_differ_between_feeds() -> None:
    text = """
        graph "image"(x: f32[n,3,h,w]) -> (y: f32[n,3,h,w])
          %1 = Relu(x)
          return %1
    """
    shapes = [feed["x"].shape for feed in generate(graph_of(text), count=3)]
    assert shapes == [(1, 3, 32, 32), (2, 3, 48, 48), (3, 3, 64, 64)]
