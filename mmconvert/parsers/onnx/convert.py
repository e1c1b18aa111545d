"""From an opened file to a graph: one rule for each operator, and every problem collected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from onnx import GraphProto, NodeProto

from mmconvert.errors import InferenceError, InvalidModelError, Problem, UnsupportedError, merge_problems
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Value, prune
from mmconvert.ir.model import Metadata, Module
from mmconvert.parsers.onnx.order import execution_order, place
from mmconvert.parsers.onnx.reader import ModelFile
from mmconvert.parsers.onnx.source import Context, Source
from mmconvert.parsers.onnx.types import input_type
from mmconvert.rules import Rules

OLDEST, NEWEST = 7, 28
"""The operator sets whose semantics the rules were written for."""

_UPGRADE = "convert it with onnx.version_converter.convert_version(model, 17), or export it again"
_INLINE = "inline it with onnx.inliner.inline_local_functions(model)"
_CUSTOM = "export the model without optimisations for one runtime"
_OTHER = "build the model from other operators, or cut it before this one"


class Converter:
    """Reads the graph of one file into the IR."""

    def __init__(self, file: ModelFile, rules: Rules[str]) -> None:
        self.file, self.rules = file, rules
        self.context = Context(file.path.name, file.folder, problems=list(file.problems))
        self.graph = Graph(file.proto.graph.name or "graph")
        self.builder = Builder(self.graph)
        self.warnings: list[str] = []
        self.versions = self._versions()
        self.functions = {_key(_domain(f.domain), f.name) for f in file.proto.functions}

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
        order = execution_order(proto.node, given, outputs)
        self._refuse_unknown(proto.node[position] for position in order)
        for position in order:
            self._node(proto.node[position], position)
        if self.context.problems:
            raise self._unsupported()
        self.graph.set_outputs([self.context.values[name] for name in outputs], outputs)
        prune(self.graph)
        return Module(self.graph, self._metadata(), self.warnings)

    # --- the model -----------------------------------------------------------------------------------

    def _versions(self) -> dict[str, int]:
        versions: dict[str, int] = {}
        for opset in self.file.proto.opset_import:
            domain = _domain(opset.domain)
            versions[domain] = max(opset.version, versions.get(domain, 0))
        # A model that imports nothing is older than imports; one that imports others may not need this.
        version = versions.setdefault("", 0 if versions else 1)
        if 0 < version < OLDEST:
            self.context.problems.append(
                Problem(f"operator set {version}, older than {OLDEST}", (), _UPGRADE)
            )
        if version > NEWEST:
            self.warnings.append(f"operator set {version} is newer than {NEWEST}, the newest that is known")
        return versions

    def _metadata(self) -> Metadata:
        proto = self.file.proto
        return Metadata(
            format="onnx",
            producer=f"{proto.producer_name} {proto.producer_version}".strip(),
            opset=self.versions[""],
            properties={entry.key: entry.value for entry in proto.metadata_props},
        )

    def _unsupported(self) -> UnsupportedError:
        problems = merge_problems(self.context.problems)
        what = "one thing is" if len(problems) == 1 else f"{len(problems)} things are"
        return UnsupportedError(f"{what} not supported", where=self.context.file, problems=problems)

    @contextmanager
    def _collecting(self) -> Iterator[None]:
        """Notes what is unsupported instead of stopping at it."""
        try:
            yield
        except UnsupportedError as error:
            places = (error.where,) if error.where else ()
            self.context.problems += error.problems or [Problem(error.message, places, error.hint)]

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
        for name, tensor in self.file.initializers.items():
            values[name] = self.graph.constant(tensor, name)
        for info in proto.input:
            # Up to IR version 3 every initializer had to be an input as well.
            if info.name not in values and info.name not in self.file.refused:
                with self._collecting():
                    values[info.name] = self.graph.input(info.name, input_type(info, self.context.symbols))

    # --- nodes ---------------------------------------------------------------------------------------

    def _refuse_unknown(self, nodes: Iterable[NodeProto]) -> None:
        """Finds every operator without a rule before any rule runs, so that all of them are reported."""
        for node in nodes:
            domain = _domain(node.domain)
            key, version = _key(domain, node.op_type), self.versions.get(domain, 1)
            if key in self.functions:
                self.context.problems.append(Problem(f"model-local function {key}", (place(node),), _INLINE))
            elif self.rules.find(key, version) is None:
                what = f"operator {key}" + (f" of operator set {version}" if key in self.rules else "")
                self.context.problems.append(Problem(what, (place(node),), _CUSTOM if domain else _OTHER))

    def _node(self, proto: NodeProto, position: int) -> None:
        domain = _domain(proto.domain)
        key, version = _key(domain, proto.op_type), self.versions.get(domain, 1)
        rule = None if key in self.functions else self.rules.find(key, version)
        if rule is None or any(name and name not in self.context.values for name in proto.input):
            return  # reported already, here or upstream
        source = Source(proto, version, self.context, self.file.attributes.get(position))
        try:
            with self._collecting(), self.builder.at(source.origin):
                results = rule(source, self.builder)
                source.finish()
                self._keep(source, results if isinstance(results, tuple) else (results,))
        except InvalidModelError as error:
            if error.where:
                raise
            kind = InferenceError if isinstance(error, InferenceError) else InvalidModelError
            raise kind(error.message, where=source.where, hint=error.hint) from error

    def _keep(self, source: Source, results: tuple[Value | None, ...]) -> None:
        """Puts the results under the names that the file has for them."""
        for index, name in enumerate(source.outputs):
            value = results[index] if index < len(results) else None
            if not name:
                continue
            if value is None:
                raise source.unsupported(f"its output {index} is not supported")
            self.context.values[name] = value
            if not value.name:
                value.name = name


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _key(domain: str, kind: str) -> str:
    """What rules are kept under: the operator's name, with its domain when that is not ONNX's own."""
    return f"{domain}.{kind}" if domain else kind
