"""Networks for benchmarks that no package brings: seeded random weights, written as ONNX by mmconvert."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import mmconvert
from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.types import TensorType


class _Net:
    """A graph in the making."""

    def __init__(self, name: str) -> None:
        self.graph = Graph(name)
        self.b = Builder(self.graph)
        self._rng = np.random.default_rng(0)

    def weight(self, *shape: int) -> Value:
        return self.b.constant((self._rng.standard_normal(shape) * 0.05).astype(np.float32))

    def dense(self, x: Value, units: int) -> Value:
        width = x.type.shape[-1]
        assert isinstance(width, int)
        return self.b(ops.Add(), self.b(ops.MatMul(), x, self.weight(width, units)), self.weight(units))

    def norm(self, x: Value) -> Value:
        op, width = ops.LayerNorm(axes=(2,), epsilon=1e-5), x.type.shape[-1]
        return self.b(op, x, *(np.full(width, v, np.float32) for v in (1, 0)))

    def save(self, path: Path, output: Value) -> None:
        self.graph.set_outputs([output], ["y"])
        mmconvert.Model(self.graph).save(path)


def encoder(path: Path, layers: int = 6, width: int = 384, heads: int = 12, length: int = 64) -> None:
    """A Transformer encoder over 64 of 8000 words, in the sizes of a small BERT."""
    net = _Net("encoder")
    b, inner = net.b, (1, length, heads, width // heads)
    ids = net.graph.input("ids", TensorType(dtypes.I64, (1, length)))
    words = b(ops.Gather(axis=0), net.weight(8000, width), ids)
    x = net.norm(b(ops.Add(), words, net.weight(1, length, width)))
    for _ in range(layers):
        q, k, v = (
            b(ops.Transpose(perm=perm), b(ops.Reshape(shape=inner), net.dense(x, width)))
            for perm in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
        )
        scores = b(ops.Mul(), b(ops.MatMul(), q, k), (width // heads) ** -0.5)
        mixed = b(ops.MatMul(), b(ops.Softmax(axis=3), scores), v)
        mixed = b(ops.Reshape(shape=(1, length, width)), b(ops.Transpose(perm=(0, 2, 1, 3)), mixed))
        x = net.norm(b(ops.Add(), x, net.dense(mixed, width)))
        x = net.norm(b(ops.Add(), x, net.dense(b(ops.Gelu(), net.dense(x, 4 * width)), width)))
    net.save(path, x)


def lstm(path: Path, steps: int = 50, width: int = 64, hidden: int = 256) -> None:
    """A bidirectional LSTM over a sequence."""
    net = _Net("lstm")
    x = net.graph.input("x", TensorType(dtypes.F32, (steps, 1, width)))
    gates = 4 * hidden
    op = ops.LSTM(
        hidden_size=hidden,
        direction="bidirectional",
        activations=("Sigmoid", "Tanh", "Tanh") * 2,
        alphas=(0.0,) * 6,
        betas=(0.0,) * 6,
    )
    weights = (net.weight(2, gates, width), net.weight(2, gates, hidden), net.weight(2, 2 * gates))
    net.save(path, net.b.multi(op, x, *weights)[0])
