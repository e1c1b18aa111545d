"""Formulas that are operators: each in the forms that exporters write, and where it is something else."""

import pytest

from mmconvert.passes.fuse_gelu import fuse_gelu
from mmconvert.passes.fuse_hard_sigmoid import fuse_hard_sigmoid
from mmconvert.passes.fuse_hard_swish import fuse_hard_swish
from mmconvert.passes.fuse_layer_norm import fuse_layer_norm
from mmconvert.passes.fuse_silu import fuse_silu
from tests.passes.helpers import apply, names

SIXTH = 0.1666666716337204

HARD_SWISH = {
    "divided last": """
        %1 = Add(x, 3.0:f32)
        %2 = Clip(%1) {low=0.0 high=6.0}
        %3 = Mul(x, %2)
        %4 = Div(%3, 6.0:f32)""",
    "scaled last, the other way round": f"""
        %1 = Add(3.0:f32, x)
        %2 = Clip(%1) {{low=0.0 high=6.0}}
        %3 = Mul(%2, x)
        %4 = Mul({SIXTH}:f32, %3)""",
    "gate divided": """
        %1 = Sub(x, -3.0:f32)
        %2 = Clip(%1) {low=0.0 high=6.0}
        %3 = Div(%2, 6.0:f32)
        %4 = Mul(x, %3)""",
    "operand divided": """
        %1 = Add(x, 3.0:f32)
        %2 = Clip(%1) {low=0.0 high=6.0}
        %3 = Div(x, 6.0:f32)
        %4 = Mul(%3, %2)""",
    "gate is a HardSigmoid": f"""
        %1 = HardSigmoid(x) {{alpha={SIXTH} beta=0.5}}
        %4 = Mul(x, %1)""",
}


def graph_of(body: str, result: str = "%4", x: str = "f32[n,8]") -> str:
    """A graph over ``x``, from lines in which constants are written in place: ``3.0:f32``."""
    lines, constants = [], {}
    for line in body.strip().splitlines():
        words = line.strip().replace("(", "( ").replace(")", " )").replace(",", " ,").split(" ")
        for index, word in enumerate(words):
            if ":" in word and word.split(":")[1] in ("f32", "f16"):
                number, dtype = word.split(":")
                name = constants.setdefault((number, dtype), f"%c{len(constants)}")
                words[index] = name
        lines.append("  " + " ".join(words).replace("( ", "(").replace(" )", ")").replace(" ,", ","))
    made = [f"  {name}: {dtype}[] = {number}" for (number, dtype), name in constants.items()]
    return "\n".join([f'graph "g"(x: {x}) -> (y: {x})', *made, *lines, f"  return {result}"])


@pytest.mark.parametrize("form", HARD_SWISH)
def test_hard_swish(form):
    graph, outcome = apply(fuse_hard_swish, graph_of(HARD_SWISH[form]), tolerance=1e-6)
    assert names(graph) == ["HardSwish"]
    assert outcome.done == 1


@pytest.mark.parametrize(
    ("old", "new"), [("3.0", "2.0"), ("high=6.0", "high=5.0"), ("low=0.0", "low=1.0"), ("6.0:", "7.0:")]
)
def test_other_ramps_are_no_hard_swish(old, new):
    graph, _ = apply(fuse_hard_swish, graph_of(HARD_SWISH["divided last"].replace(old, new)))
    assert "HardSwish" not in names(graph)


def test_the_gate_of_another_value_is_no_hard_swish():
    text = HARD_SWISH["divided last"].replace("Mul(x, %2)", "Mul(%1, %2)")
    graph, _ = apply(fuse_hard_swish, graph_of(text))
    assert names(graph) == ["Add", "Clip", "Mul", "Div"]


def test_a_ramp_that_is_used_elsewhere_stays():
    text = graph_of(HARD_SWISH["divided last"] + "\n%5 = Add(%2, %4)", "%5")
    graph, _ = apply(fuse_hard_swish, text)
    assert names(graph) == ["Add", "Clip", "HardSwish", "Add"]


