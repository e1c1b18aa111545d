"""torchvision's classifiers and segmentation nets."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..build_torchvision import models
from .net import SEED, Net, images, randomise

FIXED = ("vit_", "swin_v2", "maxvit_t")
"""Their positions or windows are those of one extent."""

EXTENTS = {
    "inception_v3": 299,
    "vit_": 224,
    "maxvit_t": 224,
    "swin_v2": 64,
    "swin_": 256,
    "vgg": 96,
    "alexnet": 96,
}
"""Of nets that begin so, and are not fine with 64: Swin's windows are several, in all stages, from 256 on."""


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
    base = next((extent for start, extent in EXTENTS.items() if name.startswith(start)), 64)
    return Net(module, **images(base, open_extent=not name.startswith(FIXED)))
