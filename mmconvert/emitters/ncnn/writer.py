"""Collects the layers of a model, and their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mmconvert import dtypes
from mmconvert.emitters.ncnn import blob as blobs
from mmconvert.emitters.ncnn.blob import LETTERS, ORDERS, Blob, known
from mmconvert.emitters.ncnn.extents import Extents
from mmconvert.emitters.ncnn.fusion import Plan, Tail
from mmconvert.errors import InternalError, UnsupportedError
from mmconvert.ir import dims
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Shape, TensorType
from mmconvert.ncnnlib.notes import EXACT, blob_shape
from mmconvert.ncnnlib.records import Layer, Parameter
from mmconvert.ncnnlib.schema import numbers
from mmconvert.tensors import Tensor

_SMALL = 4096
_LARGEST = float(np.finfo(np.float32).max)
_CARRIED = (dtypes.F32, dtypes.F16, dtypes.BF16, dtypes.BOOL)


class Writer:
    """What a rule writes to.

    A value may lie in a blob of any shape with as many elements, in row-major order: ``blob`` gives it the
    shape that a rule asks for. Blobs have no batch axis (``ncnnlib.notes.blob_shape``).

    Attributes:
        layers: the layers so far; blobs go by their keys.
        weights: what each layer has in ``.bin``.
        hints: what to call the blobs.
        scope: what new blobs are called.
    """

    def __init__(self, plan: Plan | None = None, *, dry: bool = False) -> None:
        """
        Args:
            plan: which nodes are written as part of others.
            dry: write to nowhere; a value that nobody has written is taken to be there.
        """
        self.plan, self.dry = plan or Plan(), dry
        self.layers: list[Layer] = []
        self.weights: list[tuple[Tensor, ...]] = []
        self.hints: dict[str, str] = {}
        self.scope = ""
        self.extents = Extents(assume_known=dry)
        self._places: dict[Value, Blob] = {}
        self._views: dict[tuple[str, Shape], Blob] = {}
        self._constants: dict[tuple[Any, ...], Blob] = {}

    # --- layers --------------------------------------------------------------------------------------

    def __call__(
        self,
        kind: str,
        inputs: Sequence[Blob],
        *shapes: Shape,
        weights: Sequence[Tensor] = (),
        **parameters: Parameter,
    ) -> Any:
        """Writes a layer, and returns the blob that it makes, or a tuple where there are several shapes."""
        made = tuple(self._make(shape) for shape in shapes)
        ids = numbers(kind)
        if any(isinstance(v, float) and not abs(v) <= _LARGEST for v in parameters.values()):
            raise UnsupportedError("NCNN's parameters are finite")
        self.layers.append(
            Layer(
                kind,
                self.scope,
                [b.key for b in inputs],
                [b.key for b in made],
                {ids[name]: value for name, value in parameters.items()},
            )
        )
        self.weights.append(tuple(weights))
        return made[0] if len(made) == 1 else made

    def layer(self, kind: str, inputs: Sequence[Blob], shape: Shape, **rest: Any) -> Blob:
        """Writes a layer that makes one blob."""
        made = self(kind, inputs, shape, **rest)
        assert isinstance(made, Blob)
        return made

    def _make(self, shape: Shape) -> Blob:
        if not 1 <= len(shape) <= 4:
            raise InternalError(f"NCNN has no blob of the shape {shape}")
        if 0 in shape:
            raise UnsupportedError("NCNN has no empty blobs")
        made = Blob(str(len(self.hints)), shape)
        self.hints[made.key] = self.scope
        self.extents.learn(made)
        return made

    # --- values --------------------------------------------------------------------------------------

    def blob(self, value: Value, shape: Shape | None = None) -> Blob:
        """``value`` in a blob of ``shape``, by default the one that its own shape has without the batch."""
        shape = blob_shape(value.type.shape) if shape is None else shape
        if value.constant is not None:
            return self.constant(value.constant, shape, value.name)
        if value not in self._places:
            if not self.dry:
                raise InternalError(f"{value!r} is read before it is written")
            require_carried(value.type)
            self._places[value] = self._make(blob_shape(value.type.shape))
        return self.view(self._places[value], shape)

    def raw(self, value: Value) -> Blob:
        """``value`` in the blob that it lies in, whatever the shape of that is."""
        whole = self.blob(value)
        return whole if value.constant is not None else self._places[value]

    def along(self, value: Value, axis: int) -> tuple[Blob, int]:
        """``value`` in a blob that has ``axis`` as one of its own, and which that is."""
        fold, place = frame(value.type.shape, axis)
        return self.blob(value, fold(value.type.shape)), place

    def place(self, value: Value, blob: Blob) -> None:
        """Says that ``value`` lies in ``blob``."""
        require_carried(value.type)
        if 0 in value.type.shape:
            raise UnsupportedError("NCNN has no empty blobs")
        self._places[value] = blob
        if not self.hints[blob.key] or self.hints[blob.key] == self.scope:
            self.hints[blob.key] = value.name or self.scope

    def alias(self, value: Value, other: Value) -> None:
        """Says that ``value`` has the elements of ``other``, in the same order."""
        if other.constant is not None:
            self.place(value, self.blob(other, blob_shape(value.type.shape)))
            return
        self.blob(other)  # makes sure that it is there
        self.place(value, self._places[other])

    def tail(self, node: Node[Op]) -> Tail:
        """The result that the rule for ``node`` has to produce, with what it takes over on the way."""
        return self.plan.tails.get(node) or Tail(node.outputs[0])

    # --- constants -----------------------------------------------------------------------------------

    def constant(self, tensor: Tensor, shape: Shape | None = None, name: str = "") -> Blob:
        """A constant in a blob."""
        require_constant(tensor)
        extents = known(blob_shape(tensor.shape) if shape is None else shape, "the shape of a constant")
        data = tensor.cast(dtypes.F32).reshape(extents)
        key = (
            tensor.numpy().tobytes() if tensor.in_memory and tensor.nbytes <= _SMALL else id(tensor),
            extents,
        )
        if key not in self._constants:
            scope, self.scope = self.scope, name or f"{self.scope}/constant"
            sizes = dict(zip(LETTERS[len(extents)], extents, strict=True))
            self._constants[key] = self.layer("MemoryData", (), extents, weights=(data,), **sizes)
            self.scope = scope
        return self._constants[key]

    def numbers(self, data: npt.ArrayLike, shape: Shape | None = None) -> Blob:
        """A small constant of a rule's own."""
        return self.constant(Tensor.of(np.asarray(data, np.float32)), shape)

    # --- what rules need again and again -------------------------------------------------------------

    def view(self, source: Blob, shape: Shape) -> Blob:
        """The same elements in row-major order under another shape."""
        if source.shape == shape:
            return source
        if (source.key, shape) not in self._views:
            parameters, others = self._reshape(source, shape)
            self._views[source.key, shape] = self.layer("Reshape", (source, *others), shape, **parameters)
        return self._views[source.key, shape]

    def _reshape(self, source: Blob, shape: Shape) -> tuple[dict[str, Parameter], list[Blob]]:
        letters, own = LETTERS[len(shape)], dict(zip(LETTERS[source.rank], source.shape, strict=True))
        wanted: dict[str, Parameter] = {}
        left: list[str] = []
        for letter, extent in zip(letters, shape, strict=True):
            if isinstance(extent, int):
                wanted[letter] = extent
            elif own.get(letter) == extent:
                wanted[letter] = 0
            else:
                left.append(letter)
        if len(left) <= 1:
            return {**wanted, **dict.fromkeys(left, -1)}, []
        text, others = self.extents.formula(shape, source)
        return {"shape_expr": text}, others

    def permute(self, source: Blob, shape: Shape, perm: Sequence[int]) -> Blob:
        """The elements of ``source``, taken to be of ``shape``, with the axes of that in another order."""
        extents, order = blobs.merged(shape, perm)
        if order == tuple(range(len(order))):
            return source
        if len(order) <= 4:
            made = tuple(extents[axis] for axis in order)
            return self.layer(
                "Permute", (self.view(source, extents),), made, order_type=ORDERS[len(order)][order]
            )
        for start, middle, end in blobs.swaps(order):
            parts = (extents[:start], extents[start:middle], extents[middle:end], extents[end:])
            a, b, c, d = (dims.product(part) for part in parts)
            source = self.permute(source, (a, b, c, d), (0, 2, 1, 3))
            extents = (*parts[0], *parts[2], *parts[1], *parts[3])
        return source

    def unary(self, number: int, x: Blob) -> Blob:
        """A function of each element."""
        return self.layer("UnaryOp", (x,), x.shape, op_type=number)

    def scalar(self, number: int, x: Blob, value: float) -> Blob:
        """An operation of each element and a number."""
        with np.errstate(over="ignore"):
            finite = bool(np.isfinite(np.float32(value)))
        if not finite:
            return self.binary(number, x, self.numbers(np.full((1,) * x.rank, value)), x.shape)
        return self.layer("BinaryOp", (x,), x.shape, op_type=number, with_scalar=1, b=float(value))

    def binary(self, number: int, a: Blob, b: Blob, shape: Shape) -> Blob:
        """An operation of elements, by NumPy's rule; the operands have the rank of ``shape``."""
        return self.layer("BinaryOp", (a, b), shape, op_type=number)

    def operands(self, node: Node[Op], *, vectors: bool = False) -> tuple[list[Blob], Shape]:
        """The operands of an elementwise operator as blobs of equal rank, and the shape of its result.

        With ``vectors`` a blob with one element for each channel stays one, as BinaryOp broadcasts it.
        """
        values = [v for v in node.inputs if v is not None]
        shapes, shape = blobs.together([v.type.shape for v in values], node.output.type.shape)
        channels = (*shape[:1], *(1,) * (len(shape) - 1))
        found = []
        for value, own in zip(values, shapes, strict=True):
            place = self._places.get(value) if vectors and own == channels and len(own) > 2 else None
            found.append(place if place is not None and place.rank == 1 else self.blob(value, own))
        return found, shape


