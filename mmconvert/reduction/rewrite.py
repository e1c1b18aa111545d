"""Smaller, or less particular, variants of a graph; each a copy, weights shared where they stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import InferenceError, UsageError
from mmconvert.ir.copy import Copier
from mmconvert.ir.extract import best_names, extract, named_values
from mmconvert.ir.graph import Graph, Node, Origin, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, TensorType
from mmconvert.tensors import Tensor

INTEGER_WEIGHTS = 16
"""Integer constants with more elements than this are weights; others say how something is computed."""


def part(graph: Graph, outputs: Collection[Value], cut: Collection[Value] = ()) -> Graph | None:
    """What computes ``outputs`` from the inputs, or from those values of ``cut`` that it meets first.

    Values that do not depend on any input are no place to cut: an operator may need to know them.

    Returns:
        None where the graph cannot be cut there.
    """
    names, loose = best_names(named_values(graph)), dependent(graph)
    begins: dict[Value, None] = {}
    seen, waiting = set[Value](), list(outputs)
    while waiting:
        value = waiting.pop()
        if value in seen or value.constant is not None:
            continue
        seen.add(value)
        stops = value in cut and value in loose and value.content is None
        if value.producer is None or stops:
            begins[value] = None
        else:
            waiting += [v for v in value.producer.inputs if v is not None]
    ordered = [v for v in graph.values() if v in begins]
    try:
        return extract(graph, [names[v] for v in ordered] or None, [names[v] for v in outputs])
    except (UsageError, KeyError):
        return None


def dependent(graph: Graph) -> set[Value]:
    """The values that depend on an input."""
    found = set(graph.inputs)
    for node in graph:
        if any(v in found for v in node.inputs):
            found.update(node.outputs)
    return found


def without(graph: Graph, node: Node[Op]) -> Graph | None:
    """``graph`` without a node, in whose place stands the first of its operands that has the type.

    Returns:
        None where no operand has.
    """
    if len(node.outputs) != 1:
        return None
    alike = (v for v in node.inputs if v is not None and not v.constant and v.type == node.output.type)
    operand = next(alike, None)
    if operand is None:
        return None
    copier = _begun(graph)
    for other in graph:
        if other is node:
            copier.values[node.output] = copier.find(operand)
        else:
            copier.add(other)
    return _ended(copier, graph)


def retyped(graph: Graph, types: Mapping[Value, TensorType]) -> Graph | None:
    """``graph`` over inputs of other types; None where its operators do not fit them."""
    copier = Copier(graph.name, {})
    for value in graph.inputs:
        copier.take(value, value.name, types.get(value, value.type))
    try:
        for node in graph:
            copier.add(node)
    except InferenceError:
        return None
    return _ended(copier, graph)


def with_noise(graph: Graph, values: Collection[Value], seed: int = 0) -> Graph:
    """``graph`` with seeded noise in place of some constants, as large as what stood there."""
    copier = _begun(graph)
    for number, value in enumerate(graph.constants()):
        if value in values and value.constant is not None:
            array = _noise(value.constant.numpy(), np.random.default_rng([seed, number]))
            copier.values[value] = copier.graph.constant(Tensor.of(array), value.name)
    for node in graph:
        copier.add(node)
    return _ended(copier, graph)


def weights(graph: Graph) -> list[Value]:
    """The constants that hold what a model has learnt: floats, and tables of integers."""
    found = []
    for value in graph.constants():
        tensor = value.constant
        assert tensor is not None
        real = dtypes.is_float(tensor.dtype) and tensor.dtype.itemsize > 1
        whole = dtypes.is_integer(tensor.dtype) and tensor.dtype.itemsize >= 1
        if (real and tensor.size > 1) or (whole and tensor.size > INTEGER_WEIGHTS):
            found.append(value)
    return found


def anonymous(graph: Graph) -> Graph:
    """``graph`` without the names of layers and weights, and with inputs and outputs that are numbered."""
    copier = Copier("reduced", {})
    for number, value in enumerate(graph.inputs):
        copier.take(value, f"input_{number}", value.type)
    for number, value in enumerate(graph.constants()):
        assert value.constant is not None
        copier.values[value] = copier.graph.constant(value.constant, f"weight_{number}")
    for number, node in enumerate(graph):
        bare: Node[Op] = Node(node.op, node.inputs, node.outputs, "", Origin(f"{node.op.name}_{number}"))
        copier.add(bare)
        for index, value in enumerate(node.outputs):
            copier.values[value].name = f"{node.op.name}_{number}" + (f"_{index}" if index else "")
    names = [f"output_{number}" for number in range(len(graph.outputs))]
    copier.graph.set_outputs([copier.find(v) for v in graph.outputs], names)
    return copier.graph


def _noise(array: Array, rng: np.random.Generator) -> Array:
    """Numbers with the mean and deviation of ``array``; none is negative where none was."""
    if not dtypes.is_float(array.dtype):
        low, high = int(array.min()), int(array.max())
        return rng.integers(low, high, array.shape, endpoint=True).astype(array.dtype)
    wide = array.astype(np.float64)
    if not np.all(np.isfinite(wide)):
        return array
    noise = rng.normal(wide.mean(), wide.std() or 1.0, wide.shape)
    return (np.abs(noise) if wide.min() >= 0 else noise).astype(array.dtype)


def _begun(graph: Graph) -> Copier:
    copier = Copier(graph.name, {})
    for value in graph.inputs:
        copier.take(value, value.name, value.type, value.content)
    return copier


def _ended(copier: Copier, graph: Graph) -> Graph:
    copier.graph.set_outputs([copier.find(v) for v in graph.outputs], graph.output_names)
    return copier.graph
