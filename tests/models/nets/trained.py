"""Trained files of PyTorch with the code of their modules: converted, and compared with torch.

python -m tests.models.nets.trained NAME FILE OUT.jsonl
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import sys
import tempfile
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

import mmconvert

from .check import Torch, compare, feeds
from .net import SEED, Given, Net

WORDS = 30522
RATE = 16000


@dataclass(frozen=True)
class Trained:
    """Weights and their module.

    Attributes:
        build: makes the module.
        examples: what it takes, in the words of the command line.
        inputs: makes inputs of a batch and an extent.
        extents: the extents to try where one is open.
        key: where in the checkpoint the state dict is.
    """

    build: Callable[[], nn.Module]
    examples: tuple[str, ...]
    inputs: Callable[[int, int, torch.Generator], Given]
    extents: tuple[int, int, int] = (0, 0, 0)
    key: str = ""


def without_its_start(package: str, **has: Any) -> None:
    """Lets modules of a package be imported alone: its `__init__` wants what is not installed."""
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    assert spec is not None
    bare = types.ModuleType(package)
    bare.__path__ = list(spec.submodule_search_locations or [])
    vars(bare).update(has)
    sys.modules[package] = bare


def _mtcnn(name: str) -> nn.Module:
    from ..build_torchvision import models

    models()
    without_its_start("facenet_pytorch")
    net: nn.Module = getattr(importlib.import_module("facenet_pytorch.models.mtcnn"), name)(pretrained=False)
    return net


def _lite() -> nn.Module:
    net: nn.Module = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name(
        "efficientnet-lite0"
    )
    return net


def _crepe() -> nn.Module:
    without_its_start("torchcrepe", PITCH_BINS=360)
    net: nn.Module = importlib.import_module("torchcrepe.model").Crepe("tiny")
    return net


class Voice(nn.Module):
    """Resemblyzer's encoder, whose own constructor reads a file: its layers, and its `forward`."""

    def __init__(self) -> None:
        super().__init__()
        without_its_start("resemblyzer", audio=None)
        encoder = importlib.import_module("resemblyzer.voice_encoder")
        self.lstm = nn.LSTM(encoder.mel_n_channels, encoder.model_hidden_size, 3, batch_first=True)
        self.linear = nn.Linear(encoder.model_hidden_size, encoder.model_embedding_size)
        self.relu = nn.ReLU()
        self.similarity_weight = nn.Parameter(torch.zeros(1))
        self.similarity_bias = nn.Parameter(torch.zeros(1))
        self.apply_to: Callable[..., torch.Tensor] = encoder.VoiceEncoder.forward

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """An embedding of each spectrogram."""
        return self.apply_to(self, mels)


def _minilm() -> nn.Module:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=WORDS, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    net: Any = BertModel(config)
    # Checkpoints of its time have it.
    net.embeddings.register_buffer("position_ids", torch.arange(config.max_position_embeddings)[None])
    made: nn.Module = net
    return made


def _pictures(name: str, extent: int = 0) -> Callable[[int, int, torch.Generator], Given]:
    return lambda n, e, g: {name: torch.rand(n, 3, e or extent, extent, generator=g) * 2 - 1}


def _sentences(batch: int, length: int, generator: torch.Generator) -> Given:
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[-1, length // 2 :] = 0
    ids = torch.randint(1000, WORDS, (batch, length), generator=generator)
    return {"input_ids": ids, "attention_mask": mask}


TRAINED = {
    "mtcnn-p": Trained(
        lambda: _mtcnn("PNet"),
        ("x=batch,3,height@48,64",),
        _pictures("x", 64),
        (48, 75, 120),
    ),
    "mtcnn-r": Trained(lambda: _mtcnn("RNet"), ("x=batch,3,24,24",), _pictures("x", 24)),
    "mtcnn-o": Trained(lambda: _mtcnn("ONet"), ("x=batch,3,48,48",), _pictures("x", 48)),
    "efficientnet-lite0": Trained(_lite, ("inputs=batch,3,224,224",), _pictures("inputs", 224)),
    "crepe-tiny": Trained(
        _crepe, ("x=batch,1024",), lambda n, _, g: {"x": torch.randn(n, 1024, generator=g)}
    ),
    "resemblyzer": Trained(
        Voice,
        ("mels=batch,160,40",),
        lambda n, _, g: {"mels": torch.rand(n, 160, 40, generator=g) ** 4},
        key="model_state",
    ),
    "minilm-torch": Trained(
        _minilm,
        ("input_ids=batch,length@16:i64", "attention_mask=batch,length@16:i64"),
        _sentences,
        (16, 5, 33),
    ),
}


def weights(path: Path, key: str) -> dict[str, torch.Tensor]:
    """The state dict as torch reads it."""
    if path.suffix == ".safetensors":
        return load_file(path)
    found: Any = torch.load(path, map_location="cpu", weights_only=True)
    state: dict[str, torch.Tensor] = found[key] if key else found
    return state


def check(name: str, path: Path) -> Iterator[dict[str, Any]]:
    """The findings of weights and their module."""
    about = TRAINED[name]
    model = mmconvert.load(path, module=about.build, examples=list(about.examples))
    module = about.build().eval()
    module.load_state_dict(weights(path, about.key), strict=False)
    tried = feeds(Net(module, about.inputs, (), about.extents), model.graph)
    yield from compare(model, Torch(module, list(tried[0])), tried)


class Detector:
    """Silero's detector of speech in torch, with what it keeps between calls as inputs and outputs."""

    inputs = ("x", "_state", "_context")

    def __init__(self, script: Any) -> None:
        self.script = script

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The probability, and what is kept."""
        x, state, context = (torch.from_numpy(inputs[name].copy()) for name in self.inputs)
        script = self.script
        script._state, script._context = state, context
        with torch.no_grad():
            found = script(x, RATE)
        return {
            "torch_0": found.numpy(),
            "torch_1": script._state.numpy(),
            "torch_2": script._context.numpy(),
        }

    def intermediates(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs alone."""
        return self.run(inputs)


def check_script(path: Path) -> Iterator[dict[str, Any]]:
    """The findings of Silero's script, after a first call: before it, what it keeps is empty."""
    script = torch.jit.load(path, map_location="cpu").eval()
    generator = torch.Generator().manual_seed(SEED)
    sounds = [0.3 * torch.randn(1, 512, generator=generator) for _ in range(4)]
    with tempfile.TemporaryDirectory() as folder:
        warm = Path(folder) / "warm.jit"
        with torch.no_grad():
            script(sounds[0], RATE)
        script.save(warm)
        model = mmconvert.load(warm, examples=["x=1,512", f"sr:={RATE}"])
        witness, tried = Detector(script), []
        kept = {"_state": script._state.numpy(), "_context": script._context.numpy()}
        for sound in sounds[1:]:
            tried.append({"x": sound.numpy(), **kept})
            kept = dict(zip(kept, list(witness.run(tried[-1]).values())[1:], strict=True))
        yield from compare(model, witness, tried)


def main() -> None:
    """Writes the findings, one JSON object a line."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    name, path, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with out.open("w") as file:
        for found in check_script(path) if name == "silero-vad-script" else check(name, path):
            file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
