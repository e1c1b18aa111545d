"""Arithmetic, activations, comparisons and reductions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional as F  # noqa: N812

from .row import Row, call

WHOLE = torch.tensor([[3, -7, 0], [5, 2, -1]])
OTHER = torch.tensor([[2, 3, -4], [-2, 7, 5]])
MASK = torch.tensor([[True, False, True], [False, False, True]])
ROW = (2, 3)
NO_BITS = (("tflite", "its bitwise operators have no integers of 64 bits"),)
NO_DIVISION = (("tflite", "its DIV has no integers of 64 bits"),)

ACTIVATIONS = [
    F.relu,
    F.relu6,
    F.silu,
    F.mish,
    F.hardswish,
    F.hardsigmoid,
    F.selu,
    F.softsign,
    F.gelu,
    F.elu,
    F.celu,
    F.leaky_relu,
    F.softplus,
    F.logsigmoid,
    F.hardtanh,
    F.hardshrink,
    F.softshrink,
    F.tanhshrink,
]
FUNCTIONS = [
    torch.exp,
    torch.erf,
    torch.sin,
    torch.cos,
    torch.atan,
    torch.floor,
    torch.ceil,
    torch.round,
    torch.trunc,
    torch.abs,
    torch.neg,
    torch.sign,
    torch.square,
    torch.log1p,
    torch.reciprocal,
    torch.sigmoid,
    torch.tanh,
]
ROOTS = [torch.sqrt, torch.rsqrt, torch.log]


def _positive(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: function(x.abs() + 0.3)


ROWS: tuple[Row, ...] = (
    *(call(f.__name__, f) for f in (*ACTIVATIONS, *FUNCTIONS)),
    *(call(f.__name__, _positive(f)) for f in ROOTS),
    call("gelu/tanh", lambda x: F.gelu(x, approximate="tanh")),
    call("elu/alpha", lambda x: F.elu(x, 0.7)),
    call("softplus/beta", lambda x: F.softplus(x, 2.0, 1.0)),
    call("threshold", lambda x: F.threshold(x, 0.5, 7.0)),
    call("prelu", lambda x, w: F.prelu(x, w), (2, 3, 8, 6), (3,)),
    call("glu", lambda x: F.glu(x, 2)),
    call("softmax", lambda x: F.softmax(x, 1)),
    call("log_softmax", lambda x: F.log_softmax(x, -1)),
    call("clamp", lambda x: x.clamp(-0.5, 1)),
    call("clamp/tensor", torch.clamp, ROW, ROW, (1, 3)),
    call("add/alpha", lambda x, y: torch.add(x, y, alpha=0.5), ROW, ROW),
    call("rsub", lambda x: 3 - x * 2),
    call("pow", lambda x: x**3 + 2.0**x + x.abs() ** 0.5),
    call("div/integers", lambda x, y: x / y, WHOLE, OTHER),
    call("div/floor", lambda x, y: x // y, WHOLE, OTHER, cannot=NO_DIVISION),
    call("div/trunc", lambda x, y: torch.div(x, y, rounding_mode="trunc"), WHOLE, OTHER, cannot=NO_DIVISION),
    call("remainder", lambda x, y: (x % y, torch.fmod(x, y)), WHOLE, OTHER),
    call("promotion", lambda x, y, m: (x + y, y * 2.5, m + 1, x > y, m * x, y / 2), ROW, WHOLE, MASK),
    call("promotion/scalar", lambda x, s: (x * s, x + s.long()), ROW, torch.tensor(1.5, dtype=torch.float64)),
    call("compare", lambda x, y: (x < y, x >= y, x == x, x != y, x > 0.5), ROW, ROW),
    call(
        "logic",
        lambda m, x: (m & (x > 0), m | ~m, torch.logical_xor(m, x > 0), torch.logical_not(x)),
        MASK,
        ROW,
    ),
    call("bits", lambda x, y: (x & y, x | y, x ^ y, ~x, x << 2, x >> 1), WHOLE, OTHER, cannot=NO_BITS),
    call("where", lambda m, x: (torch.where(m, x, 0.0), x.masked_fill(m, -1.0)), MASK, ROW),
    call("atan2", torch.atan2, ROW, ROW),
    call("lerp", lambda x, y: torch.lerp(x, y, 0.3), ROW, ROW),
    call("addcmul", lambda x, y: torch.addcmul(x, x, y, value=0.5), ROW, ROW),
    call("logaddexp", torch.logaddexp, ROW, ROW),
    call("nan_to_num", lambda x: torch.nan_to_num(x / 0.0 - x.abs() / 0.0)),
    call("isfinite", lambda x: (torch.isfinite(x / 0.0), torch.isnan(x), torch.isinf(x))),
    call("maximum", lambda x, y: (torch.maximum(x, y), torch.min(x, y), torch.fmax(x, y)), ROW, ROW),
    call("matmul", torch.matmul, (2, 3, 4), (4, 5)),
    call("addmm", lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2), (5,), (3, 4), (4, 5)),
    call("baddbmm", torch.baddbmm, (2, 3, 5), (2, 3, 4), (2, 4, 5)),
    call("einsum", lambda x, y: torch.einsum("bij, bkj -> bik", x, y), (2, 3, 4), (2, 5, 4)),
    call("outer", torch.outer, (3,), (4,)),
    call("sum", lambda x: (x.sum(), x.sum(1), x.sum((0, -1), keepdim=True)), open=True),
    call("sum/integers", lambda x: (x.sum(), x.sum(1), x.prod(), x.float().mean()), WHOLE),
    call("mean", lambda x: (x.mean(), x.mean((2, 3))), open=True),
    call("var", lambda x: (x.var(1), x.std((2, 3), correction=0), torch.var_mean(x, 2, keepdim=True)[1])),
    call(
        "extreme", lambda x: (x.amax(1), x.max(), x.min(2).values, x.max(1).indices, x.argmin(3), x.argmax())
    ),
    call(
        "norm",
        lambda x: (x.norm(), torch.linalg.vector_norm(x, 1, 2), x.norm(p=3, dim=1), x.norm(float("inf"))),
    ),
    call("logsumexp", lambda x: torch.logsumexp(x, (1, 2))),
    call("any", lambda m: (m.any(), m.all(1), torch.count_nonzero(m)), MASK),
    call(
        "cumsum", lambda x: (x.cumsum(1), x.cumprod(2), torch.cummax(x, 3).values, torch.logcumsumexp(x, 1))
    ),
    call("normalize", lambda x: F.normalize(x, dim=1)),
)
