"""Runs TensorFlow Lite files in LiteRT, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert.errors import InvalidModelError, MissingDependencyError, UnsupportedError, UsageError
from mmconvert.runtimes.quiet import quiet
from mmconvert.tensors import Array

NAME = "LiteRT"


def available() -> str | None:
    """The version of LiteRT, or None when it is not installed."""
    import importlib.util

    if importlib.util.find_spec("ai_edge_litert") is None:
        return None
    from importlib.metadata import version

    return version("ai-edge-litert")


_PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL")


class Session:
    """A loaded TFLite file.

    Inputs and outputs go by the names of the file's signature, or where it has none by those of its tensors.

    Args:
        model: the path of the file, or its bytes.
        threads: how many threads compute.
        delegate: let XNNPACK run what it can, as is LiteRT's default. Without, the built-in kernels run all.
            By default they do for files with hybrid operators, whose floats XNNPACK quantizes in its own way.

    Attributes:
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.

    Raises:
        MissingDependencyError: LiteRT is not installed.
        UsageError: there is no such file.
        InvalidModelError: LiteRT refuses the file.
    """

    def __init__(self, model: str | Path | bytes, threads: int = 1, *, delegate: bool | None = None) -> None:
        self._model, self._threads = model, threads
        self._place = "" if isinstance(model, bytes) else str(model)
        plain = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
        self._interpreter = self._load(plain if delegate is False else "BUILTIN")
        if delegate is None and _is_hybrid(self._interpreter):
            self._interpreter = self._load(plain)
        self._inputs, self._outputs = _names(self._interpreter)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self.inputs, self.outputs = list(self._inputs), list(self._outputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; inputs of other shapes than the file's are resized.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong type or shape.
            InvalidModelError: an operator failed on these values.
        """
        self._require(self._interpreter, inputs)
        shapes = {name: array.shape for name, array in inputs.items()}
        if shapes != self._shapes or not shapes:
            self._shapes = {}
            self._allocate(self._interpreter, shapes)
            self._shapes = shapes
        self._invoke(self._interpreter, inputs)
        details = {d["index"]: d for d in self._interpreter.get_output_details()}
        return {name: _tensor(self._interpreter, details[i]) for name, i in self._outputs.items()}

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every tensor that an operator of the main graph makes, by name, computed by the built-in kernels.

        Raises:
            UsageError: an input does not fit.
            InvalidModelError: an operator failed on these values.
        """
        interpreter = self._load("BUILTIN_WITHOUT_DEFAULT_DELEGATES", keep=True)
        self._require(interpreter, inputs)
        self._allocate(interpreter, {name: array.shape for name, array in inputs.items()})
        self._invoke(interpreter, inputs)
        made = {i for op in interpreter._get_ops_details() for i in op["outputs"]}
        details = interpreter.get_tensor_details()
        return {d["name"]: _tensor(interpreter, d) for d in details if d["index"] in made}

    def _load(self, resolver: str, *, keep: bool = False) -> Any:
        try:
            with quiet():
                from ai_edge_litert.interpreter import Interpreter, OpResolverType
        except ImportError as error:
            raise MissingDependencyError(
                "LiteRT is needed to run a TensorFlow Lite file and is not installed",
                hint="pip install 'mmconvert[litert]'",
            ) from error
        if not isinstance(self._model, bytes) and not Path(self._model).is_file():
            raise UsageError("there is no such file", where=self._place)
        source = {"model_content" if isinstance(self._model, bytes) else "model_path": self._model}
        try:
            with quiet():
                return Interpreter(
                    **{name: str(v) if isinstance(v, Path) else v for name, v in source.items()},
                    num_threads=self._threads,
                    experimental_op_resolver_type=OpResolverType[resolver],
                    experimental_preserve_all_tensors=keep,
                )
        except (RuntimeError, ValueError) as error:
            raise InvalidModelError(f"LiteRT refuses this file: {_line(error)}", where=self._place) from error

    def _allocate(self, interpreter: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        try:
            with quiet():
                for name, shape in shapes.items():
                    interpreter.resize_tensor_input(self._inputs[name], shape)
                interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise InvalidModelError(
                f"LiteRT cannot run this file: {_line(error)}", where=self._place
            ) from error

    def _invoke(self, interpreter: Any, inputs: Mapping[str, Array]) -> None:
        try:
            for name, array in inputs.items():
                whole = np.ascontiguousarray(array).reshape(array.shape)
                interpreter.set_tensor(self._inputs[name], whole)
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise InvalidModelError(f"LiteRT failed: {_line(error)}", where=self._place) from error

    def _require(self, interpreter: Any, inputs: Mapping[str, Array]) -> None:
        details = {d["index"]: d for d in interpreter.get_input_details()}
        _require({name: details[index] for name, index in self._inputs.items()}, inputs, self._place)


class SignatureSession:
    """One signature of a loaded TFLite file, whichever sub-graph it calls.

    Args:
        model: the path of the file, or its bytes.
        signature: the name of the signature.

    Attributes:
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.

    Raises:
        MissingDependencyError: LiteRT is not installed.
        UsageError: there is no such file, or it has no such signature.
        InvalidModelError: LiteRT refuses the file.
    """

    def __init__(self, model: str | Path | bytes, signature: str) -> None:
        session = Session(model)
        self._place = session._place
        known = session._interpreter.get_signature_list()
        if signature not in known:
            raise UsageError(
                f"there is no signature {signature!r}",
                where=self._place,
                hint=f"there is {', '.join(known) or 'none'}",
            )
        self._runner = session._interpreter.get_signature_runner(signature)
        self.inputs = list(self._runner.get_input_details())
        self.outputs = list(self._runner.get_output_details())

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; inputs of other shapes than the file's are resized.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong type or shape.
            InvalidModelError: an operator failed on these values.
        """
        _require(self._runner.get_input_details(), inputs, self._place)
        try:
            with quiet():
                found: dict[str, Array] = self._runner(**inputs)
        except (RuntimeError, ValueError) as error:
            raise InvalidModelError(f"LiteRT failed: {_line(error)}", where=self._place) from error
        return found

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Nothing: LiteRT shows the inner values of the main graph alone.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("LiteRT shows the inner values of the main graph alone")


