"""From an opened file to a graph: one rule for each operator, and every problem collected."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
        self.shared = Shared(path, net.texts("tensorName"), external)
        self.graph = Graph("main")
        self.types = _types(net.text("bizCode"))
        self.problems: list[Problem] = []
        self.missing: set[int] = set()

    def convert(self) -> Module:
        """The whole model.

        Raises:
            UnsupportedError: with every problem of the model.
            InvalidModelError: the model is not valid.
        """
        b = Builder(self.graph)
        operators = self.net.records("oplists", "Op")
        for record in operators:
            self._operator(record, b)
        if self.problems:
            problems = merge_problems(self.problems)
            what = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
            raise UnsupportedError(f"{what} not supported", where=self.shared.path.name, problems=problems)
        names = self._outputs(operators)
        results = [self._result(name, b) for name in names]
        self.graph.set_outputs(results, names)
        prune(self.graph)
        extra = self.net.record("extraInfo", "ExtraInfo")
        version = "" if extra is None else extra.text("version")
        return Module(self.graph, Metadata(format="mnn", producer=f"MNN {version}".strip()))

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

    def _operator(self, record: Record, b: Builder) -> None:
        n = Source(record, self.shared, b)
        try:
            with b.at(n.origin):
                results = self._results(n, b)
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
            return [self._input(n, b)]
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