def frame(shape: Shape, *axes: int) -> tuple[Callable[[Shape], Shape], int]:
    """How to fold shapes that differ from ``shape`` along ``axes`` only, and what the first of these becomes.

    The batch axis goes. Where more than four axes are left, those before and after a single one are merged.

    Raises:
        UnsupportedError: more than four axes are left, and there are several ``axes``.
    """
    rank, axis = len(shape), axes[0] if axes else 0
    dropped = int(rank > 1 and shape[0] == 1 and 0 not in axes)
    if 1 <= rank - dropped <= 4:
        return (lambda s: s[dropped:]), axis - dropped
    if not rank:
        return (lambda s: (1,)), 0
    if len(axes) > 1:
        raise UnsupportedError(f"NCNN has four axes, and this value has {rank}")
    return (lambda s: (dims.product(s[:axis]), s[axis], dims.product(s[axis + 1 :]))), 1


def require_carried(type: TensorType) -> None:
    """Checks that float32 can carry the elements of a value.

    Integers are carried as numbers; a runtime session takes none that float32 does not hold.

    Raises:
        UnsupportedError: it cannot.
    """
    if not (type.dtype in _CARRIED or dtypes.is_integer(type.dtype)):
        raise UnsupportedError(
            f"NCNN computes in float32, not in {dtypes.name(type.dtype)}",
            hint="convert the model to float32 first",
        )


def require_constant(tensor: Tensor) -> None:
    """Checks that float32 holds the elements of a constant.

    Raises:
        UnsupportedError: it does not, or there are none.
    """
    require_carried(TensorType(tensor.dtype, tensor.shape))
    if 0 in tensor.shape:
        raise UnsupportedError("NCNN has no empty blobs")
    if dtypes.is_integer(tensor.dtype) and tensor.dtype.itemsize > 2:
        largest = max(int(np.abs(block.astype(np.float64)).max()) for block in tensor.blocks())
        if largest > EXACT:
            raise UnsupportedError(f"float32 does not hold the integer {largest} of a constant")


def is_dynamic(shape: Shape) -> bool:
    """Whether an extent is unknown."""
    return any(isinstance(extent, Dim) for extent in shape)