def _require(details: Mapping[str, Any], inputs: Mapping[str, Array], place: str) -> None:
    """Makes sure that ``inputs`` are what a file takes.

    Raises:
        UsageError: one is missing, unknown, or of the wrong type or shape.
    """
    if wrong := sorted(set(inputs) ^ set(details)):
        raise UsageError(
            f"the inputs are {', '.join(details) or 'none'}; missing or unknown: {', '.join(wrong)}",
            where=place,
        )
    for name, array in inputs.items():
        detail = details[name]
        wanted = [int(e) for e in detail["shape_signature"]]
        fits = len(wanted) == array.ndim and all(
            w in (-1, e) for w, e in zip(wanted, array.shape, strict=True)
        )
        if array.dtype != detail["dtype"] or not fits:
            have = f"{array.dtype} {list(array.shape)}"
            raise UsageError(
                f"input {name!r} is {np.dtype(detail['dtype'])} {wanted}, not {have}", where=place
            )


def _names(interpreter: Any) -> tuple[dict[str, int], dict[str, int]]:
    """The tensors of the inputs and of the outputs, by name, in the order of the file."""
    ends = [
        {d["index"]: d["name"] for d in f()}
        for f in (interpreter.get_input_details, interpreter.get_output_details)
    ]
    for key, signature in interpreter._get_full_signature_list().items():
        if interpreter._interpreter.GetSubgraphIndexFromSignature(key) != 0:
            continue
        for end, part in zip(ends, ("inputs", "outputs"), strict=True):
            if set(signature[part].values()) == set(end):
                end.update({index: name for name, index in signature[part].items()})
        break
    return {n: i for i, n in ends[0].items()}, {n: i for i, n in ends[1].items()}


def _tensor(interpreter: Any, detail: dict[str, Any]) -> Array:
    if 0 in detail["shape"]:  # LiteRT hands out no empty tensors
        return np.empty(detail["shape"], detail["dtype"])
    return np.asarray(interpreter.get_tensor(detail["index"]))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _is_hybrid(interpreter: Any) -> bool:
    """True when some product is one of floats with integers."""
    types = {d["index"]: np.dtype(d["dtype"]) for d in interpreter.get_tensor_details()}
    products = [op["inputs"] for op in interpreter._get_ops_details() if op["op_name"] in _PRODUCTS]
    return any([types.get(i) for i in found[:2]] == [np.float32, np.int8] for found in products)
