"""Types of values, and the small vocabulary that operators share."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InferenceError
from mmconvert.ir import dims
from mmconvert.ir.dims import Extent
from mmconvert.tensors import Array

__all__ = ["Array", "DType", "Extent", "Layout", "Shape", "TensorType"]

Shape = tuple[Extent, ...]


class Layout(enum.Enum):
    """Where the channel axis sits, for any number of spatial axes.

    ============  ==============  ========================  ===========================
    layout        activation      Conv weight               ConvTranspose weight
    ============  ==============  ========================  ===========================
    ``NCHW``      N C spatial     O I/groups spatial        I O/groups spatial
    ``NHWC``      N spatial C     O spatial I/groups        I spatial O/groups
    ============  ==============  ========================  ===========================
    """

    NCHW = "NCHW"
    NHWC = "NHWC"

    def channel_axis(self, rank: int) -> int:
        """The index of the channel axis of an activation of ``rank`` axes."""
        return 1 if self is Layout.NCHW else rank - 1

    def spatial_axes(self, rank: int) -> range:
        """The indices of the spatial axes of an activation of ``rank`` axes."""
        return range(2, rank) if self is Layout.NCHW else range(1, rank - 1)

    def permutation_to(self, other: Layout, rank: int) -> tuple[int, ...]:
        """The transposition that takes an activation of this layout to the ``other`` one."""
        if self is other or rank < 3:
            return tuple(range(rank))
        return (0, *range(2, rank), 1) if self is Layout.NCHW else (0, rank - 1, *range(1, rank - 1))


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of a value. Rank is always known; extents may be symbolic."""

    dtype: DType
    shape: Shape

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Extent:
        """The number of elements."""
        return dims.product(self.shape)

    @property
    def is_static(self) -> bool:
        """True when every extent is a number."""
        return all(isinstance(e, int) for e in self.shape)

    @property
    def static_shape(self) -> tuple[int, ...]:
        """The shape, when it is static.

        Raises:
            InferenceError: an extent is symbolic.
        """
        extents = tuple(e for e in self.shape if isinstance(e, int))
        if len(extents) != self.rank:
            raise InferenceError(f"a known shape is needed, not {self}")
        return extents

    def with_shape(self, shape: Shape) -> TensorType:
        """This element type with another shape."""
        return replace(self, shape=tuple(shape))

    def with_dtype(self, dtype: DType) -> TensorType:
        """This shape with another element type."""
        return replace(self, dtype=dtype)

    def require_float(self) -> TensorType:
        """This type, when its elements are floating point.

        Raises:
            InferenceError: they are not.
        """
        return self.require(dtypes.is_float(self.dtype), "a floating-point tensor")

    def require_numeric(self) -> TensorType:
        """This type, when its elements are numbers."""
        return self.require(dtypes.is_numeric(self.dtype), "a numeric tensor")

    def require_integer(self) -> TensorType:
        """This type, when its elements are integers."""
        return self.require(dtypes.is_integer(self.dtype), "an integer tensor")

    def require_bool(self) -> TensorType:
        """This type, when its elements are booleans."""
        return self.require(self.dtype == dtypes.BOOL, "a boolean tensor")

    def require_rank(self, *ranks: int) -> TensorType:
        """This type, when it has one of ``ranks`` axes."""
        return self.require(self.rank in ranks, f"a tensor of rank {' or '.join(map(str, ranks))}")

    def require(self, condition: bool, what: str) -> TensorType:
        """This type, when ``condition`` holds.

        Raises:
            InferenceError: it does not; ``what`` says what was needed.
        """
        if not condition:
            raise InferenceError(f"{what} is needed, not {self}")
        return self

    def axis(self, axis: int) -> int:
        """``axis`` counted from the front.

        Raises:
            InferenceError: there is no such axis.
        """
        if not -self.rank <= axis < self.rank:
            raise InferenceError(f"there is no axis {axis} in {self}")
        return axis % self.rank

    def axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """``axes`` counted from the front, each at most once."""
        found = tuple(self.axis(a) for a in axes)
        if len(set(found)) != len(found):
            raise InferenceError(f"an axis is named twice in {axes}")
        return found

    def __str__(self) -> str:
        return f"{dtypes.name(self.dtype)}[{','.join(map(str, self.shape))}]"


def broadcast(*types: TensorType) -> Shape:
    """The shape of the elementwise combination of ``types``, by NumPy's rule.

    Raises:
        InferenceError: two known extents differ and neither is 1.
    """
    rank = max(t.rank for t in types)
    shape: list[Extent] = []
    for axis in range(-rank, 0):
        extent: Extent = 1
        for t in types:
            if -axis <= t.rank:
                extent = _broadcast_extent(extent, t.shape[axis], types)
        shape.append(extent)
    return tuple(shape)


def _broadcast_extent(a: Extent, b: Extent, types: tuple[TensorType, ...]) -> Extent:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if isinstance(a, int) and isinstance(b, int):
        raise InferenceError(f"shapes do not broadcast: {', '.join(map(str, types))}")
    # A known extent above 1 can only meet itself or 1.
    return (
        dims.maximum(a, b)
        if not isinstance(a, int) and not isinstance(b, int)
        else a
        if isinstance(a, int)
        else b
    )
