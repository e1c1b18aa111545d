"""Neighbours that are one operator: slices, concatenations, products with sums; and states that are zero."""

import pytest

from mmconvert.passes.drop_zero_states import drop_zero_states
from mmconvert.passes.fuse_gemm import fuse_gemm
from mmconvert.passes.merge_concats import merge_concats
from mmconvert.passes.merge_slices import merge_slices
from tests.passes.helpers import apply, names


def slices(first: str, second: str, middle: str, out: str, returned: str = "%2") -> str:
    return f"""
        graph "g"(x: f32[n,12,10]) -> (y: {out})
          %1 = Slice(x) {{{first}}}
          %2 = Slice(%1) {{{second}}}
          return {returned}
        """


@pytest.mark.parametrize(
    ("first", "second", "out", "merged"),
    [
        (
            "axes=(1,) starts=(1,) sizes=(6,) steps=(2,)",
            "axes=(2,) starts=(3,) sizes=(4,) steps=(1,)",
            "f32[n,6,4]",
            ((1, 2), (1, 3), (6, 4), (2, 1)),
        ),
        (
            "axes=(1,) starts=(1,) sizes=(5,) steps=(2,)",
            "axes=(1,) starts=(1,) sizes=(2,) steps=(3,)",
            "f32[n,2,10]",
            ((1,), (3,), (2,), (6,)),
        ),
        (
            "axes=(1,) starts=(11,) sizes=(12,) steps=(-1,)",
            "axes=(1,) starts=(10,) sizes=(4,) steps=(-3,)",
            "f32[n,4,10]",
            ((1,), (1,), (4,), (3,)),
        ),
        (
            "axes=(0,) starts=(n-1,) sizes=(n,) steps=(-1,)",
            "axes=(0,) starts=(0,) sizes=(1,) steps=(1,)",
            "f32[1,12,10]",
            ((0,), ("n-1",), (1,), (-1,)),
        ),
    ],
)
def test_slices(first, second, out, merged):
    graph, _ = apply(merge_slices, slices(first, second, "", out))
    (node,) = graph
    found = (node.op.axes, node.op.starts, node.op.sizes, node.op.steps)
    assert tuple(tuple(map(str, part)) for part in found) == tuple(tuple(map(str, p)) for p in merged)


def test_slices_of_one_slice():
    graph, outcome = apply(
        merge_slices,
        """
        graph "g"(x: f32[2,8,8]) -> (a: f32[2,4,4], b: f32[2,4,4])
          %1 = Slice(x) {axes=(1,) starts=(0,) sizes=(4,) steps=(2,)}
          %2 = Slice(%1) {axes=(2,) starts=(0,) sizes=(4,) steps=(2,)}
          %3 = Slice(%1) {axes=(2,) starts=(1,) sizes=(4,) steps=(2,)}
          return %2, %3
        """,
    )
    assert names(graph) == ["Slice", "Slice"]
    assert outcome.done == 2


def test_a_slice_that_is_used_elsewhere_stays():
    graph, outcome = apply(
        merge_slices,
        """
        graph "g"(x: f32[2,8,8]) -> (a: f32[2,4,8], b: f32[2,4,4])
          %1 = Slice(x) {axes=(1,) starts=(0,) sizes=(4,) steps=(2,)}
          %2 = Slice(%1) {axes=(2,) starts=(0,) sizes=(4,) steps=(2,)}
          return %1, %2
        """,
    )
    assert names(graph) == ["Slice", "Slice"]
    assert "used elsewhere" in outcome.declined[0][1]


def concats(second: str, returned: str = "%2", outs: str = "y: f32[n,12]") -> str:
    return f"""
        graph "g"(a: f32[n,2], b: f32[n,4]) -> ({outs})
          %1 = Concat(a, b) {{axis=1}}
          %2 = {second}
          return {returned}
        """


def test_concats():
    graph, _ = apply(merge_concats, concats("Concat(b, %1, a) {axis=1}"))
    (node,) = graph
    assert [value.name for value in node.inputs] == ["b", "a", "b", "a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (concats("Concat(%1, %1) {axis=1}"), "used elsewhere"),
        (concats("Concat(b, %1, a) {axis=1}", "%2, %1", "y: f32[n,12], z: f32[n,6]"), "used elsewhere"),
        (concats("Concat(%1, %1) {axis=0}", outs="y: f32[2*n,6]"), ""),
    ],
)
def test_concats_that_stay(text, reason):
    graph, outcome = apply(merge_concats, text)
    assert names(graph) == ["Concat", "Concat"]
    assert reason in "".join(why for _, why in outcome.declined)


def product(sum_: str = "Add(%1, %b)", b: str = "f32[5]", x: str = "f32[n,3]", y: str = "f32[n,5]") -> str:
    return f"""
        graph "g"(x: {x}) -> (y: {y})
          %w: f32[3,5] = weight
          %b: {b} = weight
          %1 = MatMul(x, %w)
          %2 = {sum_}
          return %2
        """


@pytest.mark.parametrize("sum_", ["Add(%1, %b)", "Add(%b, %1)"])
@pytest.mark.parametrize("b", ["f32[5]", "f32[1,5]", "f32[1]", "f32[]"])
def test_products_with_sums(sum_, b):
    graph, _ = apply(fuse_gemm, product(sum_, b))
    assert names(graph) == ["Gemm"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (product(x="f32[n,2,3]", y="f32[n,2,5]"), "two matrices"),
        (product(b="f32[4,1,5]", y="f32[4,n,5]"), "another shape"),
        (product("Add(%1, %1)"), ""),
        (
            product()
            .replace("return %2", "return %2, %1")
            .replace("(y: f32[n,5])", "(y: f32[n,5], z: f32[n,5])"),
            "used elsewhere",
        ),
    ],
)
def test_products_that_stay(text, reason):
    graph, outcome = apply(fuse_gemm, text)
    assert names(graph) == ["MatMul", "Add"]
    assert reason in "".join(why for _, why in outcome.declined)


def recurrent(value: str, second: str = "%1") -> str:
    return f"""
        graph "g"(x: f32[3,n,4], h: f32[1,n,5]) -> (y: f32[3,1,n,5])
          %w: f32[1,20,4] = weight
          %r: f32[1,20,5] = weight
          %0 = Fill() {{shape=(2,n,5) value={value} dtype=f32}}
          %1 = Slice(%0) {{axes=(0,) starts=(1,) sizes=(1,) steps=(1,)}}
          %2, %3, %4 = LSTM(x, %w, %r, -, -, {second}, %1) {{hidden_size=5 direction="forward" \
activations=("Sigmoid","Tanh","Tanh") alphas=(0.0,0.0,0.0) betas=(0.0,0.0,0.0) clip=None input_forget=False}}
          return %2
        """


def test_states_that_are_zero():
    graph, _ = apply(drop_zero_states, recurrent("0.0"))
    (node,) = graph
    assert len(node.inputs) == 3


def test_one_state_of_two():
    graph, _ = apply(drop_zero_states, recurrent("0.0", "h"))
    (node,) = graph
    assert len(node.inputs) == 6


def test_other_states_stay():
    graph, outcome = apply(drop_zero_states, recurrent("1.0"))
    assert names(graph) == ["Fill", "Slice", "LSTM"]
    assert outcome.done == 0
