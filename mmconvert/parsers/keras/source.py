"""The records of a Keras config: layers, their calls and the networks they form, as Keras 2 and 3 write them.

Nothing here knows what a layer computes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError
from mmconvert.ir.graph import Value
from mmconvert.tensors import Array

NETWORKS = frozenset({"Functional", "Model", "Sequential"})
"""The classes whose config lists layers."""

MAX_DEPTH = 32
"""Networks inside networks."""

_ELEMENT_TYPES = {dtype.name: dtype for dtype in dtypes.BY_NAME.values()}
_UNTRAINABLE = ("InputLayer", "SpatialDropout", "Discretization", "Pipeline")
_CLASSES = {"GroupQueryAttention": "GroupedQueryAttention"}
_OPERATIONS = ("keras.src.ops.", "keras.src.activations.")


def decode(text: bytes | str, where: str) -> Any:
    """JSON as Keras writes it: tuples, which JSON has not, come back as lists.

    Raises:
        InvalidModelError: it is not JSON.
    """
    try:
        return json.loads(text, object_hook=_plain)
    except (ValueError, RecursionError, MemoryError) as error:
        raise InvalidModelError(f"the config is not JSON: {error}", where=where) from error


def _plain(item: dict[str, Any]) -> Any:
    if item.get("class_name") in ("__tuple__", "TensorShape") and isinstance(item.get("items"), list):
        return item["items"]
    return item


@dataclass(frozen=True, slots=True)
class Ref:
    """An output of a call of a layer; ``shape`` and ``dtype`` as the file remembers them, if it does."""

    layer: str
    call: int
    index: int
    shape: tuple[int | None, ...] | None = None
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a layer: its arguments, with a ``Ref`` for every tensor."""

    args: list[Any]
    kwargs: dict[str, Any] = field(default_factory=dict)

    def refs(self) -> Iterator[Ref]:
        """The tensors among the arguments."""
        for leaf in leaves([self.args, self.kwargs]):
            if isinstance(leaf, Ref):
                yield leaf


@dataclass(slots=True, eq=False)
class Record:
    """A layer as the file describes it, shared by all its calls.

    Attributes:
        kind: the name of its class.
        name: its name, unique among its siblings.
        trail: the names of the networks around it, outermost first, then its own.
        settings: its config.
        module: the Python module of the class, empty where the file does not say.
        registered: the name the class was registered under, when it is not Keras's own.
        key: where its variables lie in the weights of a `.keras` file.
        legacy: True for the call format of Keras 2.
        calls: its uses.
        network: the layers inside it, when it is a network.
        constants: the weights that are in the graph already, by name.
        owner: the layer of a network that this one is a part of, as a cell is of an LSTM; None for a layer.
        parts: the parts that were looked at already, by their place in the weights.
    """

    kind: str
    name: str
    trail: tuple[str, ...]
    settings: dict[str, Any]
    module: str = ""
    registered: str = ""
    key: str = ""
    legacy: bool = False
    calls: list[Call] = field(default_factory=list)
    network: Network | None = None
    constants: dict[str, Value] = field(default_factory=dict)
    owner: Record | None = None
    parts: dict[str, Record] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """What to call the layer in messages."""
        return f"{self.kind} {'/'.join(self.trail)!r}"

    @property
    def is_operation(self) -> bool:
        """True for a function of ``keras.ops``."""
        if self.module:
            return self.module.startswith(_OPERATIONS)
        # `.h5` files name no modules, but layers note whether they are trainable, but for a few.
        others = self.kind in NETWORKS or self.kind.startswith(_UNTRAINABLE)
        return "trainable" not in self.settings and not others

    @property
    def rule_key(self) -> str:
        """The name that rules know the class by."""
        return f"ops.{self.kind}" if self.is_operation else self.kind

    @property
    def is_custom(self) -> bool:
        """True when the class is not Keras's own."""
        foreign = bool(self.module) and self.module.split(".")[0] not in ("keras", "tf_keras", "builtins")
        return foreign or ">" in self.registered or ">" in self.kind


@dataclass(slots=True)
class Network:
    """The layers of a model, and which tensors go in and out."""

    layers: dict[str, Record]
    inputs: list[Ref]
    outputs: list[Ref]


def leaves(item: Any) -> Iterator[Any]:
    """What is in nested lists and dicts, dicts in the order of their keys, as Keras flattens them."""
    stack = [item]
    while stack:
        top = stack.pop()
        if isinstance(top, list):
            stack.extend(reversed(top))
        elif isinstance(top, dict):
            stack.extend(top[key] for key in sorted(top, reverse=True))
        else:
            yield top


