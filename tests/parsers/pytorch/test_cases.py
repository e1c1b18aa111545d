"""Every row of the case table: from the file as from memory, in the interpreter and in targets' runtimes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

from mmconvert import registry
from mmconvert.errors import MMConvertError
from mmconvert.interpreter import run
from mmconvert.ir.check import check
from mmconvert.lowering import lower
from mmconvert.parsers.pytorch import load, load_object, sniff
from mmconvert.runtimes import litert, onnxruntime
from mmconvert.tensors import Array

from .cases import ROWS, Row

SESSIONS = {"onnx": onnxruntime.Session, "tflite": litert.Session}
TOLERANCE = 2e-5
"""Of the largest magnitude of an output: sums of some hundred float32 products, in another order."""

NAMED = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@functools.cache
def exported(row: Row) -> Any:
    """The program, and what torch computes; with all numbers that matter."""
    torch.manual_seed(5)
    model = row.build().eval()
    randomise(model)
    shapes = [{0: torch.export.Dim.DYNAMIC}] * len(row.inputs) if row.open else None
    dynamic = (tuple(shapes),) if shapes and type(model).__name__ == "Function" else shapes
    program = torch.export.export(
        model, row.tensors(), dynamic_shapes=None if dynamic is None else tuple(dynamic), strict=False
    )
    return model, program


@torch.no_grad()
def randomise(model: nn.Module) -> None:
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        if value.is_floating_point():
            low, high = (0.5, 1.5) if "var" in name else (-0.7, 0.7)
            value.uniform_(low, high)


@NAMED
def test_file_and_memory_read_alike_and_compute_what_torch_does(row: Row, tmp_path: Path) -> None:
    model, program = exported(row)
    path = tmp_path / "model.pt2"
    torch.export.save(program, path)
    assert sniff(path, path.read_bytes()[:4096])
    module = load(path)
    check(module.graph)
    assert str(module.graph) == str(load_object(program).graph)
    for batch in (None, 1, 3) if row.open else (None,):
        inputs = row.tensors(batch)
        found = list(run(module.graph, feeds(module, inputs)).values())
        require_equal(found, expected(model, inputs), row.tolerance)


@pytest.mark.parametrize("target", SESSIONS)
@NAMED
def test_target_computes_what_torch_does(row: Row, target: str, tmp_path: Path) -> None:
    if target not in dict(row.cannot):
        through(row, target, tmp_path)
        return
    with pytest.raises((MMConvertError, AssertionError)):
        through(row, target, tmp_path)


def through(row: Row, target: str, folder: Path) -> None:
    """Fails unless the target's runtime computes what torch does."""
    model, program = exported(row)
    module = load_object(program)
    inputs = row.tensors()
    given = feeds(module, inputs)
    path = folder / f"model.{target}"
    lower(module.graph, registry.find(target))
    registry.load_module(registry.find(target).emitter).write(module, path)
    require_equal(list(SESSIONS[target](path).run(given).values()), expected(model, inputs), row.tolerance)


def feeds(module: Any, inputs: tuple[torch.Tensor, ...]) -> dict[str, Array]:
    names = [value.name for value in module.graph.inputs]
    return dict(zip(names, (t.numpy() for t in inputs), strict=True))


def expected(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[Array]:
    with torch.no_grad():
        return [t.numpy() for t in pytree.tree_leaves(model(*(t.clone() for t in inputs)))]


def require_equal(found: list[Array], wanted: list[Array], tolerance: float) -> None:
    """Fails unless the arrays have one type and shape, and differ by no more than rounding."""
    assert len(found) == len(wanted)
    for have, want in zip(found, wanted, strict=True):
        assert (have.dtype, have.shape) == (want.dtype, want.shape)
        if want.dtype.kind in "iub":
            assert np.array_equal(have, want)
            continue
        scale = np.abs(want[np.isfinite(want)]).max(initial=1e-3)
        np.testing.assert_allclose(have, want, rtol=0, atol=TOLERANCE * tolerance * scale)
