"""Activations: their parameters, saturation, element types, axes."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.op import Op
from tests.cases.case import Case, const, data

PLAIN: dict[str, Op] = {
    "Relu/": ops.Relu(),
    "LeakyRelu/small": ops.LeakyRelu(alpha=0.01),
    "LeakyRelu/third": ops.LeakyRelu(alpha=0.3),
    "LeakyRelu/steep": ops.LeakyRelu(alpha=1.5),
    "LeakyRelu/negative": ops.LeakyRelu(alpha=-0.5),
    "Elu/": ops.Elu(),
    "Elu/alpha": ops.Elu(alpha=0.4),
    "Selu/": ops.Selu(),
    "Selu/parameters": ops.Selu(alpha=1.2, gamma=0.8),
    "Celu/": ops.Celu(),
    "Celu/alpha": ops.Celu(alpha=0.5),
    "ThresholdedRelu/one": ops.ThresholdedRelu(alpha=1.0),
    "ThresholdedRelu/negative": ops.ThresholdedRelu(alpha=-0.5),
    "Sigmoid/": ops.Sigmoid(),
    "HardSigmoid/": ops.HardSigmoid(),
    "HardSigmoid/sixth": ops.HardSigmoid(alpha=1 / 6, beta=0.5),
    "HardSigmoid/shifted": ops.HardSigmoid(alpha=0.3, beta=0.25),
    "HardSwish/": ops.HardSwish(),
    "Silu/": ops.Silu(),
    "Mish/": ops.Mish(),
    "Softplus/": ops.Softplus(),
    "Softplus/beta": ops.Softplus(beta=2.5),
    "Softsign/": ops.Softsign(),
    "Gelu/erf": ops.Gelu(),
    "Gelu/tanh": ops.Gelu(approximate=True),
    "Clip/relu6": ops.Clip(low=0.0, high=6.0),
    "Clip/unit": ops.Clip(low=-1.0, high=1.0),
    "Clip/low": ops.Clip(low=-0.5, high=None),
    "Clip/high": ops.Clip(low=None, high=0.5),
    "Clip/none": ops.Clip(low=None, high=None),
    "Clip/crossed": ops.Clip(low=1.0, high=-1.0),
    "Shrink/hard": ops.Shrink(bias=0.0, threshold=0.5),
    "Shrink/soft": ops.Shrink(bias=0.5, threshold=0.5),
    "Shrink/other": ops.Shrink(bias=0.25, threshold=1.5),
}
SHAPES = ["f32[4,3,2,5]", "f32[9]", "f32[3,5]", "f32[2,3,4]", "f32[1,2,3,2,3]"]
EXTREMES = [-1000.0, -100.0, -30.0, -1e-4, 0.0, 1e-4, 30.0, 100.0, 1000.0]
SMOOTH = ("Sigmoid", "Silu", "Mish", "Softplus", "Gelu", "Elu", "Selu", "Celu", "HardSwish", "Softsign")


def label(name: str, suffix: str) -> str:
    """``"Elu/alpha"`` and ``"rank2"`` -> ``"Elu/alpha_rank2"``."""
    return f"{name}{'' if name.endswith('/') else '_'}{suffix}"


SHAPED = [
    Case(label(name, f"rank{spec.count(',') + 1}"), op, (data(spec, -8, 8),))
    for index, (name, op) in enumerate(PLAIN.items())
    for spec in (SHAPES[0], SHAPES[1 + index % 4])
]
SATURATED = [
    Case(label(name, "extremes"), op, (data("f32[9]", values=EXTREMES),))
    for name, op in PLAIN.items()
    if op.name in SMOOTH
]
HALVES = [
    Case(label(name, "f16"), op, (data("f16[3,5]", -4, 4),))
    for name, op in PLAIN.items()
    if name in ("Relu/", "Sigmoid/", "Silu/", "Gelu/erf", "HardSwish/", "Clip/relu6", "LeakyRelu/small")
]
INTEGERS = [
    Case("Relu/i32", ops.Relu(), (data("i32[3,4]", -9, 9),)),
    Case("Clip/i32", ops.Clip(low=-3, high=5), (data("i32[3,4]", -9, 9),)),
    Case("Clip/i64_low", ops.Clip(low=0, high=None), (data("i64[3,4]", -9, 9),)),
    Case("Clip/i32_infinite", ops.Clip(low=float("-inf"), high=3.0), (data("i32[3,4]", -9, 9),)),
]
SLOPES = [
    Case(f"PRelu/{name}", ops.PRelu(), (data(x, -3, 3), const(slope, -0.5, 1.5)))
    for name, (x, slope) in {
        "scalar": ("f32[3,4]", "f32[]"),
        "one": ("f32[2,3,4,5]", "f32[1]"),
        "channels_first": ("f32[2,3,4,5]", "f32[3,1,1]"),
        "channels_last": ("f32[2,4,5,3]", "f32[1,1,3]"),
        "rank2": ("f32[4,3]", "f32[3]"),
        "rank3": ("f32[2,3,5]", "f32[3,1]"),
        "each": ("f32[2,3,4,5]", "f32[3,4,5]"),
    }.items()
] + [Case("PRelu/computed", ops.PRelu(), (data("f32[2,3,4]", -3, 3), data("f32[3,1]", -0.5, 1.5)))]
LINES = [
    Case(f"{cls.__name__}/axis{axis}_rank{rank}", cls(axis=axis), (data(f"f32[{shape}]", -5, 5),))
    for cls in (ops.Softmax, ops.LogSoftmax, ops.Hardmax)
    for rank, shape in ((1, "6"), (2, "3,5"), (3, "2,3,4"), (4, "2,3,4,5"))
    for axis in range(rank)
] + [
    case
    for cls in (ops.Softmax, ops.LogSoftmax, ops.Hardmax)
    for case in (
        Case(f"{cls.__name__}/large", cls(axis=1), (data("f32[2,4]", values=[1000, 999, 0, -1000] * 2),)),
        Case(f"{cls.__name__}/ties", cls(axis=0), (data("f32[5]", values=[1, 3, 3, 2, 3]),)),
        Case(f"{cls.__name__}/single", cls(axis=1), (data("f32[3,1]"),)),
    )
]
LINES.append(Case("Softmax/f16", ops.Softmax(axis=1), (data("f16[3,5]", -3, 3),)))
CASES = SHAPED + SATURATED + HALVES + INTEGERS + SLOPES + LINES
