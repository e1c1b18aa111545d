"""Makes `zoo.transformer_onnx`: an encoder of BERT's size in PyTorch, exported to ONNX.

python -m tests.models.build_encoder OUT
"""

from __future__ import annotations

import math
import sys

import torch
from torch import Tensor, nn

LAYERS, HIDDEN, HEADS, INNER, LENGTH = 12, 768, 12, 3072, 128
OPSET = 17


class Layer(nn.Module):
    """Self-attention and a feed-forward part, each with its LayerNorm after it, as BERT has them."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.merge = (nn.Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.grow, self.shrink = nn.Linear(HIDDEN, INNER), nn.Linear(INNER, HIDDEN)
        self.first, self.second = nn.LayerNorm(HIDDEN), nn.LayerNorm(HIDDEN)

    def forward(self, x: Tensor) -> Tensor:
        """One layer over `[batch, LENGTH, HIDDEN]`."""
        query, key, value = (self.heads(part(x)) for part in (self.query, self.key, self.value))
        shares = torch.softmax(query @ key.transpose(2, 3) / math.sqrt(HIDDEN // HEADS), dim=-1)
        mixed = (shares @ value).transpose(1, 2).reshape(1, LENGTH, HIDDEN)
        x = self.first(x + self.merge(mixed))
        return self.second(x + self.shrink(nn.functional.gelu(self.grow(x))))

    def heads(self, x: Tensor) -> Tensor:
        """The features cut into heads: `[batch, HEADS, LENGTH, HIDDEN / HEADS]`."""
        return x.view(1, LENGTH, HEADS, HIDDEN // HEADS).transpose(1, 2)


def build() -> nn.Module:
    """Returns the encoder with seeded random weights."""
    torch.manual_seed(0)
    return nn.Sequential(*(Layer() for _ in range(LAYERS))).eval()


def export(model: nn.Module, out: str) -> None:
    """Writes the file as the TorchScript exporter does, which needs no package besides onnx."""
    torch.onnx.export(
        model,
        (torch.zeros(1, LENGTH, HIDDEN),),
        out,
        input_names=["input"],
        output_names=["output"],
        opset_version=OPSET,
        dynamo=False,
    )


if __name__ == "__main__":
    export(build(), sys.argv[1])
