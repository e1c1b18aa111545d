"""Writes a BERT-like encoder with PyTorch: python -m tests.models.build_transformer OPSET TARGET"""

from __future__ import annotations

import sys
import warnings

import torch
from torch import nn

LAYERS, WIDTH, HEADS, WORDS, LONGEST = 4, 128, 4, 1000, 64


class Attention(nn.Module):
    """Self-attention written out, as the classic implementations of BERT have it."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Returns the attended values; `mask` is added to the scores."""

        def heads(y: torch.Tensor) -> torch.Tensor:
            return y.view(y.shape[0], y.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)

        q, k, v = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        scores = q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5 + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2)
        return self.out(mixed.reshape(x.shape[0], x.shape[1], WIDTH))


class Layer(nn.Module):
    """Attention and two dense layers, each normalized with what went in."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.first, self.second = Attention(), nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Returns the next hidden states."""
        x = self.first(x + self.attention(x, mask))
        return self.second(x + self.narrow(nn.functional.gelu(self.wide(x))))


class Encoder(nn.Module):
    """Embeddings and layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.norm, self.layers = nn.LayerNorm(WIDTH), nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Returns the last hidden states."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.places(places))
        added = (1.0 - mask[:, None, None, :]) * -10000.0
        for layer in self.layers:
            x = layer(x, added)
        return x


def main() -> None:
    """Writes the encoder at the opset and path that are named on the command line."""
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    example = (torch.randint(0, WORDS, (2, 9)), torch.ones(2, 9))
    torch.onnx.export(
        Encoder().eval(),
        example,
        sys.argv[2],
        opset_version=int(sys.argv[1]),
        dynamo=False,
        input_names=["ids", "mask"],
        output_names=["hidden"],
        dynamic_axes={"ids": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "length"}},
    )


if __name__ == "__main__":
    main()
