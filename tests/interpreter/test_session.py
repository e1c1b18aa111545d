from __future__ import annotations

import gc
import textwrap
import tracemalloc
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.interpreter import Session, run
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add
from mmconvert.ir.text import parse_graph, random_weights
from mmconvert.ir.types import Array, TensorType
from mmconvert.tensors import Tensor


def graph_of(text: str) -> Graph:
    return parse_graph(textwrap.dedent(text).strip() + "\n", random_weights())


CHAIN = """
    graph "chain"(x: f32[n,64]) -> (y: f32[n,64])
      %1 = Exp(x)  # - "exp" -> "exp"
      %2 = Neg(%1)  # - "neg" -> "neg"
      %3 = Add(%2, x)  # - "add" -> "add"
      %4 = Tanh(%3)  # - "tanh" -> "y"
      return %4
"""

X = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)


# --- precision ---------------------------------------------------------------------------------------------


def test_numbers() -> None:
    np.testing.assert_array_equal(run(graph_of(CHAIN), {"x": X})["y"], np.tanh(-np.exp(X) + X))


def test_float32_stays_float32_and_float64_is_float64_throughout() -> None:
    for precision, dtype in (("float32", np.float32), ("float64", np.float64)):
        seen: set[Any] = set()

        def trace(_: Node[Op], arrays: tuple[Array, ...], seen: set[Any] = seen) -> None:
            seen.add(arrays[0].dtype)

        results = run(graph_of(CHAIN), {"x": X}, precision=precision, trace=trace)  # type: ignore[arg-type]
        assert seen == {np.dtype(dtype)}
        assert results["y"].dtype == dtype


def test_float64_is_closer_to_the_truth() -> None:
    graph = graph_of(
        """
        graph "cancel"(x: f32[4]) -> (y: f32[4])
          %c0: f32[] = 1e+06
          %1 = Add(x, %c0)
          %2 = Sub(%1, %c0)
          return %2
        """
    )
    x = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    errors = [np.max(np.abs(run(graph, {"x": x}, precision=p)["y"] - x)) for p in ("float32", "float64")]
    assert errors[0] > 1e-3
    assert errors[1] < 1e-9


def test_weights_are_widened_and_not_rounded() -> None:
    graph = graph_of(
        """
        graph "scale"(x: f32[2]) -> (y: f32[2])
          %c0: f32[] = 0.1
          %1 = Mul(x, %c0)
          return %1
        """
    )
    y = run(graph, {"x": np.array([1, 3], np.float32)}, precision="float64")["y"]
    np.testing.assert_array_equal(y, np.float64(np.float32(0.1)) * np.array([1.0, 3.0]))


def test_integers_keep_their_type_in_float64() -> None:
    graph = graph_of(
        """
        graph "ints"(x: f32[4]) -> (i: i32[4], y: f32[4])
          %1 = Cast(x) {to=i32}
          %2 = Cast(%1) {to=f32}
          return %1, %2
        """
    )
    results = run(graph, {"x": np.array([1.5, -1.5, 2.5, 3], np.float32)}, precision="float64")
    assert results["i"].dtype == np.int32
    assert results["y"].dtype == np.float64
    np.testing.assert_array_equal(results["i"], [1, -1, 2, 3])


def test_narrow_floats() -> None:
    graph = graph_of(
        """
        graph "narrow"(x: bf16[4]) -> (y: bf16[4])
          %1 = Mul(x, x)
          return %1
        """
    )
    x = np.array([1.5, 2, 3, 1.0078125], ml_dtypes.bfloat16)
    assert run(graph, {"x": x})["y"].dtype == ml_dtypes.bfloat16
    exact = run(graph, {"x": x}, precision="float64")["y"]
    np.testing.assert_array_equal(exact, x.astype(np.float64) ** 2)


def test_overflow_and_division_by_zero_are_values() -> None:
    graph = graph_of(
        """
        graph "special"(x: f32[3]) -> (y: f32[3], z: f32[3])
          %1 = Exp(x)
          %2 = Reciprocal(x)
          return %1, %2
        """
    )
    with np.errstate(all="raise"):
        results = run(graph, {"x": np.array([0, 100, -np.inf], np.float32)})
    np.testing.assert_array_equal(results["y"], np.array([1, np.inf, 0], np.float32))
    assert results["z"][0] == np.inf


