"""Layers."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .row import Row, call

LINE, PICTURE, SOLID, ROW = ((2, 4, 9),), ((2, 4, 8, 6),), ((1, 2, 5, 6, 4),), ((3, 6),)
NO_KERNEL = "LiteRT has no kernel for it, and it does not come apart"

ROWS = (
    Row("conv1d", lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1), LINE),
    Row("conv2d", lambda: nn.Conv2d(4, 6, 3), PICTURE, open=True),
    Row(
        "conv2d/groups",
        lambda: nn.Conv2d(4, 8, 3, stride=(2, 1), padding=(1, 2), groups=2, bias=False),
        PICTURE,
    ),
    Row("conv2d/depthwise", lambda: nn.Conv2d(4, 8, 3, dilation=2, padding=2, groups=4), PICTURE),
    Row("conv2d/same", lambda: nn.Conv2d(4, 6, 4, padding="same"), PICTURE),
    Row("conv2d/valid", lambda: nn.Conv2d(4, 6, 3, padding="valid"), PICTURE),
    Row("conv2d/reflect", lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), PICTURE),
    Row("conv2d/no batch", lambda: nn.Conv2d(4, 6, 3), ((4, 8, 6),)),
    Row("conv3d", lambda: nn.Conv3d(2, 3, 2, stride=2), SOLID),
    Row("conv_transpose1d", lambda: nn.ConvTranspose1d(4, 6, 3, stride=2), LINE),
    Row(
        "conv_transpose2d",
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1),
        PICTURE,
    ),
    Row("conv_transpose2d/groups", lambda: nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False), PICTURE),
    Row("linear", lambda: nn.Linear(6, 5), ROW, open=True),
    Row("linear/rank 4", lambda: nn.Linear(6, 5, bias=False), PICTURE, open=True),
    Row("linear/vector", lambda: nn.Linear(6, 5), ((6,),)),
    Row("bilinear", lambda: nn.Bilinear(6, 5, 4), ((3, 6), (3, 5))),
    Row("batch_norm", lambda: nn.BatchNorm2d(4), PICTURE),
    Row("batch_norm/plain", lambda: nn.BatchNorm1d(4, affine=False, eps=1e-2), LINE),
    Row("batch_norm/no statistics", lambda: nn.BatchNorm2d(4, track_running_stats=False), PICTURE),
    Row("layer_norm", lambda: nn.LayerNorm((8, 6)), PICTURE, open=True),
    Row("layer_norm/plain", lambda: nn.LayerNorm(6, elementwise_affine=False), PICTURE),
    Row("group_norm", lambda: nn.GroupNorm(2, 4), PICTURE),
    Row("instance_norm", lambda: nn.InstanceNorm2d(4, affine=True), PICTURE),
    Row("rms_norm", lambda: nn.RMSNorm(6, eps=1e-5), PICTURE),
    Row("local_response_norm", lambda: nn.LocalResponseNorm(3), PICTURE),
    Row("max_pool1d", lambda: nn.MaxPool1d(3, 2, 1), LINE),
    Row("max_pool2d/ceil", lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), PICTURE),
    Row("max_pool2d/dilated", lambda: nn.MaxPool2d((3, 2), 1, dilation=2), PICTURE),
    Row(
        "max_pool2d/indices",
        lambda: nn.MaxPool2d(2, return_indices=True),
        PICTURE,
    ),
    Row("max_unpool2d", lambda: _Unpool(), PICTURE),
    Row("avg_pool2d", lambda: nn.AvgPool2d(3, 2, 1), PICTURE),
    Row("avg_pool2d/ceil", lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), PICTURE),
    Row("avg_pool2d/divisor", lambda: nn.AvgPool2d(3, 2, ceil_mode=True, divisor_override=5), PICTURE),
    Row("avg_pool3d", lambda: nn.AvgPool3d(2), SOLID),
    Row("lp_pool2d", lambda: nn.LPPool2d(2, 3), ((2, 4, 9, 6),)),
    Row("adaptive_avg_pool2d/one", lambda: nn.AdaptiveAvgPool2d(1), PICTURE, open=True),
    Row("adaptive_avg_pool2d/even", lambda: nn.AdaptiveAvgPool2d((4, 3)), PICTURE),
    Row("adaptive_avg_pool2d/uneven", lambda: nn.AdaptiveAvgPool2d((3, 4)), PICTURE),
    Row("adaptive_max_pool2d/uneven", lambda: nn.AdaptiveMaxPool2d((3, 4), return_indices=True), PICTURE),
    Row("upsample/nearest", lambda: nn.Upsample(scale_factor=2), PICTURE),
    Row("upsample/nearest size", lambda: nn.Upsample(size=(11, 5)), PICTURE),
    Row("upsample/nearest-exact", lambda: nn.Upsample(size=(11, 5), mode="nearest-exact"), PICTURE),
    Row("upsample/bilinear", lambda: nn.Upsample(scale_factor=(1.5, 2.0), mode="bilinear"), PICTURE),
    Row("upsample/corners", lambda: nn.Upsample(size=(11, 5), mode="bilinear", align_corners=True), PICTURE),
    Row("upsample/bicubic", lambda: nn.Upsample(size=(11, 5), mode="bicubic"), PICTURE),
    call("upsample/antialias", lambda x: F.interpolate(x, size=(5, 3), mode="bilinear", antialias=True)),
    Row("pixel_shuffle", lambda: nn.PixelShuffle(2), PICTURE),
    Row("pixel_unshuffle", lambda: nn.PixelUnshuffle(2), PICTURE),
    Row("channel_shuffle", lambda: nn.ChannelShuffle(2), PICTURE),
    Row("unfold", lambda: nn.Unfold(3, padding=1, stride=2), PICTURE),
    Row("fold", lambda: nn.Fold((6, 5), 2), ((2, 12, 20),)),
    Row("dropout", lambda: nn.Sequential(nn.Dropout(), nn.Dropout2d(), nn.ReLU()), PICTURE),
    Row("embedding", lambda: nn.Embedding(9, 4, padding_idx=0), (torch.tensor([[1, 0, 8], [3, 3, 2]]),)),
    Row("lstm", lambda: nn.LSTM(6, 5), ((4, 2, 6),)),
    Row(
        "lstm/stacked",
        lambda: nn.LSTM(6, 5, 2, bidirectional=True, batch_first=True, bias=False),
        ((2, 4, 6),),
    ),
    Row("gru", lambda: nn.GRU(6, 5, batch_first=True), ((2, 4, 6),), open=True),
    Row("gru/bidirectional", lambda: nn.GRU(6, 5, bidirectional=True), ((4, 2, 6),)),
    Row("rnn", lambda: nn.RNN(6, 5, nonlinearity="relu"), ((4, 2, 6),)),
    Row("lstm_cell", lambda: nn.LSTMCell(6, 5), ROW),
    Row("gru_cell", lambda: nn.GRUCell(6, 5), ROW),
    Row("attention/module", lambda: _Itself(nn.MultiheadAttention(6, 2, batch_first=True)), ((2, 4, 6),)),
    Row(
        "transformer_encoder",
        lambda: nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, activation="gelu"),
        ((2, 4, 6),),
        open=True,
    ),
    call("attention", F.scaled_dot_product_attention, *[(2, 2, 5, 4)] * 3),
    call(
        "attention/causal",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3),
        *[(2, 2, 5, 4)] * 3,
    ),
    call("attention/mask", F.scaled_dot_product_attention, *[(2, 2, 5, 4)] * 3, (5, 5)),
    call(
        "attention/shared",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        (2, 4, 5, 4),
        *[(2, 2, 5, 4)] * 2,
    ),
    call("attention/rank 3", F.scaled_dot_product_attention, *[(2, 5, 4)] * 3),
    call("grid_sample", lambda x, g: F.grid_sample(x, g, align_corners=False), (2, 3, 5, 6), (2, 4, 3, 2)),
    call(
        "grid_sample/nearest",
        lambda x, g: F.grid_sample(x, g, mode="nearest", padding_mode="border", align_corners=True),
        (2, 3, 5, 6),
        (2, 4, 3, 2),
    ),
)


class _Itself(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.attention(x, x, x, need_weights=False)[0]
        return found


class _Unpool(nn.Module):
    """Pooling and back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, places = F.max_pool2d(x, 2, return_indices=True)
        return F.max_unpool2d(y, places, 2)
