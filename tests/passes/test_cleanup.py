import pytest

from mmconvert.ir.text import format_graph
from mmconvert.passes.eliminate_common_subexpressions import eliminate_common_subexpressions
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.fold_constants import fold_constants
from mmconvert.passes.pin_outputs import pin_outputs
from mmconvert.passes.simplify import simplify
from tests.passes.helpers import apply, graph_of, names


def test_dead_code_goes():
    graph, outcome = apply(
        eliminate_dead_code,
        """
        graph "g"(x: f32[n,4]) -> (y: f32[n,4])
          %1 = Relu(x)
          %2 = Tanh(%1)
          %3 = Tanh(x)
          return %3
        """,
    )
    assert names(graph) == ["Tanh"]
    assert outcome.done == 2


def test_common_subexpressions_are_computed_once():
    graph, _ = apply(
        eliminate_common_subexpressions,
        """
        graph "g"(x: f32[2,4]) -> (y: f32[2,4])
          %c1: f32[] = 2.0
          %1 = Mul(x, %c1)
          %c2: f32[] = 2.0
          %2 = Mul(x, %c2)
          %c3: f32[] = 3.0
          %3 = Mul(x, %c3)
          %4 = Add(%1, %2)
          %5 = Add(%4, %3)
          return %5
        """,
    )
    assert names(graph) == ["Mul", "Mul", "Add", "Add"]


def test_outputs_are_uses_when_subexpressions_merge():
    graph, _ = apply(
        eliminate_common_subexpressions,
        """
        graph "g"(x: f32[2,4]) -> (a: f32[2,4], b: f32[2,4])
          %1 = Relu(x)
          %2 = Relu(x)
          return %1, %2
        """,
    )
    assert names(graph) == ["Relu"]
    assert graph.outputs[0] is graph.outputs[1]


@pytest.mark.parametrize(
    "body",
    [
        "%1 = Identity(x)",
        "%1 = Cast(x) {to=f32}",
        "%1 = Reshape(x) {shape=(n,4,1)}",
        "%1 = Transpose(x) {perm=(0,1,2)}",
        "%1 = Expand(x) {shape=(n,4,1)}",
        "%1 = Pad(x) {pads=((0,0),(0,0),(0,0)) mode=constant value=0.0}",
        "%1 = Tile(x) {repeats=(1,1,1)}",
        "%1 = Slice(x) {axes=(1,) starts=(0,) sizes=(4,) steps=(1,)}",
        "%1 = Concat(x) {axis=1}",
        "%1 = Clip(x) {low=None high=None}",
        "%c0: f32[] = 1.0\n          %1 = Mul(x, %c0)",
        "%c0: f32[] = 1.0\n          %1 = Mul(%c0, x)",
        "%c0: f32[1,1,1] = [1.0]\n          %1 = Div(x, %c0)",
        "%c0: f32[] = 0.0\n          %1 = Sub(x, %c0)",
    ],
)
def test_operators_that_do_nothing_go(body):
    graph, _ = apply(
        simplify,
        f"""
        graph "g"(x: f32[n,4,1]) -> (y: f32[n,4,1])
          {body}
          %9 = Tanh(%1)
          return %9
        """,
    )
    assert names(graph) == ["Tanh"]


@pytest.mark.parametrize(
    "body",
    [
        "%1 = Slice(x) {axes=(1,) starts=(3,) sizes=(4,) steps=(-1,)}",
        "%c0: f32[] = 1.0\n          %1 = Sub(%c0, x)",
        "%c0: f32[] = 1.0\n          %1 = Div(%c0, x)",
        "%c0: f32[3,4] = [1,1,1,1,1,1,1,1,1,1,1,1]\n          %1 = Mul(x, %c0)",
        "%1 = Cast(x) {to=i32}",
    ],
)
def test_operators_that_only_look_idle_stay(body):
    out = "i32[1,4]" if "i32" in body else "f32[3,4]" if "3,4" in body else "f32[1,4]"
    graph, _ = apply(
        simplify,
        f"""
        graph "g"(x: f32[1,4]) -> (y: {out})
          {body}
          return %1
        """,
    )
    assert len(graph) == 1


def test_chains_merge():
    graph, _ = apply(
        simplify,
        """
        graph "g"(x: f32[n,2,3,4]) -> (y: f32[n,4,6])
          %1 = Transpose(x) {perm=(0,2,3,1)}
          %2 = Transpose(%1) {perm=(0,2,1,3)}
          %3 = Reshape(%2) {shape=(n,4,3,2)}
          %4 = Unsqueeze(%3) {axes=(1,)}
          %5 = Reshape(%4) {shape=(n,4,6)}
          %6 = Clip(%5) {low=0.0 high=None}
          %7 = Clip(%6) {low=-1.0 high=6.0}
          return %7
        """,
    )
    assert names(graph) == ["Transpose", "Reshape", "Clip"]
    assert "perm=(0,3,2,1)" in format_graph(graph)
    assert "{low=0.0 high=6.0}" in format_graph(graph)