# --- trace -------------------------------------------------------------------------------------------------


def test_the_trace_is_handed_every_node_in_order() -> None:
    seen: list[tuple[str, str, tuple[int, ...]]] = []
    graph = graph_of(CHAIN)
    run(graph, {"x": X}, trace=lambda n, arrays: seen.append((n.op.name, n.outputs[0].name, arrays[0].shape)))
    assert seen == [
        (op, name, X.shape) for op, name in (("Exp", "exp"), ("Neg", "neg"), ("Add", "add"), ("Tanh", "y"))
    ]


def test_the_trace_sees_several_outputs() -> None:
    graph = graph_of(
        """
        graph "split"(x: f32[4]) -> (a: f32[1], b: f32[3])
          %1, %2 = Split(x) {axis=0 sizes=(1,3)}
          return %1, %2
        """
    )
    seen: list[tuple[Array, ...]] = []
    run(graph, {"x": np.arange(4, dtype=np.float32)}, trace=lambda _, arrays: seen.append(arrays))
    assert [a.tolist() for a in seen[0]] == [[0], [1, 2, 3]]


# --- memory ------------------------------------------------------------------------------------------------


def test_values_are_freed_after_their_last_use() -> None:
    """When a node has run, of all values only what it has read is left, and that may be its own output."""
    alive: list[weakref.ref[Array]] = []
    others: list[int] = []

    def trace(_: Node[Op], arrays: tuple[Array, ...]) -> None:
        gc.collect()
        alive.append(weakref.ref(arrays[0]))
        others.append(len({id(r()) for r in alive if r() is not None and r() is not arrays[0]}))

    run(long_chain(10, 100), {"x": np.zeros(100, np.float32)}, trace=trace)
    assert len(others) == 10
    assert max(others) <= 1


def test_outputs_are_kept_and_unused_results_are_not() -> None:
    graph = graph_of(
        """
        graph "early"(x: f32[4]) -> (y: f32[4], z: f32[4])
          %1 = Exp(x)  # - "-" -> "y"
          %2, %3 = TopK(x) {k=2 axis=0}  # - "-" -> "top" "indices"
          %4 = Neg(%1)  # - "-" -> "z"
          return %1, %4
        """
    )
    kept: dict[str, weakref.ref[Array]] = {}
    dead: list[bool] = []

    def trace(node: Node[Op], arrays: tuple[Array, ...]) -> None:
        if node.op.name == "Neg":
            gc.collect()
            dead.append(kept["top"]() is None and kept["y"]() is not None)
        kept.update({v.name: weakref.ref(a) for v, a in zip(node.outputs, arrays, strict=True)})

    run(graph, {"x": np.arange(4, dtype=np.float32)}, trace=trace)
    assert dead == [True]


def long_chain(length: int, size: int) -> Graph:
    lines = [f"  %{i + 1} = {'Neg' if i % 2 else 'Exp'}({f'%{i}' if i else 'x'})" for i in range(length)]
    return graph_of(
        f'graph "long"(x: f32[{size}]) -> (y: f32[{size}])\n' + "\n".join(lines) + f"\n  return %{length}\n"
    )


def peak(session: Session, feed: dict[str, Array]) -> int:
    gc.collect()
    tracemalloc.start()
    session.run(feed)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_does_not_grow_with_the_depth() -> None:
    size = 1_000_000
    feed = {"x": np.zeros(size, np.float32)}
    most = peak(Session(long_chain(40, size)), feed)
    assert most < 3 * 4 * size + 1_000_000


def test_weights_are_dropped_after_use_unless_they_are_held() -> None:
    size, layers = 250_000, 8
    graph = Graph("heavy")
    b = Builder(graph)
    value = graph.input("x", TensorType(dtypes.F32, (size,)))
    for _ in range(layers):
        lazy = Tensor(dtypes.F32, (size,), lambda: np.ones(size, np.float32))
        value = b(Add(), value, b.constant(lazy))
    graph.set_outputs([value], ["y"])
    feed = {"x": np.zeros(size, np.float32)}
    assert peak(Session(graph, hold_weights=False), feed) < 5 * 4 * size
    assert peak(Session(graph, hold_weights=True), feed) > layers * 4 * size


