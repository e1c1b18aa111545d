"""Small NCNN models by hand: layers as text, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmconvert.interpreter.session import run
from mmconvert.parsers import ncnn as parser
from mmconvert.runtimes.ncnn import Session
from mmconvert.tensors import Array
from tests.emitters.tflite.files import error

ROUNDINGS = 1e-5


def f32(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> bytes:
    """Seeded numbers as the file has them, without a tag."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype("<f4").tobytes()


def tagged(*shape: int, seed: int = 0) -> bytes:
    """The same with the tag of float32 before them."""
    return bytes(4) + f32(*shape, seed=seed)


def write(folder: Path, lines: Sequence[str], *weights: bytes, blobs: int | None = None) -> Path:
    """A model of these layers."""
    made = sum(int(line.split()[3]) for line in lines) if blobs is None else blobs
    path = folder / "model.param"
    path.write_text("\n".join(["7767517", f"{len(lines)} {made}", *lines, ""]))
    (folder / "model.bin").write_bytes(b"".join(weights))
    return path


def agree(path: Path, *shapes: tuple[int, ...], low: float = -2.0, within: float = ROUNDINGS) -> list[Array]:
    """Runs a model in NCNN and as it was read, and compares; returns what NCNN computed."""
    graph = parser.load(path).graph
    rng = np.random.default_rng(5)
    feeds = {
        value.name: rng.uniform(low, 2, (1, *shape)).astype(np.float32)
        for value, shape in zip(graph.inputs, shapes, strict=True)
    }
    wanted, found = Session(path).run(feeds), run(graph, feeds)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].shape == array.shape
        assert error(found[name], array.astype(np.float64)) < within
    return list(wanted.values())
