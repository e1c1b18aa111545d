"""Builds torchvision nets and exports them, with an open batch, beside what they compute.

python -m tests.models.build_program NAME FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .build_torchvision import models
from .zoo import PROGRAM_BATCHES

SEED = 7


@torch.no_grad()
def build(name: str) -> nn.Module:
    """Returns the net in evaluation mode, no part of it with weights that do nothing."""
    torch.manual_seed(SEED)
    model: nn.Module = getattr(models(), name)(weights=None).eval()
    for key, value in [*model.named_parameters(), *model.named_buffers()]:
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif key.endswith("running_mean") or (value.is_floating_point() and not value.any()):
            value.normal_(0, 0.1)
    return model


def export(name: str, folder: Path) -> None:
    """Writes model.pt2, and for each batch what goes in and what comes out."""
    model, extent = build(name), 299 if name == "inception_v3" else 224
    batch = torch.export.Dim("batch")
    example = torch.zeros(2, 3, extent, extent)
    program = torch.export.export(model, (example,), dynamic_shapes=({0: batch},), strict=False)
    folder.mkdir()
    torch.export.save(program, folder / "model.pt2")
    for size in PROGRAM_BATCHES:
        x = torch.randn(size, 3, extent, extent, generator=torch.Generator().manual_seed(size))
        with torch.no_grad():
            y = model(x)
        np.savez(folder / f"{size}.npz", x=x.numpy(), y=y.numpy())


if __name__ == "__main__":
    export(sys.argv[1], Path(sys.argv[2]))