def test_held_weights_are_loaded_once() -> None:
    loads = []
    graph = graph_of(
        """
        graph "scale"(x: f32[20]) -> (y: f32[20])
          %w0: f32[20] = weight
          %1 = Mul(x, %w0)
          return %1
        """
    )
    (weight,) = graph.constants()
    weight.constant = Tensor(dtypes.F32, (20,), lambda: loads.append(1) or np.ones(20, np.float32))  # type: ignore[func-returns-value]
    for hold, expected in ((True, 1), (False, 3)):
        loads.clear()
        session = Session(graph, hold_weights=hold)
        for _ in range(3):
            session.run({"x": np.zeros(20, np.float32)})
        assert len(loads) == expected


def test_inputs_and_weights_are_left_as_they_are() -> None:
    x = X.copy()
    x.flags.writeable = False
    run(graph_of(CHAIN), {"x": x})
    np.testing.assert_array_equal(x, X)


# --- symbolic extents --------------------------------------------------------------------------------------


def test_one_session_runs_on_any_extent() -> None:
    session = Session(graph_of(CHAIN))
    for n in (0, 1, 5):
        assert session.run({"x": np.zeros((n, 64), np.float32)})["y"].shape == (n, 64)


def test_extents_in_attributes_are_bound() -> None:
    graph = graph_of(
        """
        graph "flat"(x: f32[n,h,w]) -> (y: f32[n,h*w])
          %1 = Reshape(x) {shape=(n,h*w)}
          return %1
        """
    )
    assert run(graph, {"x": np.zeros((2, 3, 4), np.float32)})["y"].shape == (2, 12)


def test_extents_that_follow_from_data() -> None:
    graph = graph_of(
        """
        graph "nonzero"(x: f32[n]) -> (y: i64[count])
          %1 = NonZero(x) {count=count}
          %2 = Reshape(%1) {shape=(count,)}
          return %2
        """
    )
    assert run(graph, {"x": np.array([0, 1, 0, 2], np.float32)})["y"].tolist() == [1, 3]


PAIR = """
    graph "pair"(a: f32[n,4], b: f32[2*n,4]) -> (y: f32[n,4], z: f32[2*n,4])
      %1 = Neg(a)
      %2 = Neg(b)
      return %1, %2
"""


def feed_of(a: tuple[int, ...], b: tuple[int, ...]) -> dict[str, Array]:
    return {"a": np.zeros(a, np.float32), "b": np.zeros(b, np.float32)}


def test_extents_that_depend_on_another() -> None:
    assert run(graph_of(PAIR), feed_of((3, 4), (6, 4)))["z"].shape == (6, 4)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((3, 4), (7, 4), r"'b' is f32\[2\*n,4\] with n=3, not of shape \[7, 4\]"),
        ((3, 5), (6, 4), r"'a' is f32\[n,4\].*not of shape \[3, 5\]"),
        ((3,), (6, 4), r"'a' is f32\[n,4\], not of shape \[3\]"),
    ],
)
def test_shapes_that_do_not_fit(a: tuple[int, ...], b: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(graph_of(PAIR), feed_of(a, b))


# --- inputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, r"the input 'x' \(f32\[n,64\]\) is missing"),
        ({"x": X, "z": X}, r"no input called z\n.*its inputs: x"),
        ({"x": X.astype(np.int32)}, r"'x' is f32\[n,64\], not int32"),
        ({"x": X > 0}, "not bool"),
    ],
)
def test_inputs_that_do_not_fit(feed: dict[str, Array], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(graph_of(CHAIN), feed)


def test_other_floats_are_converted() -> None:
    y = run(graph_of(CHAIN), {"x": X.astype(np.float64)})["y"]
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, run(graph_of(CHAIN), {"x": X})["y"])


def test_lists_will_do() -> None:
    graph = graph_of(
        """
        graph "neg"(x: f32[2]) -> (y: f32[2])
          %1 = Neg(x)
          return %1
        """
    )
    assert run(graph, {"x": [1.0, 2.0]})["y"].tolist() == [-1, -2]  # type: ignore[dict-item]


