"""The text of ``model.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmconvert.emitters.pytorch.code import INDENT, WIDTH, Names, identifier, wrap
from mmconvert.emitters.pytorch.helpers import HELPERS
from mmconvert.emitters.pytorch.layers import Layers, constructions, leaves, lengths
from mmconvert.emitters.pytorch.loops import Statement, roll
from mmconvert.emitters.pytorch.rules import RULES
from mmconvert.emitters.pytorch.writer import RESERVED, Writer
from mmconvert.errors import UnsupportedError, merge_problems
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.tensors import Tensor

_LOAD = '''
def load(folder: Path = Path(__file__).parent) -> {name}:
    """The model with its weights, ready for inference; call train() to go on training."""
    model = {name}()
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    return model.eval()
'''


@dataclass(frozen=True, slots=True)
class Source:
    """A model as it is written.

    Attributes:
        text: that of ``model.py``.
        state: the state dict.
        inputs, outputs: the names of the function's parameters and results, by those of the graph.
        operators: how many operators were written.
    """

    text: str
    state: dict[str, Tensor]
    inputs: dict[str, str]
    outputs: list[str]
    operators: int


def describe(module: Module) -> Source:
    """A model as Python.

    Raises:
        UnsupportedError: something cannot be expressed; all of it is listed.
    """
    graph = module.graph
    layers = Layers(module.metadata.format)
    layers.share(graph)
    out = Writer(RULES, layers)
    names = Names(RESERVED)
    inputs = {v.name: names.take(identifier(v.name or "x")) for v in graph.inputs}
    out.begin([(v, inputs[v.name]) for v in graph.inputs])
    out.write(graph)
    out.end()
    if out.problems:
        raise UnsupportedError("PyTorch cannot express this model", problems=merge_problems(out.problems))
    results = [out.tensor(v) if v.constant is not None else out.name(v) for v in graph.outputs]
    text = _text(module, out, layers, list(inputs.values()), results)
    return Source(text, layers.state, inputs, list(graph.output_names), out.count)


def _text(module: Module, out: Writer, layers: Layers, inputs: list[str], results: list[str]) -> str:
    graph = module.graph
    name = class_name(graph)
    made = _wrapped([*constructions(layers.root), *((2, text) for text in layers.ties)])
    body = _wrapped(roll(out.statements(), lengths(layers.root), leaves(layers.root), out.names))
    gives = f"tuple[{', '.join(['Tensor'] * len(results))}]" if len(results) != 1 else "Tensor"
    takes = ", ".join(["self", *(f"{i}: Tensor" for i in inputs)])
    code = "\n".join([*made, *body])
    imports = ["from pathlib import Path", "", "import torch"]
    imports += ["import torch.nn.functional as F"] * (
        "F." in code or any("F." in HELPERS[h] for h in out.helpers)
    )
    imports += ["from safetensors.torch import load_file", "from torch import Tensor, nn"]
    uses_torch = "torch." in code.replace("safetensors.torch", "") or any(
        "torch." in HELPERS[h] for h in out.helpers
    )
    if not uses_torch:
        imports.remove("import torch")
    base = "nn.ModuleList" if any(child.isdigit() for child in layers.root.children) else "nn.Module"
    lines = [*_docstring(module), "", *imports, "", ""]
    for helper in sorted(out.helpers):
        lines += [*HELPERS[helper].strip("\n").split("\n"), "", ""]
    lines += [f"class {name}({base}):", *_described(graph, inputs), ""]
    lines += [f"{INDENT}def __init__(self) -> None:", f"{INDENT * 2}super().__init__()", *made, ""]
    lines += [*wrap(f"def forward({takes}) -> {gives}:", 1), *body]
    lines += _return(results)
    lines += ["", *_LOAD.format(name=name).rstrip("\n").split("\n"), ""]
    return "\n".join(lines)


def _return(results: list[str]) -> list[str]:
    if len(results) == 1:
        return [f"{INDENT * 2}return {results[0]}"]
    short = f"{INDENT * 2}return {', '.join(results) or '()'}"
    return [short] if len(short) <= WIDTH else wrap(f"return ({', '.join(results)})", 2)


def _wrapped(statements: Sequence[Statement]) -> list[str]:
    return [line for level, text in statements for line in (wrap(text, level) if text else [""])]


def class_name(graph: Graph) -> str:
    """The name of the class: that of the graph, in the spelling of classes."""
    parts = [p for p in identifier(graph.name).split("_") if p]
    name = "".join(p[0].upper() + p[1:] for p in parts)
    taken = not name or name in ("Tensor", "Path", "Main", "MainGraph", "Graph", "TorchJit")
    return "Model" if taken else name


def _docstring(module: Module) -> list[str]:
    meta = module.metadata
    origin = f" from {meta.format}" if meta.format else ""
    maker = f" ({' '.join(meta.producer.split())[:40]})" if meta.producer else ""
    return [f'"""A model converted{origin}{_clean(maker)} by mmconvert."""']


def _clean(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'")


def _described(graph: Graph, inputs: list[str]) -> list[str]:
    takes = [f"{name}: {v.type}" for name, v in zip(inputs, graph.inputs, strict=True)]
    gives = [f"{_clean(n)}: {v.type}" for n, v in zip(graph.output_names, graph.outputs, strict=True)]
    lines = ['"""The model.', "", "Takes:", *(INDENT + t for t in takes or ["nothing"]), "", "Gives:"]
    lines += [*(INDENT + g for g in gives), '"""']
    return [(INDENT + line)[:WIDTH].rstrip() for line in lines]
