"""An operator of a source that keeps what it is, beside what it does."""

from __future__ import annotations

from typing import Any

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import ControlOp, operator
from mmconvert.ir.ops.control import require_types
from mmconvert.ir.types import Array, TensorType


@operator
class Composite(ControlOp):
    """An operator of one format, ``kind``, whose meaning ``body`` spells out.

    The format itself writes it as it was: to take a fused operator over integers apart and find it again
    would lose what its kernel does in between. Every other one reads the body.

    inputs: what ``body`` takes, in order. Returns what it makes: the results, then what ``states`` of the
    inputs are afterwards.

    ``options`` are those of the format, ``name=value``. ``operands`` says for each operand of the format
    which of the inputs it is, -1 for one that was left out. ``grids`` are scale and zero point of each
    input and output, ``inner`` those of inner results; a scale of 0 where there is none.
    """

    kind: str
    body: Graph
    operands: tuple[int, ...]
    states: tuple[int, ...] = ()
    options: tuple[str, ...] = ()
    grids: tuple[tuple[float, int], ...] = ()
    inner: tuple[tuple[float, int], ...] = ()

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        require_types("body", "inputs", [v.type for v in self.body.inputs], inputs)
        return tuple(v.type for v in self.body.outputs)

    def execute(self, run: Any, *args: Array | None) -> tuple[Array, ...]:
        return tuple(run(self.body, list(args)))

    def decompose(self, b: Builder, *inputs: Value) -> tuple[Value, ...]:
        """The operators of the body, one by one."""
        values: dict[Value, Value] = dict(zip(self.body.inputs, inputs, strict=True))

        def find(value: Value) -> Value:
            if value not in values:
                assert value.constant is not None
                values[value] = b.constant(value.constant, name=value.name)
            return values[value]

        for part in self.body:
            made = b.multi(part.op, *(None if v is None else find(v) for v in part.inputs))
            values.update(zip(part.outputs, made, strict=True))
        return tuple(find(value) for value in self.body.outputs)
