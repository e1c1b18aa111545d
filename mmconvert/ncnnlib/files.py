"""The pair of files that a model is, read and checked together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mmconvert.errors import InvalidModelError, Problem, UnsupportedError, UsageError, merge_problems
from mmconvert.files import map_file
from mmconvert.ncnnlib import binary, notes, records, weights
from mmconvert.ncnnlib.notes import Note
from mmconvert.ncnnlib.parameters import Parameters
from mmconvert.ncnnlib.records import Layer
from mmconvert.tensors import Tensor

LARGEST = 1 << 28
"""No ``.param`` file has as many bytes."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A layer with its weights, by name."""

    parameters: Parameters
    weights: dict[str, Tensor]

    @property
    def layer(self) -> Layer:
        """Its record."""
        return self.parameters.layer


@dataclass(frozen=True, slots=True)
class Files:
    """A model as it lies on the disk.

    Attributes:
        layers: the layers in order.
        inputs, outputs: the names of its ends; of outputs those that are in the source, where that is noted.
        notes: what is known of the ends in the source.
        spare: bytes of ``.bin`` that no layer reads.
        binary: whether ``.param`` is binary.
    """

    layers: list[Stored]
    inputs: list[str]
    outputs: list[str]
    notes: dict[str, Note]
    spare: int
    binary: bool


def weights_path(path: Path) -> Path:
    """The file with the weights of the model that ``path`` describes."""
    name = path.name
    for suffix in (".param.bin", ".param"):
        if name.lower().endswith(suffix):
            return path.with_name(f"{name[: -len(suffix)]}.bin")
    return path.with_name(f"{name}.bin")


def read(path: Path, beside: Path | None = None) -> Files:
    """Both files, checked: grammar, wiring, and that the weights are all there.

    Args:
        path: the ``.param`` file, text or binary.
        beside: the ``.bin`` file, where it has another name.

    Raises:
        UsageError: a file is missing.
        InvalidModelError: a file is broken, or the two do not belong together.
        UnsupportedError: there are layers that NCNN does not have.
    """
    data = map_file(path)
    if len(data) > LARGEST:
        raise InvalidModelError("no model is described by as many bytes", where=str(path))
    is_binary = binary.is_binary(data)
    layers = (binary.read if is_binary else records.read_text)(bytes(data), str(path))
    beside = beside or weights_path(path)
    parameters = _parameters(layers, str(path))
    lists = [weights.expected(p) for p in parameters]
    reader = _reader(beside, any(w.count for list_ in lists for w in list_))
    stored = [
        Stored(p, {weight.name: reader.take(weight) for weight in list_})
        for p, list_ in zip(parameters, lists, strict=True)
    ]
    known = {name: note for layer in layers for name, note in notes.read(layer, str(path)).items()}
    inputs, outputs = records.ends(layers)
    noted = [name for name in outputs if name in known]
    return Files(stored, inputs, noted or outputs, known, reader.spare, is_binary)


def _parameters(layers: list[Layer], where: str) -> list[Parameters]:
    found, problems = [], []
    for layer in layers:
        try:
            found.append(Parameters(layer, where))
        except UnsupportedError as error:
            problems.append(Problem(error.message, (layer.name,)))
    if problems:
        raise UnsupportedError(
            "there are layers that NCNN itself does not have", where=where, problems=merge_problems(problems)
        )
    return found


def _reader(path: Path, needed: bool) -> weights.Reader:
    if not needed and (not path.exists() or not path.stat().st_size):
        return weights.Reader(memoryview(b""), str(path))
    if not path.exists():
        raise UsageError(
            "the weights are missing", where=str(path), hint="an NCNN model is two files, .param and .bin"
        )
    return weights.Reader(map_file(path), str(path))
