"""Small modules of torch, and their way through the IR and back."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import mmconvert
from mmconvert import registry
from mmconvert.conversion import Plan, Report


class Picture(nn.Module):
    """Convolution, normalization, a block list, and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.blocks = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1, groups=2) for _ in range(3))
        self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.group = nn.GroupNorm(2, 4)
        self.slope = nn.PReLU(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = x + nn.functional.gelu(block(x))
        x = self.slope(self.group(self.up(x)))
        return self.head(x.mean((2, 3)))


class Sequence(nn.Module):
    """Recurrent layers, attention, an embedding whose weights are also those of the head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.places = nn.Parameter(torch.zeros(1, 6, 8))
        self.lstm = nn.LSTM(8, 4, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.places
        x = self.lstm(x)[0]
        x = self.gru(x)[0]
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.norm(x))


class Listed(nn.Sequential):
    """Modules that have numbers for names."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 2))


def randomised(module: nn.Module) -> nn.Module:
    """The module for inference, with weights that no layer begins with."""
    torch.manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.5 if "var" in name else torch.randn_like(tensor) * 0.3)
    return module.eval()


def convert(module: nn.Module, inputs: tuple[Tensor, ...], folder: Path, **options: Any) -> Report:
    """Writes a module as source, and has it judged."""
    model = mmconvert.load(module, inputs=inputs, **options)
    report = Report("", str(folder), "pytorch-module")
    Plan(folder, registry.of_target(folder, "pytorch"), {}, verify=True).carry_out(model, report)
    return report


def loaded(folder: Path) -> Any:
    """The model in a folder, as a user loads it."""
    spec = importlib.util.spec_from_file_location("written_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()
