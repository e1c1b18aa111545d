"""Damaged files: an error of ours, or a model; quickly, and nothing else."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters import mnn as emitter
from mmconvert.errors import MMConvertError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout, TensorType
from mmconvert.parsers import mnn as parser
from mmconvert.tensors import Tensor

COUNT = 2000
WORDS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Convolutions with weights of two kinds, shapes, reductions, arithmetic and a loop."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    graph = Graph("net")
    b = Builder(graph)
    plain = {"strides": (1, 1), "dilations": (1, 1), "padding": Explicit.zero(2), "layout": Layout.NCHW}
    x = graph.input("x", TensorType(dtypes.F32, (1, 3, 8, 8)))
    half = b.constant(Tensor.of(weight(16, 3, 3, 3).astype(np.float16)).cast(dtypes.F32))
    y = b(ops.Relu(), b(ops.Conv(**plain), x, half, weight(16)))
    y = b(ops.MaxPool(kernel=(2, 2), **{**plain, "strides": (2, 2)}), y)
    y = b(ops.Add(), b(ops.Conv(**plain), y, weight(16, 16, 1, 1)), y)
    y = b(ops.Transpose(perm=(0, 2, 3, 1)), y)
    y = b(ops.Reshape(shape=(9, 16)), b(ops.Sigmoid(), y))
    y = b(ops.Softmax(axis=1), b(ops.MatMul(), y, weight(16, 5)))
    y = b(ops.ReduceMean(axes=(0,), keepdims=False), y)
    body = Graph("body")
    body.input("number", TensorType(dtypes.I64, ()))
    flag, state = body.input("goes_on", TensorType(dtypes.BOOL, ())), body.input("v", y.type)
    body.set_outputs([flag, Builder(body)(ops.Neg(), state)], ["goes_on", "v"])
    loop = ops.Loop(body=body, carried=1, shapes=(y.type.shape,))
    graph.set_outputs([b(loop, np.array(3, np.int64), None, y)], ["y"])
    path = tmp_path / "m.mnn"
    emitter.write(Module(graph), path)
    return path


def damaged(data: bytes, rng: random.Random) -> Iterator[bytes]:
    for _ in range(COUNT):
        copy = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            match rng.randrange(4):
                case 0:
                    copy[rng.randrange(len(copy))] = rng.randrange(256)
                case 1:
                    struct.pack_into("<I", copy, 4 * rng.randrange(len(copy) // 4), rng.choice(WORDS))
                case 2:
                    place = rng.randrange(len(copy))
                    del copy[place : place + rng.randint(1, 40)]
                case 3:
                    del copy[rng.randrange(8, len(copy)) :]
            if len(copy) < 8:
                break
        yield bytes(copy)


def read(path: Path) -> bool:
    """Whether the file was read."""
    try:
        for value in parser.load(path).graph.constants():
            assert value.constant is not None
            value.constant.numpy()
    except MMConvertError:
        return False
    return True


@pytest.mark.parametrize("seed", range(2))
def test_damaged_files(model: Path, seed: int) -> None:
    whole = model.read_bytes()
    assert read(model)
    for data in damaged(whole, random.Random(seed)):
        model.write_bytes(data)
        read(model)


def test_every_word_of_the_tables(model: Path) -> None:
    """The weights are the larger part of the file; here all that is damaged is what describes them."""
    whole = model.read_bytes()
    rng = random.Random(3)
    refused = 0
    places = range(0, min(len(whole), 4 * COUNT), 4)
    for place in places:
        copy = bytearray(whole)
        struct.pack_into("<I", copy, place, rng.choice(WORDS))
        model.write_bytes(copy)
        refused += not read(model)
    assert refused
