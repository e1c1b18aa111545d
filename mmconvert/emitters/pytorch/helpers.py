"""Functions that are written beside the model where it needs them: what torch has no operator for."""

from __future__ import annotations

HELPERS = {
    "pad_same": '''
def pad_same(
    x: Tensor,
    kernel: int | tuple[int, ...],
    stride: int | tuple[int, ...],
    value: float = 0.0,
    extra_after: bool = True,
) -> Tensor:
    """Pads a picture so that windows at each stride cover it: ceil(extent / stride) of them."""
    rank = x.dim() - 2
    kernels = (kernel,) * rank if isinstance(kernel, int) else kernel
    strides = (stride,) * rank if isinstance(stride, int) else stride
    pads: list[int] = []
    for extent, size, step in zip(x.shape[2:], kernels, strides, strict=True):
        total = max((-(-extent // step) - 1) * step + size - extent, 0)
        sides = [total // 2, total - total // 2]
        pads = (sides if extra_after else sides[::-1]) + pads
    return F.pad(x, pads, value=value)
''',
    "gather_nd": '''
def gather_nd(x: Tensor, indices: Tensor, batch_dims: int) -> Tensor:
    """Slices of x at tuples of positions, which are the last axis of the indices."""
    lead = []
    for axis in range(batch_dims):
        shape = [1] * (indices.dim() - 1)
        shape[axis] = -1
        lead.append(torch.arange(x.shape[axis], device=x.device).reshape(shape))
    return x[(*lead, *indices.unbind(-1))]
''',
    "scatter_nd": '''
def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
    """x with slices at tuples of positions combined with the updates."""
    depth = indices.shape[-1]
    rows = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for axis, places in enumerate(indices.unbind(-1)):
        rows = rows * x.shape[axis] + places % x.shape[axis]
    flat = x.flatten(0, depth - 1).reshape(rows.new_tensor(x.shape[:depth]).prod(), -1)
    values = updates.reshape(rows.numel(), -1)
    target = rows.reshape(-1, 1).expand_as(values)
    return flat.scatter_reduce(0, target, values, reduction).reshape(x.shape)
''',
    "reverse_sequence": '''
def reverse_sequence(x: Tensor, lengths: Tensor, time_axis: int, batch_axis: int) -> Tensor:
    """The first elements of each sequence in reverse, as many as its length; the others as they are."""
    y = x.movedim((batch_axis, time_axis), (0, 1))
    steps = torch.arange(y.shape[1], device=x.device)
    ends = lengths.long().reshape(-1, 1)
    order = torch.where(steps < ends, ends - 1 - steps, steps)
    rows = torch.arange(y.shape[0], device=x.device).reshape(-1, 1)
    return y[rows, order].movedim((0, 1), (batch_axis, time_axis))
''',
    "unique": '''
def unique(
    x: Tensor, axis: int | None, ordered: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distinct elements or slices, where each is first, which one each element is, and how often."""
    if axis is None:
        x, axis = x.flatten(), 0
    found, inverse, counts = torch.unique(x, dim=axis, return_inverse=True, return_counts=True)
    places = torch.arange(inverse.numel(), device=x.device)
    first = torch.full_like(counts, inverse.numel()).scatter_reduce(0, inverse, places, "amin")
    if not ordered:
        order = torch.argsort(first)
        rank = torch.argsort(order)
        found, first = found.index_select(axis, order), first[order]
        inverse, counts = rank[inverse], counts[order]
    return found, first, inverse, counts
''',
    "non_max_suppression": '''
def non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    limit: int | Tensor,
    iou: float | Tensor,
    least: float | Tensor,
    center_point: bool = False,
) -> Tensor:
    """Picture, class and number of the boxes that no better one of their class covers."""
    limit, iou, least = int(limit), float(iou), float(least)
    a, b = boxes[..., :2], boxes[..., 2:]
    if center_point:
        a, b = a - b / 2, a + b / 2
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    area = (high - low).prod(-1)
    found: list[tuple[int, int, int]] = []
    for picture in range(scores.shape[0]):
        for label in range(scores.shape[1]):
            values = scores[picture, label]
            order = torch.sort(values, descending=True, stable=True).indices.tolist()
            kept: list[int] = []
            for box in order:
                if len(kept) >= limit or not values[box] > least:
                    break
                start = torch.maximum(low[picture, kept], low[picture, box])
                end = torch.minimum(high[picture, kept], high[picture, box])
                shared = (end - start).clamp(min=0).prod(-1)
                total = area[picture, kept] + area[picture, box] - shared
                if not bool((shared > iou * total).any()):
                    kept.append(box)
            found += [(picture, label, box) for box in kept]
    return torch.tensor(found, dtype=torch.int64, device=scores.device).reshape(-1, 3)
''',
    "roi_align": '''
def roi_align(
    x: Tensor,
    rois: Tensor,
    batch: Tensor,
    size: tuple[int, int],
    ratio: int,
    scale: float,
    half_pixel: bool,
) -> Tensor:
    """Means of samples in the bins of each region."""
    offset = 0.5 if half_pixel else 0.0
    start, end = rois[:, :2] * scale - offset, rois[:, 2:] * scale - offset
    extent = end - start if half_pixel else (end - start).clamp(min=1.0)
    weights = []
    for axis, bins in ((1, size[0]), (0, size[1])):
        length = x.shape[3 - axis]
        steps = (torch.arange(bins * ratio, device=x.device) + 0.5) / (bins * ratio)
        places = start[:, axis : axis + 1] + extent[:, axis : axis + 1] * steps
        inside = ((places >= -1) & (places <= length)).to(x.dtype)
        places = places.clamp(0, length - 1).unsqueeze(2)
        grid = torch.arange(length, device=x.device)
        taps = (1 - (places - grid).abs()).clamp(min=0) * inside.unsqueeze(2)
        weights.append(taps.unflatten(1, (bins, ratio)).mean(2))
    return torch.einsum("rchw,rih,rjw->rcij", x[batch.long()], weights[0], weights[1])
''',
    "deform_conv2d": '''
def deform_conv2d(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[tuple[int, int], tuple[int, int]],
    groups: int,
    offset_groups: int,
) -> Tensor:
    """A convolution whose taps are moved by the offset, between elements too."""
    batch, channels, height, width = x.shape
    filters, _, rows, columns = weight.shape
    out_height, out_width = offset.shape[2:]
    taps = rows * columns
    moved = offset.reshape(batch, offset_groups, taps, 2, out_height, out_width)
    place = []
    for axis, (kernel, extent) in enumerate(((rows, out_height), (columns, out_width))):
        first = torch.arange(extent, device=x.device) * stride[axis] - pads[axis][0]
        tap = torch.arange(kernel, device=x.device) * dilation[axis]
        shape = (kernel, 1, extent, 1) if axis == 0 else (1, kernel, 1, extent)
        grid = (tap.reshape(-1, 1) + first).reshape(shape)
        full = grid.expand(rows, columns, out_height, out_width)
        place.append(moved[:, :, :, axis] + full.reshape(taps, out_height, out_width))
    y = 2 * place[0] / max(height - 1, 1) - 1
    z = 2 * place[1] / max(width - 1, 1) - 1
    grid = torch.stack((z, y), -1).reshape(batch * offset_groups, taps, -1, 2)
    source = x.reshape(batch * offset_groups, -1, height, width)
    found = F.grid_sample(source, grid, align_corners=True)
    found = found.reshape(batch, offset_groups, -1, taps, out_height, out_width)
    if mask is not None:
        found = found * mask.reshape(batch, offset_groups, 1, taps, out_height, out_width)
    found = found.reshape(batch, groups, channels // groups * taps, -1)
    kernel = weight.reshape(groups, filters // groups, -1)
    y = (kernel @ found).reshape(batch, filters, out_height, out_width)
    return y if bias is None else y + bias.reshape(-1, 1, 1)
''',
}
"""The text of each, by name."""
