"""From an opened file to a graph: one rule for each operator, and every problem collected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError, merge_problems
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value, prune
from mmconvert.ir.model import Metadata, Module
from mmconvert.onnxlib import GraphProto, ValueInfoProto
from mmconvert.parsers.onnx.functions import domain_of, key_of
from mmconvert.parsers.onnx.labels import labels
from mmconvert.parsers.onnx.reader import ModelFile
from mmconvert.parsers.onnx.scope import Nodes
from mmconvert.parsers.onnx.source import Context, Items, Library
from mmconvert.parsers.onnx.types import Shapes, input_type, item_types
from mmconvert.rules import Rules
from mmconvert.tensors import Array, Tensor

NEWEST = 28
"""The newest operator set whose semantics the rules were written for."""


class Converter:
    """Reads the graph of one file into the IR."""

    def __init__(
        self,
        file: ModelFile,
        rules: Rules[str],
        fix: Mapping[str, Any] | None = None,
        items: Mapping[str, int] | None = None,
        shapes: Shapes | None = None,
        assumed: Mapping[str, bool] | None = None,
    ) -> None:
        self.file, self.fix, self.items = file, dict(fix or {}), dict(items or {})
        self.shapes = dict(shapes or {})
        self.warnings = [_assumption(place, holds=holds) for place, holds in (assumed or {}).items()]
        functions = {key_of(domain_of(f.domain), f.name): f for f in file.proto.functions}
        self.context = Context(
            file.path.name,
            file.folder,
            problems=list(file.problems),
            library=Library(rules, functions, file.inner, assumed=assumed or {}),
            versions=self._versions(),
        )
        self.graph = Graph(file.proto.graph.name or "graph")
        self.builder = Builder(self.graph)
        self.nodes = Nodes(self.context, self.builder)

    def convert(self) -> Module:
        """The whole model.

        Raises:
            UnsupportedError: with every problem of the model.
            InvalidModelError: the model is not valid.
        """
        proto = self.file.proto.graph
        outputs = [o.name for o in proto.output]
        self._require_names("output", outputs)
        self._require_names("input", [i.name for i in proto.input])
        self._inputs(proto)
        given = [i.name for i in proto.input] + [*self.file.initializers, *self.file.refused]
        self.nodes.read(proto.node, given, outputs, self.file.attributes)
        if self.context.problems:
            raise self._unsupported()
        self._outputs(outputs)
        prune(self.graph)
        return Module(self.graph, self._metadata(), self.warnings)

    # --- the model -----------------------------------------------------------------------------------

    def _versions(self) -> dict[str, int]:
        versions: dict[str, int] = {}
        for opset in self.file.proto.opset_import:
            domain = domain_of(opset.domain)
            versions[domain] = max(opset.version, versions.get(domain, 0))
        # A model that imports nothing is older than imports; one that imports others may not need this.
        version = versions.setdefault("", 0 if versions else 1)
        if version > NEWEST:
            self.warnings.append(f"operator set {version} is newer than {NEWEST}, the newest that is known")
        return versions

    def _metadata(self) -> Metadata:
        proto = self.file.proto
        properties = {entry.key: entry.value for entry in proto.metadata_props}
        return Metadata(
            format="onnx",
            producer=f"{proto.producer_name} {proto.producer_version}".strip(),
            opset=self.context.versions[""],
            labels=labels(properties),
            properties=properties,
        )

    def _unsupported(self) -> UnsupportedError:
        problems = merge_problems(self.context.problems)
        what = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
        return UnsupportedError(f"{what} not supported", where=self.context.file, problems=problems)

    # --- values --------------------------------------------------------------------------------------

    def _require_names(self, what: str, names: list[str]) -> None:
        if "" in names:
            raise InvalidModelError(f"an {what} has no name", where=self.context.file)
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidModelError(f"two {what}s are called {twice!r}", where=self.context.file)
        if what == "output" and not names:
            raise InvalidModelError("the graph has no outputs", where=self.context.file)

    def _inputs(self, proto: GraphProto) -> None:
        values = self.context.values
        names = {info.name for info in proto.input}
        held = {f"{name}_{i}" for name, count in self.items.items() for i in range(count)}
        if unknown := sorted(({*self.fix, *self.items} - names) | (set(self.shapes) - names - held)):
            known = ", ".join(info.name for info in proto.input)
            raise UsageError(f"the model has no input called {', '.join(unknown)}", hint=f"it has {known}")
        for name, tensor in self.file.initializers.items():
            values[name] = self.graph.constant(tensor, name)
        for info in proto.input:
            # Up to IR version 3 every initializer had to be an input as well.
            if info.name in self.items:
                values[info.name] = self._sequence(info)
            elif info.name in self.fix:
                values[info.name] = self._fixed(info)
            elif info.name not in values and info.name not in self.file.refused:
                with self.nodes.collecting():
                    values[info.name] = self.graph.input(
                        info.name, input_type(info, self.context.symbols, self.shapes)
                    )

    def _sequence(self, info: ValueInfoProto) -> Items:
        """An input that stands for several tensors, or for none."""
        count = self.items[info.name]
        types = item_types(info, count, self.context.symbols, self.shapes)
        values = tuple(self.graph.input(f"{info.name}_{i}", type) for i, type in enumerate(types))
        return Items(values, absent=count == 0 and info.type.WhichOneof("value") == "optional_type")

    def _outputs(self, names: list[str]) -> None:
        """Declares the outputs; each tensor of a sequence is one."""
        values: dict[str, Value] = {}
        for name in names:
            thing = self.context.values[name]
            found = (
                {name: thing}
                if isinstance(thing, Value)
                else {f"{name}_{i}": v for i, v in enumerate(thing.values)}
            )
            if repeated := set(found) & set(values):
                raise InvalidModelError(f"two outputs are called {min(repeated)!r}", where=self.context.file)
            values |= found
        self.graph.set_outputs(list(values.values()), list(values))

    def _fixed(self, info: ValueInfoProto) -> Value:
        """An input that is a constant from now on."""
        type = input_type(info, self.context.symbols, self.shapes)
        array = _as(type.dtype, self.fix[info.name])
        fits = array.ndim == type.rank and array.dtype == type.dtype
        if not fits or any(isinstance(e, int) and e != array.shape[i] for i, e in enumerate(type.shape)):
            raise UsageError(f"the input {info.name!r} is {type}, not {array.dtype} {list(array.shape)}")
        return self.graph.constant(Tensor.of(array), info.name)


def _as(dtype: DType, given: Any) -> Array:
    """An array as it is; a number of Python's, or a list of them, in ``dtype`` where that changes none."""
    try:
        array = np.asarray(given)
    except ValueError:  # lists of different lengths
        return np.empty((), object)
    if isinstance(given, np.ndarray | np.generic) or array.dtype.kind not in "biuf":
        return array.copy(order="C")
    if (array.dtype == dtypes.BOOL) != (dtype == dtypes.BOOL):
        return array
    with np.errstate(all="ignore"):
        converted = array.astype(dtype)
    return converted if dtypes.is_float(dtype) or np.array_equal(converted, array) else array


def _assumption(place: str, *, holds: bool) -> str:
    return f"{place} is read as if its condition were {str(holds).lower()}: otherwise the model does not work"
