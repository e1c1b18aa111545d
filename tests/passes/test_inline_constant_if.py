import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.interpreter import run
from mmconvert.ir.text import format_graph
from mmconvert.passes.inline_constant_if import inline_constant_if
from mmconvert.passes.pipeline import CLEAN
from mmconvert.passes.pipeline import run as run_passes
from tests.passes.helpers import apply, graph_of, names

TEXT = """
    graph "g"(x: f32[n,4]) -> (y: f32[n,4])
      %c1: bool[] = FLAG
      %2 = If(%c1, x) {then_branch=@3 else_branch=@4}
      %5 = Tanh(%2)
      return %5

    graph @3 "then"(a: f32[n,4]) -> (b: f32[n,4])
      %c6: f32[] = 2.0
      %7 = Mul(a, %c6)
      %8 = Relu(%7)
      return %8

    graph @4 "otherwise"(a: f32[n,4]) -> (a: f32[n,4])
      return a
    """


@pytest.mark.parametrize(("flag", "left"), [("True", ["Mul", "Relu", "Tanh"]), ("False", ["Tanh"])])
def test_the_branch_that_is_taken_stands_in_its_place(flag, left):
    graph, outcome = apply(inline_constant_if, TEXT.replace("FLAG", flag))
    assert names(graph) == left
    assert outcome.done == 1


def test_a_condition_that_the_run_decides_stays():
    text = TEXT.replace("(x: f32[n,4]) ->", "(c: bool[], x: f32[n,4]) ->", 1).replace("If(%c1", "If(c")
    graph, outcome = apply(inline_constant_if, text.replace("      %c1: bool[] = FLAG\n", ""))
    assert names(graph) == ["If", "Tanh"]
    assert outcome.done == 0


def test_it_declines_where_extents_would_change():
    text = TEXT.replace("FLAG", "True").replace("else_branch=@4}", "else_branch=@4 shapes=((k,4),)}")
    graph, outcome = apply(inline_constant_if, text.replace("(y: f32[n,4])", "(y: f32[k,4])"))
    assert names(graph) == ["If", "Tanh"]
    assert "other extents" in str(outcome.declined)


def test_a_loop_in_text_form_cleans_up():
    text = """
        graph "g"(x: f32[n]) -> (last: f32[n], all: f32[r,n])
          %c1: i64[] = 3
          %2, %3 = Loop(%c1, -, x) {body=@4 carried=1 shapes=((n,),(r,n))}
          return %2, %3

        graph @4 "body"(i: i64[], go: bool[], v: f32[n]) -> (go: bool[], w: f32[n], u: f32[n])
          %5 = Add(v, v)
          %6 = Identity(%5)
          %7 = Neg(%6)
          return go, %6, %7
        """
    graph = graph_of(text)
    assert format_graph(graph_of(format_graph(graph))) == format_graph(graph)
    run_passes(graph, CLEAN)
    x = np.arange(2, dtype=np.float32)
    outputs = run(graph, {"x": x})
    np.testing.assert_array_equal(outputs["last"], 8 * x)
    np.testing.assert_array_equal(outputs["all"], [-2 * x, -4 * x, -8 * x])
    assert outputs["all"].dtype == dtypes.F32
