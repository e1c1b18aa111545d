"""Runs folders of PyTorch code in PyTorch: those that this process has written, and no others."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mmconvert import dtypes, torchlib
from mmconvert.errors import InvalidModelError, MissingDependencyError, UnsupportedError, UsageError
from mmconvert.tensors import Array

NAME = "PyTorch"


def available() -> str | None:
    """The version of PyTorch, or None when it or what reads the weights is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    from importlib.metadata import version

    return version("torch")


class Session:
    """A model of the folder ``path``.

    A folder holds a program, and to run somebody's program is to trust them. So only code that this process
    has written itself is run, as long as it is what was written.

    Args:
        path: the folder.

    Attributes:
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.

    Raises:
        MissingDependencyError: PyTorch is not installed.
        UsageError: there is no such folder.
        UnsupportedError: the code is not known.
        InvalidModelError: the code or its weights cannot be loaded.
    """

    def __init__(self, path: str | Path) -> None:
        if available() is None:
            raise MissingDependencyError(
                "PyTorch is needed to run this model, and is not installed", hint="pip install torch"
            )
        folder = Path(path)
        if not (folder / "model.py").is_file():
            raise UsageError("there is no model.py", where=str(path))
        written = torchlib.find(folder)
        if written is None:
            raise UnsupportedError(
                "this folder holds a program that was not written just now; it is not run",
                where=str(path),
                hint="read it, then run its test_model.py yourself",
            )
        import torch

        self._torch, self._place = torch, str(path)
        module = ModuleType("model")
        module.__file__ = str(folder / "model.py")
        try:
            exec(compile(written.code, module.__file__, "exec"), module.__dict__)  # noqa: S102 - our own code
            self._model: Any = module.load(folder)
        except (RuntimeError, TypeError, ValueError, NameError, SyntaxError, AttributeError) as error:
            raise InvalidModelError(f"PyTorch refuses this model: {error}", where=self._place) from error
        self.inputs, self.outputs = list(written.inputs), list(written.outputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            UsageError: an input is missing or unknown.
            InvalidModelError: an operator failed on these values.
        """
        if wrong := sorted(set(inputs) ^ set(self.inputs)):
            raise UsageError(
                f"the inputs are {', '.join(self.inputs) or 'none'}; missing or unknown: {', '.join(wrong)}",
                where=self._place,
            )
        try:
            with self._torch.inference_mode():
                results = self._model(*(self._tensor(inputs[name]) for name in self.inputs))
        except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError, NameError) as error:
            raise InvalidModelError(f"PyTorch failed: {error}", where=self._place) from error
        found = results if isinstance(results, tuple) else (results,)
        return {name: self._array(tensor) for name, tensor in zip(self.outputs, found, strict=True)}

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """What every layer gives, by its name, and the outputs.

        Raises:
            UsageError, InvalidModelError: see ``run``.
        """
        found: dict[str, Array] = {}

        def watch(name: str) -> Any:
            def keep(_: Any, __: Any, result: Any) -> None:
                if isinstance(result, self._torch.Tensor):
                    found[name] = self._array(result)

            return keep

        handles = [m.register_forward_hook(watch(n)) for n, m in self._model.named_modules() if n]
        try:
            return found | self.run(inputs)
        finally:
            for handle in handles:
                handle.remove()

    def _tensor(self, array: Array) -> Any:
        whole = np.array(array, order="C")
        if whole.dtype == dtypes.BF16:
            return self._torch.from_numpy(whole.view(np.int16)).view(self._torch.bfloat16)
        return self._torch.from_numpy(whole)

    def _array(self, tensor: Any) -> Array:
        if tensor.dtype == self._torch.bfloat16:
            return np.asarray(tensor.contiguous().view(self._torch.int16).numpy()).view(dtypes.BF16)
        return np.asarray(tensor.contiguous().numpy())
