"""Writes the ORT format: ONNX Runtime itself saves a model that was written as ONNX.

A file of style *fixed* holds the model after ONNX Runtime's optimizations, as ``cpu`` says:

``this``
    All of them. Convolutions are in the blocked layout of the CPU at hand, as they are in a session on the
    ONNX file, so the file is as fast. Where the blocks are of another size it would compute nonsense;
    ``blocks`` makes it fail there instead. A model without such convolutions runs everywhere.
``any``
    All but the blocked layout. ONNX Runtime does not optimize an ORT file when it loads one, so on x86 CPUs
    convolutional networks are slower than from the ONNX file; on others there is no difference.

A file of style *runtime* is for any CPU. It holds the basic optimizations, and records of the further ones
for the part of the graph that no accelerator (NNAPI, CoreML) takes; a session replays them when its option
``session.enable_saved_runtime_optimizations`` is 1.

Beside ``m.ort`` there is ``m.required_operators.config``, for builds of ONNX Runtime that have no more than
the model needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

from mmconvert import ortlib
from mmconvert.emitters import flat, onnx
from mmconvert.emitters.ort.schema import IDENTIFIER
from mmconvert.errors import UnsupportedError, UsageError
from mmconvert.files import atomic_write, require_writable
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.passes.pipeline import subgraphs

Style = Literal["fixed", "runtime"]
Cpu = Literal["this", "any"]

SUFFIXES = (".ort",)
TARGET_LAYOUT = onnx.TARGET_LAYOUT

LIMIT = flat.LIMIT - (1 << 24)
"""The bytes of weights that fit into a file, with room for the graph."""


def require() -> None:
    """Makes sure that files can be written here.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
    """
    ortlib.load("write ORT files")


def write(
    module: Module,
    path: Path,
    *,
    opset: int | None = None,
    style: Style = "fixed",
    cpu: Cpu | None = None,
    types: bool = False,
) -> int:
    """Writes a model and its list of required operators; the same model gives the same bytes, for one CPU.

    Args:
        module: the model, in operators and layouts that ONNX has.
        path: the file to write.
        opset: the version of the ONNX operators; see ``emitters.onnx``.
        style: "fixed" or "runtime"; see the package.
        cpu: "this" or "any"; "this" by default where the style is "fixed". A file that is bound to this kind
            of CPU gives rise to a warning in ``module.warnings``.
        types: list the element types with the operators, in ``<name>.required_operators_and_types.config``.

    Returns:
        How many operators the main graph of the file has.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        UsageError: an option has no such value, or the file cannot be written.
        UnsupportedError: ONNX cannot express the model, ONNX Runtime cannot run it, or it is too large.
    """
    require()
    from mmconvert.emitters.ort import config, contents, saving

    cpu = _checked(style, cpu)
    require_writable(path)
    if weights(module.graph) > LIMIT:
        raise UnsupportedError("the weights exceed 2 GB, the limit of ORT files", where=str(path))
    with _scratch(path) as folder:
        source, made = folder / "model.onnx", folder / "model.ort"
        onnx.write(module, source, opset=opset)
        also: list[Path] = []
        if style == "runtime":
            also = saving.runtime(source, made)
        elif cpu == "any":
            saving.portable(source, made)
        elif bound := saving.for_this_cpu(source, made):
            module.warnings.append(f"{path.name} is {bound}")
        root, *others = (contents.read(file) for file in (made, *also))
        graphs = [contents.main_graph(table) for table in (root, *others)]
        usage = config.usage([made, *also]) if types else None
        laid_out = flat.lay_out(root, IDENTIFIER)
        with atomic_write(config.beside(path, types=types)) as listing, atomic_write(path) as file:
            listing.write(config.text(path.name, graphs, usage).encode())
            flat.write(file, laid_out)
    return len(graphs[0].values["nodes"])


def weights(graph: Graph) -> int:
    """The bytes of all constants, each counted once."""
    found = (v.constant for g in (graph, *subgraphs(graph)) for v in g.constants() if v.constant is not None)
    return sum({id(tensor): tensor.nbytes for tensor in found}.values())


def _checked(style: Style, cpu: Cpu | None) -> Cpu:
    for name, value, known in (("style", style, get_args(Style)), ("cpu", cpu, (None, *get_args(Cpu)))):
        if value not in known:
            raise UsageError(f"{name} is {' or '.join(k for k in known if k)}, not {value!r}")
    if style == "runtime" and cpu == "this":
        raise UsageError("ORT files of style 'runtime' are for any CPU", hint="leave cpu out")
    return cpu or ("any" if style == "runtime" else "this")


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """A hidden folder beside ``path`` for the duration of the block."""
    try:
        folder = TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise UsageError(f"cannot write here: {error.strerror}", where=str(path)) from error
    with folder as name:
        yield Path(name)
