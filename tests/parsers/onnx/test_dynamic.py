"""Models that PyTorch exports with unknown extents: what computes shapes goes, the extents stay."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert.interpreter import run
from mmconvert.parsers.onnx import load
from mmconvert.passes.pipeline import optimize

torch = pytest.importorskip("torch")
functional = torch.nn.functional

IMAGE, SEQUENCE, LAST = {0: "n", 2: "h", 3: "w"}, {0: "n", 1: "t"}, {0: "n", 1: "h", 2: "w"}


def shuffled(x):
    n, c, h, w = x.shape
    return x.view(n, c // 2, 2, h * w).transpose(1, 2).reshape(n, c, h, w).flatten(2).permute(0, 2, 1)


def windows(x):
    n, h, w, c = x.shape
    return x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)


def padded(x):
    h, w = x.shape[2:]
    return functional.avg_pool2d(functional.pad(x, (0, (4 - w % 4) % 4, 0, (4 - h % 4) % 4)), 4)


def joined(x, y):
    small = functional.interpolate(x, size=y.shape[2:], mode="bilinear", align_corners=False)
    return torch.cat([small, y], 1)


def masked(x):
    later = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)
    return (x @ x.transpose(1, 2)).masked_fill(later, -1e9).softmax(-1)


def attended(x):
    n, t, d = x.shape
    q = x.view(n, t, 2, d // 2).transpose(1, 2)
    y = functional.scaled_dot_product_attention(q, q, q, is_causal=True)
    return y.transpose(1, 2).reshape(n, t, d)


def repeated(x):
    n, c, h, w = x.shape
    return x.repeat(1, 2, 1, 1) + torch.zeros(n, 2 * c, h, w)


# A function, the shapes of its operands, their unknown axes; the type and the number of nodes that are left.
CASES = [
    (shuffled, [(2, 4, 8, 12)], [IMAGE], "f32[n,h*w,4]", 4),
    (windows, [(2, 8, 12, 4)], [LAST], "f32[(h//2)*n*(w//2),4,4]", 3),
    (padded, [(2, 4, 7, 10)], [IMAGE], "f32[n,4,-(-h)//4,-(-w)//4]", 2),
    (joined, [(2, 4, 4, 5), (2, 4, 8, 12)], [{2: "p", 3: "q"}, {2: "h", 3: "w"}], "f32[2,8,h,w]", 2),
    (masked, [(2, 6, 16)], [SEQUENCE], "f32[n,t,t]", 6),
    (attended, [(2, 6, 16)], [SEQUENCE], "f32[n,t,16]", 15),
    (repeated, [(2, 4, 8, 12)], [IMAGE], "f32[n,8,h,w]", 3),
    (lambda x: torch.roll(x, (1, 2), (2, 3)), [(2, 4, 8, 12)], [IMAGE], "f32[n,4,h,w]", 6),
    (lambda x: functional.pixel_unshuffle(x, 2), [(2, 4, 8, 12)], [IMAGE], "f32[n,16,h//2,w//2]", 3),
    (lambda x: x[:, 1:-1], [(2, 6, 16)], [SEQUENCE], "f32[n,t-2,16]", 1),
]


@pytest.mark.parametrize(("function", "shapes", "axes", "type", "nodes"), CASES)
def test_what_computes_shapes_is_gone(function, shapes, axes, type, nodes, tmp_path: Path) -> None:
    class Model(torch.nn.Module):
        def forward(self, *xs):
            return function(*xs)

    torch.manual_seed(0)
    names, path = [f"x{i}" for i in range(len(shapes))], tmp_path / "m.onnx"
    operands = tuple(torch.randn(*shape) for shape in shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of traces, and of the exporter's age
        torch.onnx.export(
            Model(),
            operands,
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=names,
            dynamic_axes=dict(zip(names, axes, strict=True)),
        )
    graph = load(path).graph
    optimize(graph)
    assert not {"Shape", "ReadExtents"} & {node.op.name for node in graph}
    assert str(graph.outputs[0].type) == type
    assert len(graph) <= nodes < len(onnx.load(path).graph.node)
    larger = tuple(
        torch.randn(*(2 * e if a in dynamic else e for a, e in enumerate(shape)))
        for shape, dynamic in zip(shapes, axes, strict=True)
    )
    for xs in (operands, larger):
        (found,) = run(graph, {name: x.numpy() for name, x in zip(names, xs, strict=True)}).values()
        np.testing.assert_allclose(found, function(*xs).numpy(), rtol=1e-4, atol=1e-5)
