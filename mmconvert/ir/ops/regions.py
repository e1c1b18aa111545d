"""Operators over boxes: pooling of regions, and the choice among overlapping ones."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from mmconvert import dtypes
from mmconvert.ir.op import Op, operator
from mmconvert.ir.ops.logic import require_same_dtype
from mmconvert.ir.ops.reduce import widen
from mmconvert.ir.types import Array, Extent, TensorType


@operator
class RoiAlign(Op):
    """Each region cut into bins, with samples inside each bin averaged or maximised.

    x: floating point, [N, C, H, W]. rois: [R, 4], x1 y1 x2 y2. batch: integers [R], the picture that each
    region lies in. Returns [R, C, height, width]. He et al., "Mask R-CNN", 2017.

    Attributes:
        height: bins of the output along H.
        width: bins of the output along W.
        ratio: samples along each axis of a bin; 0 for as many as the bin is long.
        scale: from the coordinates of the regions to those of ``x``.
        half_pixel: coordinates name the corner of an element, not its centre.
        mode: "max" compares the four weighted neighbours of every sample, as ONNX Runtime does.
    """

    height: int
    width: int
    ratio: int = 0
    scale: float = 1.0
    half_pixel: bool = True
    mode: Literal["avg", "max"] = "avg"

    def infer(self, x: TensorType, rois: TensorType, batch: TensorType) -> TensorType:
        x.require_float().require_rank(4)
        require_same_dtype(
            x, rois.require_rank(2).require(rois.shape[1] == 4, "4 coordinates for each region")
        )
        batch.require_integer().require_rank(1)
        return x.with_shape((rois.shape[0], x.shape[1], self.height, self.width))

    def evaluate(self, x: Array, rois: Array, batch: Array) -> Array:
        wide, boxes = widen(x), widen(rois)
        y = np.zeros((len(rois), x.shape[1], self.height, self.width), wide.dtype)
        for r, (box, picture) in enumerate(zip(boxes, batch, strict=True)):
            y[r] = self._region(wide[picture], box)
        return y.astype(x.dtype, copy=False)

    def _region(self, x: Array, box: Array) -> Array:
        kind = x.dtype.type
        corners = box * kind(self.scale) - kind(0.5 if self.half_pixel else 0)
        spans = corners[2:] - corners[:2]
        spans = spans if self.half_pixel else np.maximum(spans, kind(1))
        rows, down = _samples(corners[1], spans[1], self.height, self.ratio, x.shape[1])
        columns, across = _samples(corners[0], spans[0], self.width, self.ratio, x.shape[2])
        if down * across == 0:
            return np.zeros((x.shape[0], self.height, self.width), x.dtype)
        if self.mode == "avg":
            found = (rows[0] + rows[1]) @ x @ (columns[0] + columns[1]).T
        else:
            found = np.maximum.reduce([row @ x @ column.T for row in rows for column in columns])
        cut = found.reshape(x.shape[0], self.height, down, self.width, across)
        return np.asarray(cut.mean(axis=(2, 4)) if self.mode == "avg" else cut.max(axis=(2, 4)))


def _samples(
    start: Array, span: Array, bins: int, ratio: int, extent: int
) -> tuple[tuple[Array, Array], int]:
    """The weights of both neighbours of each sample, [samples, extent]; and the number of samples per bin."""
    kind = start.dtype.type
    size = span / kind(bins)
    count = ratio if ratio > 0 else max(math.ceil(size), 0)
    steps = np.arange(bins).repeat(count).astype(start.dtype)
    inner = np.tile(np.arange(count), bins).astype(start.dtype) + kind(0.5)
    place = start + steps * size + inner * size / kind(max(count, 1))
    seen = (place >= -1) & (place <= extent)
    place = np.clip(place, 0, extent - 1)
    low = np.floor(place).astype(np.int64)
    upper = np.where(seen, place - low, 0).astype(start.dtype)
    lower = np.where(seen, low + 1 - place, 0).astype(start.dtype)
    line = np.arange(extent)
    first = np.where(low[:, None] == line, lower[:, None], kind(0))
    second = np.where(np.minimum(low + 1, extent - 1)[:, None] == line, upper[:, None], kind(0))
    return (first, second), count


@operator
class MaxRoiPool(Op):
    """Each region, rounded to whole elements, cut into bins; the largest element of each.

    x: floating point, [N, C, H, W]. rois: [R, 5], picture x1 y1 x2 y2. Returns [R, C, height, width], 0 for
    empty bins. Girshick, "Fast R-CNN", 2015.
    """

    height: int
    width: int
    scale: float = 1.0

    def infer(self, x: TensorType, rois: TensorType) -> TensorType:
        x.require_float().require_rank(4)
        require_same_dtype(x, rois.require_rank(2).require(rois.shape[1] == 5, "a picture and 4 coordinates"))
        return x.with_shape((rois.shape[0], x.shape[1], self.height, self.width))

    def evaluate(self, x: Array, rois: Array) -> Array:
        y = np.zeros((len(rois), x.shape[1], self.height, self.width), x.dtype)
        scaled = widen(rois)[:, 1:] * widen(rois).dtype.type(self.scale)
        corners = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
        for r, (x1, y1, x2, y2) in enumerate(corners.tolist()):
            picture = x[int(rois[r, 0])]
            for i, rows in enumerate(_bins(y1, y2, self.height, x.shape[2])):
                for j, columns in enumerate(_bins(x1, x2, self.width, x.shape[3])):
                    part = picture[:, rows, columns]
                    if part.size:
                        y[r, :, i, j] = part.max(axis=(1, 2))
        return y


def _bins(first: int, last: int, count: int, extent: int) -> list[slice]:
    """The elements of each bin of a region, which covers at least one element."""
    size = np.float32(max(last - first + 1, 1)) / np.float32(count)
    edges = [(math.floor(i * size) + first, math.ceil((i + 1) * size) + first) for i in range(count)]
    return [slice(min(max(a, 0), extent), min(max(b, 0), extent)) for a, b in edges]


@operator
class NonMaxSuppression(Op):
    """The boxes of each class that no better one covers, best first.

    boxes: floating point, [N, boxes, 4], two corners in any order (y x y x), or, with ``center_point``,
    centre x y, width, height. scores: [N, classes, boxes]. limit: i64, the most boxes of each class (default
    0). iou: floating, how much of the union two boxes may share (default 0). least: floating, scores at or
    below it are left out. All three have one element. Returns i64[``count``, 3]: picture, class, box.
    ``count`` is a symbol that the data decide.
    """

    count: Extent
    center_point: bool = False

    def infer(
        self,
        boxes: TensorType,
        scores: TensorType,
        limit: TensorType | None = None,
        iou: TensorType | None = None,
        least: TensorType | None = None,
    ) -> TensorType:
        boxes.require_float().require_rank(3).require(boxes.shape[2] == 4, "4 numbers for each box")
        require_same_dtype(boxes, scores.require_rank(3))
        for number in (limit, iou, least):
            if number is not None:
                number.require(number.size == 1, "one number")
        return TensorType(dtypes.I64, (self.count, 3))

    def evaluate(
        self,
        boxes: Array,
        scores: Array,
        limit: Array | None = None,
        iou: Array | None = None,
        least: Array | None = None,
    ) -> Array:
        most = 0 if limit is None else max(int(limit.item()), 0)
        share = 0.0 if iou is None else iou.item()
        floor = -math.inf if least is None else least.item()
        found: list[tuple[int, int, int]] = []
        for n, classes in enumerate(scores):
            corners = self._corners(boxes[n])
            for c, line in enumerate(classes):
                found += [(n, c, i) for i in _best(corners, line, most, share, floor)]
        return np.array(found, np.int64).reshape(-1, 3)

    def _corners(self, boxes: Array) -> Array:
        """Low and high corner of each box."""
        if self.center_point:
            middle, half = boxes[:, :2], boxes[:, 2:] / 2
            return np.concatenate([middle - half, middle + half], axis=1)
        pair = boxes[:, :2], boxes[:, 2:]
        return np.concatenate([np.minimum(*pair), np.maximum(*pair)], axis=1)


def _best(boxes: Array, scores: Array, most: int, share: float, floor: float) -> list[int]:
    """The chosen boxes of one class, by falling score; of equal ones the first."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order = np.argsort(-scores, kind="stable")
    left = order[scores[order] > floor]
    kept: list[int] = []
    while len(left) and len(kept) < most:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        low = np.maximum(boxes[left, :2], boxes[best, :2])
        common = np.prod(np.maximum(np.minimum(boxes[left, 2:], boxes[best, 2:]) - low, 0), axis=1)
        union = areas[left] + areas[best] - common
        left = left[~((common > 0) & (union > 0) & (common > share * union))]
    return kept