WIDE_RAMP = """
    %1 = Mul(x, 2.0:f32)
    %2 = Sub(%1, -1.0:f32)
    %3 = Clip(%2) {low=0.0 high=4.0}
    %4 = Div(%3, 4.0:f32)"""


@pytest.mark.parametrize(
    ("body", "alpha", "beta"),
    [
        ("%1 = Add(x, 3.0:f32)\n%2 = Clip(%1) {low=0.0 high=6.0}\n%4 = Div(%2, 6.0:f32)", 1 / 6, 0.5),
        ("%1 = Mul(x, 0.25:f32)\n%2 = Add(%1, 0.5:f32)\n%4 = Clip(%2) {low=0.0 high=1.0}", 0.25, 0.5),
        (WIDE_RAMP, 0.5, 0.25),
    ],
)
def test_hard_sigmoid(body, alpha, beta):
    graph, _ = apply(fuse_hard_sigmoid, graph_of(body), tolerance=1e-6)
    (node,) = graph
    assert node.op.name == "HardSigmoid"
    assert (node.op.alpha, node.op.beta) == pytest.approx((alpha, beta))


@pytest.mark.parametrize(
    "body",
    [
        "%1 = Add(x, 3.0:f32)\n%4 = Clip(%1) {low=0.0 high=1.0}",
        "%1 = Add(x, 3.0:f32)\n%2 = Clip(%1) {low=0.0 high=6.0}\n%4 = Div(%2, 3.0:f32)",
        "%1 = Add(x, 3.0:f32)\n%2 = Clip(%1) {low=-1.0 high=6.0}\n%4 = Div(%2, 6.0:f32)",
        "%1 = Add(x, x)\n%2 = Clip(%1) {low=0.0 high=6.0}\n%4 = Div(%2, 6.0:f32)",
    ],
)
def test_no_hard_sigmoid(body):
    graph, outcome = apply(fuse_hard_sigmoid, graph_of(body))
    assert "HardSigmoid" not in names(graph)
    assert outcome.done == 0


def test_hard_sigmoid_declines_where_the_ramp_is_used_elsewhere():
    body = "%1 = Add(x, 3.0:f32)\n%2 = Clip(%1) {low=0.0 high=6.0}\n%3 = Div(%2, 6.0:f32)\n%4 = Add(%2, %3)"
    graph, outcome = apply(fuse_hard_sigmoid, graph_of(body))
    assert names(graph) == ["Add", "Clip", "Div", "Add"]
    assert "used elsewhere" in outcome.declined[0][1]


ERF = """
    %1 = Div(x, 1.4142135623730951:f32)
    %2 = Erf(%1)
    %3 = Add(%2, 1.0:f32)"""
TANH = """
    %11 = Pow(x, 3.0:f32)
    %12 = Mul(%11, 0.044715:f32)
    %13 = Add(x, %12)
    %14 = Mul(%13, 0.7978845608028654:f32)
    %15 = Tanh(%14)
    %3 = Add(%15, 1.0:f32)"""
PRODUCTS = {
    "half last": "%5 = Mul(x, %3)\n%4 = Mul(%5, 0.5:f32)",
    "half first": "%5 = Mul(0.5:f32, x)\n%4 = Mul(%5, %3)",
    "half of the gate": "%5 = Mul(%3, 0.5:f32)\n%4 = Mul(x, %5)",
    "divided by two": "%5 = Mul(%3, x)\n%4 = Div(%5, 2.0:f32)",
}


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize(("turned", "approximate"), [(ERF, False), (TANH, True)])
def test_gelu(turned, approximate, product):
    graph, _ = apply(fuse_gelu, graph_of(turned + "\n" + PRODUCTS[product]), tolerance=1e-6)
    (node,) = graph
    assert node.op.name == "Gelu"
    assert node.op.approximate is approximate


