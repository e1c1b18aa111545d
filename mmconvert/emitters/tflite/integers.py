"""Which operators are written over integers: those between Dequantize and Quantize that have such kernels.

::

    %1 = Dequantize(%x, s, z)
    %2 = Conv(%1, Dequantize(%w, ...))     →    CONV_2D over %x and %w, whose tensors have the scales
    %q = Quantize(%2, t, u)

An operator qualifies when its rule writes one TFLite operator over it, and the scales are those that the
kernel computes with. Everything else is written over real numbers, between DEQUANTIZE and QUANTIZE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.tflite import hybrid
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.grid import Grid, of_composite, of_node
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import ControlOp, Op
from mmconvert.ir.ops import Composite, Dequantize, DynamicQuantize, Quantize

STORED = (dtypes.I8, dtypes.U8, dtypes.I16)
_ALL = "i8 u8 i16"

KERNELS: dict[str, frozenset[str]] = {
    name: frozenset(types.split())
    for names, types in (
        ("CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV FULLY_CONNECTED ADD SUB MUL AVERAGE_POOL_2D", _ALL),
        ("MAX_POOL_2D MEAN SUM SOFTMAX LOGISTIC TANH LEAKY_RELU RESIZE_BILINEAR RELU RELU6", _ALL),
        ("CONCATENATION MAXIMUM MINIMUM QUANTIZE", _ALL),
        ("PRELU GELU", _ALL),
        ("HARD_SWISH LOG_SOFTMAX L2_NORMALIZATION RELU_N1_TO_1", "i8 u8"),
        ("EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL", "i8 u8"),
        ("BATCH_MATMUL EXP RSQRT", "i8 i16"),
        ("SQUARED_DIFFERENCE ABS LOG SQRT", "i8"),
    )
    for name in names.split()
}
"""The element types of activations that LiteRT's integer kernels have."""

_FIXED: dict[str, dict[str, tuple[float, int]]] = {
    "SOFTMAX": {"i8": (1 / 256, -128), "u8": (1 / 256, 0), "i16": (1 / 32768, 0)},
    "LOGISTIC": {"i8": (1 / 256, -128), "u8": (1 / 256, 0), "i16": (1 / 32768, 0)},
    "LOG_SOFTMAX": {"i8": (16 / 256, 127), "u8": (16 / 256, 255)},
    "TANH": {"i8": (1 / 128, 0), "u8": (1 / 128, 128), "i16": (1 / 32768, 0)},
    "L2_NORMALIZATION": {"i8": (1 / 128, 0), "u8": (1 / 128, 128)},
}
"""The only scale and zero point that a result may have."""

_WEIGHTED = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0, "FULLY_CONNECTED": 0}
"""Products with weights, and the axis along which these may have several scales."""

_ALIKE = {"CONCATENATION", "MAXIMUM", "MINIMUM", "MAX_POOL_2D", "RESIZE_BILINEAR"}
"""Operators that do not convert: operands and result have one scale and zero point."""


