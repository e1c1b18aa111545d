"""TensorFlow's functions in models of Keras 2, recorded as `TFOpLambda` and `SlicingOpLambda`.

Each is read as the operation of `keras.ops` that does the same, with its arguments under the names they have
there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.keras.layer import KerasLayer
from mmconvert.parsers.keras.source import leaves
from mmconvert.rules import Rules

rule: Rules[str] = Rules("Keras")

_UNARY = {
    "abs": "Absolute", "math.abs": "Absolute", "math.acos": "Arccos", "math.asin": "Arcsin",
    "math.atan": "Arctan", "math.ceil": "Ceil", "math.cos": "Cos", "math.cosh": "Cosh", "math.erf": "Erf",
    "math.exp": "Exp", "math.expm1": "Expm1", "math.floor": "Floor", "math.log": "Log", "math.log1p": "Log1p",
    "math.logical_not": "LogicalNot", "math.negative": "Negative", "math.reciprocal": "Reciprocal",
    "math.round": "Round", "math.rsqrt": "Rsqrt", "math.sigmoid": "Sigmoid", "math.sign": "Sign",
    "math.sin": "Sin", "math.sinh": "Sinh", "math.softplus": "Softplus", "math.sqrt": "Sqrt",
    "math.square": "Square", "math.tan": "Tan", "math.tanh": "Tanh", "nn.relu": "Relu", "nn.relu6": "Relu6",
    "nn.selu": "Selu", "nn.softplus": "Softplus", "nn.softsign": "Softsign", "nn.sigmoid": "Sigmoid",
    "nn.silu": "Silu", "nn.swish": "Silu", "nn.tanh": "Tanh", "identity": "Copy",
    "stop_gradient": "StopGradient",
    "zeros_like": "ZerosLike", "ones_like": "OnesLike", "__operators__.neg": "Negative",
}  # fmt: skip
_BINARY = {
    "__operators__.add": "Add", "math.add": "Add", "math.subtract": "Subtract", "math.multiply": "Multiply",
    "math.truediv": "TrueDivide", "math.divide": "TrueDivide", "math.floordiv": "FloorDivide",
    "math.floormod": "Mod", "math.mod": "Mod", "math.pow": "Power", "math.maximum": "Maximum",
    "math.minimum": "Minimum", "math.greater": "Greater", "math.greater_equal": "GreaterEqual",
    "math.less": "Less", "math.less_equal": "LessEqual", "math.equal": "Equal", "math.not_equal": "NotEqual",
    "__operators__.eq": "Equal", "__operators__.ne": "NotEqual", "math.logical_and": "LogicalAnd",
    "math.logical_or": "LogicalOr", "__operators__.logical_and": "LogicalAnd",
    "__operators__.logical_or": "LogicalOr",
}  # fmt: skip
_REDUCTIONS = {
    "math.reduce_mean": "Mean", "math.reduce_sum": "Sum", "math.reduce_max": "Max", "math.reduce_min": "Min",
    "math.reduce_prod": "Prod", "math.reduce_any": "Any", "math.reduce_all": "All",
    "math.reduce_logsumexp": "Logsumexp", "math.reduce_std": "Std", "math.reduce_variance": "Var",
}  # fmt: skip
_OTHERS: dict[str, tuple[str, str, dict[str, str]]] = {
    "cast": ("Cast", "x", {}),
    "clip_by_value": ("Clip", "x", {"clip_value_min": "x_min", "clip_value_max": "x_max"}),
    "compat.v1.transpose": ("Transpose", "x", {"perm": "axes"}),
    "transpose": ("Transpose", "x", {"perm": "axes"}),
    "concat": ("Concatenate", "xs", {}),
    "stack": ("Stack", "x", {}),
    "unstack": ("Unstack", "x", {}),
    "expand_dims": ("ExpandDims", "x", {}),
    "compat.v1.squeeze": ("Squeeze", "x", {}),
    "squeeze": ("Squeeze", "x", {}),
    "reshape": ("Reshape", "x", {"shape": "newshape"}),
    "tile": ("Tile", "x", {"multiples": "repeats"}),
    "split": ("Split", "x", {"num_or_size_splits": "indices_or_sections"}),
    "compat.v1.gather": ("Take", "x", {}),
    "gather": ("Take", "x", {}),
    "where": ("Where", "condition", {"x": "x1", "y": "x2"}),
    "linalg.matmul": ("Matmul", "x1", {"b": "x2"}),
    "nn.softmax": ("Softmax", "x", {}),
    "nn.log_softmax": ("LogSoftmax", "x", {}),
    "nn.leaky_relu": ("LeakyRelu", "x", {"alpha": "negative_slope"}),
    "nn.elu": ("Elu", "x", {}),
    "nn.gelu": ("Gelu", "x", {}),
    "math.argmax": ("Argmax", "x", {}),
    "math.argmin": ("Argmin", "x", {}),
    "math.cumsum": ("Cumsum", "x", {}),
    "image.resize": ("Resize", "images", {"method": "interpolation"}),
    "one_hot": ("OneHot", "x", {"depth": "num_classes"}),
    "reverse": ("Flip", "x", {}),
}
_TABLE: dict[str, tuple[str, str, dict[str, str]]] = (
    {name: (kind, "x", {}) for name, kind in (_UNARY | _REDUCTIONS).items()}
    | {name: (kind, "x1", {"y": "x2"}) for name, kind in _BINARY.items()}
    | _OTHERS
)
_DEFAULTS: dict[str, dict[str, Any]] = {
    "concat": {"axis": 0},
    "compat.v1.gather": {"axis": 0},
    "gather": {"axis": 0},
    "nn.leaky_relu": {"negative_slope": 0.2},
    "nn.elu": {"alpha": 1.0},
    "nn.gelu": {"approximate": False},
    "math.argmax": {"axis": 0},
    "math.argmin": {"axis": 0},
}
_HARMLESS = {"name": None, "validate_indices": None, "batch_dims": 0, "conjugate": False, "num": None}
"""Arguments that change nothing with these values."""


@rule("TFOpLambda")
def function(layer: KerasLayer, b: Builder) -> Value | tuple[Value, ...]:
    name = layer.string("function")
    if name not in _TABLE:
        raise layer.refuse(name, "build the model with layers, or with Keras 3 and keras.ops, and save again")
    kind, first, renamed = _TABLE[name]
    arguments = {first: layer.args[0] if layer.args else None, **_DEFAULTS.get(name, {})}
    for key, value in layer.kwargs.items():
        layer.keyword(key)
        if value is None or (key != "num" and key == "name") or (_HARMLESS.get(key, layer) == value):
            continue
        arguments[renamed.get(key, key)] = value
    layer.args = []
    result: Value | tuple[Value, ...] = _operation(layer, b, kind, _adapted(layer, b, kind, arguments))
    return result


def _adapted(layer: KerasLayer, b: Builder, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments that TensorFlow counts in another way."""
    for flag, operand in (("transpose_a", "x1"), ("transpose_b", "x2")):
        if kind == "Matmul" and arguments.pop(flag, False):
            arguments[operand] = _operation(
                layer, b, "Swapaxes", {"x": arguments[operand], "axis1": -2, "axis2": -1}
            )
    sections = arguments.get("indices_or_sections")
    if isinstance(sections, list):  # sizes here, places there
        places = [sum(sections[: i + 1]) for i in range(len(sections) - 1)]
        arguments["indices_or_sections"] = places
    if isinstance(arguments.get("indices"), list):
        arguments["indices"] = np.array(arguments["indices"], np.int32)
    if kind in ("Argmax", "Argmin"):
        arguments.pop("output_type", None)
    if kind == "Cast" and isinstance(arguments.get("dtype"), str):
        arguments["dtype"] = arguments["dtype"].removeprefix("tf.")
    return arguments