def test_gelu_with_a_cube_of_products():
    cube = TANH.replace("%11 = Pow(x, 3.0:f32)", "%16 = Mul(x, x)\n    %11 = Mul(%16, x)")
    graph, _ = apply(fuse_gelu, graph_of(cube + "\n" + PRODUCTS["half last"]), tolerance=1e-6)
    assert names(graph) == ["Gelu"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("1.4142135623730951", "1.5"), ("1.0:", "2.0:"), ("0.5:", "0.25:"), ("Div(x,", "Div(%0,")],
)
def test_no_gelu(old, new):
    text = ("%0 = Neg(x)\n" + ERF.strip() + "\n" + PRODUCTS["half last"]).replace(old, new)
    graph, _ = apply(fuse_gelu, graph_of(text))
    assert "Gelu" not in names(graph)


def layer_norm(
    square: str = "Pow(%2, %two)",
    last: str = "%9",
    axes: str = "(2,)",
    scale: str = "f32[8]",
    divide: str = "%7 = Div(%2, %6)",
) -> str:
    return f"""
        graph "g"(x: f32[n,t,8]) -> (y: f32[n,t,8])
          %two: f32[] = 2.0
          %eps: f32[] = 0.00001
          %scale: {scale} = weight
          %bias: f32[8] = [0.5,1.0,2.0,3.0,-1.0,-2.0,0.0,1.0]
          %1 = ReduceMean(x) {{axes={axes} keepdims=True}}
          %2 = Sub(x, %1)
          %3 = {square}
          %4 = ReduceMean(%3) {{axes={axes} keepdims=True}}
          %5 = Add(%4, %eps)
          %6 = Sqrt(%5)
          {divide}
          %8 = Mul(%scale, %7)
          %9 = Add(%8, %bias)
          return {last}
        """


@pytest.mark.parametrize("square", ["Pow(%2, %two)", "Mul(%2, %2)"])
@pytest.mark.parametrize("divide", ["%7 = Div(%2, %6)", "%0 = Reciprocal(%6)\n          %7 = Mul(%2, %0)"])
@pytest.mark.parametrize(("last", "operands"), [("%7", 1), ("%8", 2), ("%9", 3)])
def test_layer_norm(square, divide, last, operands):
    graph, _ = apply(fuse_layer_norm, layer_norm(square, last, divide=divide), tolerance=1e-10)
    (node,) = graph
    assert node.op.name == "LayerNorm"
    assert len(node.inputs) == operands
    assert node.op.axes == (2,)


def test_layer_norm_with_a_scale_of_another_shape_keeps_the_product():
    graph, _ = apply(fuse_layer_norm, layer_norm(scale="f32[1,1,8]"), tolerance=1e-10)
    assert names(graph) == ["LayerNorm", "Mul", "Add"]


def test_layer_norm_declines_elsewhere_than_at_the_end():
    graph, outcome = apply(fuse_layer_norm, layer_norm(last="%7", axes="(1,)"))
    assert "LayerNorm" not in names(graph)
    assert "last axes" in outcome.declined[0][1]


@pytest.mark.parametrize("square", ["Pow(x, %two)", "Mul(%2, x)", "Pow(%2, %eps)"])
def test_no_layer_norm(square):
    graph, _ = apply(fuse_layer_norm, layer_norm(square).replace("Sqrt(%5)", "Exp(%5)"))
    assert "LayerNorm" not in names(graph)


@pytest.mark.parametrize("product", ["Mul(x, %1)", "Mul(%1, x)"])
def test_silu(product):
    graph, outcome = apply(fuse_silu, graph_of(f"%1 = Sigmoid(x)\n%4 = {product}"))
    assert names(graph) == ["Silu"]
    assert outcome.done == 1


def test_the_sigmoid_of_another_value_is_no_silu():
    graph, _ = apply(fuse_silu, graph_of("%1 = Sigmoid(x)\n%2 = Exp(x)\n%4 = Mul(%2, %1)"))
    assert names(graph) == ["Sigmoid", "Exp", "Mul"]
