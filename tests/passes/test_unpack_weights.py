"""Weights of few bits become floating-point ones, and what depends on inputs stays."""

from mmconvert.passes.unpack_weights import unpack_weights
from tests.passes.helpers import apply, names


def test_weights_of_eight_bits():
    graph, outcome = apply(
        unpack_weights,
        """
        graph "g"(x: f32[n,2]) -> (y: f32[n,3])
          %w: i8[2,3] = [1,-2,3,4,5,-6]
          %s: f32[1,3] = [0.5,0.25,2.0]
          %1 = Cast(%w) {to=f32}
          %2 = Mul(%1, %s)
          %3 = MatMul(x, %2)
          return %3
        """,
    )
    assert names(graph) == ["MatMul"]
    assert outcome.done == 2


def test_what_depends_on_an_input_stays():
    graph, outcome = apply(
        unpack_weights,
        """
        graph "g"(x: f32[n,3]) -> (y: f32[n,3])
          %s: f32[1,3] = [0.5,0.25,2.0]
          %1 = Mul(x, %s)
          return %1
        """,
    )
    assert names(graph) == ["Mul"]
    assert outcome.done == 0
