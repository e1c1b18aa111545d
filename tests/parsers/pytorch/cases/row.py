"""A row of the case table: a small module and what goes into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class Row:
    """A module, and its inputs.

    Attributes:
        name: of the row.
        build: makes the module.
        inputs: shapes of float inputs, or tensors.
        open: the first extent of every input may change.
        tolerance: how many times the usual error is allowed, with its reason beside the row.
        cannot: the targets that cannot express it, each with the reason.
    """

    name: str
    build: Build
    inputs: tuple[Any, ...] = ((2, 3, 8, 6),)
    open: bool = False
    tolerance: float = 1.0
    cannot: tuple[tuple[str, str], ...] = ()

    def tensors(self, batch: int | None = None) -> tuple[torch.Tensor, ...]:
        """The inputs, seeded; with another first extent where that is open."""
        generator = torch.Generator().manual_seed(3)
        found = []
        for given in self.inputs:
            if isinstance(given, torch.Tensor):
                found.append(given)
                continue
            shape = given if batch is None else (batch, *given[1:])
            found.append(torch.rand(shape, generator=generator) * 4 - 2)
        return tuple(found)


class Function(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


def call(name: str, function: Callable[..., Any], *inputs: Any, **fields: Any) -> Row:
    """A row of a function."""
    return Row(name, lambda: Function(function), inputs or ((2, 3, 8, 6),), **fields)