def record(item: Any, parents: tuple[str, ...], where: str) -> Record:
    """Reads one entry of a list of layers, without its calls.

    Raises:
        InvalidModelError: it is not a description of a layer.
    """
    if not isinstance(item, dict) or not isinstance(item.get("class_name"), str):
        raise InvalidModelError("a layer has no class name", where=where)
    settings = item.get("config")
    if item["class_name"] == "Sequential" and isinstance(settings, list):
        settings = {"layers": settings}  # Keras before 2.2.3
    if not isinstance(settings, dict):
        raise InvalidModelError(f"{item['class_name']} has no config", where=where)
    name = item.get("name", settings.get("name", item["class_name"].lower()))
    if not isinstance(name, str):
        raise InvalidModelError(f"{item['class_name']} has no name", where=where)
    module, registered = (
        item.get(key) if isinstance(item.get(key), str) else "" for key in ("module", "registered_name")
    )
    return Record(item["class_name"], name, (*parents, name), settings, module or "", registered or "")


def network(owner: Record, where: str, depth: int = 0) -> Network:
    """Reads the layers of a Sequential or Functional model, and those of the models among them.

    Raises:
        InvalidModelError: they do not describe a network.
    """
    items = owner.settings.get("layers")
    if not isinstance(items, list) or not items:
        raise InvalidModelError("the model has no layers", where=f"{where}:{owner.place}")
    if depth > MAX_DEPTH:
        raise InvalidModelError(f"models are nested deeper than {MAX_DEPTH}", where=f"{where}:{owner.place}")
    parents = owner.trail if depth else ()
    layers: dict[str, Record] = {}
    counts: dict[str, int] = {}
    for item in items:
        found = record(item, parents, where)
        if found.name in layers:
            raise InvalidModelError(f"two layers are called {found.name!r}", where=where)
        layers[found.name] = found
        if not found.is_operation:
            found.key = f"{owner.key}layers/{unique(container(found.kind), counts)}/"
        if owner.kind != "Sequential":
            found.calls, found.legacy = _calls(item.get("inbound_nodes"), found.place)
        if found.kind in NETWORKS and not found.is_custom:
            found.network = network(found, where, depth + 1)
    return _sequential(owner, layers, parents) if owner.kind == "Sequential" else _functional(owner, layers)


def snake_case(name: str) -> str:
    """A class name as `.keras` files spell it: ``Conv2D`` -> ``conv2d``, ``ReLU`` -> ``re_lu``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def container(kind: str) -> str:
    """How the variables of a class are filed: under the name of the class in Keras's own code."""
    return snake_case(_CLASSES.get(kind, kind))


def unique(name: str, counts: dict[str, int]) -> str:
    """``name``, with its number behind it from the second on."""
    counts[name] = counts.get(name, -1) + 1
    return f"{name}_{counts[name]}" if counts[name] else name


def _sequential(owner: Record, layers: dict[str, Record], parents: tuple[str, ...]) -> Network:
    """A chain, spelled as a network of calls; an input is made up where the first layer holds its shape."""
    chain = list(layers.values())
    if chain[0].kind != "InputLayer":
        chain.insert(0, _made_up_input(owner, chain[0], parents))
    for before, layer in pairwise(chain):
        layer.calls = [Call([Ref(before.name, 0, 0)])]
    return Network(
        {layer.name: layer for layer in chain}, [Ref(chain[0].name, 0, 0)], [Ref(chain[-1].name, 0, 0)]
    )


def _made_up_input(owner: Record, first: Record, parents: tuple[str, ...]) -> Record:
    """The input that Keras 2 leaves out: the first layer, or the first one inside it, says what it takes."""
    inner = first
    while (
        inner.network is not None
        and inner.network.inputs
        and inner.network.inputs[0].layer in inner.network.layers
    ):
        inner = inner.network.layers[inner.network.inputs[0].layer]
    keys = ("batch_input_shape", "batch_shape", "build_input_shape")
    shapes = [s[key] for s in (first.settings, inner.settings, owner.settings) for key in keys if s.get(key)]
    # Embedding takes indices, which Keras feeds it as floats.
    dtype = "float32" if inner.kind == "Embedding" else inner.settings.get("dtype", "float32")
    name = f"{first.name}_input"
    settings = {"batch_shape": shapes[0] if shapes else None, "dtype": dtype}
    return Record("InputLayer", name, (*parents, name), settings)


def _functional(owner: Record, layers: dict[str, Record]) -> Network:
    legacy = any(layer.legacy for layer in layers.values())
    inputs, outputs = (
        [_shifted(ref, layers, legacy) for ref in _ends(owner.settings.get(key), owner.place)]
        for key in ("input_layers", "output_layers")
    )
    for layer in layers.values():
        if layer.legacy:
            layer.calls = [_shifted_call(call, layers) for call in layer.calls]
    return Network(layers, inputs, outputs)


def _shifted(ref: Ref, layers: dict[str, Record], legacy: bool) -> Ref:
    """Counts the calls of a network inside a network from 0.

    Call 0 of such a network is the one that made it. Keras 2 counts it for every network and everywhere,
    Keras 3 for functional ones and in the list of outputs only.
    """
    target = layers.get(ref.layer)
    counted = target is not None and (
        target.kind in ("Functional", "Model") or (legacy and target.kind in NETWORKS)
    )
    return Ref(ref.layer, ref.call - 1, ref.index) if counted else ref


