"""Makes `zoo.sore_onnx`: small nets of the forms that converters from ONNX to TFLite find hard.

python -m tests.models.build_sore NAME OUT
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

OPSET = 17
SIDE = 8


class Between(nn.Module):
    """A function between two convolutions, so that what it does with the axes matters."""

    def __init__(self, function: Callable[[Tensor], Tensor], inner: int = 16, after: int = 16) -> None:
        super().__init__()
        self.before, self.after = nn.Conv2d(3, inner, 3, padding=1), nn.Conv2d(after, 4, 1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Over `[1, 3, SIDE, SIDE]`."""
        return self.after(self.function(self.before(x)))


def shuffle_channels(x: Tensor) -> Tensor:
    """Four groups of channels, dealt out in turn, through five axes."""
    return x.view(1, 4, 4, SIDE, SIDE).transpose(1, 2).reshape(1, 16, SIDE, SIDE)


def shuffle_pixels(x: Tensor) -> Tensor:
    """Channels become pixels, through six axes."""
    return x.view(1, 4, 2, 2, SIDE, SIDE).permute(0, 1, 4, 2, 5, 3).reshape(1, 4, 2 * SIDE, 2 * SIDE)


def windows(x: Tensor) -> Tensor:
    """An image in windows of 4 by 4, and back, with a sum over each window in between."""
    cut = x.permute(0, 2, 3, 1).view(1, 2, 4, 2, 4, 16).permute(0, 1, 3, 2, 4, 5).reshape(4, 16, 16)
    cut = cut - cut.sum(1, keepdim=True) / 16
    return cut.view(1, 2, 2, 4, 4, 16).permute(0, 5, 1, 3, 2, 4).reshape(1, 16, SIDE, SIDE)


def contract(x: Tensor) -> Tensor:
    """Two contractions in Einstein's notation."""
    return torch.einsum("nhwv,nchv->nchw", torch.einsum("nchw,nchv->nhwv", x, x), x)


class Normalized(nn.Module):
    """Layer normalization over the channels of an image, spelled out."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.rand(16, 1, 1)), nn.Parameter(torch.rand(16, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape of `x`."""
        x = x - x.mean(1, keepdim=True)
        return self.scale * (x / torch.sqrt(x.pow(2).mean(1, keepdim=True) + 1e-6)) + self.shift


class Anchors(nn.Module):
    """The heads of a detector over two scales: channels become anchors, and the scales one list."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.heads = nn.ModuleList((nn.Conv2d(8, 21, 1), nn.Conv2d(8, 21, 1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        """Returns `[1, anchors, 7]`."""
        x = functional.relu(self.stem(x))
        maps = [head(x) for head in self.heads]
        lists = [m.view(1, 3, 7, *m.shape[2:]).permute(0, 1, 3, 4, 2).reshape(1, -1, 7) for m in maps]
        return torch.cat(lists, 1).sigmoid()


class Patches(nn.Module):
    """A vision transformer of one block: an image in patches, queries, keys and values in one product."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.norm = nn.Conv2d(3, 32, 2, 2), nn.LayerNorm(32)
        self.project, self.merge = nn.Linear(32, 96), nn.Linear(32, 32)

    def forward(self, x: Tensor) -> Tensor:
        """Returns `[1, 16, 32]`."""
        x = self.patch(x).flatten(2).transpose(1, 2)
        query, key, value = self.project(self.norm(x)).reshape(1, 16, 3, 4, 8).permute(2, 0, 3, 1, 4)
        mixed = torch.softmax(query @ key.transpose(-1, -2) * 8**-0.5, -1) @ value
        return x + self.merge(mixed.transpose(1, 2).reshape(1, 16, 32))


class Recurrent(nn.Module):
    """A layer over time, and a Linear over its last step."""

    def __init__(self, kind: type[nn.RNNBase], **options: bool) -> None:
        super().__init__()
        self.layer = kind(32, 64, batch_first=True, **options)
        self.head = nn.Linear(128 if options else 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Over `[1, 40, 32]`."""
        return self.head(self.layer(x)[0][:, -1])


class Lines(nn.Module):
    """A reader of text lines: the columns of an image are the steps of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d((SIDE, 1))
        self.layer, self.head = nn.LSTM(8, 16, bidirectional=True), nn.Linear(32, 11)

    def forward(self, x: Tensor) -> Tensor:
        """Returns `[SIDE, 1, 11]`."""
        steps = self.pool(self.conv(x)).squeeze(2).permute(2, 0, 1)
        return self.head(self.layer(steps)[0]).log_softmax(2)


IMAGE, SERIES = (1, 3, SIDE, SIDE), (1, 40, 32)

NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "channel-shuffle": (lambda: Between(shuffle_channels), IMAGE),
    "pixel-shuffle": (lambda: Between(shuffle_pixels, after=4), IMAGE),
    "windows": (lambda: Between(windows), IMAGE),
    "einsum": (lambda: Between(contract), IMAGE),
    "prelu": (lambda: Between(nn.PReLU(16)), IMAGE),
    "channel-norm": (lambda: Between(Normalized()), IMAGE),
    "channel-softmax": (lambda: Between(nn.Softmax(1)), IMAGE),
    "flatten": (
        lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 10)),
        IMAGE,
    ),
    "anchors": (Anchors, IMAGE),
    "patches": (Patches, IMAGE),
    "lines": (Lines, IMAGE),
    "lstm": (lambda: Recurrent(nn.LSTM), SERIES),
    "lstm-both": (lambda: Recurrent(nn.LSTM, bidirectional=True), SERIES),
    "gru": (lambda: Recurrent(nn.GRU), SERIES),
    "rnn": (lambda: Recurrent(nn.RNN), SERIES),
    "conv-1d": (lambda: nn.Sequential(nn.Conv1d(40, 8, 3, padding=1), nn.ReLU(), nn.Conv1d(8, 8, 3)), SERIES),
    "conv-3d": (
        lambda: nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 4, 3)),
        (1, 2, 6, SIDE, SIDE),
    ),
}


def export(name: str, out: str) -> None:
    """Writes the file as the TorchScript exporter does, which needs no package besides onnx.

    An extent of 1 in front is the batch, which is left open where the net does not say it itself.
    """
    torch.manual_seed(0)
    make, shape = NETS[name]
    net = make().eval()
    for parameter in net.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    open_batch = name in ("prelu", "flatten", "channel-norm", "channel-softmax", "conv-1d", "conv-3d")
    torch.onnx.export(
        net,
        (torch.zeros(shape),),
        out,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch"}} if open_batch else None,
        opset_version=OPSET,
        dynamo=False,
    )


if __name__ == "__main__":
    export(*sys.argv[1:])
