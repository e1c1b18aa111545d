"""EinsumDense."""

from __future__ import annotations

import string

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Add, Einsum
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.quantized import quantized_einsum
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")


@rule("EinsumDense")
def einsum_dense(layer: KerasLayer, b: Builder) -> Value:
    x, equation = layer.input(), layer.string("equation").replace(" ", "")
    layer.ignore("lora_rank", "lora_alpha", "gptq_unpacked_column_size")
    bias_axes = layer.setting("bias_axes", None)
    layer.setting("output_shape")
    terms, arrow, output = equation.partition("->")
    left, comma, right = terms.partition(",")
    if not arrow or not comma or set(right) - set(string.ascii_letters):
        raise layer.invalid(f"{equation!r} is not an equation of an input and a kernel")
    if layer.quantization is not None:
        return quantized_einsum(layer, b, layer.quantization, equation)
    shapes: dict[str, tuple[int, ...] | None] = {"kernel": None}
    if bias_axes is not None:
        shapes["bias"] = None
    kernel, *bias = layer.variables(shapes)
    weight = layer.weight("kernel", kernel)
    y = b(Einsum(equation=f"{left},{right}->{output}"), x, weight)
    if bias:
        y = b(Add(), y, layer.weight("bias", bias[0]))
    return activate(layer, y)
