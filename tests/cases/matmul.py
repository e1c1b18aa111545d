"""Matrix products: ranks, broadcasting, transpositions, factors, equations."""

from __future__ import annotations

from itertools import product

from mmconvert.ir import ops
from tests.cases.case import Case, const, data

PRODUCTS = [
    Case(f"MatMul/{name}", ops.MatMul(), (data(a), (const if constant else data)(b)))
    for name, (a, b, constant) in {
        "2d": ("f32[3,4]", "f32[4,5]", False),
        "weight": ("f32[3,4]", "f32[4,5]", True),
        "weight_3d": ("f32[2,3,4]", "f32[4,5]", True),
        "weight_4d": ("f32[2,3,2,4]", "f32[4,5]", True),
        "batch": ("f32[2,3,4]", "f32[2,4,5]", False),
        "heads": ("f32[2,3,4,5]", "f32[2,3,5,4]", False),
        "broadcast": ("f32[2,1,3,4]", "f32[3,4,2]", False),
        "broadcast_left": ("f32[3,4]", "f32[2,4,5]", False),
        "rank5": ("f32[1,2,1,3,4]", "f32[2,1,2,4,3]", False),
        "vector_right": ("f32[3,4]", "f32[4]", False),
        "vector_left": ("f32[4]", "f32[4,3]", False),
        "vector_batch": ("f32[2,3,4]", "f32[4]", True),
        "dot": ("f32[4]", "f32[4]", False),
        "one": ("f32[1,1]", "f32[1,1]", False),
        "deep": ("f32[2,200]", "f32[200,3]", True),
        "f16": ("f16[3,4]", "f16[4,5]", False),
    }.items()
] + [
    Case("MatMul/i32", ops.MatMul(), (data("i32[3,4]", -9, 9), data("i32[4,5]", -9, 9))),
    Case("MatMul/i64", ops.MatMul(), (data("i64[2,3]", -9, 9), data("i64[3,2]", -9, 9))),
]
GEMMS = [
    *(
        Case(
            f"Gemm/{'T' if ta else 'N'}{'T' if tb else 'N'}",
            ops.Gemm(transpose_a=ta, transpose_b=tb),
            (
                data("f32[4,3]" if ta else "f32[3,4]"),
                const("f32[5,4]" if tb else "f32[4,5]"),
                const("f32[5]"),
            ),
        )
        for ta, tb in product((False, True), (False, True))
    ),
    *(
        Case(
            f"Gemm/bias_{name}",
            ops.Gemm(transpose_b=True),
            (data("f32[3,4]"), const("f32[5,4]"), const(bias)),
        )
        for name, bias in {
            "scalar": "f32[]",
            "one": "f32[1]",
            "row": "f32[1,5]",
            "column": "f32[3,1]",
            "whole": "f32[3,5]",
        }.items()
    ),
    *(
        Case(
            f"Gemm/alpha{alpha}_beta{beta}",
            ops.Gemm(alpha=alpha, beta=beta),
            (data("f32[3,4]"), const("f32[4,5]"), const("f32[5]")),
        )
        for alpha, beta in ((0.5, 1.0), (1.0, 2.0), (0.25, -0.5), (1.0, 0.0))
    ),
    Case("Gemm/no_bias", ops.Gemm(), (data("f32[3,4]"), const("f32[4,5]"))),
    Case("Gemm/no_bias_alpha", ops.Gemm(alpha=0.5), (data("f32[3,4]"), data("f32[4,5]"))),
    Case("Gemm/computed", ops.Gemm(transpose_a=True), (data("f32[4,3]"), data("f32[4,5]"), data("f32[5]"))),
    Case("Gemm/f16", ops.Gemm(), (data("f16[3,4]"), const("f16[4,5]"), const("f16[5]"))),
]
EQUATIONS = [
    Case(f"Einsum/{name}", ops.Einsum(equation=equation), tuple(data(spec) for spec in specs))
    for name, equation, *specs in (
        ("product", "ij,jk->ik", "f32[2,3]", "f32[3,4]"),
        ("implicit", "ij,jk", "f32[2,3]", "f32[3,4]"),
        ("batch", "bij,bjk->bik", "f32[2,3,4]", "f32[2,4,2]"),
        ("scores", "bhqd,bhkd->bhqk", "f32[2,3,4,2]", "f32[2,3,5,2]"),
        ("values", "bhqk,bkhd->bqhd", "f32[2,3,4,5]", "f32[2,5,3,2]"),
        ("project", "abc,cde->abde", "f32[2,3,4]", "f32[4,2,3]"),
        ("merge", "abcd,cde->abe", "f32[2,3,4,2]", "f32[4,2,3]"),
        ("outer", "i,j->ij", "f32[3]", "f32[4]"),
        ("dot", "i,i->", "f32[5]", "f32[5]"),
        ("elementwise", "ij,ij->ij", "f32[2,3]", "f32[2,3]"),
        ("ellipsis", "...ij,...jk->...ik", "f32[2,3,4]", "f32[2,4,5]"),
        ("ellipsis_missing", "...ij,jk->...ik", "f32[2,3,4,5]", "f32[5,2]"),
        ("ellipsis_broadcast", "...ij,...jk->...ik", "f32[2,1,3,4]", "f32[5,4,2]"),
        ("lone_sum", "ij,k->k", "f32[2,3]", "f32[4]"),
        ("transpose", "ijk->kji", "f32[2,3,4]"),
        ("sum", "ijk->j", "f32[2,3,4]"),
        ("sum_all", "ij->", "f32[2,3]"),
        ("diagonal", "iij->ij", "f32[3,3,2]"),
        ("trace", "ii->", "f32[3,3]"),
        ("three", "ij,jk,kl->il", "f32[2,3]", "f32[3,4]", "f32[4,2]"),
    )
]
CASES = PRODUCTS + GEMMS + EQUATIONS
