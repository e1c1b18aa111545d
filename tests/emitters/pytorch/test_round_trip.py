"""Modules of torch, written as source again: the same function and the same state dict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.emitters.pytorch.nets import Listed, Picture, Sequence, convert, loaded, randomised

NETS: list[tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = [
    (Picture, (torch.randn(2, 3, 8, 8),)),
    (Sequence, (torch.arange(12).reshape(2, 6) % 11,)),
    (Listed, (torch.randn(3, 6),)),
]


@pytest.mark.parametrize(("make", "inputs"), NETS, ids=lambda x: getattr(x, "__name__", ""))
def test_state_dict_and_outputs(
    make: Callable[[], nn.Module], inputs: tuple[Tensor, ...], tmp_path: Path
) -> None:
    module = randomised(make())
    report = convert(module, inputs, tmp_path / "out")
    assert report.verdict is not None
    assert report.verdict.level == "executed"
    assert report.passed, report.verdict
    stored, wanted = load_file(tmp_path / "out" / "weights.safetensors"), module.state_dict()
    assert stored.keys() == wanted.keys()
    assert all(torch.equal(stored[name], wanted[name]) for name in wanted)
    again = loaded(tmp_path / "out")
    with torch.inference_mode():
        torch.testing.assert_close(again(*inputs), module(*inputs), rtol=1e-5, atol=1e-5)


def test_a_checkpoint_of_the_source_loads_into_what_was_written(tmp_path: Path) -> None:
    convert(randomised(Picture()), (torch.randn(1, 3, 8, 8),), tmp_path / "out")
    other, x = randomised(Picture()), torch.randn(1, 3, 8, 8)
    for parameter in other.parameters():
        parameter.data += 0.1
    again = loaded(tmp_path / "out")
    again.load_state_dict(other.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(again(x), other(x), rtol=1e-5, atol=1e-5)


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    convert(randomised(Sequence()), (torch.zeros(2, 6, dtype=torch.int64),), tmp_path / "out")
    again = loaded(tmp_path / "out")
    assert again.head.weight is again.embedding.weight


def test_open_extents(tmp_path: Path) -> None:
    batch, height = torch.export.Dim("batch"), torch.export.Dim("height")
    module, inputs = randomised(Picture()), (torch.randn(2, 3, 8, 8),)
    report = convert(module, inputs, tmp_path / "out", dynamic_shapes=({0: batch, 2: height},))
    assert report.passed, report.verdict
    again = loaded(tmp_path / "out")
    for shape in ((1, 3, 8, 8), (5, 3, 12, 8)):
        x = torch.randn(shape)
        with torch.inference_mode():
            torch.testing.assert_close(again(x), module(x), rtol=1e-5, atol=1e-5)


def test_blocks_that_are_alike_are_a_loop(tmp_path: Path) -> None:
    convert(randomised(Picture()), (torch.randn(1, 3, 8, 8),), tmp_path / "out")
    text = (tmp_path / "out" / "model.py").read_text()
    assert "self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)\n" in text
    assert "x = F.relu(self.norm(self.stem(x)))\n" in text
    assert "for block in self.blocks:\n            x = x + F.gelu(block(x))\n" in text
