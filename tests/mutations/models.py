"""Small models with one each of many operators, as ONNX files: CNNs, recurrent layers, a transformer, and a
quantized net. They are made once, before anything is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters import onnx
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph, Origin, Value
from mmconvert.ir.model import Module
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array, Layout, TensorType

NCHW = Layout.NCHW


class Net:
    """A graph in the making, with seeded weights."""

    def __init__(self, name: str, *shape: int) -> None:
        self.graph = Graph(name)
        self.b = Builder(self.graph)
        self.rng = np.random.default_rng(7)
        self.x = self.graph.input("x", TensorType(dtypes.F32, shape))

    def __call__(self, name: str, op: Op, *operands: Value | Array | None) -> Value:
        with self.b.at(Origin(name)):
            value = self.b.multi(op, *operands, name=name)[0]
        value.name = name
        return value

    def weight(self, *shape: int, scale: float = 0.0) -> Array:
        fan = int(np.prod(shape[1:])) or 1
        return (self.rng.standard_normal(shape) * (scale or fan**-0.5)).astype(np.float32)

    def positive(self, *shape: int) -> Array:
        return self.rng.uniform(0.5, 1.5, shape).astype(np.float32)

    def done(self, value: Value) -> Graph:
        self.graph.set_outputs([value], ["y"])
        return self.graph


def _conv(padding: int = 0, stride: int = 1, groups: int = 1) -> ops.Conv:
    pads = Explicit(((padding, padding), (padding, padding)))
    return ops.Conv(strides=(stride, stride), dilations=(1, 1), padding=pads, groups=groups, layout=NCHW)


def _window(cls: type[ops.MaxPool] | type[ops.AveragePool], size: int, stride: int, **more: bool) -> Op:
    pads = Explicit(((1, 0), (1, 0))) if cls is ops.MaxPool else Explicit(((1, 1), (1, 1)))
    return cls(
        kernel=(size, size), strides=(stride, stride), dilations=(1, 1), padding=pads, layout=NCHW, **more
    )


def cnn() -> Graph:
    """Convolutions, a batch norm, poolings, a resize, joined branches, and a classifier."""
    n = Net("cnn", 1, 3, 13, 11)
    x = n("stem", _conv(1, 2), n.x, n.weight(8, 3, 3, 3), n.weight(8, scale=0.5))
    bn = ops.BatchNorm(epsilon=1e-2, axis=1)
    x = n("norm", bn, x, n.positive(8), n.weight(8, scale=0.5), n.weight(8, scale=0.2), n.positive(8))
    x = n("leaky", ops.LeakyRelu(alpha=0.15), x)
    x = n("pool", _window(ops.MaxPool, 2, 1), x)
    x = n("average", _window(ops.AveragePool, 3, 1), x)
    resize = ops.Resize(axes=(2, 3), sizes=(14, 12), mode="linear", coordinates="half_pixel")
    x = n("resize", resize, x)
    elu = n("elu", ops.Elu(alpha=0.7), x)
    x = n("join", ops.Concat(axis=1), x, elu)
    x = n("mean", ops.ReduceMean(axes=(2, 3), keepdims=False), x)
    x = n("head", ops.Gemm(transpose_b=True), x, n.weight(10, 16, scale=0.7), n.weight(10, scale=0.5))
    return n.done(n("softmax", ops.Softmax(axis=1), x))


def depthwise() -> Graph:
    """A depthwise convolution, a transposed one, PRelu, a sigmoid gate and a slice."""
    n = Net("depthwise", 1, 4, 9, 7)
    x = n("depth", _conv(1, 1, 4), n.x, n.weight(4, 1, 3, 3), n.weight(4, scale=0.5))
    x = n("clip", ops.Clip(low=-0.4, high=0.9), x)
    x = n(
        "prelu", ops.PRelu(), n("back", ops.Sub(), x, n.weight(4, 1, 1, scale=0.3)), n.positive(4, 1, 1) / 5
    )
    up = ops.ConvTranspose(
        strides=(2, 2),
        dilations=(1, 1),
        padding=Explicit(((1, 1), (1, 1))),
        output_padding=(0, 0),
        layout=NCHW,
    )
    x = n("up", up, x, n.weight(4, 6, 3, 3), n.weight(6, scale=0.3))
    gate = n("gate", ops.Sigmoid(), x)
    x = n("gated", ops.Add(), x, gate)
    cut = ops.Slice(axes=(2, 3), starts=(2, 1), sizes=(11, 9), steps=(1, 1))
    return n.done(n("cut", cut, x))


def _layer(cls: type[ops.LSTM] | type[ops.GRU], **more: bool) -> Op:
    names = ("Sigmoid", "Tanh", "Tanh") if cls is ops.LSTM else ("Sigmoid", "Tanh")
    zeros = (0.0,) * len(names)
    return cls(hidden_size=6, direction="forward", activations=names, alphas=zeros, betas=zeros, **more)


def _recurrent(name: str, cls: type[ops.LSTM] | type[ops.GRU], gates: int, **more: bool) -> Graph:
    n = Net(name, 5, 1, 4)
    w = n.weight(1, gates * 6, 4, scale=0.6), n.weight(1, gates * 6, 6, scale=0.6)
    x = n("layer", _layer(cls, **more), n.x, *w, n.weight(1, 2 * gates * 6, scale=0.4))
    x = n("steps", ops.Reshape(shape=(5, 6)), x)
    x = n("head", ops.Gemm(transpose_b=True), x, n.weight(3, 6, scale=0.7), n.weight(3, scale=0.5))
    return n.done(n("tanh", ops.Tanh(), x))


def lstm() -> Graph:
    """An LSTM over five steps and a head."""
    return _recurrent("lstm", ops.LSTM, 4)


def gru() -> Graph:
    """The same with a GRU."""
    return _recurrent("gru", ops.GRU, 3, linear_before_reset=True)


def transformer() -> Graph:
    """One block: a norm, attention over two heads, a residual, a feed-forward part, and scores."""
    n = Net("transformer", 1, 8, 16)
    norm = n("norm", ops.LayerNorm(axes=(2,), epsilon=1e-2), n.x, n.positive(16), n.weight(16, scale=0.3))
    heads = []
    for name in ("query", "key", "value"):
        x = n(name, ops.MatMul(), norm, n.weight(16, 16))
        x = n(f"{name}_heads", ops.Reshape(shape=(1, 8, 2, 8)), x)
        heads.append(n(f"{name}_first", ops.Transpose(perm=(0, 2, 1, 3)), x))
    flipped = n("key_last", ops.Transpose(perm=(0, 1, 3, 2)), heads[1])
    scores = n("scores", ops.MatMul(), heads[0], flipped)
    scaled = n("scaled", ops.Mul(), scores, np.float32(0.3535))
    weights = n("attention", ops.Softmax(axis=3), scaled)
    x = n("mixed", ops.MatMul(), weights, heads[2])
    x = n("mixed_last", ops.Transpose(perm=(0, 2, 1, 3)), x)
    x = n("mixed_flat", ops.Reshape(shape=(1, 8, 16)), x)
    x = n("residual", ops.Add(), x, n.x)
    x = n("wide", ops.MatMul(), x, n.weight(16, 24))
    x = n("softplus", ops.Softplus(), x)
    x = n("rows", ops.Reshape(shape=(8, 24)), x)
    x = n("head", ops.Gemm(transpose_b=True), x, n.weight(5, 24), n.weight(5, scale=0.5))
    return n.done(n("scores_log", ops.LogSoftmax(axis=1), x))


def quantized() -> Graph:
    """A convolution, a pooling and a product over bytes, as quantizers write them."""
    n = Net("quantized", 1, 3, 10, 8)

    def grid(x: Value, name: str, scale: float, zero: int) -> Value:
        s, z = np.float32(scale), np.int8(zero)
        made = n(f"{name}_q", ops.Quantize(dtype=dtypes.I8), x, np.asarray(s), np.asarray(z))
        return n(name, ops.Dequantize(), made, np.asarray(s), np.asarray(z))

    def stored(name: str, *shape: int) -> Value:
        numbers = n.rng.integers(-90, 90, shape).astype(np.int8)
        return n(name, ops.Dequantize(), numbers, np.asarray(np.float32(0.01)), np.asarray(np.int8(0)))

    x = grid(n.x, "image", 0.03, 5)
    x = n("conv", _conv(1), x, stored("kernel", 6, 3, 3, 3))
    x = grid(x, "conv_grid", 0.06, -7)
    x = n("pool", _window(ops.MaxPool, 2, 2), x)
    x = grid(x, "pool_grid", 0.06, -7)
    x = n("flat", ops.Reshape(shape=(1, 6 * 5 * 4)), x)
    x = n("head", ops.MatMul(), x, stored("matrix", 120, 9))
    return n.done(grid(x, "scores", 0.4, 3))


MODELS: dict[str, Callable[[], Graph]] = {
    "cnn": cnn,
    "depthwise": depthwise,
    "lstm": lstm,
    "gru": gru,
    "transformer": transformer,
    "quantized": quantized,
}


def write(name: str, folder: Path) -> Path:
    """The model as an ONNX file, every operator as it stands."""
    path = folder / f"{name}.onnx"
    onnx.write(Module(MODELS[name]()), path)
    return path


def weight_of(model: str, name: str) -> Array:
    """The weight of an operator of a model."""
    node = next(node for node in MODELS[model]() if node.name == name)
    weight = node.operand(1).constant
    assert weight is not None
    return weight.numpy()
