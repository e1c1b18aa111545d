"""Attention in the forms that exporters write, and where it is something else."""

import pytest

from mmconvert.ir.ops import ScaledDotProductAttention
from mmconvert.passes.fuse_attention import fuse_attention
from tests.passes.helpers import apply, names

HEAD = 'graph "g"(q: f32[n,2,5,4], k: f32[n,2,6,4], v: f32[n,2,6,3]{more}) -> (y: f32[n,2,5,3])'
BODY = """
  %h: f32[] = 0.5
  %1 = Transpose(k) {perm=(0,1,3,2)}
  %2 = MatMul(q, %1)
  %3 = Mul(%2, %h)
  %4 = Softmax(%3) {axis=3}
  %5 = MatMul(%4, v)
  return %5"""
PLAIN = HEAD.format(more="") + BODY
FORMS = {
    "scaled": (PLAIN, 0.5),
    "divided": (PLAIN.replace("Mul(%2, %h)", "Div(%2, %h)"), 2.0),
    "operands scaled": (
        HEAD.format(more="")
        + """
  %h: f32[] = 0.5
  %1 = Transpose(k) {perm=(0,1,3,2)}
  %6 = Mul(%1, %h)
  %7 = Mul(q, %h)
  %2 = MatMul(%7, %6)
  %4 = Softmax(%2) {axis=3}
  %5 = MatMul(%4, v)
  return %5""",
        0.25,
    ),
    "not scaled": (PLAIN.replace("  %3 = Mul(%2, %h)\n", "").replace("Softmax(%3)", "Softmax(%2)"), 1.0),
    "masked": (
        HEAD.format(more=", m: f32[n,1,1,6]")
        + BODY.replace("Softmax(%3)", "Softmax(%8)").replace("  %4 =", "  %8 = Add(%3, m)\n  %4 ="),
        0.5,
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form):
    text, scale = FORMS[form]
    graph, outcome = apply(fuse_attention, text)
    assert outcome.done == 1
    op = next(node.op for node in graph if isinstance(node.op, ScaledDotProductAttention))
    assert op.scale == scale
    assert not {"MatMul", "Softmax"} & set(names(graph))


def test_the_transposition_of_the_key_goes():
    graph, _ = apply(fuse_attention, PLAIN)
    assert names(graph) == ["ScaledDotProductAttention"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Softmax(%3) {axis=3}", "Softmax(%3) {axis=2}"),
        ("  %3 = Mul(%2, %h)", "  %3 = Exp(%2)"),
        ("return %5", "%6 = ReduceSum(%4) {axes=(3,) keepdims=True}\n  %7 = Mul(%5, %6)\n  return %7"),
    ],
)
def test_other_formulas_stay(old, new):
    assert old in PLAIN
    graph, outcome = apply(fuse_attention, PLAIN.replace(old, new))
    assert outcome.done == 0
    assert "Softmax" in names(graph)
