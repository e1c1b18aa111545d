"""TFLite rules for Fourier transforms and the complex numbers that they make.

A complex tensor is one of real numbers here, with a last axis of real and imaginary parts, until an operator
takes it apart (``Source.parts``); no other operator takes it.
"""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


@rule("RFFT2D")
def rfft2d(n: Source, b: Builder) -> Value:
    x, lengths = n.operand(0), n.integers_of(1, "lengths")
    if len(lengths) != 2 or min(lengths) < 1 or x.type.rank < 2:
        raise n.invalid(f"of {x.type} to the lengths {list(lengths)}")
    rank = x.type.rank
    real = b(ops.Unsqueeze(axes=(rank,)), x)
    rows = b(ops.DFT(axis=rank - 1, length=lengths[1], onesided=True), real)
    return b(ops.DFT(axis=rank - 2, length=lengths[0]), rows)


@rule("REAL", "IMAG")
def part(n: Source, b: Builder) -> Value:
    return _part(n, b, n.parts(0), 0 if n.kind == "REAL" else 1)


def _part(n: Source, b: Builder, x: Value, which: int) -> Value:
    last = x.type.rank - 1
    y = b(ops.Slice(axes=(last,), starts=(which,), sizes=(1,), steps=(1,)), x)
    return b(ops.Squeeze(axes=(last,)), y)


@rule("COMPLEX_ABS")
def complex_abs(n: Source, b: Builder) -> Value:
    x = n.parts(0)
    return b(ops.ReduceL2(axes=(x.type.rank - 1,), keepdims=False), x)
