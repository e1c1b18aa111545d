"""Writes a transformer of any size to ONNX without holding it: `python -m benchmarks.transformer OUT`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, helper, numpy_helper

HIDDEN, HEADS, LENGTH = 2048, 16, 128
INNER = 4 * HIDDEN
LAYER_BYTES = 12 * HIDDEN * HIDDEN * 4
BLOCK = 1 << 22
FLOAT = TensorProto.FLOAT


@dataclass
class Making:
    """The model in the making.

    Attributes:
        data: gets the weights; None for weights that will stand in the model file.
        location: the name of that file.
        transposed: weights lie as `torch.nn.Linear` has them, each with a Transpose node behind it.
    """

    data: BinaryIO | None
    location: str
    transposed: bool
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._numbers = np.random.default_rng(0).standard_normal(BLOCK, np.float32) * np.float32(0.02)

    def node(self, kind: str, *operands: str, **attributes: Any) -> str:
        """Adds a node and returns the name of its result."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, operands, [name], name=name, **attributes))
        return name

    def small(self, value: Sequence[float] | Sequence[int] | float, dtype: type = np.float32) -> str:
        """Adds a constant that stands in the model file."""
        name = f"constant_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def matrix(self, rows: int, columns: int) -> str:
        """Adds a random weight `[rows, columns]`, its numbers written and forgotten."""
        shape = (columns, rows) if self.transposed else (rows, columns)
        weight = TensorProto(name=f"weight_{len(self.weights)}", dims=shape, data_type=FLOAT)
        self.weights.append(weight)
        count = rows * columns
        if self.data is None:
            weight.raw_data = b"".join(self._numbers[:n].tobytes() for n in _parts(count))
        else:
            weight.data_location = TensorProto.EXTERNAL
            place = {"location": self.location, "offset": self.data.tell(), "length": 4 * count}
            for key, value in place.items():
                weight.external_data.append(StringStringEntryProto(key=key, value=str(value)))
            for n in _parts(count):
                self.data.write(self._numbers[:n].data)
        return self.node("Transpose", weight.name, perm=[1, 0]) if self.transposed else weight.name

    def linear(self, x: str, inputs: int, outputs: int) -> str:
        """Adds `x @ weight + bias`."""
        bias = self.small(np.linspace(-0.1, 0.1, outputs).tolist())
        return self.node("Add", self.node("MatMul", x, self.matrix(inputs, outputs)), bias)

    def norm(self, x: str) -> str:
        """Adds a LayerNormalization."""
        scale, shift = self.small([1.0] * HIDDEN), self.small([0.0] * HIDDEN)
        return self.node("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)

    def heads(self, x: str, perm: Sequence[int]) -> str:
        """Adds what cuts the features into heads."""
        shape = self.small([1, LENGTH, HEADS, HIDDEN // HEADS], np.int64)
        return self.node("Transpose", self.node("Reshape", x, shape), perm=list(perm))

    def layer(self, x: str) -> str:
        """Adds one layer: attention and a feed-forward part, each behind its norm."""
        y = self.norm(x)
        query, key, value = (
            self.heads(self.linear(y, HIDDEN, HIDDEN), perm)
            for perm in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
        )
        scores = self.node("Div", self.node("MatMul", query, key), self.small((HIDDEN / HEADS) ** 0.5))
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), value)
        mixed = self.node("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = self.node("Reshape", mixed, self.small([1, LENGTH, HIDDEN], np.int64))
        x = self.node("Add", x, self.linear(mixed, HIDDEN, HIDDEN))
        grown = self.linear(self.norm(x), HIDDEN, INNER)
        share = self.node("Erf", self.node("Div", grown, self.small(2**0.5)))
        share = self.node("Add", share, self.small(1.0))
        share = self.node("Mul", self.node("Mul", grown, share), self.small(0.5))
        return self.node("Add", x, self.linear(share, INNER, HIDDEN))

    def model(self, layers: int) -> ModelProto:
        """Returns the model of so many layers."""
        x = "input"
        for _ in range(layers):
            x = self.layer(x)
        self.node("Identity", x)
        self.nodes[-1].output[0] = "output"
        ends = [helper.make_tensor_value_info(n, FLOAT, [1, LENGTH, HIDDEN]) for n in ("input", "output")]
        graph = GraphProto(
            name="transformer", node=self.nodes, initializer=self.weights, input=ends[:1], output=ends[1:]
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _parts(count: int) -> list[int]:
    return [min(BLOCK, count - start) for start in range(0, count, BLOCK)]


def write(path: Path, layers: int, *, single: bool, transposed: bool) -> None:
    """Writes a transformer of `layers` layers, `LAYER_BYTES` each, and a little more.

    Args:
        path: the model file; weights go to `<path>.weights`.
        layers: how many.
        single: everything in one file, which protobuf limits to 2 GB.
        transposed: a Transpose node stands behind every weight.
    """
    if single:
        path.write_bytes(Making(None, "", transposed).model(layers).SerializeToString())
        return
    beside = path.with_name(f"{path.name}.weights")
    with beside.open("wb") as data:
        path.write_bytes(Making(data, beside.name, transposed).model(layers).SerializeToString())


def main() -> None:
    """Writes the file that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--single", action="store_true", help="one file")
    parser.add_argument("--transposed", action="store_true", help="a Transpose node behind every weight")
    options = parser.parse_args()
    write(options.path, options.layers, single=options.single, transposed=options.transposed)


if __name__ == "__main__":
    main()
