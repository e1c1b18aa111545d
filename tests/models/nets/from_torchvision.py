"""torchvision's classifiers and segmentation nets."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..build_torchvision import models
from .net import SEED, Net, images, randomise

FIXED = ("vit_", "swin_v2")
"""Their positions or windows are those of one extent."""


class Segmentation(nn.Module):
    """A segmentation net, whose output is one of a dictionary."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The classes of the pixels."""
        found: torch.Tensor = self.net(x)["out"]
        return found


def build(name: str) -> Net:
    """Returns the net of this name, in the family `segmentation.` where its name begins so."""
    torch.manual_seed(SEED)
    family: Any = models()
    settings: dict[str, Any] = {"weights": None}
    if name.startswith("segmentation."):
        family, name = family.segmentation, name.partition(".")[2]
        settings |= {"weights_backbone": None, "num_classes": 5}
    elif name in ("googlenet", "inception_v3"):
        settings |= {"init_weights": False, "aux_logits": True}
    module = getattr(family, name)(**settings).eval()
    randomise(module)
    if "num_classes" in settings:
        return Net(Segmentation(module).eval(), **images(96))
    base = {"inception_v3": 299, "vit_h_14": 224}.get(name, 224 if name.startswith("vit_") else 64)
    return Net(module, **images(base, open_extent=not name.startswith(FIXED)))