def test_outputs_that_are_inputs_or_constants() -> None:
    graph = graph_of(
        """
        graph "through"(x: f32[2]) -> (y: f32[2], z: f32[], again: f32[2])
          %c0: f32[] = 3.0
          return x, %c0, x
        """
    )
    results = run(graph, {"x": np.array([1, 2], np.float32)})
    assert results["y"].tolist() == results["again"].tolist() == [1, 2]
    assert results["z"] == 3


# --- failures ----------------------------------------------------------------------------------------------


def test_an_operator_that_fails_names_its_place() -> None:
    graph = graph_of(
        """
        graph "gather"(i: i64[2]) -> (y: f32[2])
          %c0: f32[3] = [1.0,2.0,3.0]
          %1 = Gather(%c0, i) {axis=0}  # Embedding "words" -> "y"
          return %1
        """
    )
    with pytest.raises(InvalidModelError, match=r"Embedding 'words': Gather cannot run: an index of 0\.\.7"):
        run(graph, {"i": np.array([0, 7])})


def test_more_memory_than_there_is() -> None:
    graph = graph_of(
        """
        graph "huge"(x: f32[1]) -> (y: f32[1099511627775])
          %1 = Tile(x) {repeats=(1099511627775,)}  # Tile "huge" -> "y"
          return %1
        """
    )
    with pytest.raises(InvalidModelError, match="Tile 'huge': Tile cannot run"):
        run(graph, {"x": np.zeros(1, np.float32)})


# --- control flow ------------------------------------------------------------------------------------------

IF = """
    graph "if"(c: bool[], x: f32[2]) -> (y: f32[2])
      %1 = If(c, x) {then_branch=@2 else_branch=@3}
      return %1

    graph @2 "then"(t: f32[2]) -> (r: f32[2])
      %4 = Neg(t)
      return %4

    graph @3 "else"(e: f32[2]) -> (r: f32[2])
      %5 = Add(e, e)
      return %5
"""

WHILE = """
    graph "while"(n: i32[], x: f32[]) -> (i: i32[], y: f32[])
      %c0: i32[] = 0
      %1, %2, %3 = While(%c0, n, x) {condition=@2 body=@3}
      return %1, %3

    graph @2 "goes on"(i: i32[], n: i32[], v: f32[]) -> (r: bool[])
      %4 = Less(i, n)
      return %4

    graph @3 "body"(i: i32[], n: i32[], v: f32[]) -> (i: i32[], n: i32[], v: f32[])
      %c1: i32[] = 1
      %5 = Add(i, %c1)
      %6 = Add(v, v)
      return %5, n, %6
"""


@pytest.mark.parametrize(("condition", "expected"), [(True, [-1, -2]), (False, [2, 4])])
def test_if(condition: bool, expected: list[int]) -> None:
    session = Session(graph_of(IF))
    for _ in range(2):
        y = session.run({"c": np.asarray(condition), "x": np.array([1, 2], np.float32)})["y"]
        assert y.tolist() == expected


def test_the_other_branch_does_not_run() -> None:
    seen: list[str] = []
    graph = graph_of(
        IF.replace("Add(e, e)", "Gather(e, %c9) {axis=0}").replace("%5 =", "%c9: i64[2] = [5,6]\n      %5 =")
    )
    feed = {"c": np.asarray(True), "x": np.array([1, 2], np.float32)}
    assert run(graph, feed, trace=lambda n, _: seen.append(n.op.name))["y"].tolist() == [-1, -2]
    assert seen == ["If"]
    with pytest.raises(InvalidModelError, match="Gather cannot run"):
        run(graph, feed | {"c": np.asarray(False)})


@pytest.mark.parametrize("count", [0, 1, 10])
def test_while(count: int) -> None:
    results = run(graph_of(WHILE), {"n": np.int32(count), "x": np.float32(1.5)})
    assert results["i"] == count
    assert results["y"] == 1.5 * 2**count


def test_control_flow_in_float64() -> None:
    results = run(graph_of(WHILE), {"n": np.int32(200), "x": np.float32(1.5)}, precision="float64")
    assert results["y"].dtype == np.float64
    assert results["y"] == 1.5 * 2.0**200
