"""Transposes and factors that weights take over, and Transposes that are one."""

import pytest

from mmconvert.ir.ops import Transpose
from mmconvert.passes.fold_scale import fold_scale
from mmconvert.passes.fold_transpose import fold_transpose
from mmconvert.passes.merge_projections import merge_projections
from mmconvert.passes.merge_transposes import merge_transposes
from mmconvert.passes.turn_products import turn_products
from tests.passes.helpers import apply, names


def chain(x: str, y: str, *steps: str) -> str:
    lines = [f"  %{i + 1} = {step.replace('_', f'%{i}' if i else 'x')}" for i, step in enumerate(steps)]
    return "\n".join([f'graph "g"(x: {x}) -> (y: {y})', *lines, f"  return %{len(steps)}"])


def moved(text: str) -> tuple[list[tuple[int, ...]], int]:
    graph, outcome = apply(merge_transposes, text)
    return [node.op.perm for node in graph if node.op.name == "Transpose"], outcome.done


@pytest.mark.parametrize(
    ("text", "perms"),
    [
        pytest.param(
            chain(
                "f32[n,8,6,8]",
                "f32[n,8,6,8]",
                "Transpose(_) {perm=(0,3,1,2)}",
                "Reshape(_) {shape=(n,4,2,8,6)}",
                "Transpose(_) {perm=(0,2,1,3,4)}",
                "Reshape(_) {shape=(n,8,8,6)}",
                "Transpose(_) {perm=(0,2,3,1)}",
            ),
            [(0, 2, 1)],
            id="channel shuffle",
        ),
        pytest.param(
            chain(
                "f32[1,5,7,21]",
                "f32[1,105,7]",
                "Transpose(_) {perm=(0,3,1,2)}",
                "Reshape(_) {shape=(1,3,7,5,7)}",
                "Transpose(_) {perm=(0,1,3,4,2)}",
                "Reshape(_) {shape=(1,105,7)}",
            ),
            [(1, 0, 2)],
            id="anchors of a detector",
        ),
        pytest.param(
            chain(
                "f32[n,5,7,21]",
                "f32[n,35,21]",
                "Transpose(_) {perm=(0,3,1,2)}",
                "Reshape(_) {shape=(n,21,35)}",
                "Transpose(_) {perm=(0,2,1)}",
            ),
            [],
            id="patches of an image",
        ),
        pytest.param(
            chain(
                "f32[n,h,w,21]",
                "f32[n,h*w,21]",
                "Transpose(_) {perm=(0,3,1,2)}",
                "Reshape(_) {shape=(n,21,h*w)}",
                "Transpose(_) {perm=(0,2,1)}",
            ),
            [],
            id="patches of an image of any size",
        ),
        pytest.param(
            chain(
                "f32[2,3,4,5,6]",
                "f32[6,4,3,10]",
                "Transpose(_) {perm=(4,1,2,0,3)}",
                "Reshape(_) {shape=(6,3,4,10)}",
                "Transpose(_) {perm=(0,2,1,3)}",
            ),
            [(4, 2, 1, 0, 3)],
            id="all axes move",
        ),
        pytest.param(
            chain(
                "f32[n,1,m,6]",
                "f32[m,n,3,2]",
                "Transpose(_) {perm=(3,0,1,2)}",
                "Reshape(_) {shape=(3,2,n,m)}",
                "Transpose(_) {perm=(3,2,0,1)}",
            ),
            [(1, 0, 2)],
            id="unknown extents",
        ),
    ],
)
def test_a_chain_is_one_transpose(text, perms):
    found, done = moved(text)
    assert done == 1
    # What is left of one that moves nothing is for `simplify`.
    assert [p for p in found if p != tuple(range(len(p)))] == perms


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            chain(
                "f32[4,6]",
                "f32[3,8]",
                "Transpose(_) {perm=(1,0)}",
                "Reshape(_) {shape=(8,3)}",
                "Transpose(_) {perm=(1,0)}",
            ),
            id="a Reshape that mixes",
        ),
        pytest.param(
            chain("f32[4,6]", "f32[6,2,2]", "Transpose(_) {perm=(1,0)}", "Reshape(_) {shape=(6,2,2)}"),
            id="one Transpose",
        ),
        pytest.param(
            """
            graph "g"(x: f32[4,6]) -> (y: f32[2,2,6], z: f32[6,4])
              %1 = Transpose(x) {perm=(1,0)}
              %2 = Reshape(%1) {shape=(6,2,2)}
              %3 = Transpose(%2) {perm=(1,2,0)}
              return %3, %1
            """,
            id="used elsewhere",
        ),
    ],
)
def test_other_chains_stay(text):
    assert moved(text)[1] == 0


