"""The description of a program, as torch serialises it, read into records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from mmconvert.dtypes import BY_NAME
from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.types import TensorType
from mmconvert.parsers.pytorch.records import (
    ELEMENTS,
    Argument,
    Element,
    Held,
    Meta,
    Node,
    Program,
    Record,
    Ref,
    Sym,
    Word,
)
from mmconvert.parsers.pytorch.sizes import Sizes
from mmconvert.parsers.symbols import Symbols
from mmconvert.tensors import Tensor

MAJOR = 8
"""The version of the schema that this reads; a change of the major one breaks readers."""

USUAL_LOW, BOUNDLESS = 2, 1 << 62
"""torch takes an extent for one of at least two, and this is no limit."""

MAX_DEPTH = 64
"""How deep graphs may lie inside graphs."""

Json = dict[str, Any]


Names = Mapping[tuple[int | str, int], str]
"""What the user calls open extents: by the place or the name of an input, and the axis."""


def read_program(
    about: Json,
    tensors: Mapping[str, Tensor],
    file: str,
    names: Names | None = None,
    symbols: Mapping[str, str] | None = None,
) -> Program:
    """The program that ``about`` describes.

    Args:
        about: the schema's ExportedProgram, as JSON.
        tensors: parameters, buffers and constants by key.
        file: for messages.
        names: of open extents; by default they are called by their first input and axis.
        symbols: what extents are called by torch's symbols for them, before that.

    Raises:
        UnsupportedError: it is of another version, or has arguments or element types that the IR has not.
        InvalidModelError: it is malformed.
    """
    try:
        return _Reader(about, tensors, file, names or {}, symbols or {}).program()
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        what = f"{type(error).__name__} {error}"
        raise InvalidModelError(f"the description of the program is malformed: {what}", where=file) from error


class _Reader:
    def __init__(
        self,
        about: Json,
        tensors: Mapping[str, Tensor],
        file: str,
        names: Names,
        symbols: Mapping[str, str],
    ) -> None:
        self.about, self.tensors, self.file, self.names = about, tensors, file, names
        self.sizes, self.symbols = Sizes(), Symbols()
        for symbol, name in symbols.items():
            self.sizes.names[symbol] = str(self.symbols.fresh(name))

    def program(self) -> Program:
        version = self.about["schema_version"]["major"]
        if version != MAJOR:
            raise UnsupportedError(
                f"version {version} of torch's schema",
                where=self.file,
                hint="export it with torch 2.6 or later",
            )
        module = self.about["graph_module"]
        signature = module["signature"]
        inputs = [next(iter(spec.items())) for spec in signature["input_specs"]]
        self._name_symbols(module["graph"], inputs)
        graph = self._graph(module["graph"], 0)
        held, taken = [], []
        for kind, spec in inputs:
            match kind:
                case "user_input":
                    taken.append(self._argument(spec["arg"], 0))
                case "constant_input":
                    taken.append(None)
                case "parameter" | "buffer" | "tensor_constant":
                    held.append(Held(str(spec["arg"]["name"]), str(spec[f"{kind}_name"]), kind))
                case _:
                    raise UnsupportedError(f"an input that is a {kind.replace('_', ' ')}", where=self.file)
        return self._with_outputs(graph, signature, tuple(held), tuple(taken))

    def _with_outputs(
        self, graph: Record, signature: Json, held: tuple[Held, ...], taken: tuple[Argument, ...]
    ) -> Program:
        given: list[Argument] = []
        buffers: dict[str, str] = {}
        changed: list[str] = []
        for kind, spec in (next(iter(spec.items())) for spec in signature["output_specs"]):
            match kind:
                case "user_output":
                    given.append(self._argument(spec["arg"], 0))
                case "buffer_mutation":
                    buffers[str(spec["buffer_name"])] = str(spec["arg"]["name"])
                case "user_input_mutation":
                    changed.append(str(spec["user_input_name"]))
                case _:
                    raise UnsupportedError(f"an output that is a {kind.replace('_', ' ')}", where=self.file)
        version = str(self.about.get("torch_version", ""))
        return Program(
            self.file,
            graph,
            held,
            taken,
            tuple(given),
            buffers,
            tuple(changed),
            self.tensors,
            version,
            self._ranges(),
        )

    def _ranges(self) -> list[str]:
        """What torch assumed of open extents while it went through the module."""
        said = []
        for symbol, limits in self.about.get("range_constraints", {}).items():
            low, high = limits.get("min_val"), limits.get("max_val")
            if symbol in self.sizes.names and ((low or 0) > USUAL_LOW or (high or BOUNDLESS) < BOUNDLESS):
                most = f" and at most {high}" if (high or BOUNDLESS) < BOUNDLESS else ""
                said.append(f"the extent {self.sizes.names[symbol]} is at least {low}{most}")
        return said

    def _name_symbols(self, graph: Json, inputs: list[tuple[str, Any]]) -> None:
        """Symbols are called by the first input and axis that they stand for alone."""
        taken = [spec for kind, spec in inputs if kind == "user_input"]
        for place, spec in enumerate(taken):
            name = spec["arg"].get("as_tensor", {}).get("name")
            for axis, size in enumerate(graph["tensor_values"][name]["sizes"] if name else ()):
                text = size.get("as_expr", {}).get("expr_str", "")
                symbol = text.removeprefix("Symbol('").partition("'")[0]
                if text.startswith("Symbol('") and text.count("(") == 1 and symbol not in self.sizes.names:
                    called = self.names.get((place, axis)) or self.names.get((name, axis))
                    self.sizes.names[symbol] = str(self.symbols.fresh(called or f"{name}_{axis}"))

    # --- graphs --------------------------------------------------------------------------------------

    def _graph(self, graph: Json, depth: int) -> Record:
        if depth > MAX_DEPTH:
            raise InvalidModelError(f"graphs lie more than {MAX_DEPTH} deep in one another", where=self.file)
        numbers: dict[str, Any] = {}
        for kind in ("int", "float", "bool"):
            for name, value in graph.get(f"sym_{kind}_values", {}).items():
                ((form, content),) = value.items()
                numbers[name] = self.sizes.read(content["expr_str"]) if form == "as_expr" else content
        return Record(
            tuple(self._argument(a, depth) for a in graph["inputs"]),
            tuple(self._argument(a, depth) for a in graph["outputs"]),
            tuple(self._node(node, depth) for node in graph["nodes"]),
            {name: self._meta(meta) for name, meta in graph["tensor_values"].items()},
            numbers,
        )

    def _meta(self, meta: Json) -> Meta:
        number = meta["dtype"]
        if number not in ELEMENTS:
            raise UnsupportedError(f"tensors of torch's element type {number}", where=self.file)
        shape = tuple(self._size(size) for size in meta["sizes"])
        if any(extent is None or isinstance(extent, float) for extent in shape):
            raise UnsupportedError(f"a tensor of the shape {meta['sizes']}", where=self.file)
        strides = tuple(self._size(stride) for stride in meta["strides"])
        return Meta(TensorType(BY_NAME[ELEMENTS[number]], shape), strides)

    def _size(self, size: Json) -> Any:
        return int(size["as_int"]) if "as_int" in size else self.sizes.read(size["as_expr"]["expr_str"])

    def _node(self, node: Json, depth: int) -> Node:
        about = node.get("metadata", {})
        module, module_type = _module(about.get("nn_module_stack", ""))
        outputs = tuple(_names(self._argument(a, depth)) for a in node["outputs"])
        first = outputs[0] if outputs else ""
        name = node.get("name") or (first if isinstance(first, str) else next(iter(first or ("",))))
        return Node(
            str(node["target"]).removeprefix("torch.ops.").removeprefix("_operator."),
            tuple((str(a.get("name", "")), self._argument(a["arg"], depth)) for a in node["inputs"]),
            outputs,
            str(name),
            module,
            module_type,
            _line(about.get("stack_trace", "")),
        )

    # --- arguments -----------------------------------------------------------------------------------

    def _argument(self, argument: Json, depth: int) -> Argument:
        ((kind, value),) = argument.items()
        if kind == "as_graph":
            return self._graph(value["graph"], depth + 1)
        if kind not in _ARGUMENTS:
            what = kind.removeprefix("as_").replace("_", " ")
            raise UnsupportedError(f"an argument that is a {what}", where=self.file)
        return _ARGUMENTS[kind](value)


def _names(argument: Argument) -> Argument:
    if isinstance(argument, tuple):
        return tuple(_names(a) for a in argument)
    return argument.name if isinstance(argument, Ref | Sym) else None


def _number(value: Any) -> float:
    return float(value)  # "Infinity" and "NaN" are spelled out in JSON


def _sym(value: Json) -> Argument:
    ((kind, content),) = value.items()
    return Sym(str(content)) if kind == "as_name" else content


def _optional(value: Json) -> Ref | None:
    return Ref(str(value["as_tensor"]["name"])) if "as_tensor" in value else None


def _ref(value: Json) -> Ref:
    return Ref(str(value["name"]))


def _element(value: Any) -> Element:
    return Element(BY_NAME.get(ELEMENTS.get(value, ""), None))


def _each(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda values: tuple(function(v) for v in values)


def _word(kind: str) -> Callable[[Any], Word]:
    return lambda value: Word(kind, str(value))


_ARGUMENTS: dict[str, Callable[[Any], Argument]] = {
    "as_none": lambda _: None,
    "as_tensor": _ref,
    "as_tensors": _each(_ref),
    "as_optional_tensor": _optional,
    "as_optional_tensors": _each(_optional),
    "as_nested_tensors": _each(_each(_ref)),
    "as_int": int,
    "as_ints": _each(int),
    "as_int_lists": _each(_each(int)),
    "as_float": _number,
    "as_floats": _each(_number),
    "as_float_lists": _each(_each(_number)),
    "as_bool": bool,
    "as_bools": _each(bool),
    "as_string": str,
    "as_strings": _each(str),
    "as_sym_int": _sym,
    "as_sym_ints": _each(_sym),
    "as_sym_float": _sym,
    "as_sym_floats": _each(_sym),
    "as_sym_bool": _sym,
    "as_sym_bools": _each(_sym),
    "as_scalar_type": _element,
    "as_memory_format": _word("memory format"),
    "as_layout": _word("layout"),
    "as_device": _word("device"),
    "as_operator": _word("operator"),
    "as_complex": lambda value: complex(value["real"], value["imag"]),
}


# --- where things come from ------------------------------------------------------------------------------


def _module(stack: str) -> tuple[str, str]:
    """The path and class of the innermost module; an entry is ``key,path,class``, and ``;`` lies between."""
    last = stack.rpartition(";")[2].split(",")
    if len(last) < 3 or last[1].startswith("_empty_nn_module"):
        return "", ""
    return _plain(last[1]), last[2]


def _plain(path: str) -> str:
    """``L['self'].layers.0`` and ``layers.0`` alike."""
    return path.removeprefix("L['self']").lstrip(".")


def _line(trace: str) -> str:
    """The innermost line of the trace that is not torch's own: ``"net.py:12"``."""
    found = ""
    for line in trace.splitlines():
        if line.strip().startswith('File "'):
            path, _, rest = line.strip().removeprefix('File "').partition('", line ')
            parts = PurePath(path.replace("\\", "/")).parts
            number = rest.partition(",")[0]
            if "torch" not in parts[:-1] and number.isdigit() and parts:
                found = f"{parts[-1]}:{number}"
    return found