def _shifted_call(call: Call, layers: dict[str, Record]) -> Call:
    return Call(*(_shifted_argument(part, layers) for part in (call.args, call.kwargs)))


def _shifted_argument(item: Any, layers: dict[str, Record]) -> Any:
    match item:
        case Ref():
            return _shifted(item, layers, True)
        case list():
            return [_shifted_argument(entry, layers) for entry in item]
        case dict():
            return {name: _shifted_argument(entry, layers) for name, entry in item.items()}
    return item


def _ends(item: Any, where: str) -> list[Ref]:
    """The ends of a network: one ``[layer, call, index]``, or a list or dict of them."""
    found: list[Ref] = []
    stack = [item]
    while stack:
        top = stack.pop()
        if isinstance(top, list) and top and isinstance(top[0], str):
            found.append(_ref(top, where))
        elif isinstance(top, list | dict):
            stack.extend(
                reversed(top) if isinstance(top, list) else (top[k] for k in sorted(top, reverse=True))
            )
        else:
            raise InvalidModelError(f"{top!r} is not an input or output of a model", where=where)
    return found


def _ref(item: Any, where: str) -> Ref:
    match item:
        case [str(layer), int(call), int(index), *_]:
            return Ref(layer, call, index)
    raise InvalidModelError(f"{item!r} is not a tensor of a layer", where=where)


def _calls(items: Any, where: str) -> tuple[list[Call], bool]:
    if items is None:
        items = []
    if not isinstance(items, list):
        raise InvalidModelError("the calls of the layer are not a list", where=where)
    if items and all(isinstance(item, dict) and "args" in item for item in items):
        return [_call(item, where) for item in items], False
    return [_legacy_call(item, where) for item in items], bool(items)


def _legacy_call(item: Any, where: str) -> Call:
    """Keras 2: a list of ``[layer, call, index, keyword arguments]``, one for each tensor."""
    if isinstance(item, list) and item and isinstance(item[0], str):
        item = [item]
    if not isinstance(item, list):
        raise InvalidModelError("a call of the layer is not a list", where=where)
    args = [_legacy_tensor(entry, where) for entry in item]
    kwargs = item[0][3] if item and len(item[0]) > 3 and isinstance(item[0][3], dict) else {}
    named = {name: _legacy_argument(value, where) for name, value in kwargs.items()}
    return Call([args[0] if len(args) == 1 else args], named)


def _legacy_tensor(item: Any, where: str) -> Any:
    match item:
        case ["_CONSTANT_VALUE", -1, value, *_]:
            return value
    return _ref(item, where)


def _legacy_argument(item: Any, where: str) -> Any:
    """A keyword argument of a call of Keras 2, where a tensor is ``[layer, call, index]``."""
    match item:
        case [str(), int(call), int(), *_] if call >= 0:
            return _ref(item, where)
        case ["_CONSTANT_VALUE", -1, value, *_]:
            return value
        case list():
            return [_legacy_argument(entry, where) for entry in item]
        case {"class_name": "__tuple__" | "tuple", "items": list(items)}:
            return [_legacy_argument(entry, where) for entry in items]
        case dict():
            return {name: _legacy_argument(entry, where) for name, entry in item.items()}
    return item


def _call(item: dict[str, Any], where: str) -> Call:
    args, kwargs = item.get("args"), item.get("kwargs", {})
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise InvalidModelError("a call of the layer has no arguments", where=where)
    return Call(_argument(args, where), {name: _argument(value, where) for name, value in kwargs.items()})


def _argument(item: Any, where: str) -> Any:
    """An argument of a call of Keras 3, which marks everything that JSON has not by a class name."""
    if isinstance(item, list):
        return [_argument(entry, where) for entry in item]
    if not isinstance(item, dict):
        return item
    config: Any = item.get("config")
    match item.get("class_name"), config:
        case "__keras_tensor__", {"keras_history": [str(layer), int(call), int(index)]}:
            return Ref(layer, call, index, _shape(config.get("shape")), str(config.get("dtype")))
        case (("__numpy__" | "__tensor__"), {"value": value}):
            return _array(value, element_type(config.get("dtype"), where), where)
        case "__slice__", {"start": start, "stop": stop, "step": step}:
            return slice(*(_argument(bound, where) for bound in (start, stop, step)))
        case "__ellipsis__", _:
            return Ellipsis
    return {name: _argument(value, where) for name, value in item.items()}


def _shape(item: Any) -> tuple[int | None, ...] | None:
    if isinstance(item, list) and all(e is None or (isinstance(e, int) and e >= 0) for e in item):
        return tuple(item)
    return None


def element_type(name: Any, where: str) -> DType:
    """The element type that Keras calls ``name``.

    Raises:
        InvalidModelError: the IR has no such type.
    """
    if not isinstance(name, str) or name not in _ELEMENT_TYPES:
        raise InvalidModelError(f"{name!r} is not a known element type", where=where)
    return _ELEMENT_TYPES[name]


def _array(value: Any, dtype: DType, where: str) -> Array:
    try:
        return np.asarray(value, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidModelError(f"an argument is not an array: {error}", where=where) from error
