"""From an opened file to a graph: one rule for each operator, and every problem collected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmconvert import dtypes, mnnlib
from mmconvert.dtypes import DType
from mmconvert.errors import InferenceError, InvalidModelError, Problem, UnsupportedError, merge_problems
from mmconvert.files import map_file
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value, prune
from mmconvert.ir.model import Metadata, Module
from mmconvert.ir.types import Extent, TensorType
from mmconvert.mnnlib import Record
from mmconvert.parsers.mnn.source import Shared, Source
from mmconvert.parsers.mnn.table import RULES
from mmconvert.parsers.mnn.weights import constant

_INPUTS = {mnnlib.FLOAT: dtypes.F32, mnnlib.INT32: dtypes.I32, mnnlib.INT64: dtypes.I64}
_LARGEST_RANK = 32


class Converter:
    """Reads one file into the IR."""

    def __init__(self, path: Path, net: Record) -> None:
        self.net = net
        beside = path.with_name(f"{path.name}.weight")
        external = map_file(beside) if beside.is_file() else None
        parts = {part.text("name"): part for part in net.records("subgraphs", "SubGraphProto")}
        self.types = _types(net.text("bizCode"))
        self.shared = Shared(path, net.texts("tensorName"), external, parts, self._read)
        self.graph = Graph("main")

    def convert(self) -> Module:
        """The whole model.

        Raises:
            UnsupportedError: with every problem of the model.
            InvalidModelError: the model is not valid.
        """
        operators = self.net.records("oplists", "Op")
        self._read(self.shared, self.graph, operators)
        b = Builder(self.graph)
        names = self._outputs(operators)
        results = [self._result(name, b) for name in names]
        self.graph.set_outputs(results, names)
        prune(self.graph)
        extra = self.net.record("extraInfo", "ExtraInfo")
        version = "" if extra is None else extra.text("version")
        return Module(self.graph, Metadata(format="mnn", producer=f"MNN {version}".strip()))

    def _read(self, shared: Shared, graph: Graph, operators: list[Record]) -> None:
        """Reads operators into a graph, the main one or one inside of an operator.

        Raises:
            UnsupportedError: with every problem of the graph.
        """
        reading = _Reading(shared, graph, self.types)
        for record in operators:
            reading.operator(record)
        if reading.problems:
            problems = merge_problems(reading.problems)
            what = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
            raise UnsupportedError(f"{what} not supported", where=shared.path.name, problems=problems)

    def _outputs(self, operators: Sequence[Record]) -> list[str]:
        """What the file names, else what nothing reads."""
        named = self.net.texts("outputName")
        if named:
            return list(dict.fromkeys(named))
        read = {i for op in operators for i in op.integers("inputIndexes")}
        made = [i for op in operators for i in op.integers("outputIndexes")]
        return list(dict.fromkeys(self.shared.names[i] for i in made if i not in read))

    def _result(self, name: str, b: Builder) -> Value:
        found = [i for i, known in enumerate(self.shared.names) if known == name]
        value = self.shared.values.get(found[-1]) if found else None
        if value is None:
            raise InvalidModelError(f"nothing makes the output {name!r}", where=self.shared.path.name)
        wanted = self.types.get(name)
        return value if wanted is None or wanted == value.type.dtype else b(ops.Cast(to=wanted), value)


class _Reading:
    """Reads the operators of one graph."""

    def __init__(self, shared: Shared, graph: Graph, types: Mapping[str, DType]) -> None:
        """
        Args:
            shared: what they share.
            graph: what they are read into.
            types: the element types of the file's ends.
        """
        self.shared, self.graph, self.types = shared, graph, types
        self.builder = Builder(graph)
        self.problems: list[Problem] = []
        self.missing: set[int] = set()

    def operator(self, record: Record) -> None:
        """Reads one operator."""
        n = Source(record, self.shared, self.builder)
        try:
            with self.builder.at(n.origin):
                results = self._results(n, self.builder)
        except UnsupportedError as error:
            self.problems += error.problems or [Problem(error.message, (n.where,), error.hint)]
            self.missing |= set(n.outputs)
            return
        except InvalidModelError as error:
            if error.where:
                raise
            kind = InferenceError if isinstance(error, InferenceError) else InvalidModelError
            raise kind(error.message, where=n.where, hint=error.hint) from error
        for index, value in zip(n.outputs, results, strict=False):
            if not value.name and value.producer is not None:
                value.name = self.shared.names[index]
            self.shared.values[index] = value

    def _results(self, n: Source, b: Builder) -> Sequence[Value]:
        if n.kind == "Input":
            # Those of a graph inside of an operator are there.
            return [self.shared.values.get(i) or self._input(n, b) for i in n.outputs]
        if n.kind == "Const":
            return [b.constant(constant(n), name=n.origin.name)]
        if any(index in self.missing for index in n.inputs):
            self.missing |= set(n.outputs)
            return []
        rule = RULES.find(n.kind)
        if rule is None:
            raise UnsupportedError(n.kind, where=n.where, hint="build the model from other operators")
        results = rule(n, b)
        results = results if isinstance(results, tuple) else (results,)
        if len(results) < len(n.outputs):
            raise n.invalid(f"it has {len(n.outputs)} outputs, and makes {len(results)}")
        return results

    def _input(self, n: Source, b: Builder) -> Value:
        if self.shared.depth:
            raise n.invalid("nobody feeds this input")
        number = n.parameters.number("dtype")
        if number not in _INPUTS or len(n.outputs) != 1:
            raise n.unsupported(f"an input of the type {number}")
        shape = n.parameters.integers("dims")
        if len(shape) > _LARGEST_RANK:
            raise n.invalid(f"an input of {len(shape)} axes")
        name = self.shared.names[n.outputs[0]]
        extents: list[Extent] = [
            self.shared.symbols.fresh(f"{name}_{axis}") if extent < 0 else extent
            for axis, extent in enumerate(shape)
        ]
        stored = dtypes.I32 if number == mnnlib.INT64 else _INPUTS[number]
        wanted = self.types.get(name, _INPUTS[number])
        value = self.graph.input(name, TensorType(wanted, tuple(extents)))
        return value if wanted == stored else b(ops.Cast(to=stored), value)


def _types(code: str) -> dict[str, DType]:
    """The element types of a file's ends, as a file of ours says them."""
    try:
        types = json.loads(code)["mmconvert"]
        return {name: dtypes.BY_NAME[kind] for name, kind in types.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
