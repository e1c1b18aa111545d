"""A whole model: its inputs and outputs, a Split wherever a blob is read twice, and the names of all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mmconvert import dtypes
from mmconvert.emitters.ncnn import fusion
from mmconvert.emitters.ncnn.blob import LETTERS, Blob
from mmconvert.emitters.ncnn.indexing import is_lookup
from mmconvert.emitters.ncnn.rules import RULES
from mmconvert.emitters.ncnn.writer import Writer, require_carried
from mmconvert.errors import Problem, UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ncnnlib import notes
from mmconvert.ncnnlib.notes import Note, blob_shape
from mmconvert.ncnnlib.records import NAME_LIMIT, Layer
from mmconvert.tensors import Tensor

_ROOM = 16
"""Letters that are kept free for what makes a name unique."""

_WITH_STATES = ("LSTM", "GRU", "RNN")
"""Layers that leave out their last states where those are not asked for."""


@dataclass(slots=True)
class Model:
    """The layers of a model, each with its weights."""

    layers: list[Layer] = field(default_factory=list)
    weights: list[tuple[Tensor, ...]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def collect(self, place: str, prefix: str = "") -> Iterator[None]:
        """Notes what cannot be expressed."""
        try:
            yield
        except UnsupportedError as error:
            self.problems.append(Problem(f"{prefix}{error.message}", (place,), error.hint))


def describe(graph: Graph) -> Model:
    """The layers for ``graph``; ``problems`` has what NCNN cannot express."""
    model, out = Model(), Writer(fusion.plan(graph))
    inputs: dict[str, Note] = {}
    for value in graph.inputs:
        with model.collect(f"input {value.name!r}"):
            inputs[_input(value, out, model)] = _note(value, whole=_is_whole(value))
    for node in graph:
        if node not in out.plan.absorbed:
            _write(node, out, model)
    if model.problems:
        return model
    outputs: list[tuple[Blob, Note]] = []
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        with model.collect(f"output {name!r}"):
            out.scope = name
            outputs.append((_result(value, out), _note(value)))
    if model.problems:
        return model
    _drop_unread(out, {blob.key for blob, _ in outputs})
    names = {key: value.name for key, value in zip(inputs, graph.inputs, strict=True)}
    _finish(model, out, inputs, names, outputs, graph.output_names)
    return model


def _input(value: Value, out: Writer, model: Model) -> str:
    require_carried(value.type)
    if value.type.rank > 5:
        raise UnsupportedError(f"NCNN has four axes, and this input has {value.type.rank}")
    out.scope = value.name
    shape = blob_shape(value.type.shape)
    sizes = {k: e for k, e in zip(LETTERS[len(shape)], shape, strict=True) if isinstance(e, int)}
    blob = out.layer("Input", (), shape, **sizes)
    out.place(value, blob)
    if dtypes.is_integer(value.type.dtype) and value.type.dtype.itemsize > 2 and not is_lookup(value):
        model.warnings.append(
            f"NCNN computes in float32: integers of the input {value.name!r} are exact up to {notes.EXACT}"
        )
    return blob.key


def _is_whole(value: Value) -> bool:
    return dtypes.is_integer(value.type.dtype) and is_lookup(value)


def _write(node: Node[Op], out: Writer, model: Model) -> None:
    out.scope = node.outputs[0].name or node.name or node.op.name
    out.dry = bool(model.problems)  # what is missing then is missing because of one of them
    with model.collect(node.place, f"{node.op.name}: "):
        rule = RULES.find(type(node.op))
        if rule is None:
            raise UnsupportedError(f"NCNN has no {node.op.name}")
        rule(node, out)


def _result(value: Value, out: Writer) -> Blob:
    """The blob of an output, which no input is."""
    blob = out.blob(value)
    if out.layers[int(_maker(out, blob.key))].kind == "Input":
        return out.layer("Noop", (blob,), blob.shape)
    return blob


def _drop_unread(out: Writer, read: set[str]) -> None:
    """Takes away layers and states that nobody reads, which NCNN would take for outputs."""
    kept = []
    for layer, weights in zip(reversed(out.layers), reversed(out.weights), strict=True):
        if layer.kind != "Input" and read.isdisjoint(layer.outputs):
            continue
        if layer.kind in _WITH_STATES and read.isdisjoint(layer.outputs[1:]):
            del layer.outputs[1:]
        read.update(layer.inputs)
        kept.append((layer, weights))
    kept.reverse()
    out.layers, out.weights = [layer for layer, _ in kept], [weights for _, weights in kept]


def _maker(out: Writer, key: str) -> int:
    return next(i for i, layer in enumerate(out.layers) if key in layer.outputs)


def _note(value: Value, *, whole: bool = False) -> Note:
    shape = tuple(e if isinstance(e, int) else -1 for e in value.type.shape)
    if shape.count(-1) > 1 and len(shape) - (shape[0] == 1) > 4:
        raise UnsupportedError(f"NCNN has four axes, and {value.type} has more of unknown extent")
    return Note(value.type.dtype, shape, whole)


def _finish(
    model: Model,
    out: Writer,
    inputs: dict[str, Note],
    input_names: dict[str, str],
    outputs: list[tuple[Blob, Note]],
    output_names: list[str],
) -> None:
    """Cuts blobs that are read more than once, and gives all of them their names."""
    readers: dict[str, int] = {}
    for key in [key for layer in out.layers for key in layer.inputs] + [blob.key for blob, _ in outputs]:
        readers[key] = readers.get(key, 0) + 1
    copies = {key: [f"{key}/{i}" for i in range(count)] for key, count in readers.items() if count > 1}
    left = {key: iter(names) for key, names in copies.items()}
    ends: dict[str, tuple[str, Note]] = {}
    final = [(next(left[b.key]) if b.key in left else b.key, note) for b, note in outputs]
    for name, (key, note) in zip(output_names, final, strict=True):
        ends[key] = (name, note)
    names = _Names({*input_names.values(), *output_names}, out.hints)
    for key, name in input_names.items():
        names.known[key] = names.clean(name)
    for key, (name, _) in ends.items():
        names.known[key] = names.clean(name)
    for layer, weights in zip(out.layers, out.weights, strict=True):
        layer.inputs = [next(left[key]) if key in left else key for key in layer.inputs]
        made = [layer, *(Layer("Split", "", [key], copies[key]) for key in layer.outputs if key in copies)]
        for one in made:
            _note_down(one, inputs, ends)
            keys = one.outputs
            one.inputs = [names.of(key) for key in one.inputs]
            one.outputs = [names.of(key) for key in keys]
            one.name = names.layer(one)
        model.layers += made
        model.weights += [weights, *[()] * (len(made) - 1)]


def _note_down(layer: Layer, inputs: dict[str, Note], ends: dict[str, tuple[str, Note]]) -> None:
    for key in layer.outputs:
        if layer.kind == "Input" and key in inputs:
            notes.add(layer, key, inputs[key])
        elif key in ends:
            notes.add(layer, key, ends[key][1])


class _Names:
    """Names that NCNN can read: without spaces, not too long, and unique."""

    def __init__(self, reserved: set[str], hints: dict[str, str]) -> None:
        self.known: dict[str, str] = {}
        self._hints = hints
        self._taken = {self.clean(name) for name in reserved}
        self._layers: set[str] = set()

    def clean(self, name: str) -> str:
        """``name`` as it may stand in a file."""
        return re.sub(r'[\s"=]', "_", name)[: NAME_LIMIT - _ROOM] or "value"

    def of(self, key: str) -> str:
        """The name of the blob that goes by ``key``."""
        if key not in self.known:
            whole, _, _ = key.partition("/")
            self.known[key] = self._take(self.clean(self._hints[whole]), self._taken)
        return self.known[key]

    def layer(self, layer: Layer) -> str:
        """The name of a layer: that of what it makes."""
        return self._take(self.clean(layer.outputs[0] if layer.outputs else layer.name), self._layers)

    def _take(self, wanted: str, taken: set[str]) -> str:
        name, count = wanted, 1
        while name in taken:
            name, count = f"{wanted}_{count}", count + 1
        taken.add(name)
        return name
