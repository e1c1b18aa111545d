"""From layers to a graph."""

from __future__ import annotations

import math
import re

from mmconvert import dtypes
from mmconvert.errors import InferenceError, InvalidModelError, Problem, UnsupportedError, merge_problems
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Graph, Origin, Value
from mmconvert.ir.model import Metadata, Module
from mmconvert.ir.types import Shape, TensorType
from mmconvert.ncnnlib.files import Files, Stored
from mmconvert.ncnnlib.notes import Note, blob_shape
from mmconvert.parsers.ncnn.source import Source
from mmconvert.parsers.ncnn.table import RULES

_NAMES = {1: ("width",), 2: ("height", "width"), 3: ("channels", "height", "width")}
_RANKS = {"Convolution1D": 2, "ConvolutionDepthWise1D": 2, "LSTM": 2, "GRU": 2, "RNN": 2, "Embed": 1}
"""What blobs the layers take that do not take pictures."""


class Converter:
    """Reads one model."""

    def __init__(self, files: Files, where: str) -> None:
        self._files, self._where = files, where
        self._graph = Graph("ncnn")
        self._b = Builder(self._graph)
        self._values: dict[str, Value] = {}
        self._readers = {name: s for s in files.layers for name in s.layer.inputs}
        self._problems: list[Problem] = []
        self._warnings: list[str] = []

    def convert(self) -> Module:
        """The graph, and what is known about it.

        Raises:
            UnsupportedError: with everything that cannot be represented.
            InvalidModelError: the model is not valid.
        """
        if self._files.spare:
            self._warnings.append(f"{self._files.spare} bytes of the weights belong to no layer")
        for stored in self._files.layers:
            with self._b.at(Origin(stored.layer.name, stored.layer.kind, self._where)):
                self._layer(stored)
        if self._problems:
            raise UnsupportedError(
                "the model has what cannot be represented",
                where=self._where,
                problems=merge_problems(self._problems),
            )
        self._graph.set_outputs([self._output(name) for name in self._files.outputs], self._files.outputs)
        return Module(self._graph, Metadata(format="ncnn"), self._warnings)

    def _layer(self, stored: Stored) -> None:
        layer = stored.layer
        if layer.kind == "Input":
            self._input(stored)
            return
        if any(name not in self._values for name in layer.inputs):
            return  # behind something that cannot be represented
        rule = RULES.find(layer.kind)
        if rule is None:
            self._problems.append(Problem(f"the layer {layer.kind}", (layer.name,)))
            return
        source = Source(stored, [self._values[n] for n in layer.inputs], self._b, self._warnings)
        try:
            made = rule(source)
            stored.parameters.finish()
        except UnsupportedError as error:
            self._problems += error.problems or [Problem(f"{layer.kind}: {error.message}", (layer.name,))]
            return
        except InferenceError as error:
            raise InvalidModelError(error.message, where=stored.parameters.where) from error
        values = made if isinstance(made, tuple) else (made,)
        if len(values) != len(layer.outputs):
            raise source.invalid(f"{layer.kind} makes {len(values)} blobs, not {len(layer.outputs)}")
        for name, value in zip(layer.outputs, values, strict=True):
            self._values[name] = value
            if value.producer is not None and not value.name:
                value.name = name

    # --- inputs and outputs --------------------------------------------------------------------------

    def _input(self, stored: Stored) -> None:
        (name,) = stored.layer.outputs
        note = self._files.notes.get(name)
        hints = [stored.parameters.integer(letter) for letter in "cdhw"]
        stored.parameters.finish()
        if note is not None:
            shape = tuple(
                e if e >= 0 else Dim.symbol(f"{_identifier(name)}_{i}") for i, e in enumerate(note.shape)
            )
            value = self._graph.input(name, TensorType(note.dtype, shape))
            self._values[name] = self._as_blob(value, note)
            return
        whole = self._next_kinds(name) == {"Embed"}
        dtype = dtypes.I32 if whole else dtypes.F32
        known = [hint for hint in hints if hint > 0]
        extents: Shape = tuple(known) if known else self._guessed(name)
        self._values[name] = self._graph.input(name, TensorType(dtype, (1, *extents)))

    def _as_blob(self, value: Value, note: Note) -> Value:
        shape = (1, *blob_shape(value.type.shape))
        made = value if value.type.shape == shape else self._b(ops.Reshape(shape=shape), value)
        return made if note.whole else self._cast(made, dtypes.F32)

    def _cast(self, value: Value, dtype: dtypes.DType) -> Value:
        return value if value.type.dtype == dtype else self._b(ops.Cast(to=dtype), value)

    def _output(self, name: str) -> Value:
        value, note = self._values[name], self._files.notes.get(name)
        if note is None:
            return value
        shape = self._noted(value, note)
        made = value if value.type.shape == shape else self._b(ops.Reshape(shape=shape), value)
        return self._cast(made, note.dtype)

    def _noted(self, value: Value, note: Note) -> Shape:
        """The shape of an output in the source; the one extent that is unknown there follows."""
        if note.shape.count(-1) > 1:
            return value.type.shape if len(note.shape) == value.type.rank else value.type.shape[1:]
        known = math.prod(e for e in note.shape if e >= 0)
        rest = value.type.size // known if known else 0
        return tuple(e if e >= 0 else rest for e in note.shape)

    def _next_kinds(self, name: str) -> set[str]:
        """The kinds of the layers that read a blob, looking through copies of it."""
        found: set[str] = set()
        names = [name]
        while names:
            reader = self._readers.get(names.pop())
            if reader is None:
                continue
            if reader.layer.kind in ("Split", "Reshape"):
                names += reader.layer.outputs
            else:
                found.add(reader.layer.kind)
        return found

    def _guessed(self, name: str) -> Shape:
        """The shape of an input of which the file says nothing, from the layers that read it."""
        kinds = self._next_kinds(name)
        rank = min((_RANKS.get(kind, 3) for kind in kinds), default=3)
        prefix = "" if len(self._files.inputs) == 1 else f"{_identifier(name)}_"
        names: list[Extent] = [Dim.symbol(f"{prefix}{what}") for what in _NAMES[rank]]
        if rank == 3 and (channels := self._channels(name)):
            names[0] = channels
        return tuple(names)

    def _channels(self, name: str) -> int:
        """How many channels the first convolution over a blob takes; 0 where there is none."""
        names = [name]
        while names:
            reader = self._readers.get(names.pop())
            if reader is None:
                continue
            if reader.layer.kind == "Split":
                names += reader.layer.outputs
            elif reader.layer.kind in ("Convolution", "ConvolutionDepthWise"):
                p = reader.parameters
                window = p.count("num_output", 1) * p.count("kernel_w", 1) * p.count("kernel_h", 1)
                groups = p.count("group", 1) if "group" in p.names else 1
                return p.count("weight_data_size") // window * groups
        return 0


def _identifier(name: str) -> str:
    """``name`` as the name of an extent."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return text if text[:1].isalpha() or text[:1] == "_" else f"_{text}"
