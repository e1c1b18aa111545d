"""What an exported program consists of: nodes over names, and what torch noted of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmconvert.dtypes import DType
from mmconvert.ir.dims import Extent
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor, by its name in the program."""

    name: str


@dataclass(frozen=True, slots=True)
class Sym:
    """A number that the shapes of inputs decide, by its name in the program."""

    name: str


@dataclass(frozen=True, slots=True)
class Word:
    """A setting that is no number: a device, a memory format, a layout."""

    kind: str
    value: str


Argument = Any
"""None, bool, int, float, complex, str, DType, Ref, Sym, Word, Record, or a tuple of these."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What torch noted of a tensor.

    Attributes:
        type: element type and shape.
        strides: how far neighbours lie apart along each axis, in elements.
    """

    type: TensorType
    strides: tuple[Extent | None, ...]

    @property
    def is_contiguous(self) -> bool:
        """True when the elements surely lie in row-major order."""
        expected: Extent = 1
        for extent, stride in zip(reversed(self.type.shape), reversed(self.strides), strict=True):
            if extent != 1:
                if stride != expected:
                    return False
                expected = expected * extent
        return True


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the program.

    Attributes:
        target: the overload, ``"aten.conv2d.default"``.
        arguments: those that were given, in order, by their names in the operator's schema.
        outputs: names, or tuples of names for lists; None for what is left out.
        name: of the node itself.
        module: the path of the module that it belongs to, ``"layer3.0.conv2"``.
        module_type: the class of that module.
        line: where in the user's code it comes from, ``"net.py:12"``.
    """

    target: str
    arguments: tuple[tuple[str, Argument], ...]
    outputs: tuple[Argument, ...]
    name: str
    module: str
    module_type: str
    line: str


@dataclass(frozen=True, slots=True)
class Record:
    """A graph of the program: its own, or one that an operator takes.

    Attributes:
        inputs: what it takes.
        outputs: what it gives.
        nodes: in execution order.
        metas: of every tensor in it, by name.
        numbers: of every symbolic number in it what it is; None where it is no extent.
    """

    inputs: tuple[Argument, ...]
    outputs: tuple[Argument, ...]
    nodes: tuple[Node, ...]
    metas: Mapping[str, Meta]
    numbers: Mapping[str, Extent | float | None]


@dataclass(frozen=True, slots=True)
class Held:
    """A parameter, buffer or constant of the program: its name there, and in the state dict."""

    name: str
    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program.

    Attributes:
        file: where it is, for messages.
        graph: its own graph.
        held: its parameters, buffers and constants.
        user_inputs: the names of its inputs; None for those that are fixed numbers.
        user_outputs: what it returns.
        buffer_outputs: the new content of buffers that it changes, by their keys.
        changed_inputs: inputs that it writes into.
        tensors: by key; what is tied is one tensor under several.
        version: of torch that wrote it.
        warnings: what its reader has to know.
    """

    file: str
    graph: Record
    held: tuple[Held, ...]
    user_inputs: tuple[Argument, ...]
    user_outputs: tuple[Argument, ...]
    buffer_outputs: Mapping[str, str]
    changed_inputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    version: str
    warnings: list[str] = field(default_factory=list)


ELEMENTS: dict[int, str] = {
    1: "u8",
    2: "i8",
    3: "i16",
    4: "i32",
    5: "i64",
    6: "f16",
    7: "f32",
    8: "f64",
    10: "c64",
    11: "c128",
    12: "bool",
    13: "bf16",
    28: "u16",
    29: "f8e4m3fn",
    30: "f8e5m2",
    31: "f8e4m3fnuz",
    32: "f8e5m2fnuz",
    33: "f8e8m0",
    34: "u32",
    35: "u64",
}
"""torch's numbers for element types."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element type as an argument; None for one that the IR does not have."""

    dtype: DType | None
