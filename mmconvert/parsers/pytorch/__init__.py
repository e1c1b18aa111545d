"""PyTorch: `.pt2` archives read without torch, weights with the code of their module, scripts, modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.ir.model import Module
from mmconvert.registry import read_head

R = TypeVar("R", bound=Callable[..., Any])


def sniff(path: Path, head: bytes) -> bool:
    """True when ``path``, which begins with ``head``, is a file of PyTorch: program, script or weights."""
    from mmconvert.parsers.pytorch.weights import kind_of

    return kind_of(path, head) != ""


def load(
    path: Path,
    *,
    model: str | None = None,
    module: Any = None,
    examples: Any = None,
    dynamic_shapes: Any = None,
    state_key: str | None = None,
    trust_pickle: bool = False,
) -> Module:
    """Reads an exported program, a TorchScript archive, or weights with the code that builds their module.

    Weights stay in the file until they are asked for. An exported program is read without torch.

    Args:
        path: a `.pt2`, `.pt`, `.pth`, `.jit` or `.safetensors` file.
        model: which program, of an archive with several.
        module: of weights, the user's own code: ``"package.module:factory"``, or something to call.
        examples: of weights and scripts, what they take: tensors as for ``load_object``, or words such as
            ``"image=batch,3,224,224"`` (see `examples.py`), in which extents with names are open.
        dynamic_shapes: which extents are open, where ``examples`` are tensors.
        state_key: which state dict of a checkpoint; by default the one that fits the module best.
        trust_pickle: unpickle the file, whatever code that runs.

    Raises:
        UsageError: the file cannot be read, there is no such program, or weights and module do not fit.
        UnsupportedError: with everything in the program that cannot be represented.
        InvalidModelError: the file is damaged or hostile, or the program is not valid.
        MissingDependencyError: torch is needed, and not installed.
    """
    from mmconvert.parsers.pytorch.weights import kind_of

    kind = kind_of(path, read_head(path))
    if kind == "program":
        given = {"module": module, "examples": examples, "state_key": state_key}
        if named := [name for name, value in given.items() if value is not None]:
            raise UsageError(f"an exported program has its own code and inputs: without {', '.join(named)}")
        return _read_program(path, model)
    if kind == "script":
        from mmconvert.parsers.pytorch.script import read_script

        if module is not None:
            raise UsageError("a TorchScript archive has its own code, without module", where=str(path))
        return read_script(path, examples, dynamic_shapes)
    if trust_pickle and kind == "pickle":
        from mmconvert.parsers.pytorch.trusted import read_trusted

        return read_trusted(path, module, examples, dynamic_shapes, state_key)
    from mmconvert.parsers.pytorch.build import read_built
    from mmconvert.parsers.pytorch.weights import read_weights

    return read_built(path, read_weights(path, kind), module, examples, dynamic_shapes, state_key)


def _read_program(path: Path, model: str | None) -> Module:
    from mmconvert.parsers.pytorch.archive import read_archive
    from mmconvert.parsers.pytorch.convert import Converter

    try:
        return Converter(read_archive(path, model)).convert()
    except (ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        # A sound archive may still hold numbers that no model has.
        raise InvalidModelError(f"the program is damaged: {error}", where=str(path)) from error


def load_object(source: Any, *, inputs: Any = None, dynamic_shapes: Any = None) -> Module:
    """Reads a module, or an exported program, that is in memory; weights stay torch's own.

    Args:
        source: a `torch.nn.Module` or a `torch.export.ExportedProgram`.
        inputs: of a module: example inputs, a tensor or a tuple of what it takes, or a dict by name.
        dynamic_shapes: of a module: which extents are open, as `torch.export.export` takes them.

    Raises:
        UsageError: it is something else, or a module without inputs.
        UnsupportedError: with everything in the program that cannot be represented.
        InvalidModelError: torch cannot export the module with these inputs.
    """
    from mmconvert.parsers.pytorch.live import load_object as load_live

    return load_live(source, inputs, dynamic_shapes)


def register(name: str) -> Callable[[R], R]:
    """Decorator: a function that builds what an operator computes that mmconvert does not know.

    The function takes the operator (``parsers.pytorch.source.Source``) and a builder, and returns a value or
    a tuple of them::

        @register("mylib::scale")
        def scale(n, b):
            return b(ops.Mul(), n.value("x"), n.real("factor"))

    Args:
        name: of the operator, ``"mylib::op"`` or ``"mylib::op.overload"``.

    Raises:
        UsageError: it is no name of an operator.
    """
    from mmconvert.parsers.pytorch import table

    return table.custom(table.key_of(name))