@pytest.mark.parametrize(
    ("product", "weight"),
    [("MatMul(%2, %w)", "105,11"), ("Gemm(%2, %w)", "105,11"), ("Gemm(%2, %w) {transpose_b=True}", "11,105")],
)
def test_a_flattening_takes_the_order_of_its_matrix(product, weight):
    graph, outcome = apply(
        fold_transpose,
        f"""
        graph "g"(x: f32[n,5,7,3]) -> (y: f32[n,11])
          %1 = Transpose(x) {{perm=(0,3,1,2)}}
          %2 = Reshape(%1) {{shape=(n,105)}}
          %w: f32[{weight}] = weight
          %3 = {product}
          return %3
        """,
    )
    assert names(graph) == ["Reshape", product.partition("(")[0]]
    assert outcome.done == 1


def test_a_flattening_of_the_batch_stays():
    _, outcome = apply(
        fold_transpose,
        """
        graph "g"(x: f32[5,4,3]) -> (y: f32[3,2])
          %1 = Transpose(x) {perm=(2,0,1)}
          %2 = Reshape(%1) {shape=(3,20)}
          %w: f32[20,2] = weight
          %3 = MatMul(%2, %w)
          return %3
        """,
    )
    assert outcome.done == 0


ATTENTION = """
graph "g"(x: f32[n,l,12]) -> (y: f32[n,3,l,4])
  %wq: f32[12,12] = weight
  %1 = MatMul(x, %wq)
  %bq: f32[12] = weight
  %2 = Add(%1, %bq)
  %3 = Reshape(%2) {shape=(n,l,3,4)}
  %4 = Transpose(%3) {perm=(0,2,1,3)}
  %wk: f32[12,12] = weight
  %5 = MatMul(x, %wk)
  %6 = Reshape(%5) {shape=(n,l,3,4)}
  %7 = Transpose(%6) {perm=(0,2,3,1)}
  %wv: f32[12,12] = weight
  %8 = MatMul(x, %wv)
  %bv: f32[12] = weight
  %9 = Add(%bv, %8)
  %10 = Reshape(%9) {shape=(n,l,3,4)}
  %11 = Transpose(%10) {perm=(0,2,1,3)}
  %12 = MatMul(%4, %7)
  %c: f32[] = 3.0
  %13 = Div(%12, %c)
  %14 = Softmax(%13) {axis=3}
  %15 = MatMul(%14, %11)
  return %15
"""


def test_queries_keys_and_values_are_one_product():
    graph, outcome = apply(merge_projections, ATTENTION)
    assert outcome.done == 1
    projected = ["MatMul", "Add", "Reshape", "Transpose", "Split", "Transpose"]
    assert names(graph) == [*projected, "MatMul", "Div", "Softmax", "MatMul"]
    turned = [node.op.perm for node in graph if node.op.name == "Transpose"]
    assert turned == [(0, 2, 1, 3), (0, 1, 3, 2)], "keys are turned by their product"


def test_fewer_heads_for_keys():
    graph, _ = apply(
        merge_projections,
        """
        graph "g"(x: f32[6,12]) -> (y: f32[4,6,3], z: f32[2,6,3])
          %q: f32[12,12] = weight
          %1 = MatMul(x, %q)
          %2 = Reshape(%1) {shape=(6,4,3)}
          %3 = Transpose(%2) {perm=(1,0,2)}
          %k: f32[6,12] = weight
          %b: f32[6] = weight
          %4 = Gemm(x, %k, %b) {transpose_b=True}
          %5 = Reshape(%4) {shape=(6,2,3)}
          %6 = Transpose(%5) {perm=(1,0,2)}
          return %3, %6
        """,
    )
    assert names(graph) == ["MatMul", "Add", "Reshape", "Transpose", "Split"]


def test_a_projection_of_another_value_stays_apart():
    text = ATTENTION.replace("(x: f32[n,l,12])", "(x: f32[n,l,12], z: f32[n,l,12])")
    graph, _ = apply(merge_projections, text.replace("MatMul(x, %wk)", "MatMul(z, %wk)"))
    assert names(graph).count("MatMul") == 4


