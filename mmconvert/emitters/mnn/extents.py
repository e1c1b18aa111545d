"""How MNN computes with extents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmconvert import dtypes, mnnlib
from mmconvert.emitters import extents
from mmconvert.ir.graph import Value
from mmconvert.ir.types import TensorType

if TYPE_CHECKING:
    from mmconvert.emitters.mnn.writer import Writer


class Extents(extents.Extents):
    """Writes extents as i32 vectors."""

    def __init__(self, out: Writer) -> None:
        super().__init__(out)
        self._out = out

    def _shape(self, value: Value) -> Value:
        return self._out.make(
            "Shape", (value,), TensorType(dtypes.I32, (value.type.rank,)), layout=mnnlib.NCHW
        )

    def _pick(self, shape: Value, axis: int) -> Value:
        operands = (shape, self._out.integers([axis]), self._out.constant(0, dtypes.I32))
        return self._out.make("GatherV2", operands, self.VECTOR_OF_ONE)

    def _join(self, parts: list[Value], length: int) -> Value:
        return self._out.make("Concat", parts, TensorType(dtypes.I32, (length,)), axis=0)

    def _add(self, a: Value, b: Value) -> Value:
        return self._combine("ADD", a, b)

    def _multiply(self, a: Value, b: Value) -> Value:
        return self._combine("MUL", a, b)

    def _divide(self, a: Value, b: Value) -> Value:
        return self._combine("FLOORDIV", a, b)

    def _larger(self, a: Value, b: Value) -> Value:
        return self._combine("MAXIMUM", a, b)

    def _combine(self, name: str, a: Value, b: Value) -> Value:
        return self._out.binary(name, a, b, Value(self.VECTOR_OF_ONE, f"{self._out.scope}/extent"))
