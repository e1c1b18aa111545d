"""A typed view of one layer: its operands, parameters and weights by name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Shape
from mmconvert.ncnnlib.files import Stored
from mmconvert.ncnnlib.parameters import Parameters
from mmconvert.tensors import Tensor


@dataclass(slots=True)
class Source:
    """A layer that is read.

    Values have a batch axis of extent 1 before the axes of NCNN's blobs.

    Attributes:
        stored: the layer's record and weights.
        inputs: its operands.
        b: writes where the layer is.
        warnings: what the reader of the model has to know.
    """

    stored: Stored
    inputs: list[Value]
    b: Builder
    warnings: list[str] = field(default_factory=list)

    @property
    def p(self) -> Parameters:
        """Its parameters."""
        return self.stored.parameters

    @property
    def kind(self) -> str:
        """What kind of layer it is."""
        return self.stored.layer.kind

    @property
    def x(self) -> Value:
        """Its first operand.

        Raises:
            InvalidModelError: there is none.
        """
        return self.operand(0)

    def operand(self, index: int) -> Value:
        """Operand ``index``.

        Raises:
            InvalidModelError: there is none.
        """
        if index >= len(self.inputs):
            raise self.invalid(f"{self.kind} has no operand {index}")
        return self.inputs[index]

    def only(self, count: int) -> None:
        """Checks how many operands there are."""
        if len(self.inputs) != count:
            raise self.invalid(f"{self.kind} takes {count} operands, not {len(self.inputs)}")

    def rank(self, value: Value | None = None) -> int:
        """The number of axes of a blob, its first operand's by default."""
        return (value or self.x).type.rank - 1

    def axis(self, axis: int, value: Value | None = None) -> int:
        """An axis of a blob as an axis of the value."""
        rank = self.rank(value)
        if not -rank <= axis < rank:
            raise self.invalid(f"there is no axis {axis} in a blob of rank {rank}")
        return axis % rank + 1

    def weight(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """A weight as float32; integers are as they are.

        Raises:
            InvalidModelError: it has another number of elements than ``shape``.
        """
        tensor = self.stored.weights[name]
        if shape is not None:
            if tensor.size != math.prod(shape):
                raise self.invalid(f"{name} has {tensor.size} elements, and should have the shape {shape}")
            tensor = tensor.reshape(shape)
        return tensor.cast(dtypes.F32) if tensor.dtype == dtypes.F16 else tensor

    def constant(self, name: str, shape: tuple[int, ...] | None = None) -> Value:
        """A weight as a value."""
        return self.b.constant(self.weight(name, shape), name=f"{self.stored.layer.name}.{name}")

    def optional(self, name: str, shape: tuple[int, ...] | None = None) -> Value | None:
        """A weight as a value, None where the layer has none of the name."""
        return self.constant(name, shape) if name in self.stored.weights else None

    def reshape(self, value: Value, shape: Shape) -> Value:
        """``value`` under another shape."""
        return value if value.type.shape == shape else self.b(ops.Reshape(shape=shape), value)

    def invalid(self, message: str) -> InvalidModelError:
        """The error that this layer is not valid."""
        return InvalidModelError(message, where=self.p.where)

    def unsupported(self, message: str) -> UnsupportedError:
        """The error that this layer cannot be represented."""
        return UnsupportedError(message, where=self.p.where)

    def activated(self, value: Value) -> Value:
        """``value`` after the activation that the layer applies to what it makes."""
        op = activation(self, self.p.integer("activation_type"), self.p.reals("activation_params"))
        if op is None:
            return value
        if isinstance(op, tuple):
            alpha, beta = op
            return self.b(ops.Mul(), value, self.b(ops.HardSigmoid(alpha=alpha, beta=beta), value))
        return self.b(op, value)


def activation(layer: Source, number: int, values: tuple[float, ...]) -> Op | tuple[float, float] | None:
    """The operator for a layer's activation; two numbers stand for a hard swish with these."""
    needed = {2: 1, 3: 2, 6: 2}.get(number, 0)
    if len(values) < needed:
        raise layer.invalid(f"the activation {number} has {needed} parameters")
    match number:
        case 0:
            return None
        case 1:
            return ops.Relu()
        case 2:
            return ops.LeakyRelu(alpha=values[0])
        case 3:
            return ops.Clip(low=values[0], high=values[1])
        case 4:
            return ops.Sigmoid()
        case 5:
            return ops.Mish()
        case 6:
            return hard_swish(values[0], values[1])
    raise layer.unsupported(f"the activation {number} is not known")


def hard_swish(alpha: float, beta: float) -> Op | tuple[float, float]:
    """The operator for ``x * clip(alpha * x + beta, 0, 1)`` where there is one, else the two numbers."""
    return ops.HardSwish() if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5 else (alpha, beta)
