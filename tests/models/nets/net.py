"""A net to be exported: its module, what it takes, and which extents may be open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

SEED = 7

Given = dict[str, torch.Tensor]
"""Inputs by the names that `forward` has for them."""


@dataclass(frozen=True)
class Net:
    """A net and its inputs.

    Attributes:
        module: in evaluation mode.
        inputs: makes inputs of a batch and an extent, drawn with a generator.
        dynamic: which axes may be open, from the most to the fewest, as `torch.export` takes them.
        extents: the extents that are tried where they are open; the first one where they are not.
    """

    module: nn.Module
    inputs: Callable[[int, int, torch.Generator], Given]
    dynamic: tuple[dict[str, Any], ...]
    extents: tuple[int, int, int]

    def given(self, batch: int, extent: int) -> Given:
        """Inputs; the same for every call."""
        return self.inputs(batch, extent, torch.Generator().manual_seed(SEED + batch))


def images(base: int, *, name: str = "x", open_extent: bool = True, step: int = 32) -> dict[str, Any]:
    """Of a net over images: its inputs, what may be open, and the extents to try.

    Args:
        base: the extent where it is not open.
        name: of the input.
        open_extent: the net takes images of any height that is a multiple of `step`.
        step: what extents are multiples of.
    """
    batch, rows = torch.export.Dim("batch", max=64), step * torch.export.Dim("rows", min=1, max=128)
    most = {name: {0: batch, 2: rows}}
    return {
        "inputs": lambda n, e, g: {name: torch.randn(n, 3, e, base, generator=g)},
        "dynamic": (*([most] if open_extent else []), {name: {0: batch}}, {name: None}),
        "extents": (base, base + 32, base + 64),
    }


@torch.no_grad()
def randomise(module: nn.Module) -> None:
    """Gives what starts as 0 or 1, and the statistics, values that matter."""
    for key, value in [*module.named_parameters(), *module.named_buffers()]:
        if not value.is_floating_point():
            continue
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif key.endswith("running_mean") or not value.any():
            value.normal_(0, 0.1)
        elif value.ndim < 2 and bool((value == 1).all()):
            value.uniform_(0.5, 1.5)
