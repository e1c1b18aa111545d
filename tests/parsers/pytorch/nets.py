"""Networks that tests name as users name code of their own: ``tests.parsers.pytorch.nets:Small``."""

from __future__ import annotations

import torch
from torch import nn


class Small(nn.Module):
    """A convolution, a batch norm and a linear layer."""

    def __init__(self, classes: int = 4, *, tied: bool = False) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, classes)
        if tied:
            self.copy = nn.Linear(8, classes)
            self.copy.weight = self.fc.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.conv(x)).relu().mean((2, 3))
        found: torch.Tensor = self.fc(y) + self.copy(y) if hasattr(self, "copy") else self.fc(y)
        return found


def failing() -> nn.Module:
    raise RuntimeError("no such checkpoint")


def number() -> int:
    return 3


def made() -> Small:
    """One with seeded weights and statistics."""
    torch.manual_seed(0)
    net = Small()
    with torch.no_grad():
        net.norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr, operator]
        net.norm.running_var.uniform_(0.5, 2)  # type: ignore[union-attr, operator]
    return net.eval()
