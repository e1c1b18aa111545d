"""From a file to a model: which parts it has, and which version of Keras wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmconvert.errors import InvalidModelError, Problem, UnsupportedError, UsageError
from mmconvert.ir.model import Metadata, Module
from mmconvert.parsers.keras.activations import Function
from mmconvert.parsers.keras.archive import is_archive, read_archive
from mmconvert.parsers.keras.convert import Converter, all_layers
from mmconvert.parsers.keras.hdf5 import open_file
from mmconvert.parsers.keras.keras1 import translate
from mmconvert.parsers.keras.keras1_weights import FirstWeights, TurnedKernels, by_theano
from mmconvert.parsers.keras.mapping import map_path
from mmconvert.parsers.keras.sniffing import is_weights
from mmconvert.parsers.keras.source import NETWORKS, Record, decode, network, record
from mmconvert.parsers.keras.table import RULES
from mmconvert.parsers.keras.weights import ArchiveWeights, LegacyWeights, Weights

_ON_THEANO = (
    "the file was written on Theano: its kernels are turned round, and windows with strides and padding"
    " 'same' lie where TensorFlow puts them"
)
_WHOLE_MODEL = (
    "save the whole model with model.save(), or give its architecture (JSON): --network on the command line,"
    " network= in Python"
)


def read(path: Path, architecture: Path | None, activations: Mapping[str, Function]) -> Module:
    """The model in ``path``; with ``architecture``, the weights of the model that is described there.

    ``activations`` says what names mean that Keras does not know.

    Raises:
        UsageError: a file cannot be read, or has no architecture.
        UnsupportedError: with everything in the model that cannot be represented.
        InvalidModelError: a file is damaged, or the model is not valid.
    """
    if is_archive(path):
        return _read_archive(path, activations)
    root = open_file(map_path(path), str(path))
    inner = root.group("model_weights") or root
    version = inner.text("keras_version")
    if architecture is not None:
        config = decode(map_path(architecture).tobytes(), str(architecture))
        version = version or (config.get("keras_version") if isinstance(config, dict) else None)
    else:
        text = root.text("model_config")
        if text is None:
            raise UsageError("the file holds weights without a model", where=str(path), hint=_WHOLE_MODEL)
        config, version = decode(text, str(path)), root.text("keras_version") or version
    if is_weights(root):
        model = _model(config, str(path))
        assert model.network is not None
        weights: Weights = ArchiveWeights(root, all_layers(model.network))
        return _convert(model, weights, version or "3", path, activations)
    major = _major(version, str(path))
    model = _model(translate(config, str(path)) if major == 1 else config, str(path))
    weights = LegacyWeights(inner) if major > 1 else FirstWeights(inner)
    if not by_theano(inner, major):
        return _convert(model, weights, version or "1", path, activations)
    module = _convert(model, TurnedKernels(weights), version or "1", path, activations)
    module.warnings.append(_ON_THEANO)
    return module


def _read_archive(path: Path, activations: Mapping[str, Function]) -> Module:
    archive = read_archive(path)
    metadata = decode(archive.metadata, str(path))
    model = _model(decode(archive.config, str(path)), str(path))
    assert model.network is not None
    weights = ArchiveWeights(open_file(archive.weights, str(path)), all_layers(model.network))
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return _convert(model, weights, version, path, activations)


def _model(config: Any, where: str) -> Record:
    model = record(config, (), where)
    if model.is_custom or model.kind not in NETWORKS:
        problem = Problem(
            f"subclassed model {model.registered or model.kind}",
            hint="its structure is Python code; build it with keras.Model(inputs, outputs), and save again",
        )
        raise UnsupportedError("the model is not supported", where=where, problems=[problem])
    model.network = network(model, where)
    return model


def _convert(
    model: Record, weights: Weights, version: Any, path: Path, activations: Mapping[str, Function]
) -> Module:
    major = _major(version, str(path))
    converter = Converter(RULES, weights, major, path.name, activations)
    graph = converter.convert(model)
    if shown := ", ".join(f"{state.input} -> {state.output}" for state in converter.states):
        converter.warn(f"what stateful layers keep is inputs and outputs now, zeros at first: {shown}")
    return Module(
        graph,
        Metadata(format="keras", producer=f"Keras {version}"),
        converter.warnings,
        converter.states,
    )


def _major(version: Any, where: str) -> int:
    """The 2 of ``"2.2.4-tf"``; early versions of Keras 1 noted none.

    Raises:
        InvalidModelError: it is no version.
    """
    first = version.partition(".")[0] if isinstance(version, str) else "1" if version is None else ""
    if not first.isdecimal() or len(first) > 3 or int(first) < 1:
        raise InvalidModelError(f"{version!r} is not a version of Keras", where=where)
    return int(first)
