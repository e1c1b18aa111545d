"""TFLite rules that change how numbers are stored.

What other operators do with quantized tensors is not here: their operands are dequantized and their results
quantized where they are read and kept (``Source.operand``, ``scope``).
"""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.elementwise import convert
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


@rule("QUANTIZE")
def quantize(n: Source, b: Builder) -> Value:
    if n.output_record().quantization is None:
        raise n.invalid("its result has no scale")
    n.multiplies(0)
    return n.stored(0) if n.alike(0) else n.operand(0)


@rule("DEQUANTIZE")
def dequantize(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    if dtypes.is_integer(x.type.dtype):
        raise n.invalid("its operand has no scale")
    return convert(b, x, n.output_record().dtype)


@rule("DENSIFY")
def densify(n: Source, b: Builder) -> Value:
    return n.stored(0)  # constants are made dense when they are read


@rule("FAKE_QUANT")
def fake_quant(n: Source, b: Builder) -> Value:
    """To the nearest of ``2 ** bits`` levels between two bounds that are moved so that 0 is one of them."""
    x, low, high = n.operand(0), n.real("min"), n.real("max")
    bits, narrow = n.integer("num_bits"), n.flag("narrow_range")
    least, most = int(narrow), (1 << bits) - 1
    if not (2 <= bits <= 16 and low <= 0 <= high and low < high):
        raise n.unsupported(f"of {bits} bits between {low} and {high}")
    scale = (high - low) / (most - least)
    zero = min(max(int(least - low / scale + 0.5), least), most)
    clipped = b(ops.Clip(low=(least - zero) * scale, high=(most - zero) * scale), x)
    levels = b(ops.Floor(), b(ops.Add(), b(ops.Div(), clipped, scale), 0.5 + zero))
    return b(ops.Mul(), b(ops.Sub(), levels, float(zero)), scale)