def _operation(layer: KerasLayer, b: Builder, kind: str, arguments: dict[str, Any]) -> Any:
    """What the operation of Keras makes of ``arguments``."""
    apply = layer.host.rule(f"ops.{kind}")
    assert apply is not None
    tensors = {k: v for k, v in arguments.items() if any(isinstance(leaf, Value) for leaf in leaves(v))}
    tensors |= {k: v for k, v in arguments.items() if isinstance(v, np.ndarray)}
    settings = {k: v for k, v in arguments.items() if k not in tensors}
    record = replace(
        layer.record, kind=kind, settings=settings, module="keras.src.ops.", constants={}, parts={}
    )
    other = KerasLayer(record, b, layer._weights, 3, layer.host)
    other.kwargs = tensors
    result = apply(other, b)
    other.finish()
    return result


@rule("SlicingOpLambda")
def item(layer: KerasLayer, b: Builder) -> Value:
    """``x[...]``."""
    layer.ignore("function")
    spec = layer.keyword("slice_spec")
    key = [_bound(entry) for entry in spec] if isinstance(spec, list) else [_bound(spec)]
    found: Value = _operation(layer, b, "GetItem", {"x": layer.args[0]} | {"key": key})
    return found


def _bound(entry: Any) -> Any:
    match entry:
        case {"start": start, "stop": stop, "step": step}:
            return slice(start, stop, step)
        case {"class_name": "__ellipsis__"}:
            return Ellipsis
    return entry
