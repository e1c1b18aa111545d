"""A layer as a rule sees it: typed access to its config, its weights and its operands."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Cast
from mmconvert.ir.types import Layout
from mmconvert.parsers.keras.promotion import Scalar
from mmconvert.parsers.keras.source import Record, element_type, leaves
from mmconvert.parsers.keras.states import States
from mmconvert.parsers.keras.weights import Weights, unsaid
from mmconvert.tensors import Array, Tensor

Rule = Callable[["KerasLayer", Builder], Value | tuple[Value, ...]]

MAX_INTEGER = 1 << 31
_MISSING: Any = object()
_ASSUMED = (
    "the file does not tell how the quantized projections of attention round what comes in: they are taken to"
    " do so in int8, which is what model.quantize('int8') makes of them"
)
_SCALARS = {bool: dtypes.BOOL, int: dtypes.I32, float: dtypes.F32}

# What has no say in what the layer computes when it is used.
_TRAINING_ONLY = frozenset(
    [
        "name",
        "trainable",
        "dtype",
        "autocast",
        "batch_input_shape",
        "batch_shape",
        "batch_size",
        "input_dtype",
        "input_shape",
        "seed",
    ]
)
_TRAINING_SUFFIXES = ("_initializer", "_regularizer", "_constraint")


class Host(Protocol):
    """What a layer asks of the converter."""

    activations: Mapping[str, Callable[[Builder, Value], Value]]
    """What the user says that names of activations mean."""

    kept: States
    """What stateful layers have left so far."""

    def warn(self, what: str) -> None:
        """Notes what the user should know about the model."""
        ...

    def mask(self, value: Value) -> Value | None:
        """The mask that earlier layers attached to ``value``."""
        ...

    def describe(self, owner: Record, item: Any, place: str) -> Record:
        """A layer that stands in the config of ``owner``, whose variables lie at ``place`` below its own."""
        ...

    def rule(self, key: str) -> Rule | None:
        """The newest rule for a class or an operation."""
        ...

    def run(self, record: Record, args: list[Any], b: Builder) -> tuple[Value, ...]:
        """The outputs of such a layer."""
        ...


class KerasLayer:
    """A layer at one of its calls.

    Attributes:
        record: the layer as the file describes it.
        b: builds nodes, and knows where they come from.
        inputs: the tensors it is called on; floats are in the layer's own type already.
        args: the positional arguments of the call, with values for tensors.
        kwargs: its keyword arguments, likewise.
        masks: for each input the mask that earlier layers attached to it, or None.
        version: the major version of Keras that wrote the file.
        dtype: what the layer computes in.
        quantization: how the layer is quantized, None when it is not.
        mask: a mask that the rule attaches to the output.
        host: the converter.
    """

    def __init__(self, record: Record, b: Builder, weights: Weights, version: int, host: Host) -> None:
        self.record, self.b, self.version, self.host = record, b, version, host
        self.inputs: list[Value] = []
        self.args: list[Any] = []
        self.kwargs: dict[str, Any] = {}
        self.masks: list[Value | None] = []
        self.mask: Value | None = None
        self.dtype = compute_type(record.settings.get("dtype"), record.place)
        self.quantization = quantization(record.settings.get("dtype"))
        self._weights = weights
        self._read: set[str] = set()
        self._used: set[int] = set()

    @property
    def kind(self) -> str:
        """The name of the class."""
        return self.record.kind

    @property
    def place(self) -> str:
        """What to call the layer in messages."""
        return self.record.place

    @property
    def spatial_rank(self) -> int:
        """The 2 of ``Conv2DTranspose``."""
        found = re.search(r"(\d)D", self.kind)
        assert found is not None
        return int(found[1])

    def refuse(self, what: str, hint: str = "") -> UnsupportedError:
        """The error for something valid that cannot be represented; the converter collects it."""
        return UnsupportedError(
            f"{self.kind}: {what}", problems=[Problem(f"{self.kind}: {what}", (self.place,), hint)]
        )

    def invalid(self, what: str) -> InvalidModelError:
        """The error for something that is not a Keras layer."""
        return InvalidModelError(what, where=self.place)

    # --- parts ---------------------------------------------------------------------------------------

    def inner(self, item: Any, place: str) -> Self:
        """A layer that stands in the config of this one, with its variables at ``place`` below its own."""
        return type(self)(
            self.host.describe(self.record, item, place), self.b, self._weights, self.version, self.host
        )

    def part(self, kind: str, name: str, place: str) -> Self:
        """A part with the settings of this layer, and variables of its own at ``place`` below."""
        parts = self.record.parts
        if place not in parts:
            parts[place] = Record(
                kind,
                name,
                (*self.record.trail, name),
                self.record.settings,
                key=f"{self.record.key}{place}",
                owner=self.record.owner or self.record,
            )
        part = type(self)(parts[place], self.b, self._weights, self.version, self.host)
        part._read = self._read
        return part

    def within(self, b: Builder) -> Self:
        """This layer in another graph, which needs its weights as constants of its own."""
        other = copy.copy(self)
        other.b, other.record = b, replace(self.record, constants={}, parts={})
        return other

    def apply(self, item: Any, x: Value, place: str = "activation/") -> Value:
        """The output, for ``x``, of a layer that stands in the config of this one."""
        return self.host.run(self.host.describe(self.record, item, place), [x], self.b)[0]

    # --- operands ------------------------------------------------------------------------------------

    def input(self) -> Value:
        """The only tensor that the layer is called on.

        Raises:
            InvalidModelError: there is none, or several.
        """
        self._used.add(0)
        if len(self.inputs) != 1:
            raise self.invalid(f"the layer takes one tensor, not {len(self.inputs)}")
        return self.inputs[0]

    def image(self) -> Value:
        """The only input, with as many spatial axes as the name of the class says.

        Raises:
            InvalidModelError: it has another rank.
        """
        x = self.input()
        if x.type.rank != self.spatial_rank + 2:
            raise self.invalid(f"a tensor of rank {self.spatial_rank + 2} is needed, not {x.type}")
        return x

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument of an operation: of the call by position or name, or kept in the config."""
        self._used.add(position)
        self._read.add(name)
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, self.record.settings.get(name, default))

    def keyword(self, name: str, default: Any = None) -> Any:
        """An argument of the call that has a name there."""
        self._read.add(name)
        return self.kwargs.get(name, default)

    def source(self, position: int, name: str) -> Value:
        """An argument of the call that is a tensor, as it was before it took the type of the layer.

        Raises:
            InvalidModelError: it is missing or is something else.
        """
        value = self.argument(position, name)
        if not isinstance(value, Value):
            raise self.invalid(f"argument {name} is not a tensor")
        return value

    def operand(self, position: int, name: str) -> Value | Scalar | Array:
        """An argument of an operation that is a tensor, an array or a number.

        Raises:
            InvalidModelError: it is missing or is something else.
        """
        value = self.argument(position, name)
        if isinstance(value, Value | np.ndarray | bool | float):
            return value
        if isinstance(value, int) and abs(value) < MAX_INTEGER:
            return value
        raise self.invalid(f"argument {name} is neither a tensor nor a number")

    def tensor(self, position: int, name: str) -> Value:
        """An argument of an operation as a value of the graph.

        Raises:
            InvalidModelError: it is missing or is something else.
        """
        value = self.operand(position, name)
        if isinstance(value, Value):
            return value
        if isinstance(value, np.ndarray):
            return self.b.constant(value)
        return self.b.constant(value, _SCALARS[type(value)])

    def floats(self, x: Value) -> Value:
        """``x``, when it holds floats: what Keras makes of integers differs from layer to layer.

        Raises:
            UnsupportedError: it does not.
        """
        if not dtypes.is_float(x.type.dtype):
            raise self.refuse(
                "integers", "convert them to floats in front of the layer, with Rescaling for one"
            )
        return x

    def extent(self, x: Value, axis: int) -> int:
        """A known extent of ``x``.

        Raises:
            InvalidModelError: it is unknown, or there is no such axis.
        """
        extent = x.type.shape[x.type.axis(axis)]
        if not isinstance(extent, int):
            raise self.invalid(f"axis {axis} of {x.type} has to be known")
        return extent

    # --- config --------------------------------------------------------------------------------------

    def setting(self, key: str, default: Any = _MISSING) -> Any:
        """The raw value of ``key``.

        Raises:
            InvalidModelError: it is missing and has no default.
        """
        self._read.add(key)
        value = self.record.settings.get(key, default)
        if value is _MISSING:
            raise self.invalid(f"the config has no {key!r}")
        return value

    def ignore(self, *keys: str) -> None:
        """Marks settings that matter in training only."""
        self._read.update(keys)

    def integer(self, key: str, default: Any = _MISSING) -> int:
        """An integer setting."""
        return self._integer(key, self.setting(key, default))

    def number(self, key: str, default: Any = _MISSING) -> float:
        """A number; TensorFlow 1 wrote some of them as arrays of one."""
        value = self.setting(key, default)
        if isinstance(value, dict):
            value = value.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
            raise self.invalid(f"{key} = {value!r} is not a number")
        return float(value)

    def flag(self, key: str, default: Any = _MISSING) -> bool:
        """A setting that is true or false."""
        value = self.setting(key, default)
        if not isinstance(value, bool):
            raise self.invalid(f"{key} = {value!r} is neither true nor false")
        return value

    def string(self, key: str, default: Any = _MISSING) -> str:
        """A text setting."""
        value = self.setting(key, default)
        if not isinstance(value, str):
            raise self.invalid(f"{key} = {value!r} is not text")
        return value

    def integers(self, key: str, count: int | None = None, default: Any = _MISSING) -> tuple[int, ...]:
        """A list of ``count`` integers; a single one stands for all of them."""
        value = self.setting(key, default)
        items = value if isinstance(value, list | tuple) else [value] * (count or 1)
        if count is not None and len(items) != count:
            raise self.invalid(f"{key} = {value!r} should have {count} numbers")
        return tuple(self._integer(key, item) for item in items)

    def sizes(self, key: str, count: int, default: Any = _MISSING) -> tuple[int, ...]:
        """A list of ``count`` integers above 0."""
        found = self.integers(key, count, default)
        if min(found) < 1:
            raise self.invalid(f"{key} = {list(found)} should be above 0")
        return found

    def pairs(self, key: str, count: int) -> tuple[tuple[int, int], ...]:
        """Amounts before and after each of ``count`` axes: one number, one for each axis, or two for each."""
        value = self.setting(key)
        items = value if isinstance(value, list) else [value] * count
        if count == 1 and len(items) == 2 and not isinstance(items[0], list):
            items = [items]
        if len(items) != count:
            raise self.invalid(f"{key} = {value!r} should have {count} parts")
        found = [
            (item[0], item[-1]) if isinstance(item, list) and len(item) in (1, 2) else (item, item)
            for item in items
        ]
        amounts = tuple((self._integer(key, before), self._integer(key, after)) for before, after in found)
        if any(amount < 0 for pair in amounts for amount in pair):
            raise self.invalid(f"{key} = {value!r} should not be negative")
        return amounts

    def array(self, key: str) -> Array:
        """A number or nested lists of numbers, in float32."""
        value = self.setting(key)
        if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
            value = value.get("config", {}).get("value")
        try:
            return np.asarray(value, np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.invalid(f"{key} is not made of numbers") from error

    def axis(self, x: Value, key: str = "axis", default: Any = -1) -> int:
        """An axis of ``x``, counted from the front."""
        return x.type.axis(self.integer(key, default))

    def axes(self, x: Value, key: str = "axis", default: Any = -1) -> tuple[int, ...]:
        """Axes of ``x`` in ascending order, counted from the front; one number or a list."""
        return tuple(sorted(x.type.axes(self.integers(key, None, default))))

    def layout(self) -> Layout:
        """Where ``data_format`` puts the channels."""
        value = self.setting("data_format", None)
        if value not in (None, "channels_last", "channels_first"):
            raise self.invalid(f"data_format = {value!r}")
        return Layout.NCHW if value == "channels_first" else Layout.NHWC

    def finish(self) -> None:
        """Refuses what no rule has asked for: it might change the result.

        Raises:
            UnsupportedError: with those settings and arguments.
        """
        settings = [
            key
            for key, value in self.record.settings.items()
            # Keras adds options that are None where they are not used.
            if value is not None
            and key not in self._read
            and key not in _TRAINING_ONLY
            and not key.endswith(_TRAINING_SUFFIXES)
        ]
        if settings:
            raise self.refuse(f"settings that are not understood: {', '.join(sorted(settings))}")
        arguments = [
            name
            for name, value in self.kwargs.items()
            if name not in self._read and value is not None and value is not False
        ]
        if self.record.is_operation:
            arguments += [
                f"number {i}"
                for i, value in enumerate(self.args)
                if i not in self._used and value is not None
            ]
        elif any(leaf is not None and not isinstance(leaf, Value) for leaf in leaves(self.args)):
            arguments.append("other than tensors")
        if arguments:
            raise self.refuse(f"called with arguments that are not understood: {', '.join(arguments)}")

    def _integer(self, key: str, value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= MAX_INTEGER:
            raise self.invalid(f"{key} = {value!r} is not an integer")
        return value

    # --- weights -------------------------------------------------------------------------------------

    def as_einsum(self, x: Value, equation: str, shape: tuple[int, ...], bias: str) -> Self | None:
        """This part of attention as a quantized EinsumDense of ``x``; None when it is not quantized.

        The settings of attention tell nothing of it, the variables do. int8 is taken to round activations
        as ``model.quantize("int8")`` makes it, which the host is told.
        """
        mode = self._weights.mode(self.record)
        if mode is None:
            return None
        if mode == "int8":
            self.host.warn(_ASSUMED)
        settings = {"output_shape": list(shape), "bias_axes": bias or None, "activation": "linear"}
        dense = copy.copy(self)
        dense.record = replace(self.record, settings=settings | {"equation": equation})
        dense.inputs, dense.quantization = [x], mode
        return dense

    def variables(self, shapes: Mapping[str, tuple[int, ...] | None]) -> list[Tensor]:
        """All variables of the layer, given by name and shape in the order in which Keras creates them.

        A shape of None is any shape.

        Raises:
            InvalidModelError: the file has other ones.
            UnsupportedError: they are quantized, and the config does not say so.
        """
        found = self._weights.of(self.record, list(shapes)) if shapes else []
        if self.quantization is None and any(tensor.dtype == dtypes.I8 for tensor in found):
            raise unsaid(self.record)
        for (name, shape), tensor in zip(shapes.items(), found, strict=True):
            if shape is not None and tensor.shape != shape:
                raise self.invalid(
                    f"{name} has shape {list(tensor.shape)} in the file, and should have {list(shape)}"
                )
        return found

    def weight(self, name: str, tensor: Tensor, dtype: DType | None = None) -> Value:
        """A variable as a constant of the graph, in the layer's type; calls of a shared layer share it."""
        dtype = dtype or self.dtype
        shared = self.record.constants
        key = f"{name}:{dtypes.name(dtype)}"
        if key not in shared:
            shared[key] = self.b.constant(tensor.cast(dtype), name=f"{'/'.join(self.record.trail)}/{name}")
        return shared[key]

    def cast(self, x: Value, dtype: DType) -> Value:
        """``x`` converted, when it is not of that type."""
        return x if x.type.dtype == dtype else self.b(Cast(to=dtype), x)


def compute_type(policy: Any, where: str) -> DType:
    """The type a layer computes in under a dtype policy: a name, or the object that Keras makes of it.

    Raises:
        InvalidModelError: it is no policy.
    """
    if isinstance(policy, dict):
        config = policy.get("config")
        config = config if isinstance(config, dict) else {}
        policy = config.get("source_name", config.get("name"))
    if isinstance(policy, str) and "_from_" in policy:
        policy = policy.partition("_from_")[2]
    if policy is None:
        return dtypes.F32
    return element_type(policy.removeprefix("mixed_") if isinstance(policy, str) else policy, where)


def quantization(policy: Any) -> str | None:
    """``int8``, ``int4`` or ``float8`` for a layer with this dtype policy; None when it is not quantized."""
    config = policy.get("config") if isinstance(policy, dict) else {"name": policy}
    config = config if isinstance(config, dict) else {}
    if isinstance(config.get("mode"), str):
        return str(config["mode"]).partition("/")[0]
    mode, found, _ = str(config.get("name")).partition("_from_")
    return mode if found else None