def test_opposite_transposes_cancel():
    graph, _ = apply(
        simplify,
        """
        graph "g"(x: f32[n,2,3,4]) -> (y: f32[n,2,3,4])
          %1 = Transpose(x) {perm=(0,2,3,1)}
          %2 = Transpose(%1) {perm=(0,3,1,2)}
          %3 = Relu(%2)
          return %3
        """,
    )
    # The first Transpose is dead; removing it is another pass's work.
    eliminate_dead_code(graph)
    assert names(graph) == ["Relu"]


def test_a_transpose_of_unit_axes_is_a_reshape():
    graph, _ = apply(
        simplify,
        """
        graph "g"(x: f32[n,7,1,1]) -> (y: f32[n,1,1,7])
          %1 = Transpose(x) {perm=(0,2,3,1)}
          return %1
        """,
    )
    assert names(graph) == ["Reshape"]


def test_constants_fold_and_large_ones_stay_lazy():
    graph, _ = apply(
        fold_constants,
        """
        graph "g"(x: f32[2,300]) -> (y: f32[2,200])
          %w0: f32[200,300] = weight
          %1 = Transpose(%w0) {perm=(1,0)}
          %c0: f32[] = 2.0
          %2 = Mul(%1, %c0)
          %3 = MatMul(x, %2)
          return %3
        """,
    )
    assert names(graph) == ["MatMul"]
    (weight,) = graph.constants()
    assert not weight.constant.in_memory


def test_shape_arithmetic_folds_to_numbers():
    graph, _ = apply(
        fold_constants,
        """
        graph "g"(x: f32[2,3,n]) -> (y: i64[2])
          %1 = Shape(x)
          %c0: i64[2] = [0,1]
          %2 = Gather(%1, %c0) {axis=0}
          %c1: i64[] = 5
          %3 = Add(%2, %c1)
          return %3
        """,
    )
    eliminate_dead_code(graph)
    assert names(graph) == []
    assert graph.outputs[0].constant.numpy().tolist() == [7, 8]


def test_what_would_blow_up_is_left_to_the_target():
    graph, outcome = apply(
        fold_constants,
        """
        graph "g"(x: f32[1]) -> (y: f32[1024,1024])
          %c0: f32[1,1] = [3.0]
          %1 = Expand(%c0) {shape=(1024,1024)}
          %2 = Add(%1, x)
          return %2
        """,
    )
    assert names(graph) == ["Expand", "Add"]
    assert outcome.declined[0][1] == "the result is much larger than its operands"


def test_outputs_get_values_of_their_own():
    graph, outcome = apply(
        pin_outputs,
        """
        graph "g"(x: f32[2]) -> (a: f32[2], b: f32[2], c: f32[2], d: f32[2])
          %1 = Relu(x)
          %c0: f32[2] = [1.0,2.0]
          return x, %1, %1, %c0
        """,
    )
    assert outcome.done == 3
    assert [v.name for v in graph.outputs] == ["a", "b", "c", "d"]
    assert len({id(v) for v in graph.outputs}) == 4


def test_the_helper_notices_a_wrong_pass():
    def wrong(graph):
        node = next(iter(graph))
        if node.op.name == "Relu":
            from mmconvert.ir.ops import Tanh

            graph.replace(node, Tanh(), node.inputs)
        return eliminate_dead_code(graph)

    text = """
        graph "g"(x: f32[9]) -> (y: f32[9])
          %1 = Relu(x)
          return %1
        """
    with pytest.raises(AssertionError):
        apply(wrong, text)
    assert names(graph_of(text)) == ["Relu"]


def test_quantized_weights_are_not_folded():
    graph, outcome = apply(
        fold_constants,
        """
        graph "g"(x: f32[n,2]) -> (y: f32[n,2])
          %w: i8[2] = [3,-4]
          %s: f32[] = 0.5
          %1 = Dequantize(%w, %s) {axis=0 block=0}
          %2 = Add(x, %1)
          return %2
        """,
    )
    assert names(graph) == ["Dequantize", "Add"]
    assert "quantized" in outcome.declined[0][1]


def test_a_reduction_keeps_the_axes_that_a_reshape_gives_back():
    graph, _ = apply(
        simplify,
        """
        graph "g"(x: f32[n,6,6,2]) -> (y: f32[n,1,1,2], z: f32[n,1,2,1])
          %1 = ReduceMean(x) {axes=(1,2) keepdims=False}
          %2 = Reshape(%1) {shape=(n,1,1,2)}
          %3 = ReduceMean(x) {axes=(1,2) keepdims=False}
          %4 = Reshape(%3) {shape=(n,1,2,1)}
          return %2, %4
        """,
    )
    assert names(graph) == ["ReduceMean", "ReduceMean", "Reshape"]
    assert next(iter(graph)).op.keepdims
