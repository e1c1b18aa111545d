"""Keeps a file with blocked convolutions from computing nonsense on another kind of CPU.

In the blocked layout (NCHWc) a tensor of shape (N, C, H, W) lies in memory as (N, C/b, H, W, b), and weights
likewise. The size of a block, b, is that of the CPU's vectors: ONNX Runtime takes 16 with AVX-512 and 8 with
AVX or SSE. The file holds weights that were rearranged for one b and operators that take the b of the machine
they run on, and nothing compares the two.

So the file gets four operators that do, in each run. A small tensor of ones is rearranged, and one element of
it read from where a zero comes to lie if b is what it should be. That element is an index into a vector
of length 1: where it is a one, the run fails, and the name of the operator says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmconvert import ortlib
from mmconvert.tensors import Array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

DOMAIN = "com.microsoft.nchwc"
_VECTORS = {16: "AVX-512", 8: "AVX or SSE"}
_CHANNELS = 128
_SHAPE = (1, _CHANNELS, 1, 2)


def guard(path: Path) -> str:
    """Adds the operators to an ONNX file, in place, where it has blocked ones.

    Args:
        path: an ONNX file that ONNX Runtime optimized, with its weights beside it.

    Returns:
        What CPUs it is for, and the way out; empty when there is nothing to guard.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    if all(node.domain != DOMAIN for node in _nodes(model.graph)):
        return ""
    block = block_size()
    vectors = f" ({_VECTORS[block]})" if block in _VECTORS else ""
    bound = f"for CPUs where ONNX Runtime has blocks of {block} channels{vectors}, and fails on others"
    add(model, block, f"this file is {bound}; --ort-cpu any makes one for all")
    onnx.save(model, path)
    return f"{bound}; --ort-cpu any makes one for all that is slower here"


def block_size() -> int:
    """How many channels ONNX Runtime has in a block on the CPU at hand."""
    from onnx import helper

    x, y = (helper.make_tensor_value_info(n, 1, s) for n, s in (("x", _SHAPE), ("y", None)))
    graph = helper.make_graph([helper.make_node("ReorderInput", ["x"], ["y"], domain=DOMAIN)], "g", [x], [y])
    opsets = [helper.make_opsetid(domain, version) for domain, version in (("", 17), (DOMAIN, 1))]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = ortlib.load("write ORT files").InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    columns = np.broadcast_to(np.array([0, 1], np.float32), _SHAPE)
    (found,) = session.run(None, {"x": np.ascontiguousarray(columns)})
    return int(np.argmax(found.reshape(-1)))  # the first block holds column 0, the second column 1


def marks() -> Array:
    """Ones, and a zero that comes to lie at ``b + 1`` when there are ``b`` channels in a block.

    It is channel 1 of column 1, so the second element of the block that starts at ``b``. For any other power
    of two that does not hold, and one of the ones lies there.
    """
    ones = np.ones(_SHAPE, np.float32)
    ones[0, 1, 0, 1] = 0
    return ones


def add(model: ModelProto, block: int, complaint: str) -> None:
    """Makes a model fail with ``complaint`` where ONNX Runtime has not ``block`` channels in a block."""
    from onnx import TensorProto, helper, numpy_helper

    place = np.unravel_index(block + 1, _SHAPE)
    constants = {
        "marks": marks(),
        "place": np.array(place, np.int64),
        "only": np.zeros(1, np.float32),
    }
    prefix = _free_prefix(model.graph)
    model.graph.initializer.extend(
        numpy_helper.from_array(array, prefix + key) for key, array in constants.items()
    )
    steps: tuple[tuple[str, list[str], str, dict[str, Any]], ...] = (
        ("ReorderInput", ["marks"], "blocked", {"domain": DOMAIN}),
        ("GatherND", ["blocked", "place"], "mark", {}),
        ("Cast", ["mark"], "index", {"to": TensorProto.INT64}),
        ("Gather", ["only", "index"], "checked", {"name": complaint}),
    )
    for kind, inputs, output, attributes in steps:
        named = {"name": prefix + output} | attributes
        model.graph.node.append(
            helper.make_node(kind, [prefix + i for i in inputs], [prefix + output], **named)
        )


def _free_prefix(graph: GraphProto) -> str:
    names = {n for node in graph.node for n in (*node.input, *node.output, node.name)}
    names |= {v.name for v in (*graph.input, *graph.initializer)}
    prefix = "block_size"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    return f"{prefix}/"


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of the graphs inside them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
