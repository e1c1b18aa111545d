"""How TFLite computes with extents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmconvert import dtypes
from mmconvert.emitters import extents
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.ir.graph import Value
from mmconvert.ir.types import TensorType

if TYPE_CHECKING:
    from mmconvert.emitters.tflite.writer import Writer


class Extents(extents.Extents):
    """Writes extents as i32 vectors."""

    def __init__(self, out: Writer) -> None:
        super().__init__(out)
        self._out = out

    def _shape(self, value: Value) -> Value:
        vector = TensorType(dtypes.I32, (value.type.rank,))
        return self._out.make(tfl.SHAPE, (value,), vector, out_type=tfl.TENSOR_TYPES[dtypes.I32])

    def _pick(self, shape: Value, axis: int) -> Value:
        begin, size = self._out.integers([axis]), self._out.integers([1])
        return self._out.make(tfl.SLICE, (shape, begin, size), self.VECTOR_OF_ONE)

    def _join(self, parts: list[Value], length: int) -> Value:
        return self._out.make(tfl.CONCATENATION, parts, TensorType(dtypes.I32, (length,)), axis=0)

    def _add(self, a: Value, b: Value) -> Value:
        return self._out.make(tfl.ADD, (a, b), self.VECTOR_OF_ONE)

    def _multiply(self, a: Value, b: Value) -> Value:
        return self._out.make(tfl.MUL, (a, b), self.VECTOR_OF_ONE)

    def _divide(self, a: Value, b: Value) -> Value:
        return self._out.make(tfl.FLOOR_DIV, (a, b), self.VECTOR_OF_ONE)

    def _larger(self, a: Value, b: Value) -> Value:
        return self._out.make(tfl.MAXIMUM, (a, b), self.VECTOR_OF_ONE)
