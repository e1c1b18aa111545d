"""Extents that are elements of a tensor: known by name when a model is read, and by number when it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmconvert.errors import InferenceError
from mmconvert.ir.dims import Extent
from mmconvert.ir.op import Op, operator
from mmconvert.ir.types import Array, TensorType


@operator
class ReadExtents(Op):
    """Gives names to the elements of ``x``, so that shapes and bounds can be made of them.

    x: integer scalar or vector, with as many elements as there are ``names``. Returns x, whose content is
    ``names``. A name that is a symbol is bound to the element when the model runs; operators that mention it
    among their attributes must come after this one, which stays for as long as one of them does.
    """

    names: tuple[Extent, ...]

    def infer(self, x: TensorType) -> TensorType:
        x.require_integer().require_rank(0, 1)
        if isinstance(x.size, int) and x.size != len(self.names):
            raise InferenceError(f"there are {len(self.names)} names for the elements of {x}")
        return x

    def evaluate(self, x: Array) -> Array:
        return x

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        (x,) = types
        assert x is not None
        return np.array(self.names, dtype=object).reshape(x.static_shape) if x.is_static else None
