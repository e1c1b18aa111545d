"""Operators that move, cut, join, pick and make."""

from __future__ import annotations

import torch
from torch.nn import functional as F  # noqa: N812

from .row import Row, call

PLACES = torch.tensor([[0, 2, 1], [2, 2, 0]])
LINE = torch.tensor([2, 0, 2])
MASK = torch.tensor([[True, False, True], [False, False, True]])

ROWS: tuple[Row, ...] = (
    call("view", lambda x: x.view(x.shape[0], -1).reshape(-1, 4), open=True),
    call("flatten", lambda x: (x.flatten(1), x.unflatten(2, (4, 2)), x.ravel()), open=True),
    call("squeeze", lambda x: (x.squeeze(), x.squeeze(0), x.unsqueeze(-1)), (1, 3, 1, 4)),
    call("transpose", lambda x: (x.transpose(1, 2), x.permute(3, 0, 2, 1), x.mT, x.movedim(0, 2)), open=True),
    call("expand", lambda x: (x.expand(5, 2, 3), x.expand(2, -1), torch.broadcast_to(x, (1, 2, 3))), (2, 3)),
    call("cat", lambda x, y: (torch.cat([x, y, x], 1), torch.stack([x, x], 2)), (2, 3), (2, 1)),
    call("cat/promotion", lambda x, y: torch.cat([x, y]), (2, 3), PLACES),
    call("hstack", lambda x, y: (torch.hstack([x, y]), torch.vstack([x, y])), (2, 3), (2, 3)),
    call("split", lambda x: (*x.split(3, 2), *x.split([1, 4, 1], 3), *x.chunk(2, 2), *x.unbind(1))),
    call("slice", lambda x: (x[:, 1:, ::2], x[..., -3:-1], x[0], x[:, -1, 2])),
    call("slice/open", lambda x: (x[:, 1:], x[:, :, -2:], x[..., ::2]), open=True),
    call("narrow", lambda x: torch.narrow(x, 2, 1, 4)),
    call("flip", lambda x: (x.flip(1, 3), x.roll(2, 2), x.roll((1, -2), (1, 3)), torch.rot90(x, 1, (2, 3)))),
    call(
        "repeat",
        lambda x: (x.repeat(1, 2, 1, 3), x.repeat(2, 1, 1, 1, 1), x.repeat_interleave(2, 1)),
        open=True,
    ),
    call("pad", lambda x: (F.pad(x, (1, 2, -1, 1), value=3.0), F.pad(x, (2, 1, 1, 0), mode="replicate"))),
    call(
        "pad/reflect",
        lambda x: (F.pad(x, (2, 1, 1, 2), mode="reflect"), F.pad(x, (1, 1, 1, 1), mode="circular")),
    ),
    call("unfold", lambda x: x.unfold(2, 3, 2)),
    call("diagonal", lambda x: (x.diagonal(1, 2, 3), torch.diag_embed(x[:, :, 0]))),
    call("meshgrid", lambda x, y: torch.meshgrid(x, y, indexing="xy"), (3,), (4,)),
    call("index", lambda x, i: (x[i], x[:, i], x[i, i], x[:, i, :, i]), (3, 3, 4, 3), LINE),
    call("index/mask", lambda x, m: (x[m], torch.masked_select(x, m)), (2, 3), MASK),
    call("nonzero", lambda m: m.nonzero(), MASK),
    call("index_select", lambda x, i: torch.index_select(x, 1, i), (2, 3), LINE),
    call("gather", lambda x, i: (torch.gather(x, 1, i), torch.take_along_dim(x, i, 1)), (2, 3), PLACES),
    call(
        "scatter", lambda x, i: (x.scatter(1, i[:, :1], 5.0), x.scatter_add(0, i[:1] % 2, x)), (2, 3), PLACES
    ),
    call("index_put", lambda x, i: torch.index_put(x, (i,), x[:1], accumulate=True), (3, 4), LINE),
    call("index_add", lambda x, i: x.index_add(0, i, x), (3, 4), LINE),
    call(
        "scatter_reduce",
        lambda x, i: x.scatter_reduce(1, i, x, "amax", include_self=False),
        (2, 3),
        PLACES,
        cannot=(("tflite", "it scatters with a sum only"),),
    ),
    call("topk", lambda x: (*torch.topk(x, 3, 2), *torch.sort(x, 3, descending=True), x.argsort(1))),
    call("kthvalue", lambda x: (*torch.kthvalue(x, 2, 2), *x.median(3))),
    call("triangle", lambda x: (x.tril(), x.triu(1), torch.tril_indices(3, 4))),
    call("one_hot", lambda i: F.one_hot(i, 4), PLACES),
    call("bucketize", lambda x, e: torch.bucketize(x, e), (2, 3), torch.tensor([-1.0, 0.0, 1.0])),
    call("arange", lambda x: x[:, 0, 0] + torch.arange(6) * torch.arange(0.5, 3.5, 0.5)),
    call("arange/open", lambda x: (torch.arange(x.shape[0]), x.mean() * x.shape[0]), open=True),
    call(
        "full",
        lambda x: (
            torch.zeros(2, 3),
            torch.full_like(x, 7),
            x.new_ones(3),
            torch.eye(3),
            torch.linspace(0, 1, 5),
        ),
    ),
    call(
        "full/open", lambda x: (x.new_zeros(x.shape[0], 4), torch.ones_like(x, dtype=torch.int32)), open=True
    ),
    call(
        "to",
        lambda x: (
            x.to(torch.int32),
            x.half().float(),
            x.double(),
            x.type_as(torch.ones(1, dtype=torch.int64)),
        ),
    ),
)
