"""Turns the records of a Keras model into a graph, one rule for each layer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError, Problem, UnsupportedError, merge_problems
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph, Origin, Value, prune
from mmconvert.ir.model import State
from mmconvert.ir.ops import Cast
from mmconvert.ir.types import TensorType
from mmconvert.parsers.keras.custom import registered
from mmconvert.parsers.keras.layer import KerasLayer, Rule, compute_type
from mmconvert.parsers.keras.order import schedule
from mmconvert.parsers.keras.refusals import hint_for
from mmconvert.parsers.keras.source import (
    NETWORKS,
    Call,
    Network,
    Record,
    Ref,
    element_type,
    leaves,
    network,
    record,
)
from mmconvert.parsers.keras.states import States
from mmconvert.parsers.keras.weights import Weights
from mmconvert.rules import Rules

MAX_CALLS = 50_000
"""Calls of layers, those inside shared models counted each time: a small file can describe very many."""

# Layers that leave the conversion of their inputs to themselves.
_NO_AUTOCAST = frozenset(
    {"Embedding", "LayerNormalization", "GroupNormalization", "TFOpLambda", "SlicingOpLambda"}
)

# How layers may be quantized.
_MODES = {
    "Dense": ("int8", "int4", "float8"),
    "EinsumDense": ("int8", "int4", "float8"),
    "Embedding": ("int8", "int4"),
    "ReversibleEmbedding": ("int8", "int4"),
}

# Layers that hand on the mask of their input.
_HANDS_MASK_ON = frozenset(
    [
        "Activation",
        "ActivityRegularization",
        "AlphaDropout",
        "BatchNormalization",
        "Dense",
        "Dropout",
        "ELU",
        "GaussianDropout",
        "GaussianNoise",
        "GroupNormalization",
        "Identity",
        "LayerNormalization",
        "LeakyReLU",
        "Normalization",
        "PReLU",
        "ReLU",
        "Rescaling",
        "UnitNormalization",
    ]
)

_Done = dict[tuple[str, int], tuple[Value, ...] | None]


class Converter:
    """Builds the graph of one model.

    What cannot be represented is collected. The result of such a call is unknown (None); where the file
    remembers its type, a stand-in takes its place, so that the layers after it are looked at as well.

    Attributes:
        kept: what stateful layers have left so far.
        states: which outputs of the graph feed which inputs at the next run.
        warnings: what the user should know about the model.
    """

    def __init__(
        self,
        rules: Rules[str],
        weights: Weights,
        version: int,
        file: str,
        activations: Mapping[str, Callable[[Builder, Value], Value]] | None = None,
    ) -> None:
        """
        Args:
            rules: by class name.
            weights: of the same file.
            version: the major version of Keras that wrote it.
            file: its name.
            activations: what names of activations mean that Keras does not know.
        """
        self.activations = activations or {}
        self._rules, self._weights, self._version, self._file = rules, weights, version, file
        self._problems: list[Problem] = []
        self._names: dict[str, int] = {}
        self._masks: dict[Value, Value] = {}
        self._calls = 0
        self._graph = Graph()
        self._b = Builder(self._graph)
        self.kept = States(self._graph)
        self.states: tuple[State, ...] = ()
        self.warnings: list[str] = []

    def convert(self, model: Record) -> Graph:
        """The graph of ``model``.

        Raises:
            UnsupportedError: with everything that cannot be represented.
            InvalidModelError: the model is not consistent.
        """
        assert model.network is not None
        self._graph.name = _identifier(model.name)
        try:
            outputs = self._network(model.network, None)
        except InvalidModelError:
            if not self._problems:
                raise
            outputs = []  # Stand-ins may not fit; what stands in for is the news.
        if self._problems:
            problems = merge_problems(self._problems)
            raise UnsupportedError(
                "the model has parts that are not supported", where=self._file, problems=problems
            )
        names = _output_names(model.network)
        left, self.states = self.kept.settle(names)
        self._graph.set_outputs(
            [*(value for value in outputs if value is not None), *left],
            [*names, *(state.output for state in self.states)],
        )
        prune(self._graph)
        return self._graph

    def _network(self, network: Network, given: list[Value] | None) -> list[Value | None]:
        """The outputs of a network over ``given`` values, or over new inputs of the graph."""
        if given is not None and len(given) != len(network.inputs):
            what = f"a model with {len(network.inputs)} inputs is called on {len(given)} tensors"
            raise InvalidModelError(what, where=self._file)
        done: _Done = {}
        for index, ref in enumerate(network.inputs):
            layer = network.layers.get(ref.layer)
            if layer is None or layer.kind != "InputLayer":
                raise InvalidModelError(f"{ref.layer!r} is not an input", where=self._file)
            done[ref.layer, 0] = self._input(layer, None if given is None else given[index])
        for layer, index, call in schedule(network, self._file):
            done[layer.name, index] = self._call(layer, call, done)
        return [self._value(ref, done) for ref in network.outputs]

    def _input(self, layer: Record, given: Value | None) -> tuple[Value, ...] | None:
        settings = layer.settings
        for what, found in (
            ("sparse and ragged inputs", settings.get("sparse") or settings.get("ragged")),
            ("inputs of text", settings.get("dtype") == "string"),
        ):
            if found:
                self._problems.append(Problem(what, (layer.place,)))
                return None
        dtype = compute_type(settings.get("dtype"), layer.place)
        if given is not None:
            with self._b.at(self._origin(layer)):
                return (given if given.type.dtype == dtype else self._b(Cast(to=dtype), given),)
        shape = settings.get("batch_shape", settings.get("batch_input_shape"))
        if not isinstance(shape, list) or not all(
            e is None or (type(e) is int and 0 <= e < 1 << 31) for e in shape
        ):
            raise InvalidModelError("the shape of the input is not in the file", where=layer.place)
        name = self._name(layer.name)
        extents = [
            e if e is not None else Dim.symbol("batch" if axis == 0 else f"{_identifier(name)}_{axis}")
            for axis, e in enumerate(shape)
        ]
        return (self._graph.input(name, TensorType(dtype, tuple(extents))),)

    def _call(self, layer: Record, call: Call, done: _Done) -> tuple[Value, ...] | None:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise InvalidModelError(f"the model has more than {MAX_CALLS} calls of layers", where=self._file)
        if not self._is_known(layer):
            name = layer.registered or f"{layer.module}.{layer.kind}" if layer.is_custom else layer.kind
            self._problems.append(Problem(name, (layer.place,), hint_for(layer)))
            return None
        values = {ref: self._value(ref, done) for ref in call.refs()}
        if None in values.values():
            return None
        try:
            return self._run(layer, _resolve(call.args, values), _resolve(call.kwargs, values))
        except UnsupportedError as error:
            self._problems.extend(error.problems or [Problem(error.message, (layer.place,), error.hint)])
            return None

    def _run(self, layer: Record, args: list[Any], kwargs: dict[str, Any]) -> tuple[Value, ...] | None:
        if layer.is_operation:  # its arguments are its own, whatever they are called
            return self._apply(layer, args, kwargs, None, self._b)
        mask, training = kwargs.pop("mask", None), kwargs.pop("training", None)
        if training and layer.legacy:
            # Keras 3 overrides the argument when it predicts, Keras 2 does not.
            problem = Problem(f"{layer.kind}: called with training=True", (layer.place,))
            raise UnsupportedError(problem.what, problems=[problem])
        if layer.network is None:
            return self._apply(layer, args, kwargs, mask, self._b)
        operands = _operands(layer.network, args)
        self._masks.update((value, mask) for value in operands if isinstance(mask, Value))
        results = self._network(layer.network, operands)
        known = tuple(value for value in results if value is not None)
        return known if len(known) == len(results) else None

    def _apply(
        self, record: Record, args: list[Any], kwargs: dict[str, Any], mask: Any, b: Builder
    ) -> tuple[Value, ...]:
        apply = self._rule(record)
        assert apply is not None
        layer = KerasLayer(record, b, self._weights, self._version, self)
        with b.at(self._origin(record)):
            values = [leaf for leaf in leaves(args) if isinstance(leaf, Value)]
            layer.masks = self._masks_of(values, mask)
            layer.inputs = [self._autocast(layer, value) for value in values]
            layer.args, layer.kwargs = args, kwargs
            if layer.quantization not in (None, *_MODES.get(record.kind, ())):
                raise layer.refuse(
                    f"quantized as {layer.quantization}", "save the model before it is quantized"
                )
            results = apply(layer, b)
            layer.finish()
        outputs = results if isinstance(results, tuple) else (results,)
        for value in outputs:
            value.name = self._name("/".join(record.trail))
        handed = layer.masks[0] if layer.masks and record.kind in _HANDS_MASK_ON else layer.mask
        if handed is not None:
            self._masks.update((value, handed) for value in outputs)
        return outputs

    def _is_known(self, layer: Record) -> bool:
        if registered(layer) is not None:
            return True
        return not layer.is_custom and (layer.network is not None or self._rule(layer) is not None)

    def _rule(self, layer: Record) -> Rule | None:
        return registered(layer) or self._rules.find(layer.rule_key, self._version)

    # --- for layers that hold others -----------------------------------------------------------------

    def warn(self, what: str) -> None:
        """See ``Host``."""
        if what not in self.warnings:
            self.warnings.append(what)

    def mask(self, value: Value) -> Value | None:
        """See ``Host``."""
        return self._masks.get(value)

    def _masks_of(self, values: list[Value], mask: Any) -> list[Value | None]:
        """The masks of the operands of a call: those that the call names, else those that are attached."""
        given = list(leaves(mask)) if isinstance(mask, list) else [mask] * len(values)
        if len(given) != len(values):
            given = [None] * len(values)
        return [m if isinstance(m, Value) else self._masks.get(v) for v, m in zip(values, given, strict=True)]

    def describe(self, owner: Record, item: Any, place: str) -> Record:
        """See ``Host``."""
        if place not in owner.parts:
            found = record(item, owner.trail, self._file)
            found.key, found.owner = f"{owner.key}{place}", owner.owner or owner
            if found.kind in NETWORKS and not found.is_custom:
                found.network = network(found, self._file, depth=len(owner.trail))
                for layer in all_layers(found.network):
                    layer.owner = found.owner
            owner.parts[place] = found
        return owner.parts[place]

    def rule(self, key: str) -> Rule | None:
        """See ``Host``."""
        return self._rules.find(key)

    def run(self, layer: Record, args: list[Any], b: Builder) -> tuple[Value, ...]:
        """See ``Host``."""
        if not self._is_known(layer):
            owner = layer.owner or layer
            raise UnsupportedError(
                layer.kind, problems=[Problem(layer.kind, (owner.place,), hint_for(layer))]
            )
        if layer.network is None:
            return self._apply(layer, args, {}, None, b)
        before = len(self._problems)
        results = self._network(layer.network, [leaf for leaf in leaves(args) if isinstance(leaf, Value)])
        known = tuple(value for value in results if value is not None)
        if len(known) < len(results):
            problems = self._problems[before:]
            del self._problems[before:]
            raise UnsupportedError(layer.kind, problems=problems)
        return known

    def _autocast(self, layer: KerasLayer, value: Value) -> Value:
        keep = layer.record.is_operation or layer.kind in _NO_AUTOCAST
        floats = dtypes.is_float(value.type.dtype) and dtypes.is_float(layer.dtype)
        return layer.cast(value, layer.dtype) if floats and not keep else value

    def _value(self, ref: Ref, done: _Done) -> Value | None:
        """The value that ``ref`` means; a stand-in where it is unknown but for its type, else None."""
        if (ref.layer, ref.call) not in done:
            raise InvalidModelError(f"there is no call {ref.call} of {ref.layer!r}", where=self._file)
        outputs = done[ref.layer, ref.call]
        if outputs is None and ref.shape is not None:
            extents = [
                Dim.symbol("batch" if i == 0 else f"unknown_{i}") if e is None else e
                for i, e in enumerate(ref.shape)
            ]
            return Value(TensorType(element_type(ref.dtype, self._file), tuple(extents)))
        if outputs is not None and not 0 <= ref.index < len(outputs):
            raise InvalidModelError(f"{ref.layer!r} has no output {ref.index}", where=self._file)
        return outputs[ref.index] if outputs is not None else None

    def _origin(self, layer: Record) -> Origin:
        return Origin("/".join(layer.trail), layer.kind, self._file)

    def _name(self, name: str) -> str:
        """``name``, with a number behind it when it is taken."""
        while name in self._names:
            self._names[name] += 1
            name = f"{name}_{self._names[name]}"
        self._names[name] = 0
        return name


def all_layers(network: Network) -> Iterator[Record]:
    """Every layer of a network and of those in it, in the order in which Keras saves them."""
    for layer in network.layers.values():
        yield layer
        if layer.network is not None:
            yield from all_layers(layer.network)


def _resolve(item: Any, values: dict[Ref, Value | None]) -> Any:
    """Arguments with values in the place of references."""
    if isinstance(item, Ref):
        return values[item]
    if isinstance(item, list):
        return [_resolve(entry, values) for entry in item]
    return {key: _resolve(entry, values) for key, entry in item.items()} if isinstance(item, dict) else item


def _operands(network: Network, args: list[Any]) -> list[Value]:
    """The tensors a network is called on, in the order of its inputs; a dict may name them."""
    names = [ref.layer for ref in network.inputs]
    if args and isinstance(args[0], dict) and set(args[0]) == set(names):
        args = [[args[0][name] for name in names]]
    return [leaf for leaf in leaves(args) if isinstance(leaf, Value)]


def _output_names(network: Network) -> list[str]:
    """The names of the layers that make the outputs, each name once."""
    names: list[str] = []
    for ref in network.outputs:
        name, count = ref.layer, 0
        while name in names:
            count += 1
            name = f"{ref.layer}_{count}"
        names.append(name)
    return names


def _identifier(name: str) -> str:
    cleaned = re.sub(r"\W", "_", name, flags=re.ASCII)
    return cleaned if cleaned[:1].isalpha() or cleaned[:1] == "_" else f"_{cleaned}"
