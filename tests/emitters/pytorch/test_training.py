"""What was written can be trained on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mmconvert
from tests.emitters.pytorch.nets import Picture, Sequence, convert, loaded, randomised

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
keras = pytest.importorskip("keras")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras model with batch norm and dropout, written for torch."""
    folder = tmp_path_factory.mktemp("keras")
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3), name="image"),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem"),
            layers.BatchNormalization(name="stem_norm"),
            layers.ReLU(name="stem_relu"),
            layers.DepthwiseConv2D(3, padding="same", name="depthwise"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(4, name="head"),
        ]
    )
    model.save(folder / "model.keras")
    report = mmconvert.convert(folder / "model.keras", folder / "out", to="pytorch")
    assert report.passed, report.verdict
    return folder / "out"


def test_layers_are_those_of_the_source(trained: Path) -> None:
    model = loaded(trained)
    kinds = {name: type(module) for name, module in model.named_children()}
    assert kinds == {
        "stem": nn.Conv2d,
        "stem_norm": nn.BatchNorm2d,
        "depthwise": nn.Conv2d,
        "drop": nn.Dropout,
        "head": nn.Linear,
    }
    assert model.drop.p == 0.5
    assert not model.training


def test_steps_reduce_a_loss_and_reach_every_weight(trained: Path) -> None:
    model = loaded(trained).train()
    torch.manual_seed(0)
    x, y = torch.randn(16, 12, 12, 3), torch.randint(0, 4, (16,))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    mean = model.stem_norm.running_mean.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert all(not torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert not torch.equal(model.stem_norm.running_mean, mean)
    assert int(model.stem_norm.num_batches_tracked) == 20


def test_dropout_drops_in_training_only(trained: Path) -> None:
    model, x = loaded(trained), torch.randn(4, 12, 12, 3)
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        model.train()
        model.stem_norm.eval()
        assert not torch.equal(model(x), model(x))


def test_gradients_are_those_of_the_source_module(tmp_path: Path) -> None:
    module, x = randomised(Picture()), torch.randn(2, 3, 8, 8)
    convert(module, (x,), tmp_path / "out")
    again = loaded(tmp_path / "out")
    for model in (module, again):
        model.train()
        model(x).square().sum().backward()
    wanted = dict(module.named_parameters())
    for name, parameter in again.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad, rtol=1e-3, atol=1e-3)


def test_gradients_flow_through_recurrent_layers_and_attention(tmp_path: Path) -> None:
    convert(randomised(Sequence()), (torch.zeros(2, 6, dtype=torch.int64),), tmp_path / "out")
    model = loaded(tmp_path / "out").train()
    model(torch.arange(12).reshape(2, 6) % 11).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())
