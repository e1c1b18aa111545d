"""Shuffles of channels, recognised and folded."""

import pytest

from mmconvert.passes.shuffles import fold_shuffles, gather_shuffles
from tests.passes.helpers import apply, names

CONV = "{strides=(1,1) dilations=(1,1) padding=((0,0),(0,0)) layout=NHWC}"
ORDER = "%c3: i64[6] = [0,3,1,4,2,5]"


def shuffle(shape: str, perm: str) -> str:
    return f"""
    graph "g"(x: f32[n,6,4,5]) -> (y: f32[n,6,4,5])
      %1 = Reshape(x) {{shape={shape}}}
      %2 = Transpose(%1) {{perm={perm}}}
      %3 = Reshape(%2) {{shape=(n,6,4,5)}}
      return %3
    """


def test_a_shuffle_is_a_gather() -> None:
    graph, _ = apply(gather_shuffles, shuffle("(n,2,3,4,5)", "(0,2,1,3,4)"))
    (node,) = graph
    assert node.op.name == "Gather"
    assert node.op.axis == 1
    assert node.operand(1).constant.numpy().tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize(
    ("shape", "perm"),
    [
        pytest.param("(n,6,2,2,5)", "(0,1,3,2,4)", id="rows, which are an axis like others"),
    ],
)
def test_any_axis_can_be_shuffled(shape: str, perm: str) -> None:
    assert apply(gather_shuffles, shuffle(shape, perm))[1].done == 1


def test_pixels_that_become_channels_are_no_shuffle() -> None:
    _, outcome = apply(gather_shuffles, shuffle("(n,5,4,6)", "(0,3,2,1)"))
    assert outcome.done == 0
    assert outcome.declined


def folded(before: str, after: str) -> list[str]:
    text = f"""
    graph "g"(x: f32[n,4,5,6]) -> (y: f32[n,4,5,6])
      %w1: f32[6,1,1,6] = weight
      %w2: f32[6] = weight
      {ORDER}
      {before}
      %6 = Gather(%5, %c3) {{axis=3}}
      {after}
      return %7
    """
    return names(apply(fold_shuffles, text)[0])


def test_into_the_convolution_behind() -> None:
    assert folded("%5 = Relu(x)", f"%7 = Conv(%6, %w1, %w2) {CONV}") == ["Relu", "Conv"]


def test_into_the_convolution_before() -> None:
    before = f"%4 = Conv(x, %w1, %w2) {CONV}\n      %5 = Relu(%4)"
    assert folded(before, "%7 = Sigmoid(%6)") == ["Conv", "Relu", "Sigmoid"]


def test_neither_when_the_channels_are_read_elsewhere() -> None:
    before = f"%4 = Conv(x, %w1, %w2) {CONV}\n      %5 = Relu(%4)"
    assert folded(before, "%7 = Add(%4, %6)") == ["Conv", "Relu", "Reshape", "Transpose", "Reshape", "Add"]


def test_a_gather_that_is_no_shuffle_stays() -> None:
    text = """
    graph "g"(x: f32[n,4]) -> (y: f32[n,4])
      %c1: i64[4] = [3,1,0,2]
      %2 = Gather(x, %c1) {axis=1}
      return %2
    """
    graph, outcome = apply(fold_shuffles, text)
    assert outcome.done == 0
    assert names(graph) == ["Gather"]
