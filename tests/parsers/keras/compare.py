"""Saves Keras models, reads them with the parser, and compares what the two compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmconvert.dtypes import is_float
from mmconvert.interpreter import run
from mmconvert.ir.check import check
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.parsers.keras import load, sniff
from mmconvert.tensors import Array

BATCH = 2
TOLERANCE = 2e-5
"""Of the largest magnitude of an output: sums of some hundred float32 products, in another order."""


def randomize(model: Any, seed: int = 0) -> None:
    """Gives all weights values that matter; variances stay positive."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "int" in str(weight.dtype):
            continue
        low, high = (0.5, 1.5) if "variance" in weight.name or "stddev" in weight.name else (-0.7, 0.7)
        weight.assign(rng.uniform(low, high, weight.shape))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # Normalization keeps copies of its variables


def feeds(graph: Graph, seed: int = 1, batch: int = BATCH) -> dict[str, Array]:
    """Values for the inputs of ``graph``; unknown extents become 7."""
    rng = np.random.default_rng(seed)
    found = {}
    for value in graph.inputs:
        shape = tuple(
            e if isinstance(e, int) else (batch if e.name == "batch" else 7) for e in value.type.shape
        )
        if is_float(value.type.dtype):
            found[value.name] = rng.uniform(-2, 2, shape).astype(value.type.dtype)
        else:
            found[value.name] = rng.integers(0, 5, shape).astype(value.type.dtype)
    return found


def saved(model: Any, folder: Path, suffix: str) -> Module:
    """``model`` through a file."""
    path = folder / f"model{suffix}"
    model.save(path)
    assert sniff(path, path.read_bytes()[:4096])
    module = load(path)
    check(module.graph)
    return module


def compare(
    model: Any, module: Module, inputs: dict[str, Array] | None = None, tolerance: float = 1.0
) -> None:
    """Fails unless the graph computes what the model does, and every value has the type that was inferred."""
    inputs = inputs or feeds(module.graph)
    batch = len(next(iter(inputs.values())))

    def typed(node: Any, outputs: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, outputs, strict=True):
            assert array.dtype == value.type.dtype, node
            assert len(array.shape) == value.type.rank, node
            for extent, known in zip(array.shape, value.type.shape, strict=True):
                symbols = known.symbols if not isinstance(known, int) else ()
                bound = (
                    known
                    if isinstance(known, int)
                    else known.substitute({s: batch if s == "batch" else 7 for s in symbols})
                )
                assert extent == bound, (node, value.type)

    found = list(run(module.graph, inputs, trace=typed).values())
    arguments = [inputs[value.name] for value in module.graph.inputs]
    expected = model(arguments, training=False)
    outputs = leaves(expected)
    assert len(found) == len(outputs)
    for ours, theirs in zip(found, outputs, strict=True):
        close(ours, np.asarray(theirs), TOLERANCE * tolerance)


def close(ours: Array, theirs: Array, tolerance: float = TOLERANCE) -> None:
    """Fails unless the arrays have one type and shape, and differ by no more than rounding."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    if ours.dtype.kind in "biu":
        assert np.array_equal(ours, theirs)
        return
    coarse = {2: 300.0}.get(ours.dtype.itemsize, 1.0)
    left, right = ours.astype(np.float64), theirs.astype(np.float64)
    scale = np.abs(right[np.isfinite(right)]).max(initial=1e-3)
    np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * coarse * scale)


def leaves(outputs: Any) -> list[Any]:
    """The outputs of a model, in the order in which Keras flattens them."""
    if isinstance(outputs, dict):
        return [leaf for key in sorted(outputs) for leaf in leaves(outputs[key])]
    if isinstance(outputs, list | tuple):
        return [leaf for item in outputs for leaf in leaves(item)]
    return [outputs]