@dataclass(slots=True)
class Integers:
    """The decisions for a graph.

    Attributes:
        grids: what stored integers mean.
        forms: for each node that is written over integers, the integers behind its real values.
        absorbed: nodes that need not be written.
        covered: nodes that are written over integers, or inside of one that is.
    """

    grids: dict[Value, Grid] = field(default_factory=dict)
    forms: dict[Node[Op], dict[Value, Value]] = field(default_factory=dict)
    absorbed: set[Node[Op]] = field(default_factory=set)
    covered: set[Node[Op]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Written:
    """An operator that a rule has written: over integers where a value has a form."""

    builtin: tfl.Builtin
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    grids: Mapping[Value, Grid]


Rehearse = Callable[[Node[Op], Mapping[Value, Value], Mapping[Value, Grid]], list[Written] | None]
"""Writes a node to nowhere, with integer forms for its values; None when its rule refuses."""


def plan(graph: Graph, ends: Callable[[Node[Op]], Value], rehearse: Rehearse) -> Integers:
    """Decides for every operator of ``graph``.

    Args:
        graph: the graph.
        ends: the value that a node is written up to, behind what it absorbs.
        rehearse: tries a rule.
    """
    found = Integers(grids=_grids(graph))
    for node in graph:
        if isinstance(node.op, ControlOp | Dequantize):
            continue
        forms = _forms(node, ends, found.grids)
        if not forms:
            _plan_hybrid(node, found, ends, rehearse)
            continue
        written = rehearse(node, forms, found.grids)
        if written is not None and len(written) == 1 and is_integer(written[0]):
            found.forms[node] = forms
            end = ends(node)
            found.covered |= {node, *_tail(node, ends)}
            if end in forms and not is_op(node, Quantize):
                found.absorbed.add(forms[end].producer)  # type: ignore[arg-type]
    for node in graph:
        if is_op(node, Dequantize) and all(user in found.covered for user in node.output.users):
            found.absorbed.add(node)
    for node in graph:
        if is_op(node, DynamicQuantize) and all(
            user in found.absorbed for value in node.outputs for user in value.users
        ):
            found.absorbed.add(node)
    return found


def _plan_hybrid(
    node: Node[Op], found: Integers, ends: Callable[[Node[Op]], Value], rehearse: Rehearse
) -> None:
    forms = hybrid.forms(node, found.grids)
    written = rehearse(node, forms, found.grids) if forms else None
    if written and len(written) == 1 and hybrid.is_hybrid(node, written[0].builtin.name, forms, found.grids):
        found.forms[node] = forms
        found.covered |= {node, *_tail(node, ends)}


def _tail(node: Node[Op], ends: Callable[[Node[Op]], Value]) -> Iterable[Node[Op]]:
    """The nodes behind ``node`` that are written in it."""
    end = ends(node)
    value = node.outputs[0]
    while value is not end:
        (user,) = value.users
        yield user
        value = user.outputs[0]


def _forms(node: Node[Op], ends: Callable[[Node[Op]], Value], grids: dict[Value, Grid]) -> dict[Value, Value]:
    """The integers behind the operands and the result of a node; empty when some have none."""
    forms: dict[Value, Value] = {}
    tail = list(_tail(node, ends)) if len(node.outputs) == 1 else []
    inner = {node.outputs[0], *(n.outputs[0] for n in tail)}
    operands = [v for n in (node, *tail) for v in n.inputs if v is not None and v not in inner]
    real = [v for v in operands if v.type.dtype == dtypes.F32]
    if is_op(node, Quantize):
        real = [node.operand(0)]
    for value in real:
        stored = _stored(value, grids)
        if stored is None:
            return {}
        forms[value] = stored
    if not forms or is_op(node, Quantize):
        return forms
    end = ends(node) if len(node.outputs) == 1 else None
    if end is None or end.type.dtype != dtypes.F32:
        return forms
    users = end.users
    if len(end.uses) != 1 or not is_op(users[0], Quantize) or users[0].operand(0) is not end:
        return {}
    if not of_node(users[0], grids.get(users[0].output)):
        return {}
    return forms | {end: users[0].output}


def _stored(real: Value, grids: dict[Value, Grid]) -> Value | None:
    """The integers behind a real value. One constant may mean different numbers to different readers."""
    producer = real.producer
    if not is_op(producer, Dequantize):
        return None
    stored, grid = producer.operand(0), of_node(producer)
    if grid is None or stored.constant is None:
        return stored if grid is not None and stored in grids and grid.same(grids[stored]) else None
    own = Value(stored.type, stored.name, constant=stored.constant)
    grids[own] = grid
    return own


def _grids(graph: Graph) -> dict[Value, Grid]:
    """What the stored integers of a graph mean, as its own nodes say; moving them changes nothing."""
    grids: dict[Value, Grid] = {}
    for node in graph:
        if is_op(node, Dequantize, Quantize):
            value = node.output if is_op(node, Quantize) else node.operand(0)
            grid = of_node(node)
            if grid is not None and value.constant is None:
                grids.setdefault(value, grid)
        elif is_op(node, Composite):
            for value, grid in of_composite(node).items():
                if value.constant is None:
                    grids.setdefault(value, grid)
    nodes = [n for n in graph if not is_op(n, Dequantize, Quantize) and not isinstance(n.op, ControlOp)]
    # Twice each way reaches through any run of movements, however these branch in practice.
    for _ in range(2):
        for order in (nodes, nodes[::-1]):
            for node in order:
                _spread(node, grids)
    return grids


def _spread(node: Node[Op], grids: dict[Value, Grid]) -> None:
    values = [v for v in (*node.inputs, *node.outputs) if v is not None and v.type.dtype in STORED]
    known = [grids[v] for v in values if v in grids and grids[v].scale.ndim == 0]
    if not known or not any(v.type.dtype in STORED for v in node.outputs):
        return
    if all(grid.same(known[0]) for grid in known):
        for value in values:
            if value.type.dtype == values[0].type.dtype:
                grids.setdefault(value, known[0])


def is_integer(written: Written) -> bool:
    """True when LiteRT has a kernel that does to the integers what the operator does to their meanings."""
    name, grids = written.builtin.name, written.grids
    kinds = KERNELS.get(name)
    data = [v for v in (*written.inputs, *written.outputs) if v is not None]
    if kinds is None or any(dtypes.is_float(v.type.dtype) for v in data):
        return False
    if name in _WEIGHTED:
        return _is_product(written, _WEIGHTED[name])
    real = [v for v in data if v in grids]
    if any(grids[v].scale.ndim for v in real) or not real:
        return False
    types = {dtypes.name(v.type.dtype) for v in real}
    if name == "QUANTIZE":
        return types <= kinds
    if len(types) != 1 or not types <= kinds:
        return False
    (dtype,) = types
    if dtype == "i16" and any(grids[v].zero.any() for v in real):
        return False
    if name in _ALIKE and not all(grids[v].same(grids[real[0]]) for v in real):
        return False
    fixed = _FIXED.get(name, {}).get(dtype)
    result = grids.get(written.outputs[0])
    return fixed is None or (result is not None and (float(result.scale), int(result.zero)) == fixed)


def _is_product(written: Written, axis: int) -> bool:
    """A product with weights: symmetric ones of 8 bits, and a bias on the scale of the products."""
    operands: Sequence[Value | None] = written.inputs
    if written.builtin.name == "TRANSPOSE_CONV":
        operands = (operands[2], operands[1], *operands[3:])
    x, weight, *rest = operands
    (y,) = written.outputs
    grids = written.grids
    if x is None or weight is None or not all(v in grids for v in (x, weight, y)):
        return False
    if grids[x].scale.ndim or grids[y].scale.ndim or x.type.dtype != y.type.dtype or weight.constant is None:
        return False
    w = grids[weight]
    legacy = x.type.dtype == weight.type.dtype == dtypes.U8 and not w.scale.ndim
    modern = weight.type.dtype == dtypes.I8 and x.type.dtype in (dtypes.I8, dtypes.I16) and not w.zero.any()
    if not (legacy or modern) or (w.scale.ndim and w.axis != axis):
        return False
    if x.type.dtype == dtypes.I16 and (grids[x].zero.any() or grids[y].zero.any()):
        return False
    bias = rest[0] if rest else None
    if bias is None:
        return written.builtin.name in ("FULLY_CONNECTED", "TRANSPOSE_CONV")
    wide = (dtypes.I32, dtypes.I64) if x.type.dtype == dtypes.I16 else (dtypes.I32,)
    scale = grids[x].scale * w.scale
    fits = bias in grids and not grids[bias].zero.any() and bias.type.dtype in wide
    return fits and bool(np.allclose(grids[bias].scale, scale, rtol=1e-6, atol=0))


def options_over_integers(builtin: tfl.Builtin, options: dict[str, Any]) -> dict[str, Any]:
    """Options that only integer kernels know."""
    return options | {"pot_scale_int16": False} if builtin.name in ("ADD", "SUB") else options
