"""PyTorch rules for products of matrices."""

from __future__ import annotations

import numpy as np

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")


@rule("aten.linear.default")
def linear(n: Source, b: Builder) -> Value:
    x, weight, bias = n.value("input"), n.value("weight"), n.optional("bias")
    if x.type.rank == weight.type.rank == 2 and (bias is None or bias.type.rank == 1):
        return b(ops.Gemm(transpose_b=True), x, weight, bias)
    y = b(ops.MatMul(), x, b(ops.Transpose(perm=(1, 0)), weight) if weight.type.rank == 2 else weight)
    return y if bias is None else b(ops.Add(), y, bias)


@rule("aten.matmul.default", "aten.linalg_matmul.default")
def matmul(n: Source, b: Builder) -> Value:
    return b(ops.MatMul(), n.value("self"), n.value("other"))


@rule("aten.mm.default", "aten.bmm.default")
def mm(n: Source, b: Builder) -> Value:
    return b(ops.MatMul(), n.value("self"), n.value("mat2"))


@rule("aten.mv.default")
def mv(n: Source, b: Builder) -> Value:
    return b(ops.MatMul(), n.value("self"), n.value("vec"))


@rule("aten.dot.default", "aten.vdot.default")
def dot(n: Source, b: Builder) -> Value:
    return b(ops.MatMul(), n.value("self"), n.value("tensor" if ".dot" in n.kind else "other"))


@rule("aten.addmm.default", "aten.addbmm.default", "aten.baddbmm.default", "aten.addmv.default")
def addmm(n: Source, b: Builder) -> Value:
    c = n.value("self")
    names = {"addmm": ("mat1", "mat2"), "addmv": ("mat", "vec")}
    base = n.kind.split(".")[1]
    left, right = (n.value(name) for name in names.get(base, ("batch1", "batch2")))
    alpha, beta = n.number("alpha", 1), n.number("beta", 1)
    product = b(ops.MatMul(), left, right)
    if base == "addbmm":
        product = b(ops.ReduceSum(axes=(0,), keepdims=False), product)
    fits = base == "addmm" and c.type.rank <= 2 and dtypes.is_float(c.type.dtype)
    if fits and beta != 0 and c.type.shape[-1:] in ((), (1,), product.type.shape[-1:]):
        return b(ops.Gemm(alpha=float(alpha), beta=float(beta)), left, right, c)
    return _plus(n, b, c, product, alpha, beta)


def _plus(n: Source, b: Builder, c: Value, product: Value, alpha: float, beta: float) -> Value:
    """``beta * c + alpha * product``; nothing of ``c`` counts where beta is 0."""
    if alpha != 1:
        product = b(ops.Mul(), product, n.scalar(alpha, product.type.dtype))
    if beta == 0:
        return product
    if beta != 1:
        c = b(ops.Mul(), c, n.scalar(beta, c.type.dtype))
    return b(ops.Add(), c, product)


@rule("aten.outer.default", "aten.ger.default")
def outer(n: Source, b: Builder) -> Value:
    column = b(ops.Unsqueeze(axes=(1,)), n.cast(n.value("self"), n.result().dtype))
    return b(ops.Mul(), column, n.cast(n.value("vec2"), n.result().dtype))


@rule("aten.addr.default")
def addr(n: Source, b: Builder) -> Value:
    dtype = n.result().dtype
    c, left, right = (n.cast(n.value(name), dtype) for name in ("self", "vec1", "vec2"))
    product = b(ops.Mul(), b(ops.Unsqueeze(axes=(1,)), left), right)
    return _plus(n, b, c, product, n.number("alpha", 1), n.number("beta", 1))


@rule("aten.einsum.default")
def einsum(n: Source, b: Builder) -> Value:
    n.ignore("path")
    return b(ops.Einsum(equation=n.text("equation").replace(" ", "")), *n.values("tensors"))


@rule("aten.bilinear.default")
def bilinear(n: Source, b: Builder) -> Value:
    left, right = n.value("input1"), n.value("input2")
    y = b(ops.Einsum(equation="...i,oij,...j->...o"), left, n.value("weight"), right)
    bias = n.optional("bias")
    return y if bias is None else b(ops.Add(), y, bias)


@rule("aten.det.default", "aten.linalg_det.default")
def determinant(n: Source, b: Builder) -> Value:
    return b(ops.Det(), n.value("self" if n.kind == "aten.det.default" else "A"))


@rule("aten.inverse.default", "aten.linalg_inv.default")
def inverse(n: Source, b: Builder) -> Value:
    return b(ops.Inverse(), n.value("self" if n.kind == "aten.inverse.default" else "A"))


@rule("aten.cross.default", "aten.linalg_cross.default")
def cross(n: Source, b: Builder) -> Value:
    dtype = n.result().dtype
    left, right = (n.cast(n.value(name), dtype) for name in ("self", "other"))
    axis = n.result().axis(n.integer("dim", -1))
    shift = n.result().rank
    left_axis, right_axis = (x.type.rank - (shift - axis) for x in (left, right))

    def turned(x: Value, at: int, *order: int) -> Value:
        return b(ops.Gather(axis=at), x, np.array(order, np.int64))

    first = b(ops.Mul(), turned(left, left_axis, 1, 2, 0), turned(right, right_axis, 2, 0, 1))
    second = b(ops.Mul(), turned(left, left_axis, 2, 0, 1), turned(right, right_axis, 1, 2, 0))
    return b(ops.Sub(), first, second)