def test_heads_of_other_sizes_stay_apart():
    _, outcome = apply(
        merge_projections,
        """
        graph "g"(x: f32[6,12]) -> (y: f32[4,6,3], z: f32[2,6,6])
          %q: f32[12,12] = weight
          %1 = MatMul(x, %q)
          %2 = Reshape(%1) {shape=(6,4,3)}
          %3 = Transpose(%2) {perm=(1,0,2)}
          %k: f32[12,12] = weight
          %4 = MatMul(x, %k)
          %5 = Reshape(%4) {shape=(6,2,6)}
          %6 = Transpose(%5) {perm=(1,0,2)}
          return %3, %6
        """,
    )
    assert outcome.done == 0


def test_a_factor_goes_into_the_weights():
    graph, outcome = apply(fold_scale, ATTENTION, tolerance=1e-6)
    assert outcome.done == 1
    assert "Div" not in names(graph)


@pytest.mark.parametrize(
    "text",
    [
        ATTENTION.replace("return %15", "return %15, %12").replace("l,4])", "l,4], z: f32[n,3,l,l])"),
        ATTENTION.replace("return %15", "return %15, %4, %7").replace(
            "l,4])", "l,4], q: f32[n,3,l,4], k: f32[n,3,4,l])"
        ),
        ATTENTION.replace("f32[] = 3.0", "f32[] = 1e9"),
        ATTENTION.replace("f32[] = 3.0", "f32[1,3,1,1] = [1.0,2.0,3.0]"),
    ],
    ids=["the product is used", "queries and keys are used", "an extreme factor", "a factor for each head"],
)
def test_a_factor_stays(text):
    graph, outcome = apply(fold_scale, text, tolerance=1e-6)
    assert outcome.done == 0
    assert "Div" in names(graph)


def test_a_product_of_turned_matrices_is_turned_itself() -> None:
    text = """
    graph "g"(a: f32[n,4,5], x: f32[n,6,8,5]) -> (y: f32[n,5,5])
      %1 = Transpose(x) {perm=(0,3,1,2)}
      %2 = Reshape(%1) {shape=(n,5,48)}
      %3 = Reshape(x) {shape=(n,48,5)}
      %4 = Relu(%3)
      %5 = Transpose(%4) {perm=(0,2,1)}
      %6 = MatMul(%2, %4)
      %7 = MatMul(%5, %4)
      %8 = Add(%6, %7)
      return %8
    """
    graph, outcome = apply(turn_products, text)
    assert outcome.done == 0  # only first factors are turned: nothing is saved

    both = """
    graph "g"(v: f32[n,6,8,5], w: f32[n,7,48]) -> (y: f32[n,5,7])
      %1 = Transpose(v) {perm=(0,3,1,2)}
      %2 = Reshape(%1) {shape=(n,5,48)}
      %3 = Transpose(w) {perm=(0,2,1)}
      %4 = MatMul(%2, %3)
      return %4
    """
    graph, outcome = apply(turn_products, both)
    assert outcome.done == 1
    last = graph.outputs[0].producer
    assert last.op == Transpose(perm=(0, 2, 1))
    assert last.operand(0).producer.op.name == "MatMul"


def test_keys_of_a_map_are_turned_by_the_product() -> None:
    text = """
    graph "g"(q: f32[n,7,5], k: f32[n,6,8,5]) -> (y: f32[n,7,48])
      %1 = Transpose(k) {perm=(0,3,1,2)}
      %2 = Reshape(%1) {shape=(n,5,48)}
      %3 = MatMul(q, %2)
      return %3
    """
    graph, outcome = apply(turn_products, text)
    assert outcome.done == 1
    product = next(node for node in graph if node.op.name == "MatMul")
    turned = product.operand(1).producer
    assert turned.op.name == "Transpose"
    assert turned.op.perm == (0, 2, 1)
    assert turned.operand(0).type.shape[1:] == (48, 5)


def test_a_factor_of_several_heads_stays() -> None:
    text = """
    graph "g"(q: f32[2,7,5], k: f32[6,8,10]) -> (y: f32[2,7,48])
      %1 = Transpose(k) {perm=(2,0,1)}
      %2 = Reshape(%1) {shape=(2,5,48)}
      %3 = MatMul(q, %2)
      return %3
    """
    assert apply(turn_products, text)[1].done == 0
