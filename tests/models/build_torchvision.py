"""Builds torchvision nets and exports them to ONNX; `zoo.py` runs it in a process of its own.

python -m tests.models.build_torchvision NAME OUT.onnx [--keep-batch-norm]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import nn

from .pictures import calibration_images

SEED = 7
EXTENT = 224
GREATEST_LOGIT = 12.0
OPSET = 17


def models() -> Any:
    """Returns torchvision.models; its CUDA operators do not load here, but it asks for their schemas."""
    library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision.models

    return torchvision.models


@torch.no_grad()
def build(name: str) -> nn.Module:
    """Returns the net in evaluation mode with weights that make every part of it matter."""
    torch.manual_seed(SEED)
    model: nn.Module = getattr(models(), name)(weights=None).eval()
    images = (
        torch.from_numpy(np.ascontiguousarray(calibration_images(EXTENT, SEED).transpose(0, 3, 1, 2))) * 2 - 1
    )
    randomise(model)
    calibrate_statistics(model, images)
    calibrate_classifier(model, images)
    check(model, images)
    return model


def randomise(model: nn.Module) -> None:
    """Gives biases, scales and shifts values other than the 0 and 1 that they start with."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            module.bias.normal_(0, 0.1)


def calibrate_statistics(model: nn.Module, images: torch.Tensor) -> None:
    """Sets the statistics of every batch normalisation to those of `images`."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    model(images)
    for norm in norms:
        norm.eval().momentum = 0.1


def calibrate_classifier(model: nn.Module, images: torch.Tensor) -> None:
    """Centres and scales the logits, which random features would leave alike for all images."""
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    logits = model(images)
    mean = logits.mean(dim=0)
    scale = GREATEST_LOGIT / (logits - mean).abs().max()
    head.weight.mul_(scale)
    head.bias.copy_((head.bias - mean) * scale)


def check(model: nn.Module, images: torch.Tensor) -> None:
    """Fails when the logits are broken, or are (nearly) the same whatever the image."""
    first, second = model(images[:2])
    if not float((first - second).abs().max()) > 0.1:
        raise SystemExit("the logits are not finite, or do not depend on the image")


def export(model: nn.Module, out: str, *, keep_batch_norm: bool) -> None:
    """Writes the file as the TorchScript exporter does, which needs no package besides onnx."""
    mode = torch.onnx.TrainingMode.PRESERVE if keep_batch_norm else torch.onnx.TrainingMode.EVAL
    example = torch.zeros(1, 3, EXTENT, EXTENT)
    torch.onnx.export(
        model,
        (example,),
        out,
        input_names=["input"],
        output_names=["output"],
        opset_version=OPSET,
        training=mode,
        dynamo=False,
    )


if __name__ == "__main__":
    export(build(sys.argv[1]), sys.argv[2], keep_batch_norm="--keep-batch-norm" in sys.argv[3:])
